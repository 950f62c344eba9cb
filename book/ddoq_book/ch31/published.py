"""How the methods and the training of Table 1 differ from those that their authors published.

In: the profile of a run. Out: both lists as tables. The published choices are quoted from the papers and the authors'
released code. The choices here are read from the profile and the code of the methods; they always agree with the run.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ddoq_core.config.profile import Profile
from ddoq_core.methods import METHODS, cda, sre2l, tesla
from ddoq_core.methods.method import SRE2L_TRAINING, published_epochs
from ddoq_core.methods.shared import trajectories
from ddoq_core.pipeline.fit_student import RATE_KNOBS, rate
from ddoq_core.results.table import Column, Table

from ..recorded import rows_of
from ..studies.baselines import FOLDER
from ..studies.searches import TUNED

PAPER_TRAINING = {"epochs": 300, "lr_schedule": "step", "batch_size": 1024, "crop_scale": 0.08}  # Table 3
PAPER_RATES = {"ResNet-18": 2e-3, "ResNet-50": 1e-3, "ResNet-101": 1e-3}  # Table 3
D4M_TRAINING = SRE2L_TRAINING | PAPER_TRAINING | {"lr_schedule": "cosine"}  # validate/train_FKD.py, .sh
DECAYS = {
    "cosine": "cosine to 0",
    "half-cosine": "cosine to a half",
    "step": "step: a quarter after 5/6 of the epochs",
    "tenth": "step: a tenth after half of the epochs",
}


@dataclass(frozen=True)
class Departure:
    """One choice of a method that differs from its authors' publication."""

    method: str  # its name in tables
    choice: str
    published: str
    here: str


def mean_rate(profile: Profile) -> float:
    """Mean learning rate of a student over its epochs."""
    knobs = profile.subset(*RATE_KNOBS)
    return float(np.mean([rate(epoch, **knobs) for epoch in range(profile.epochs)]))


def paper_training(network: str = "ResNet-18") -> Profile:
    """The training of DDOQ's students in the paper (its Table 3), as a profile."""
    return Profile.of(PAPER_TRAINING | {"learning_rate": PAPER_RATES[network], "flip": True})


def d4m_training() -> Profile:
    """The training of D4M's students in its released code for ImageNet, as a profile."""
    return Profile.of(D4M_TRAINING | {"flip": True})


def training_table(profile: Profile) -> Table:
    """The training of a run's students, next to that of the paper and of D4M's code."""
    trainings = (paper_training(), d4m_training(), profile)
    rows = [
        ("epochs", *(f"{p.epochs}" for p in trainings)),
        ("images per step", *(f"{p.batch_size:,}" for p in trainings)),
        ("learning rate falls by", *(DECAYS[p.lr_schedule] for p in trainings)),
        ("first learning rate", *(f"{p.learning_rate:g}" for p in trainings)),
        ("mean learning rate", *(f"{mean_rate(p):.3g}" for p in trainings)),
        ("smallest crop, share of the area", *(f"{p.crop_scale:g}" for p in trainings)),
        ("mirrored at random", *("yes" if p.flip else "no" for p in trainings)),
    ]
    note = "Quoted: what the paper and the released code say; the mean rate is computed. ResNet-18, ImageNet-1K there."
    heads = ("", "Quoted: paper, Table 3 (DDOQ)", "Quoted: D⁴M's code", "Here, every row")
    return Table.of_rows("How students are trained", heads, rows, (note,))


def with_paper_schedule(rows: Iterable[dict]) -> int:
    """Number of students in these rows with the schedule of the paper's Table 3, with any labels."""
    schedules = [Profile.load(row["profile"], row["parameters"]).lr_schedule for row in rows if row["labels"] != "own"]
    return schedules.count(PAPER_TRAINING["lr_schedule"])


def departures(profile: Profile) -> list[Departure]:
    """Every choice that differs from those of a method's authors, as far as their papers and code say."""
    p = profile
    both = f"{METHODS['sre2l'].title}, {METHODS['cda'].title}"
    crop = sre2l.SMALLEST_CROP if p.image_size >= sre2l.PHOTOGRAPH else cda.SMALLEST_CROP_OF_SMALL
    published_steps = f"{profile.tesla_matched} epoch from the first {profile.tesla_starts}"
    factor = _searched(p, "inversion_statistics", inversion="at K = 1", sre2l="for SRe²L at K = 10")
    iterations = _searched(p, "inversion_iterations", inversion="at K = 1")
    inverted = _searched(p, "inversion_network", inversion="at K = 1")
    found = [
        ("D⁴M, DDOQ", "codebook", "one pass of mini-batch k-means from the first images", _codebook(p)),
        ("D⁴M, DDOQ", "counts", "k-means' own, changed where it moves a point", "exact cell counts"),
        ("D⁴M, DDOQ", "latent of an image", "a draw, not keyed", "a keyed draw" if p.encode_sample else "the mean"),
        ("D⁴M, DDOQ", "prior", "Stable Diffusion 1.5", _prior(p)),
        ("D⁴M, DDOQ", "guidance", "8", f"{p.guidance_scale:g}"),
        ("soft labels", "CutMix", "one box for a batch", "one box for an image"),
        ("DDOQ", "training", *(_training(t) for t in (paper_training(), p))),
        ("D⁴M", "training", *(_training(t) for t in (d4m_training(), p))),
        (both, "factor of the statistics", "0.01 (ImageNet)", factor),
        (both, "iterations", "4,000 (ImageNet), 1,000 (CIFAR-100)", iterations),
        (both, "network that is inverted", "the one that labels", f"{inverted}; {p.teacher} labels"),
        (both, "classes in a batch", "100, one image of each", "as there are; more images of each"),
        (both, "roll", "0 to 4 pixels (CIFAR-100)", f"at most {p.image_size // sre2l.JITTER} in both directions"),
        (both, "labels and training", "CIFAR-100: T = 30, mixup, 400 epochs, batches of 128", _soft_training(p)),
        ("CDA", "smallest crop", "0.08 of the area", f"{crop:g}"),
        ("RDED", "epochs of its own protocol", "300", f"{_rded_epochs(p)}"),
        ("RDED", "epoch that counts", "the best of the late ones, on the test images", "the last"),
        ("TESLA", "gradient", "the student's parameters taken as constant", "exact"),
        ("TESLA", "trajectories × epochs", "100 × 50", f"{p.tesla_experts} × {p.tesla_epochs}"),
        ("TESLA", "network", "ConvNet of width 128", p.tesla_network),
        ("TESLA", "updates", "5,000 (MTT)", f"{p.tesla_iterations:,}"),
        ("TESLA", "matched part", "2 epochs from the first 5", published_steps),
        ("TESLA", "student steps", "50", f"{p.tesla_steps}"),
        ("TESLA", "images of a step", "all, or 125", f"at most {tesla.BATCH}"),
        ("TESLA", "rate on the images", "1,000", _searched(p, "tesla_rate", tesla="at K = 10")),
        ("TESLA", "images of a step of a trajectory", "256", f"{trajectories.EXPERT_BATCH}"),
        ("TESLA", "augmentation", "six families (DSA)", "small affine maps; crops for its students"),
        ("TESLA", "range of pixels", "not bounded", "0 to 1, kept as PNG"),
        ("TESLA", "epoch that counts", "the best update, on the test images", "the last"),
    ]
    return [Departure(*row) for row in found if row[2] != row[3]]


def departures_table(profile: Profile) -> Table:
    """Every choice that differs from those of a method's authors."""
    return Table.of_groups(
        "Choices that differ from those of the authors",
        ("Method", "Choice", Column("Quoted: published"), "Here"),
        [(d.method, d.choice, d.published, d.here) for d in departures(profile)],
        (
            "Quoted from reading the papers and the released code. Unless the row names its data, a choice is for "
            "ImageNet (D⁴M, DDOQ), or for CIFAR-10 at one image per class (TESLA).",
        ),
    )


def _codebook(p: Profile) -> str:
    if p.quantizer == "lloyd":
        return f"Lloyd's algorithm, best of {p.n_restarts} starts"
    start = f", start: {p.start}" if p.quantizer in ("minibatch", "clvq") else ""
    return f"{p.quantizer}, {p.n_passes} passes{start}"


def _searched(p: Profile, knob: str, **rows: str) -> str:
    """The profile's value, and the values of rows that were searched again, by their name in TUNED."""
    value, found = getattr(p, knob), []
    for name, where in rows.items():
        again = TUNED[name].get(knob, value)
        found += [f"{_written(again)} {where}"] if again != value else []
    return "; ".join([_written(value), *found])


def _written(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,g}"


def _rded_epochs(p: Profile) -> int:
    """The published epochs (`methods.rded.protocol`); the first rows, until recorded again, had the shared ones."""
    return published_epochs(300, p) if rows_of(FOLDER, "*-rded-own.jsonl") else p.epochs


def _prior(p: Profile) -> str:
    return "a small one, fitted to the training images" if p.prior == "pretrain" else p.prior


def _training(p: Profile) -> str:
    return f"{p.epochs} epochs, {p.learning_rate:g}, {DECAYS[p.lr_schedule]}, batches of {p.batch_size:,}"


def _soft_training(p: Profile) -> str:
    mix = "CutMix" if p.cutmix else "no mixing"
    return f"T = {p.temperature:g}, {mix}, {p.epochs} epochs, batches of {p.batch_size}"
