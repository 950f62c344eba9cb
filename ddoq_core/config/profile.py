"""Every knob of a run: name, type, default, range, meaning. A name that nobody declares is an error.

The knobs that all rows of Table 1 share are here; those of one method are in its file, in the class `Knobs`. The
defaults are the `laptop` profile. A profile is a YAML file of the same names (`profiles/` beside this module); the
same names are in the notebooks' `parameters` cells, and `ddoq run` takes them after -p.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..errors import InputError
from .declared import data_sets, method_knobs, method_names, priors
from .knobs import NETWORK, checked_value, knob, suggestion, unknown_name

PROFILES = Path(__file__).parent / "profiles"
NOTEBOOKS = "notebooks"  # section of a profile: sizes of single notebooks, which a run does without


@dataclass(frozen=True)
class SharedKnobs:
    """The parameters that are not one method's own."""

    profile: str = knob("laptop", "name of this set of values, printed with every result")
    artifacts: str = knob("artifacts", "folder that keeps what was made", path=True)
    seed: int = knob(0, "seed of everything", low=0)

    # data
    dataset: str = knob("mnist5k", "what is distilled", of=tuple(data_sets()))
    data_root: str = knob("", "folder of the data; not needed by mnist5k", path=True)
    class_list: str = knob("", "imagenette, imagewoof, or a file of wnids; empty takes all classes", path=True)
    val_mapping: str = knob("", "file with the class of each image of a val/ without class folders", path=True)
    download: bool = knob(False, "let torchvision fetch a data set that data_root lacks")
    image_size: int = knob(32, "side of an image in pixels", low=8, high=1024)
    validation_fraction: float = knob(0.125, "share of the training images held out for tuning", low=0.0, high=0.5)
    train_size: int = knob(0, "training and validation images kept, each class in proportion; 0 keeps all", low=0)
    superclasses: int = knob(0, "super-classes that classes are merged into, in turn (2: even and odd); 0: none", low=0)
    zipf: float = knob(
        0.0, "the r-th class of a super-class keeps a share r^-zipf of its train_size", low=0.0, high=4.0
    )
    test_crop: float = knob(
        0.0,
        "share of a test photograph's short side that is kept: 0.875 is Resize 256, CenterCrop 224, bilinear, as "
        "published; 0: all of it, the middle square, bicubic", low=0.0, high=1.0, since="0.2",
    )  # fmt: skip
    skip_unreadable: bool = knob(False, "leave out images that cannot be read, listed and counted, instead of stopping")

    # the generative prior and the teacher
    prior: str = knob(
        "pretrain",
        "latent diffusion model: fitted on the spot, the exact score of the latents, or a folder",
        of=("pretrain", *priors()),
    )
    prior_path: str = knob("", "folder of the prior in diffusers' layout, or its name on the hub", path=True)
    autoencoder_path: str = knob(
        "",
        "folder or file of an autoencoder, or its name on the hub; prior = exact needs one, and others have their own",
        path=True, since="0.2",
    )  # fmt: skip
    locality: str | float = knob(
        "local",
        "where the exact score looks (prior = exact): local, windows that grow with the noise; global, the whole "
        "latent; or the side of windows that do not grow", like="local|global", low=1, since="0.2",
    )  # fmt: skip
    vae_epochs: int = knob(6, "epochs of the autoencoder (prior = pretrain)", low=1)
    diffusion_epochs: int = knob(34, "epochs of the diffusion transformer (prior = pretrain)", low=1)
    diffusion_width: int = knob(
        128, "width of the transformer, a multiple of 32 (prior = pretrain)", low=32, high=2048, since="0.2"
    )
    diffusion_layers: int = knob(4, "layers of the transformer (prior = pretrain)", low=1, high=64, since="0.2")
    diffusion_patch: int = knob(
        2, "side of what the transformer sees as one token, in pixels of the latent (prior = pretrain)", low=1, high=16,
        since="0.2",
    )  # fmt: skip
    teacher: str = knob(
        "convnet-32", "network of the teacher: convnet-WIDTH, resnet18, resnet18-small, ...", like=NETWORK
    )
    teacher_path: str = knob("", "state dict of the teacher; 'pretrained': torchvision's; empty trains it", path=True)
    teacher_size: int = knob(
        0, "side of pictures, as the teacher sees them, where students see them smaller, at image_size; 0: image_size",
        low=0, high=1024, since="0.2",
    )  # fmt: skip
    teacher_normalisation: str = knob(
        "data",
        "mean and deviation that teacher_path was trained with: the data's; ImageNet's; half, to [-1, 1]; none, [0, 1]",
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
        "how photographs become squares for the prior: center-crop, or squash as D4M",
        of=("center-crop", "squash"),
    )
    encode_sample: bool = knob(False, "encode by a keyed sample of the posterior (as D4M) instead of its mean")
    keep_latents: bool = knob(True, "store the latents, for reports and another clustering; off: one pass, none kept")
    quantizer: str = knob(
        "lloyd",
        "how the codebook is found; d4m: by scikit-learn, as D4M calls it; stratified: by Lloyd, the same number of "
        "points in each class of a super-class",
        of=("lloyd", "minibatch", "clvq", "d4m", "stratified"),
    )
    start: str = knob(
        "kmeans++",
        "where minibatch and clvq start: k-means++, or K of the samples as D4M",
        of=("kmeans++", "samples"),
        since="0.2",
    )
    n_restarts: int = knob(10, "k-means++ starts, best kept (lloyd)", low=1)
    n_passes: int = knob(10, "passes over a class (minibatch, clvq)", low=1)
    sampler: str = knob("checkpoint", "reverse process", of=("checkpoint", "ddim", "ddpm"))
    strength: float = knob(0.7, "share of the noise schedule that a centroid is re-noised to", low=0.0, high=1.0)
    guidance_scale: float = knob(2.0, "classifier-free guidance; 1 is none", low=1.0)
    negative_prompt: str = knob("", "what guidance leads away from (prior = stable-diffusion or sdxl)")
    n_steps: int = knob(30, "steps of the full reverse process", low=1)
    synthesis_batch: int = knob(50, "images denoised together", low=1)

    # soft labels and students
    soft_labels: str = knob(
        "stored", "teacher logits per epoch on disk, or teacher run while training", of=("stored", "online")
    )
    label_epochs: int = knob(
        0, "epochs of views that the teacher labels, shown in turn; 0: as many as a student has epochs", low=0,
        since="0.2",
    )  # fmt: skip
    label_form: str = knob(
        "float16",
        "how stored labels are kept: float16 logits; topk: the largest, the rest spread; int8: 8 bits a logit",
        of=("float16", "topk", "int8"), since="0.2",
    )  # fmt: skip
    label_top: int = knob(10, "logits of a label that topk keeps", low=1, since="0.2")
    targets: list[str] = knob(
        ["soft", "hard"],
        "labels that students are trained on; own: the method's published protocol, where it has another",
        of=("soft", "hard", "own"),
    )
    hard_ipc: list[int] = knob([10], "images per class that are also trained with hard labels", low=1)
    students: list[str] = knob(["convnet-32"], "networks of the students", like=NETWORK)
    n_seeds: int = knob(3, "distillations, each with its own seed", low=1)
    n_student_seeds: int = knob(1, "student seeds crossed with the distillations; 1: each has its own", low=1)
    epochs: int = knob(100, "epochs of a student", low=1)
    batch_size: int = knob(10, "images per step of a student", low=1)
    accumulate: int = knob(1, "parts that a batch is cut into, their gradients added up before the step", low=1)
    temperature: float = knob(20.0, "temperature of the soft labels", low=0.01)
    loss: str = knob(
        "forward", "forward KL(teacher || student), or reverse as the paper prints it", of=("forward", "reverse")
    )
    optimiser: str = knob("adamw", "AdamW, or gradient descent with momentum 0.9", of=("adamw", "sgd"))
    learning_rate: float = knob(3e-3, "the optimiser's rate at the start", low=0.0)
    weight_decay: float = knob(0.01, "the optimiser's decay", low=0.0)
    lr_schedule: str = knob(
        "cosine",
        "cosine to 0, half-cosine to a half, step: a quarter after 5/6 of the epochs, or tenth: a tenth after half",
        of=("cosine", "half-cosine", "step", "tenth"),
    )
    crop_scale: float = knob(0.5, "smallest area of a RandomResizedCrop", low=0.01, high=1.0)
    flip: bool = knob(False, "mirror images at random; off for digits")
    cutmix: bool = knob(True, "CutMix with Beta(1, 1)")
    cutmix_weight: str = knob("mixture", "weight of a mixed image: mixture or base", of=("mixture", "base"))

    # the machine
    device: str = knob("cpu", "where networks run", of=("cpu", "cuda"))
    precision: str = knob(
        "float32",
        "numbers that the prior computes with; less than float32 is for a GPU",
        of=("float32", "float16", "bfloat16"),
    )
    training_precision: str = knob(
        "float32", "numbers that students are trained with; bfloat16 is autocast", of=("float32", "bfloat16")
    )
    compiled: bool = knob(False, "compile the prior's network (torch.compile)")
    threads: int = knob(2, "threads of one process; students always take 1 on a CPU", low=1)
    workers: int = knob(2, "students trained side by side", low=1)


@dataclass(frozen=True)
class Profile(method_knobs(), SharedKnobs):
    """The parameters of one run of Algorithm 4 and its evaluation; defaults are the `laptop` profile."""

    @classmethod
    def load(cls, name: str | Path = "laptop", overrides: dict | None = None) -> "Profile":
        """Profile of a file (a path, or the name of one that ships with the package) with `overrides` on top.

        Raises:
            InputError: no such file, an unknown name, a wrong type or range.
        """
        content = read_profile(find_profile(name))
        content.pop(NOTEBOOKS, None)
        return cls.of(content | (overrides or {}))

    @classmethod
    def of(cls, values: dict) -> "Profile":
        """Profile with these values on top of the defaults, every one checked.

        Raises:
            InputError: an unknown name, a wrong type, a value out of range.
        """
        for name in set(values) - set(cls.knobs()):
            raise unknown_name(name, cls.knobs(), "the parameters")
        return cls(**{name: checked_value(cls.knobs()[name], value) for name, value in values.items()})

    @classmethod
    def knobs(cls) -> dict[str, dataclasses.Field]:
        """All knobs by name."""
        return {f.name: f for f in dataclasses.fields(cls)}

    @property
    def labelled_epochs(self) -> int:
        """Epochs of different views that soft labels are made for."""
        return min(self.epochs, self.label_epochs or self.epochs)

    @property
    def picture_size(self) -> int:
        """Side of the distilled pictures, and of what prior and teacher see."""
        return self.teacher_size or self.image_size

    @property
    def prior_of_latents(self) -> bool:
        """Whether the prior is made from the latents of an autoencoder that is given, instead of encoding them."""
        return self.prior == "exact" or (self.prior == "pretrain" and bool(self.autoencoder_path))

    def replace(self, **changes) -> "Profile":
        """The same profile with some values changed, checked."""
        return self.of(dataclasses.asdict(self) | changes)

    def subset(self, *names: str) -> dict:
        """Values of some knobs by name."""
        return {name: getattr(self, name) for name in names}

    def keyed(self, *names: str) -> dict:
        """Values of some knobs for a key of an artifact, a run or a record.

        A knob that came after the first records (`since`) is left out at its default, which is the old behaviour: it
        invalidates nothing.
        """
        return {
            name: value
            for name, value in self.subset(*names).items()
            if not self.knobs()[name].metadata["since"] or value != getattr(type(self)(), name)
        }


def find_profile(name: str | Path) -> Path:
    """File of a profile: a path, or the name of one that ships with the package."""
    path = Path(name).expanduser()
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise InputError(
            f"no profile file {path}; give the path of a YAML file or one of: {', '.join(shipped_profiles())}"
        )
    if str(name) not in shipped_profiles():
        known = shipped_profiles()
        raise InputError(f"unknown profile '{name}'{suggestion(str(name), known)}; known: {', '.join(known)}")
    return PROFILES / f"{name}.yaml"


def read_profile(path: Path) -> dict:
    """Names and values of a profile file: knobs, and the section `notebooks` if it has one.

    Raises:
        InputError: no mapping of names, or a name that is no knob.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:  # a ValueError is no UTF-8, no date, or too many digits
        raise InputError(f"profile {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"profile {path} holds no 'name: value' lines")
    for name in content:
        if name != NOTEBOOKS and name not in Profile.knobs():
            raise unknown_name(name, Profile.knobs(), f"profile {path.name}")
    if not isinstance(content.get(NOTEBOOKS, {}), dict):
        raise InputError(f"the section '{NOTEBOOKS}' of profile {path} holds no 'name: value' lines")
    return content


def parse_assignment(text: str) -> tuple[str, str]:
    """`name=value` of a command line, a quoted value without its quotes; the knob's type says what the text means."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(f"'{text}' is not name=value; write for example -p ipc=[1,10]")
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return name, yaml.safe_load(value) if quoted else value


def shipped_profiles() -> list[str]:
    """Names of the profiles that ship with the package."""
    return sorted(p.stem for p in PROFILES.glob("*.yaml"))
