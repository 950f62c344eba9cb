"""The estimated cost of a run, and of the paper's setting next to its Table 2.

In: a profile with the sizes of its data set, and a device. Out: operations, bytes and seconds, and the tables that
notebooks show and `ddoq cost` prints.
"""

from dataclasses import dataclass

from ..config.profile import Profile
from ..methods.account import STAGES, Cost
from ..results.table import Column, Table
from .flops import prior_of
from .model import costs
from .sizes import A6000, A6000_FLOAT32, Device, Images, card_for

FLOAT = 4  # bytes per number of a batch
PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")

# Table 2 of the paper, as printed: hours on NVIDIA A6000 at IPC 10 and at IPC 100.
QUOTED_HOURS = {"1 Latent clustering": (8, 8), "2 Synthesis": (2, 24), "3 Soft label": (1, 16), "4 Training": (2.5, 9)}
# Its setting. Steps, strength and guidance are not in the paper, so they are those of D4M's code, which it builds on.
PAPER = Profile(
    profile="imagenet", dataset="imagefolder", image_size=224, validation_fraction=0.0, prior="stable-diffusion",
    precision="float16", teacher="resnet18", teacher_path="pretrained", ipc=[10, 100], methods=["ddoq"],
    targets=["soft"], quantizer="minibatch", n_passes=1, n_steps=50, strength=0.7, guidance_scale=8.0,
    students=["resnet18"], n_seeds=1, epochs=300, batch_size=1024, device="cuda",
)  # fmt: skip
LEVELS = (10, 50, 100, 200)  # of the paper's Table 1


@dataclass(frozen=True)
class RunCost:
    """The estimated cost of a run of a profile on a device, artifact by artifact."""

    profile: Profile
    images: Images
    device: Device
    costs: tuple[Cost, ...]

    def total(self, name: str, *steps: str) -> float:
        """Sum of flops, reads or writes over all artifacts, or over those of some steps."""
        return sum(cost.times * getattr(cost, name) for cost in self.costs if not steps or cost.step in steps)

    def share(self, *steps: str) -> float:
        return self.total("flops", *steps) / self.total("flops")

    @property
    def seconds(self) -> float:
        """Wall time: all artifacts, students in parallel, and the processes that make them."""
        device, found = self.device, 0.0
        for cost in self.costs:
            each = device.seconds_of_artifact(cost.flops, cost.step)
            found += cost.times * each / (max(device.workers, 1) if cost.step == "train" else 1)
        return found + device.start * (2 if device.workers > 1 else 1)  # the workers start together


def run_cost(profile: Profile, images: Images, device: Device) -> RunCost:
    """The cost of a run of this profile; InputError as in `costs`."""
    return RunCost(profile, images, device, tuple(costs(profile, images)))


def cost_table(found: RunCost) -> Table:
    """The estimated cost of every step of a run, with the time on a device for its operations alone."""
    profile, images, device = found.profile, found.images, found.device
    rows = [
        (stage, *names(cost), cost.times, cost.flops, *(value or None for value in (cost.reads, cost.writes)),
         cost.memory or None, device.seconds_of_artifact(cost.flops, cost.step) if cost.flops else None)
        for stage in STAGES for cost in found.costs if cost.stage == stage
    ]  # fmt: skip
    totals = (found.total(name) for name in ("flops", "reads", "writes"))
    rows.append(("All", "", "", "", *totals, max((c.memory for c in found.costs), default=0), found.seconds))
    return Table.of_groups(
        f"Estimated cost of profile {profile.profile}: {images.n:,} training images of {images.n_classes:,} classes",
        (
            "Step", "What", "IPC", "Times", Column("Operations", flops_form), Column("Read", bytes_form),
            Column("Written", bytes_form), Column("Memory", bytes_form), Column("Time", duration),
        ),
        rows,
        (
            "Each row is one artifact, which the run makes “Times” times; the last row is the total. "
            "Operations: a multiply-add is two. Memory: parameters (in training with gradient and moments), or the "
            "latents of a class; the table of memory has the activations.",
            _note_on_time(device),
            f"Prior: {prior_of(profile, images.channels).name}.",
        ),
    )  # fmt: skip


def _note_on_time(device: Device) -> str:
    """What the times include, and what they leave out."""
    if not device.workers:
        return f"Time: operations alone, on {device}. It does not include reading, decoding and augmenting images." + (
            "" if device.speeds else " A GPU is slower in float32, which classifiers use by default."
        )
    together = (
        f"{device.workers} students are trained in parallel"
        if device.workers > 1
        else "students are trained one after the other"
    )
    return (
        f"Time: on {device}, and {duration(device.artifact)} for each artifact. The last row is wall time: "
        f"{together}, and the program starts in {duration(device.start)}. "
        "It does not include scoring, checks and the decoding of photographs."
    )


@dataclass(frozen=True)
class TrainingMemory:
    """The memory of a network in training."""

    network: str
    ipc: int
    together: int
    of_one: float
    whole: float  # weights with gradient and moments, the batch, and its activations
    mapped: float


def training_memory(found: RunCost) -> list[TrainingMemory]:
    """The memory of every kind of student of a run: parameters, a batch of images, and activations."""
    batch = FLOAT * found.profile.batch_size * found.images.channels * found.profile.image_size**2
    return [
        TrainingMemory(
            c.network, c.ipc, c.together, c.activations, c.memory + batch + c.together * c.activations, c.mapped
        )
        for c in found.costs
        if c.together
    ]


def memory_table(found: RunCost) -> Table:
    """The memory of students in training, on the disk and on the device, and the smallest card that holds it."""
    rows = [
        (m.network, m.ipc, m.mapped, m.together, m.of_one, m.whole, card_for(m.whole)) for m in training_memory(found)
    ]
    return Table.of_groups(
        f"Estimated memory of training for profile {found.profile.profile}",
        (
            *("Student", "IPC", Column("File of pixels", bytes_form), "Images at once"),
            *(Column("Kept per image", bytes_form), Column("On the device", bytes_form)),
            Column("Fits on a card of", lambda card: f"{card} GB"),
        ),
        rows,
        (
            "Only a batch of the file of pixels is in memory. Kept per image: activations for the backward pass, in "
            f"{found.profile.training_precision}. On the device: activations, the batch, and the weights with gradient "
            "and moments. Cards: a tenth is left free; – if none is large enough: raise accumulate.",
        ),
    )


def names(cost: Cost) -> tuple[str, int | str]:
    """The name of an artifact, and its IPC."""
    what = cost.title + (f" {cost.network}" if cost.network else "")
    return what, "all" if cost.ipc is None else cost.ipc


@dataclass(frozen=True)
class PaperStep:
    """One cell of the paper's Table 2, with the operations counted here."""

    title: str
    ipc: int
    flops: float
    quoted: float  # hours

    @property
    def implied(self) -> float:
        """Share of the A6000's peak with which the counted operations take the quoted hours."""
        return self.flops / (A6000.peak * 1e12 * 3600 * self.quoted)

    @property
    def implied_float32(self) -> float:
        """The same share of its peak in float32."""
        return self.implied * A6000.peak / A6000_FLOAT32


def paper_steps() -> list[PaperStep]:
    """The cells of the paper's Table 2, each with the operations of its step."""
    found = costs(PAPER, Images.of(PAPER))
    steps = []
    for title, hours in QUOTED_HOURS.items():
        for ipc, quoted in zip(PAPER.ipc, hours, strict=True):
            flops = sum(c.flops for c in found if c.stage == title and c.ipc in (ipc, None))
            steps.append(PaperStep(title, ipc, flops, quoted))
    return steps


def paper_table(steps: list[PaperStep], device: Device) -> Table:
    """The paper's setting: operations counted here, the hours they take on a device, and the paper's own hours."""
    return Table.of_groups(
        "ImageNet-1K by the paper's setting: hours counted here, and hours quoted from its Table 2",
        (
            "Step", "IPC", Column("Operations", flops_form), Column("Hours counted", ".2g"),
            Column("Quoted: hours, A6000", "g"), Column("Implied share of its peak", percent_form),
        ),
        [(s.title, s.ipc, s.flops, device.seconds(s.flops) / 3600, s.quoted, s.implied) for s in steps],
        (
            f"Counted: {device}. Quoted: Table 2 of the paper, not measured here. It does not give the number of GPUs; "
            "one is assumed.",
            "Steps (50), strength (0.7) and guidance (8) are not in the paper; they are those of D4M's code.",
        ),
    )  # fmt: skip


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


def bytes_form(value: float) -> str:
    return amount(value, "B")


def flops_form(value: float) -> str:
    return amount(value, "FLOP") if value else "0"


def percent_form(share: float) -> str:
    return f"{100 * share:.1f} %"
