"""Tables of cost: a run's, told before it is paid; the paper's setting beside its Table 2; the disk for ImageNet-1K.

In: a profile with the sizes of its data set, and a device. Out: tables that notebooks show and `ddoq cost` prints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..profile import Profile
from ..results.table import NOTHING, Table
from .flops import prior_of
from .model import costs, label_bytes
from .rows import Cost
from .sizes import A6000, A6000_FLOAT32, Device, Images

STEPS = {  # step of the paper's Table 2: the folders of its artifacts
    "Before": ("prior", "teacher", "tesla_experts"),
    "1 Latent clustering": ("encode", "cluster"),
    "2 Synthesis": (
        "synthesize",
        "generate",
        "random_real",
        "rded_crops",
        "rded",
        "sre2l_images",
        "sre2l",
        "cda_images",
        "cda",
        "tesla",
    ),
    "3 Soft label": ("relabel",),
    "4 Training": ("train",),
}
WORDS = {
    "prior": "fit the prior", "teacher": "train on all real images,", "encode": "encode", "cluster": "cluster",
    "synthesize": "from prototypes", "generate": "from pure noise", "random_real": "draw real images",
    "rded_crops": "RDED: score crops", "rded": "RDED: put together", "sre2l_images": "SRe²L: invert a block",
    "sre2l": "SRe²L: put together", "cda_images": "CDA: invert a block", "cda": "CDA: put together",
    "tesla_experts": "TESLA: trajectories", "tesla": "TESLA: match", "relabel": "label all views", "train": "student",
}  # fmt: skip
PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")

# Table 2 of the paper, as printed: hours on NVIDIA A6000 at IPC 10 and at IPC 100.
QUOTED = {"1 Latent clustering": (8, 8), "2 Synthesis": (2, 24), "3 Soft label": (1, 16), "4 Training": (2.5, 9)}
# Its setting. Steps, strength and guidance are not in the paper: they are those of D4M's code, which it builds on.
PAPER = Profile(
    profile="imagenet", dataset="imagefolder", image_size=224, validation_fraction=0.0, prior="stable-diffusion",
    precision="float16", teacher="resnet18", teacher_path="pretrained", ipc=[10, 100], methods=["ddoq"],
    targets=["soft"], quantizer="minibatch", n_passes=1, n_steps=50, strength=0.7, guidance_scale=8.0,
    students=["resnet18"], n_seeds=1, epochs=300, batch_size=1024, device="cuda",
)  # fmt: skip
LEVELS = (10, 50, 100, 200)  # of the paper's Table 1


def cost_table(profile: Profile, images: Images, device: Device) -> Table:
    """What every step of a run costs, and the time that follows for a device from its operations alone."""
    found = costs(profile, images)
    blocks = [
        (title, tuple(_cost_row(cost, device) for cost in found if cost.step in steps))
        for title, steps in STEPS.items()
        if any(cost.step in steps for cost in found)
    ]
    flops, reads, writes = (sum(c.times * getattr(c, name) for c in found) for name in ("flops", "reads", "writes"))
    memory = amount(max(cost.memory for cost in found), "B")
    whole = (
        "",
        "",
        "",
        amount(flops, "FLOP"),
        amount(reads, "B"),
        amount(writes, "B"),
        memory,
        duration(device.seconds(flops)),
    )
    return Table(
        f"Cost of profile {profile.profile}, told before it is paid: {images.n:,} training images of "
        f"{images.n_classes:,} classes",
        ("Step", "What", "IPC", "Times", "Operations", "Read", "Written", "Memory", "Time"),
        (*blocks, ("All", (whole,))),
        (
            "Each row is one artifact, of which the run makes as many as “Times” says; the last row is all of them. "
            "Operations: a multiply-add is two. Memory: parameters (in training with gradient and moments), or the "
            "latents of a class.",
            f"Time: operations alone, on {device}. Reading, decoding and augmenting images come on top, and a GPU is "
            "slower where it computes in float32, as classifiers do by default.",
            f"Prior: {prior_of(profile, images.channels).name}.",
            *(["Students with a protocol of their own are not counted."] if "own" in profile.targets else []),
        ),
    )


def _cost_row(cost: Cost, device: Device) -> tuple[str, ...]:
    if not cost.flops:
        return (*names(cost), str(cost.times), "0", *_bytes(cost), NOTHING)
    return (
        *names(cost),
        str(cost.times),
        amount(cost.flops, "FLOP"),
        *_bytes(cost),
        duration(device.seconds(cost.flops)),
    )


def names(cost: Cost) -> tuple[str, str]:
    """What is made, and for which IPC."""
    what = WORDS[cost.step] + (f" {cost.network}" if cost.network else "")
    return what, "all" if cost.ipc is None else str(cost.ipc)


def _bytes(cost: Cost) -> tuple[str, ...]:
    return tuple(amount(value, "B") if value else NOTHING for value in (cost.reads, cost.writes, cost.memory))


@dataclass(frozen=True)
class PaperStep:
    """One cell of the paper's Table 2, counted."""

    title: str
    ipc: int
    flops: float
    quoted: float  # hours

    @property
    def implied(self) -> float:
        """Share of the A6000's peak at which the counted operations take the quoted hours."""
        return self.flops / (A6000.peak * 1e12 * 3600 * self.quoted)


def paper_steps() -> list[PaperStep]:
    """The cells of the paper's Table 2, each with the operations of its step."""
    found = costs(PAPER, Images.of(PAPER))
    steps = []
    for title, hours in QUOTED.items():
        for ipc, quoted in zip(PAPER.ipc, hours, strict=True):
            flops = sum(c.flops for c in found if c.step in STEPS[title] and c.ipc in (ipc, None))
            steps.append(PaperStep(title, ipc, flops, quoted))
    return steps


def told(profile: Profile, images: Images, device: Device) -> dict[str, str]:
    """What the prose says of a run's cost, as glue texts."""
    found = costs(profile, images)
    whole = sum(cost.times * cost.flops for cost in found)

    def share(*steps: str) -> str:
        return f"{100 * sum(cost.times * cost.flops for cost in found if cost.step in steps) / whole:.0f}"

    return {
        "told_time": duration(device.seconds(whole)),
        "told_flops": amount(whole, "FLOP"),
        "told_disk": amount(sum(cost.times * cost.writes for cost in found), "B"),
        "share_prior": share("prior"),
        "share_real": share("teacher"),
        "share_distilling": share("encode", "cluster", "synthesize", "generate", "relabel"),
        "share_students": share("train"),
    }


def paper_words() -> dict[str, str]:
    """Shares of the A6000's peak that the paper's hours imply, in percent, as glue texts; of float32's peak too."""
    short = {
        "1 Latent clustering": "encode",
        "2 Synthesis": "synthesis",
        "3 Soft label": "label",
        "4 Training": "train",
    }
    words = {}
    for step in paper_steps():
        name = f"implied_{short[step.title]}_{step.ipc}"
        words[name] = f"{100 * step.implied:.0f}"
        words[f"{name}_float32"] = f"{100 * step.implied * A6000.peak / A6000_FLOAT32:.0f}"
    return words


def paper_table(device: Device) -> Table:
    """The paper's setting counted: operations, the hours that follow for a device, and the paper's own hours."""
    rows = {
        title: tuple(
            (
                str(s.ipc),
                amount(s.flops, "FLOP"),
                f"{device.seconds(s.flops) / 3600:.2g}",
                f"{s.quoted:g}",
                f"{100 * s.implied:.1f} %",
            )
            for s in paper_steps()
            if s.title == title
        )
        for title in QUOTED
    }
    return Table(
        "ImageNet-1K by the paper's setting: hours counted here, and hours quoted from its Table 2",
        ("Step", "IPC", "Operations", "Hours counted", "Quoted: hours, A6000", "Share of its peak that they imply"),
        tuple(rows.items()),
        (
            f"Counted: {device}. Quoted: Table 2 of the paper, not measured here; it does not say on how many GPUs, "
            "and one is taken.",
            "Steps (50), strength (0.7) and guidance (8) are not in the paper; they are those of D4M's code.",
        ),
    )


def disk_table(levels: Sequence[int] = LEVELS) -> Table:
    """Disk that ImageNet-1K needs by IPC: latents, prototypes, images and soft labels of the paper's setting."""
    images, numbers, epochs = Images.of(PAPER), 4 * 64 * 64, PAPER.epochs
    m = [ipc * images.n_classes for ipc in levels]
    picture = 3 * PAPER.image_size**2

    def once(what: str, value: float) -> tuple[str, ...]:
        return (what, *[NOTHING] * len(levels), amount(value, "B"))

    def each(what: str, values: Sequence[float]) -> tuple[str, ...]:
        return (what, *(amount(value, "B") for value in values), amount(sum(values), "B"))

    blocks = {
        "latents, once for all IPC": [once("float32", 4 * images.n * numbers), once("float16", 2 * images.n * numbers)],
        "prototypes": [each("float32", [4 * k * numbers for k in m]), each("float16", [2 * k * numbers for k in m])],
        "distilled images": [each("pixels", [k * picture for k in m])],
        "soft labels": [each("float16", [label_bytes(ipc, images.n_classes, epochs) for ipc in levels])],
    }
    return Table(
        "Disk that ImageNet-1K needs: prior Stable Diffusion 1.5, students at 224 pixels, 300 epochs",
        ("What", "Kept as", *(f"IPC {ipc}" for ipc in levels), "Together"),
        tuple((what, tuple(rows)) for what, rows in blocks.items()),
        ("Latents and prototypes are kept in the precision of the profile; as PNG, photographs take less.",),
    )


def duration(seconds: float) -> str:
    """Seconds in the unit that reads best."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds >= 10 else f"{seconds:.2g} s"


def amount(value: float, unit: str) -> str:
    """Three digits with a decimal prefix."""
    power = 0
    while value >= 999.5 and power < len(PREFIXES) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.3g} {PREFIXES[power]}{unit}".rstrip()
