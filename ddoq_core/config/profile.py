"""Every knob of a run: name, type, default, range, meaning. An undeclared name is an error.

This module has the knobs that all rows of Table 1 share. The file of a method has its own knobs, in a class `Knobs`.
The defaults are the `laptop` profile. A profile is a YAML file with these names (see `profiles/`); the `parameters`
cells of notebooks have the same names, and `ddoq run` takes them after -p.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError
from .declared import data_sets, method_knobs, method_names, priors
from .files import find_profile
from .knobs import NETWORK, checked_value, knob, unknown_name

FOLLOWS_IPC = "hard_ipc"
NOTEBOOKS = "notebooks"  # section of a profile with sizes for single notebooks; a run ignores it


@dataclass(frozen=True)
class SharedKnobs:
    """The parameters that do not belong to one method."""

    profile: str = knob("laptop", "name of this set of values, printed with every result")
    artifacts: str = knob("artifacts", "folder for all results", path=True)
    seed: int = knob(0, "seed for all random draws", low=0)

    # data
    dataset: str = knob("mnist5k", "data set to distil", of=tuple(data_sets()))
    data_root: str = knob("", "folder of the data; not needed by mnist5k", path=True)
    class_list: str = knob("", "imagenette, imagewoof, or a file of wnids; empty takes all classes", path=True)
    val_mapping: str = knob("", "file with the class of each image, for a val/ without class folders", path=True)
    download: bool = knob(False, "let torchvision download a data set that is missing in data_root")
    image_size: int = knob(32, "side of an image in pixels", low=8, high=1024)
    validation_fraction: float = knob(0.125, "share of the training images held out for tuning", low=0.0, high=0.5)
    train_size: int = knob(0, "training and validation images to keep, each class in proportion; 0 keeps all", low=0)
    superclasses: int = knob(
        0, "number of super-classes; class i joins i mod this number (2: even and odd digits; 0: off)", low=0
    )
    zipf: float = knob(
        0.0,
        "the r-th class of a super-class keeps a share r^-zipf of its train_size",
        low=0.0,
        high=4.0,
    )
    test_crop: float = knob(
        0.0,
        "kept share of a test photograph's short side: 0.875 is the published Resize 256, CenterCrop 224, bilinear; "
        "0 keeps the whole middle square, bicubic", low=0.0, high=1.0, since="0.2",
    )  # fmt: skip
    skip_unreadable: bool = knob(False, "leave out unreadable images, with a list and a count, instead of stopping")

    # the generative prior and the teacher
    prior: str = knob(
        "pretrain",
        "latent diffusion model: trained by the run, the exact score of the latents, or a folder",
        of=("pretrain", *priors()),
    )
    prior_path: str = knob("", "folder of the prior in diffusers' layout, or its name on the hub", path=True)
    autoencoder_path: str = knob(
        "",
        "folder or file of an autoencoder, or its name on the hub; required by prior = exact, optional for others",
        path=True, since="0.2",
    )  # fmt: skip
    locality: str | float = knob(
        "local",
        "window of the exact score (prior = exact): local, growing with the noise; global, the whole latent; or the "
        "side of windows that do not grow", like="local|global", low=1, since="0.2",
    )  # fmt: skip
    vae_epochs: int = knob(6, "epochs of the autoencoder (prior = pretrain)", low=1)
    diffusion_epochs: int = knob(34, "epochs of the diffusion transformer (prior = pretrain)", low=1)
    diffusion_width: int = knob(
        128, "width of the transformer, a multiple of 32 (prior = pretrain)", low=32, high=2048, since="0.2"
    )
    diffusion_layers: int = knob(4, "layers of the transformer (prior = pretrain)", low=1, high=64, since="0.2")
    diffusion_patch: int = knob(
        2, "side of a token of the transformer, in pixels of the latent (prior = pretrain)", low=1, high=16,
        since="0.2",
    )  # fmt: skip
    teacher: str = knob(
        "convnet-32", "network of the teacher: convnet-WIDTH, resnet18, resnet18-small, ...", like=NETWORK
    )
    teacher_path: str = knob("", "state dict of the teacher; 'pretrained': torchvision's; empty: train it", path=True)
    teacher_size: int = knob(
        0, "side of the teacher's pictures, if larger than the students' image_size; 0: image_size",
        low=0, high=1024, since="0.2",
    )  # fmt: skip
    teacher_normalisation: str = knob(
        "data",
        "input normalisation of teacher_path: data, by the data set; imagenet; half, to [-1, 1]; none, [0, 1]",
        of=("data", "imagenet", "half", "none"), since="0.2",
    )  # fmt: skip
    teacher_epochs: int = knob(12, "epochs of the teacher on the real images", low=1)

    # Algorithm 4
    ipc: list[int] = knob([1, 2, 5, 10], "images per class, K", low=1)
    methods: list[str] = knob(
        ["random_real", "random_generated", "rded", "d4m", "ddoq", "ddoq_proportional", "full"],
        "rows of Table 1",
        of=method_names(),
    )
    resize: str = knob(
        "center-crop",
        "how photographs become squares for the prior: center-crop, or squash as in D4M",
        of=("center-crop", "squash"),
    )
    encode_sample: bool = knob(False, "encode by a keyed draw from the posterior (as in D4M) instead of its mean")
    keep_latents: bool = knob(True, "store the latents, for reports and other codebooks; off: one pass, none stored")
    quantizer: str = knob(
        "lloyd",
        "how the codebook is computed; d4m: by scikit-learn, as in D4M; stratified: by Lloyd, with the same number of "
        "points in each class of a super-class",
        of=("lloyd", "minibatch", "clvq", "d4m", "stratified"),
    )
    start: str = knob(
        "kmeans++",
        "start of minibatch and clvq: k-means++, or K of the samples as in D4M",
        of=("kmeans++", "samples"),
        since="0.2",
    )
    n_restarts: int = knob(10, "k-means++ starts; the best result is kept (lloyd)", low=1)
    n_passes: int = knob(10, "passes over the images of a class (minibatch, clvq)", low=1)
    sampler: str = knob("checkpoint", "reverse process", of=("checkpoint", "ddim", "ddpm"))
    strength: float = knob(0.7, "share of the noise schedule up to which a centroid is noised", low=0.0, high=1.0)
    guidance_scale: float = knob(2.0, "scale of classifier-free guidance; 1 turns it off", low=1.0)
    negative_prompt: str = knob("", "negative prompt for classifier-free guidance (prior = stable-diffusion or sdxl)")
    n_steps: int = knob(30, "steps of the full reverse process", low=1)
    synthesis_batch: int = knob(50, "images denoised in one batch", low=1)

    # soft labels and students
    soft_labels: str = knob(
        "stored",
        "stored: teacher logits of every epoch on disk; online: run the teacher during training",
        of=("stored", "online"),
    )
    label_epochs: int = knob(
        0, "epochs of views that the teacher labels, used in turn; 0: as many as a student has epochs", low=0,
        since="0.2",
    )  # fmt: skip
    label_form: str = knob(
        "float16",
        "storage of soft labels: float16 logits; topk: the largest, the rest spread; int8: 8 bits per logit",
        of=("float16", "topk", "int8"), since="0.2",
    )  # fmt: skip
    label_top: int = knob(10, "number of logits per label that topk keeps", low=1, since="0.2")
    targets: list[str] = knob(
        ["soft", "hard"],
        "labels for training students; own: the method's published protocol, if it has another",
        of=("soft", "hard", "own"),
    )
    hard_ipc: list[int] = knob(
        [10], "images per class that are also trained with hard labels; default: the largest of ipc", low=1
    )
    students: list[str] = knob(["convnet-32"], "networks of the students", like=NETWORK)
    n_seeds: int = knob(3, "distillations, each with its own seed", low=1)
    n_student_seeds: int = knob(1, "student seeds crossed with the distillations; 1: one student each", low=1)
    epochs: int = knob(100, "epochs of a student", low=1)
    batch_size: int = knob(10, "images in a batch of a student", low=1)
    accumulate: int = knob(1, "gradient-accumulation steps per batch", low=1)
    temperature: float = knob(20.0, "temperature of the soft labels", low=0.01)
    loss: str = knob(
        "forward", "forward KL(teacher || student), or reverse as the paper prints it", of=("forward", "reverse")
    )
    optimiser: str = knob("adamw", "AdamW, or gradient descent with momentum 0.9", of=("adamw", "sgd"))
    learning_rate: float = knob(3e-3, "initial learning rate", low=0.0)
    weight_decay: float = knob(0.01, "weight decay", low=0.0)
    lr_schedule: str = knob(
        "cosine",
        "cosine to 0; half-cosine to a half; step: a quarter after 5/6 of the epochs; tenth: a tenth after half",
        of=("cosine", "half-cosine", "step", "tenth", "constant"),
    )
    crop_scale: float = knob(0.5, "smallest area of a RandomResizedCrop", low=0.01, high=1.0)
    flip: bool = knob(False, "random mirror images; off for digits")
    cutmix: bool = knob(True, "CutMix with Beta(1, 1)")
    cutmix_weight: str = knob("mixture", "weight of a mixed image: mixture or base", of=("mixture", "base"))

    # the machine
    device: str = knob("cpu", "device of all networks", of=("cpu", "cuda"))
    precision: str = knob(
        "float32",
        "number format of the prior; on a CPU use float32",
        of=("float32", "float16", "bfloat16"),
    )
    training_precision: str = knob(
        "float32", "number format for training students; bfloat16 uses autocast", of=("float32", "bfloat16")
    )
    compiled: bool = knob(False, "compile the prior's network (torch.compile)")
    threads: int = knob(2, "threads of one process; on a CPU students always use 1", low=1)
    workers: int = knob(2, "students trained in parallel", low=1)


@dataclass(frozen=True)
class Profile(method_knobs(), SharedKnobs):
    """The parameters of one run of Algorithm 4 and its evaluation; defaults are the `laptop` profile."""

    @classmethod
    def load(cls, name: str | Path = "laptop", overrides: dict | None = None) -> "Profile":
        """The profile of a file (a path, or the name of one that ships with the package) with `overrides`.

        Raises:
            InputError: a missing file, an unknown name, a wrong type, or a value out of range.
        """
        content = read_profile(find_profile(name))
        content.pop(NOTEBOOKS, None)
        return cls.of(content | (overrides or {}))

    @classmethod
    def of(cls, values: dict) -> "Profile":
        """A profile with these values, each checked, and the defaults of the others.

        If `hard_ipc` is empty or missing, it is the largest of `ipc`.

        Raises:
            InputError: an unknown name, a wrong type, or a value out of range.
        """
        for name in set(values) - set(cls.knobs()):
            raise unknown_name(name, cls.knobs(), "the parameters")
        given = {name: value for name, value in values.items() if name != FOLLOWS_IPC or value not in ([], "[]")}
        checked = {name: checked_value(cls.knobs()[name], value) for name, value in given.items()}
        if FOLLOWS_IPC not in checked and "ipc" in checked:
            checked[FOLLOWS_IPC] = [max(checked["ipc"])]
        return cls(**checked)

    @classmethod
    def knobs(cls) -> dict[str, dataclasses.Field]:
        """All knobs by name."""
        return {f.name: f for f in dataclasses.fields(cls)}

    @property
    def labelled_epochs(self) -> int:
        """Number of epochs of views that have soft labels."""
        return min(self.epochs, self.label_epochs or self.epochs)

    @property
    def picture_size(self) -> int:
        """Side of the distilled pictures, and of the images that prior and teacher see."""
        return self.teacher_size or self.image_size

    @property
    def prior_of_latents(self) -> bool:
        """Whether the prior is made from the latents of a given autoencoder, instead of encoding them."""
        return self.prior == "exact" or (self.prior == "pretrain" and bool(self.autoencoder_path))

    def replace(self, **changes: Any) -> "Profile":
        """The same profile with some values changed, checked."""
        return self.of(dataclasses.asdict(self) | changes)

    def subset(self, *names: str) -> dict:
        """Values of some knobs by name."""
        return {name: getattr(self, name) for name in names}

    def keyed(self, *names: str) -> dict:
        """Values of some knobs for the key of an artifact, a run or a record.

        A knob with `since` is left out if it has its default, which is the old behaviour, so that earlier artifacts and
        records stay valid.
        """
        return {
            name: value
            for name, value in self.subset(*names).items()
            if not self.knobs()[name].metadata["since"] or value != getattr(type(self)(), name)
        }


def read_profile(path: Path) -> dict:
    """Names and values of a profile file: knobs, and the section `notebooks` if it has one.

    Raises:
        InputError: not a mapping of names, or an unknown name.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: not UTF-8, not a date, or too many digits
        raise InputError(f"profile {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"profile {path} has no 'name: value' lines")
    for name in content:
        if name != NOTEBOOKS and name not in Profile.knobs():
            raise unknown_name(name, Profile.knobs(), f"profile {path.name}")
    if not isinstance(content.get(NOTEBOOKS, {}), dict):
        raise InputError(f"the section '{NOTEBOOKS}' of profile {path} has no 'name: value' lines")
    return content


def parse_assignment(text: str) -> tuple[str, str]:
    """The name and the value of `name=value` from a command line, without quotes; the knob's type decides its form."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(f"'{text}' is not name=value; write for example -p ipc=[1,10]")
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return name, yaml.safe_load(value) if quoted else value
