"""The study `photographs`: the effect of weights on real photographs, as the protocol declares.

Its pictures come from the exact score of the training latents, over windows that grow with the noise, or are real ones.
A cell with nearly equal counts trains no student.
"""

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ddoq_core.config.profile import Profile
from ddoq_core.data.image_files import resized
from ddoq_core.pipeline.distilled import DistilledDataset, write_picture
from ddoq_core.priors.load import KNOBS, load_prior
from ddoq_core.quantization.weights import companion_weights
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.jobs import Student
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Workspace

from ..codebooks import NEARLY_EQUAL, spread_of
from .images_seen import images_seen
from .latents import encoded_pictures, latent_clouds, nearest_distances
from .strips import distilled_images, strip_pictures
from .unequal_masses import FRESH, fresh_students
from .weightings import CODEBOOKS, OPTIMISERS, keep_spreads, spreads_of

NAME = "photographs"  # prefix of its files, and name of their folder in book/results
CLEAN = "ILSVRC2012_val_"  # prefix of the files of ImageNet's own validation images
CLEAN_FILE = f"{NAME}-clean.json"  # their positions among the test images
STRIPS = f"{NAME}-heaviest.png", f"{NAME}-class.png"  # twenty distilled pictures in all
STRIP_FILE, SIDE = f"{NAME}-class.json", 64  # classes and weights of the strips; pixels of a side of a picture
NEW = 0.5  # least distance to a training photograph, over that of a held-out one, of a picture that is shown
LEVELS = [10, 50]  # images per class
PAIR, MEDOIDS = ("d4m", "ddoq"), ("d4m_medoid", "ddoq_medoid", "ddoq_medoid_permuted")
PICTURES = {
    "local": {},
    "medoids": {},
    "global": {"locality": "global"},
    "learned": {"prior": "pretrain", "diffusion_epochs": 120},  # about two hours of one core
    "decoded": {"strength": 0.0},
}
FEWER = 6  # distillations of the further rows
FURTHER = ("random_real", "random_generated", "rded")
TEMPERATURES = (1.0, 4.0, 20.0)  # temperatures of soft labels, tried on validation images with weights 1


@dataclass(frozen=True)
class PhotographBlock:
    """Students of one codebook, one kind of pictures, one optimiser, one kind of labels, one level."""

    methods: tuple[str, ...]
    codebook: str = "one pass"
    pictures: str = "local"
    optimiser: str = "B"
    labels: str = "soft"
    ipc: int = 10
    student: str = "convnet-32"
    temperature: float = 20.0
    distillations: int = len(FRESH)
    students: int = 2  # students of each distillation

    @property
    def name(self) -> str:
        """Name of its file."""
        kind = "further" if self.methods == FURTHER else f"{self.codebook.replace(' ', '-').lower()}-{self.pictures}"
        return f"{kind}-{self.optimiser}-{self.lessons}-{self.student}-ipc{self.ipc:03d}"

    @property
    def lessons(self) -> str:
        """Kind of the labels, and their temperature if it is not the paper's."""
        return self.labels if self.temperature == 20 else f"{self.labels}-T{self.temperature:g}"

    @property
    def knobs(self) -> dict:
        """The knobs that differ from the profile."""
        shown = CODEBOOKS[self.codebook] | PICTURES[self.pictures] | OPTIMISERS[self.optimiser]
        return shown | {"temperature": self.temperature}


ALL_FOUR = (*PAIR, "ddoq_proportional", "ddoq_permuted")
PHOTOGRAPH_BLOCKS = (
    PhotographBlock(ALL_FOUR),
    PhotographBlock(PAIR, optimiser="A"),
    PhotographBlock((*PAIR, "ddoq_permuted"), codebook="Lloyd", ipc=50, students=1),
    PhotographBlock(MEDOIDS, pictures="medoids"),
    PhotographBlock(PAIR, codebook="Lloyd"),
    PhotographBlock(PAIR, labels="hard"),
    PhotographBlock(PAIR, pictures="global", students=1),
    PhotographBlock(PAIR, pictures="learned", students=1),
    PhotographBlock(PAIR, pictures="decoded", students=1),
    PhotographBlock((*PAIR, "ddoq_permuted"), ipc=50, students=1),
    PhotographBlock(PAIR, student="resnet18-small", students=1),
    PhotographBlock(FURTHER, distillations=FEWER, students=1),
)  # in the order of recording


def photographs_study(profile: Profile) -> Iterator[StudyPart]:
    """The declared blocks that can test the weights, with a file for each, and all real images at the end."""
    runs = {name: Run(profile.replace(ipc=LEVELS, hard_ipc=LEVELS, **found)) for name, found in CODEBOOKS.items()}
    spreads = spreads_of(NAME, runs, LEVELS, NAME)
    for block in PHOTOGRAPH_BLOCKS:
        if block.methods != FURTHER and spread_of(spreads, block.codebook, block.ipc) > NEARLY_EQUAL:
            continue
        run = Run(runs[block.codebook].profile.replace(**block.knobs))
        tasks = [
            Student(method, block.ipc, block.student, block.labels, distillation, seed)
            for distillation in FRESH[: block.distillations]
            for seed in fresh_students(distillation)[: block.students]
            for method in block.methods
        ]
        before = functools.partial(_keep_beside, runs["Lloyd"] if block is PHOTOGRAPH_BLOCKS[0] else None, run, spreads)
        yield StudyPart(f"{NAME}-{block.name}.jsonl", run, tasks, images_seen, before=before)
    yield from temperature_parts(profile)
    whole = [Student("full", None, PHOTOGRAPH_BLOCKS[0].student, "hard", 0, seed) for seed in range(FEWER)]
    yield StudyPart(f"{NAME}-all.jsonl", Run(profile), whole, images_seen)


def temperature_parts(profile: Profile) -> Iterator[StudyPart]:
    """The search of the temperature, with a file for each: the first block's weights 1, in a separate distillation."""
    block = PHOTOGRAPH_BLOCKS[0]
    for t in TEMPERATURES:
        run = Run(profile.replace(ipc=LEVELS, hard_ipc=LEVELS, **block.knobs | {"temperature": t}))
        tasks = [Student("d4m", block.ipc, block.student, block.labels, 0, seed) for seed in range(3)]
        yield StudyPart(f"{NAME}-temperature-{t:g}.jsonl", run, tasks, images_seen)


def _keep_beside(shown: Run | None, run: Run, spreads: list[dict], folder: Path) -> None:
    """Store the spread of the counts, the test images outside ImageNet's training part, and pictures of a run."""
    keep_spreads(NAME, spreads, folder)
    ids = run.dataset.test.ids
    Workspace(folder).json(CLEAN_FILE, [i for i, name in enumerate(ids) if Path(name).name.startswith(CLEAN)])
    if shown is not None and not (folder / STRIP_FILE).exists():
        _keep_pictures(shown, min(LEVELS), folder)


def _keep_pictures(run: Run, ipc: int, folder: Path) -> None:
    """Store two strips of distilled pictures, and a file with the weights of the second: the heaviest picture of every
    class, and all pictures of one class, heaviest first. A picture that is nearly a photograph is not stored."""
    distilled = run.distilled("d4m", ipc, FRESH[0])
    newness, counts = newness_of(run, distilled), distilled.counts.reshape(-1, ipc)
    order = counts.masked_fill(newness < NEW, -1).argsort(dim=1, descending=True, stable=True)
    n_new = (newness >= NEW).sum(1)
    label = int(n_new.argmax())
    kept = [[(c, int(order[c, 0])) for c in n_new.nonzero().flatten().tolist()]]
    kept.append([(label, k) for k in order[label, : n_new[label]].tolist()])
    for name, items in zip(STRIPS, kept, strict=True):
        pictures = resized(distilled_images(distilled, [c * ipc + k for c, k in items]), SIDE)
        write_picture(Workspace(folder), name, torch.cat(list(pictures), dim=-1))
    weights = companion_weights(counts, "sqrt")
    found = {
        "classes": [run.dataset.class_names[c] for c, _ in kept[0]],
        "class": run.dataset.class_names[label],
        "weights": [round(weights[cell].item(), 4) for cell in kept[1]],
        "newness": [[round(newness[cell].item(), 3) for cell in items] for items in kept],
        "n_new": int(n_new.sum()),
        "n": counts.numel(),
    }
    Workspace(folder).json(STRIP_FILE, found)


def newness_of(run: Run, distilled: DistilledDataset) -> Float[Tensor, "classes ipc"]:
    """Distance of every picture to the nearest training latent of its class, over the mean of held-out photographs."""
    model = load_prior(run.prior.path, **run.profile.subset(*KNOBS))
    latents = distilled.by_class(encoded_pictures(model, distilled.images()))
    found = zip(latent_clouds(run), latents, strict=True)
    return torch.stack([nearest_distances(z, X) / nearest_distances(Y, X).mean() for (X, Y), z in found])


def recorded_pictures(folder: Path) -> tuple[list[Float[Tensor, "k C H W"]], dict] | None:
    """The pictures of the two strips, and what is stored about them; None if they are not complete."""
    if not all((folder / name).exists() for name in (*STRIPS, STRIP_FILE)):
        return None
    return [strip_pictures(folder / name) for name in STRIPS], json.loads((folder / STRIP_FILE).read_text())
