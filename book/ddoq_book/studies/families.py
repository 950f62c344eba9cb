"""The studies `families`, `families_tuning` and `oracles`: every system that the paper names, and published settings.

`families` has a file for each group of rows and number of images per class. Rows that make their sets in minutes have
three distillations crossed with three students; the others have three distillations with one student each. `oracles`
trains rows as published, as far as two cores can, for a comparison with the published accuracies.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from ddoq_core.config.profile import Profile
from ddoq_core.methods import METHODS
from ddoq_core.methods.kip import RIDGE
from ddoq_core.methods.method import OWN, SetSize
from ddoq_core.methods.shared.learned import FLOATS, floats_of
from ddoq_core.methods.shared.ridge import centred_one_hot, ridge_prediction, wide_kernels
from ddoq_core.pipeline.label_forms import LabelForm, form_knobs, label_bytes
from ddoq_core.pipeline.teacher import EVALUATION_BATCH
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.jobs import Student
from ddoq_core.runs.run import Run

from .images_seen import images_seen
from .searches import ENOUGH, TUNED_WITH, Search
from .strips import keep_strips

FAMILIES = "families"  # folder of book/results
ORACLES = "oracles"
FLOAT, HARD_LABEL = 4, 1  # bytes of a number that was learned, and of a class
UNSEEN = ("latents", "tau")  # learned values that no student needs
REDUCED = {"dc_rate": 1.0, "dream_rate": 1e-2}  # narrow networks and few steps: at the published rates nothing moves
ON_PHOTOGRAPHS = {"dm_steps": 300, "matching_batch": 32}  # an image has sixteen times as many pixels
MANY = 50  # from this number of images per class on, each distillation has one student


@dataclass(frozen=True)
class Group:
    """Rows that are recorded together, and their settings."""

    name: str
    methods: tuple[str, ...]
    levels: tuple[int, ...] = (1, 10)
    crossed: bool = True  # three students of each of three distillations below MANY images per class, or one
    data: tuple[str, ...] = ("mnist5k",)  # its data sets; imagefolder: the photographs
    values: dict = field(default_factory=dict)  # knobs of these rows that differ from REDUCED and the profile


ALL = ("mnist5k", "fashion_mnist", "imagefolder")
DIGITS_AND_PHOTOGRAPHS = ("mnist5k", "imagefolder")
GROUPS = (
    Group("core-sets", ("herding", "k_centre", "craig", "el2n", "grand", "easy"), (1, 10, 50), data=ALL),
    Group("guided", ("mgd3", "ot_guided"), (1, 10, 50), data=DIGITS_AND_PHOTOGRAPHS),
    Group("minimax", ("minimax",), (1, 10, 50)),
    Group("wmdd", ("wmdd", "wmdd_masses"), data=DIGITS_AND_PHOTOGRAPHS),
    Group("kip", ("kip", "kip_labels", "label_solve"), (1, 10, 50)),
    Group("dm", ("dm",), data=ALL),
    Group("glad", ("glad", "glad_codebook")),
    Group("gradients", ("dc", "dsa", "dream", "robust"), crossed=False),
    Group("mtt", ("mtt",), crossed=False),
    Group("haba", ("haba",), crossed=False, values={"mtt_rate": 10.0}),
    Group("features", ("rfad", "frepo"), crossed=False),
    Group("meta", ("dd", "rtp"), crossed=False),
    Group("ld3m", ("ld3m",), (1,), crossed=False),
)  # in the order of recording, which stops when the time is over


def families_study(profile: Profile) -> Iterator[StudyPart]:
    """Soft and hard labels of every row, and its own protocol if it was published with another one.

    At one image per class students of soft and hard labels take as many steps as in the study `baselines`. A method's
    own protocol has its published length.
    """
    smaller = ON_PHOTOGRAPHS if profile.dataset == "imagefolder" else {}
    for group in GROUPS:
        if profile.dataset not in group.data:
            continue
        base = profile.replace(**REDUCED | smaller | group.values, students=profile.students[:1], n_seeds=3)
        for ipc in (ipc for ipc in group.levels if profile.dataset != "imagefolder" or ipc == 10):
            shared = {"methods": list(group.methods), "ipc": [ipc], "hard_ipc": [ipc], "tesla_ipc": [ipc]}
            shared |= {"n_student_seeds": 3 if group.crossed and ipc < MANY else 1}
            run = Run(base.replace(**shared, targets=["soft", "hard"], **(ENOUGH if ipc == 1 else {})))
            strips = lambda done, out, run=run, ipc=ipc: keep_strips(run, [t.method for t in done], ipc, out)  # noqa: E731
            name = f"{profile.dataset}-{group.name}", f"ipc{ipc:03d}.jsonl"
            yield StudyPart("-".join(name), run, run.plan, images_and_bytes, strips)
            own = Run(base.replace(**shared, targets=[OWN]))
            if own.plan:
                yield StudyPart("-own-".join(name), own, own.plan, images_and_bytes)


def images_and_bytes(run: Run, task: Student) -> dict:
    """The fields of `images_seen`, and the bytes that a student of these labels needs."""
    return images_seen(run, task) | {"stored": stored_bytes(run, task)}


def stored_bytes(run: Run, task: Student) -> dict[str, int]:
    """Bytes of pixels, labels and other learned values (rates, bases), before compression.

    A method's own protocol uses its floats, if it stores any; all others use the pictures at one byte per channel. Soft
    labels are the teacher's logits of all epochs; a hard label is one byte.
    """
    distilled, p = run.distilled(task.method, task.ipc, task.distill_seed), run.profile
    n, classes = len(distilled), len(distilled.classes)
    pixels, labels, more = distilled.pixels().numel(), HARD_LABEL * n, 0
    if task.labels == OWN and (distilled.artifact.path / FLOATS).exists():
        floats = floats_of(distilled)
        kept = {name: FLOAT * t.numel() for name, t in floats.items() if name not in UNSEEN}
        images = kept.pop("images")
        pixels = images if not {"bases", "addresses"} & set(kept) else 0  # bases and addresses make the images
        if "labels" in kept:
            of_labels, classes = kept.pop("labels"), centred_one_hot(distilled.labels, len(distilled.classes)).float()
            labels = labels if floats["labels"].equal(classes) else of_labels  # the classes, or learned
        more = sum(kept.values())
    elif task.labels == "soft" or (
        task.labels == OWN and METHODS[task.method].protocol(p, SetSize(task.ipc, classes))[0] == "soft"
    ):
        labels = label_bytes(n, classes, p.labelled_epochs, LabelForm.of(form_knobs(p)))
    return {"pixels": pixels, "labels": labels, "more": more}


# one knob of a row at a time, around the published value; the chosen value goes to REDUCED or becomes the default
FAMILY_SEARCHES = (
    Search("dm", "dm_rate", (1.0, 3.0, 10.0)),
    Search("dsa", "dc_rate", (0.3, 1.0, 3.0)),
    Search("dream", "dream_rate", (3e-3, 1e-2, 3e-2)),
    Search("mtt", "mtt_rate", (1.0, 10.0, 100.0)),
    Search("haba", "mtt_rate", (1.0, 10.0, 100.0)),
    Search("dd", "dd_rate", (0.03, 0.1, 0.3), ipc=1),
    Search("rtp", "rtp_rate", (0.1, 1.0, 3.0), ipc=1),
    Search("kip", "kip_rate", (0.004, 0.04)),
    Search("rfad", "rfad_rate", (3e-3, 1e-2)),
    Search("frepo", "frepo_rate", (3e-4, 1e-3, 3e-3)),
    Search("glad", "glad_rate", (0.1, 1.0, 10.0)),
    Search("glad", "glad_rate", (0.1, 1.0), ipc=1, name="ipc001"),
    Search("ld3m", "ld3m_rate", (0.1, 1.0), ipc=1),
    Search("minimax", "minimax_epochs", (2, 5, 8)),
    Search("wmdd", "wmdd_statistics", (1.0, 10.0, 100.0)),
    Search("ot_guided", "ot_scale", (0.03, 0.1, 0.3)),
    Search("mgd3", "mgd3_pull", (0.1, 0.3, 1.0)),
    Search("easy", "easy_factor", (1, 2)),
)


def families_tuning(profile: Profile) -> Iterator[StudyPart]:
    """The search of the rows' hyper-parameters on validation images, with a file for each value.

    A row that was published with another protocol is tuned for its own: DD's images serve no other one.
    """
    for search in FAMILY_SEARCHES:
        own = {"targets": [OWN]} if METHODS[search.method].protocol else {}
        for value in search.values:
            shared = own | {"methods": [search.method], "ipc": [search.ipc], "hard_ipc": [search.ipc]}
            shared |= {"students": profile.students[:1], "tesla_ipc": [search.ipc]}
            shared |= ENOUGH if search.ipc == 1 else {}
            run = Run(profile.replace(**REDUCED | TUNED_WITH | shared | {search.knob: value}))
            yield StudyPart(search.file(profile.dataset, value), run, run.plan, images_seen)


@dataclass(frozen=True)
class Oracle:
    """A published setting, and its published accuracy."""

    dataset: str
    method: str
    ipc: int
    quoted: float  # percent
    source: str
    student: str = "convnet-128"
    kernel: bool = False  # whether the quoted accuracy is that of a kernel, not of a network
    values: dict = field(default_factory=dict)
    reduced: str = ""  # parts that are smaller than published

    @property
    def file(self) -> str:
        """File of its records."""
        return f"{self.dataset}-{self.method}-{self.student}-ipc{self.ipc:03d}.jsonl"


WIDE = {"matching_network": "convnet-128"}
README = "README of DatasetCondensation"
KIP_PAPER = "Nguyen et al. (NeurIPS 2021), table"
KIP_VALUES = {"kip_steps": 1000}
DD_KNOWN = {"dd_network": "lenet5", "dd_known": True, "dd_steps": 23_600, "dd_rate": 0.01}
TABLE_OF_OTHERS = "AutoPalette's table"
ORACLE_RUNS = (
    *(
        Oracle("mnist", "kip", k, x, KIP_PAPER, "convnet-32", True, KIP_VALUES)
        for k, x in ((1, 85.5), (10, 97.2), (50, 98.4))
    ),
    Oracle(
        "cifar10",
        "kip",
        10,
        46.7,
        "the authors' notebook, 300 steps",
        "convnet-32",
        True,
        {"kip_steps": 300, "flip": True},
    ),
    Oracle("mnist", "dd", 1, 94.0, "README of dataset-distillation, known start", "lenet5", values=DD_KNOWN),
    Oracle("mnist", "dsa", 1, 88.7, README, values=WIDE, reduced="128 real images of a class, not 256"),
    Oracle("fashion_mnist", "dsa", 1, 70.6, README, values=WIDE | {"flip": True}, reduced="128 real images of a class"),
    Oracle("mnist", "dc", 1, 91.7, README, values=WIDE, reduced="128 real images of a class"),
    Oracle("cifar10", "dsa", 1, 28.8, README, values=WIDE | {"flip": True}, reduced="128 real images of a class"),
    Oracle("cifar10", "dm", 1, 26.0, TABLE_OF_OTHERS, values=WIDE | {"flip": True}, reduced="1,500 of 20,000 steps"),
    Oracle("cifar10", "herding", 1, 21.5, TABLE_OF_OTHERS, values={"coreset_network": "convnet-128", "flip": True}),
    Oracle("cifar10", "k_centre", 1, 23.3, TABLE_OF_OTHERS, values={"coreset_network": "convnet-128", "flip": True}),
)


def oracles_study(profile: Profile) -> Iterator[StudyPart]:
    """The published settings on the profile's data set, with a file for each: three students of one distillation, or
    one if all students are the same network."""
    for oracle in (o for o in ORACLE_RUNS if o.dataset == profile.dataset):
        labels, n = OWN if METHODS[oracle.method].protocol else "hard", 1 if "dd_known" in oracle.values else 3
        run = Run(
            profile.replace(
                **oracle.values, methods=[oracle.method], students=[oracle.student], ipc=[oracle.ipc],
                hard_ipc=[oracle.ipc], targets=[labels], n_seeds=1, n_student_seeds=n,
            )
        )  # fmt: skip
        beside = kernel_beside if oracle.kernel else (lambda run, task: {})
        yield StudyPart(oracle.file, run, run.plan, beside)


def kernel_beside(run: Run, task: Student) -> dict:
    """Accuracy of kernel regression on the test images, KIP's own evaluation."""
    return {"kernel_top1": kernel_accuracy(run, task)}


def kernel_accuracy(run: Run, task: Student) -> float:
    """Percentage of the test images that regression with KIP's kernel classifies correctly."""
    data, distilled = run.dataset, run.distilled(task.method, task.ipc, task.distill_seed)
    kept = floats_of(distilled)
    own = data.normalise(kept["images"]).double().flatten(1)
    labels = kept.get("labels", centred_one_hot(distilled.labels, data.n_classes)).double()
    K_ss, hits = wide_kernels(own, own)[1], 0
    for rows in torch.arange(len(data.test)).split(EVALUATION_BATCH):
        images = data.normalise(data.test.images(rows)).double().flatten(1)
        predicted = ridge_prediction(wide_kernels(images, own)[1], K_ss, labels, RIDGE)
        hits += int((predicted.argmax(1) == data.test.labels[rows]).sum())
    return 100 * hits / len(data.test)
