"""The exact score on a noised photograph, over the whole latent and over windows: estimates and pictures.

In: a run whose prior is the exact score. Out: figures and tables.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from matplotlib.figure import Figure
from torch import Tensor

from ddoq_core.errors import InputError
from ddoq_core.pipeline.cluster import load_prototypes
from ddoq_core.priors.exact import ExactPrior
from ddoq_core.priors.load import KNOBS, load_prior
from ddoq_core.randomness import torch_rng
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import Column, Table
from ddoq_core.runs.run import Run

from ..ch32.figure1 import nearest_latents
from ..image_rows import image_rows
from ..recorded import RESULTS
from ..studies.latents import KINDS, of_kind
from ..studies.photographs import NAME, NEW, recorded_pictures
from ..style import figure_style

EXACT = KINDS["exact"]  # local and global
SHOWN = 5  # cells of a class in a figure, heaviest first
ENOUGH = 5  # least number of classes for an interval


def exact_prior_of(run: Run, kind: str) -> ExactPrior:
    """The run's prior with the windows of this kind."""
    found = of_kind(run, kind, run.profile.strength)
    return load_prior(found.prior.path, **found.profile.subset(*KNOBS))


@torch.no_grad()
def estimates(
    prior: ExactPrior, z: Float[Tensor, "1 c h w"], label: int, levels: Sequence[float], seed: int
) -> tuple[Float[Tensor, "levels c h w"], Float[Tensor, "levels c h w"]]:
    """One latent noised to shares of the schedule with the same noise, and E[z_0 | x_t] at each."""
    signals = prior.scheduler_class.from_config(prior.scheduler_config).alphas_cumprod
    noise = torch.randn(z.shape, generator=torch_rng(seed, "23", "estimates"))
    noised, found, labels = [], [], torch.tensor([label])
    for level in levels:
        t = max(round(level * len(signals)) - 1, 0)
        a, s = signals[t].sqrt(), (1 - signals[t]).sqrt()
        x = a * z + s * noise
        noised.append(x)
        found.append((x - s * prior.predicted(x, torch.tensor(t), labels)) / a)
    return torch.cat(noised), torch.cat(found)


@figure_style()
def estimates_figure(run: Run, label: int, levels: Sequence[float]) -> Figure:
    """A photograph that the prior has not seen, with increasing noise, and the clean image that each score expects."""
    index = run.dataset.validation.of_class(label)[:1]
    priors = {kind: exact_prior_of(run, kind) for kind in EXACT}
    model = priors["global"]
    photograph = run.dataset.validation.images(index, model.image_size, run.profile.resize)
    z = model.encode(photograph)
    noised, whole = estimates(model, z, label, levels, run.profile.seed)
    _, local = estimates(priors["local"], z, label, levels, run.profile.seed)
    rows = [("noised", noised), ("global score", whole), ("local score", local)]
    beside = [("nearest photograph", _photographs_beside(run, label, whole))]
    figure, axes = image_rows([*((name, model.decode(made)) for name, made in rows), *beside])
    for ax, level in zip(axes[0], levels, strict=True):
        ax.set_title(f"{level:g}", fontsize=9)
    figure.suptitle("share of the noise schedule", fontsize=9)
    return figure


def _photographs_beside(run: Run, label: int, z: Float[Tensor, "k c h w"]) -> Float[Tensor, "k C H W"]:
    """The training image of the class with the latent nearest to each."""
    latents, members = run.class_latents(label)
    return run.dataset.train.images(members[nearest_latents(z, latents)[0]])


@figure_style()
def created_figure(run: Run, label: int, ipc: int) -> Figure:
    """The heaviest cells of a class: the photograph nearest to each centroid, the decoded centroid, the picture of
    either score at the run's strength, and the photograph nearest to the local score's picture."""
    points, counts = load_prototypes(run.prototypes(), ipc)
    cells = counts[label].argsort(descending=True, stable=True)[:SHOWN]
    model, centroids = exact_prior_of(run, "local"), points[label][cells].float()
    made = {kind: _pictures(run, kind, label, cells, ipc) for kind in EXACT}
    seen = model.encode(made["local"]).cpu()
    rows = [
        ("photograph nearest\nto the centroid", _photographs_beside(run, label, centroids)),
        ("centroid, decoded", model.decode(centroids)),
        ("global score", made["global"]),
        ("local score", made["local"]),
        (
            "photograph nearest\nto the local score's",
            _photographs_beside(run, label, seen),
        ),
    ]
    figure, axes = image_rows(rows)
    masses = counts[label].double() / counts[label].sum()
    for ax, k in zip(axes[0], cells.tolist(), strict=False):
        ax.set_title(f"{masses[k]:.2f}", fontsize=9)
    return figure


def _pictures(run: Run, kind: str, label: int, cells: Int64[Tensor, " k"], ipc: int) -> Float[Tensor, "k C H W"]:
    distilled = of_kind(run, kind, run.profile.strength).distilled("d4m", ipc)
    return distilled.by_class(distilled.images())[label][cells]


@figure_style()
def recorded_figure() -> Figure:
    """The recorded pictures of the local score: the heaviest of every class, and one class with its weights."""
    (heaviest, of_class), about = _recorded()
    figure, axes = image_rows([("heaviest\nof a class", heaviest), (about["class"].replace(" ", "\n"), of_class)])
    for ax, name in zip(axes[0], about["classes"], strict=False):
        ax.set_title(name.replace(" ", "\n"), loc="center", fontsize=8)
    for ax, weight in zip(axes[1], about["weights"], strict=False):
        ax.set_xlabel(f"×{weight:.2f}", fontsize=8)
    return figure


def recorded_counts() -> dict[str, str]:
    """How many pictures there are, how many of them are new, and the least distance of a new one."""
    about = _recorded()[1]
    return {"n": str(about["n"]), "n_new": str(about["n_new"]), "least": f"{NEW:g}"}


def _recorded() -> tuple[list[Float[Tensor, "k C H W"]], dict]:
    if (found := recorded_pictures(RESULTS / NAME)) is None:
        raise InputError(f"no pictures in {RESULTS / NAME}; run `ddoq record photographs`")
    return found


def pictures_table(rows: Sequence[dict], caption: str) -> Table:
    """Measurements of `latents.pictures`, a row for each kind and strength; means over classes."""
    lines = []
    for row in rows:
        found = (100 * np.array(row["recognised"]), np.array(row["nearest"]), np.array(row["w2"]))
        lines.append((row["kind"], row["strength"], *(Mean.of(v) if len(v) >= ENOUGH else v.mean() for v in found)))
    columns = ("Score", Column("Strength", "g"), Column("Recognised, %", ".0f"))
    columns += (Column("Distance to the nearest", ".2f"), Column("W₂ to held-out latents", ".1f"))
    if not rows:
        return Table.of_groups(caption, columns, (), ("Nothing is recorded yet; ddoq record latents does it.",))
    n = len(rows[0]["w2"])
    notes = (
        f"Means over n = {n} classes{' and 95 % intervals' * (n >= ENOUGH)}.",
        "Distance to the nearest: from a picture's latent, encoded again, to the nearest training latent of its class; "
        "for a held-out photograph it is 1. W₂ is with the counts. Strength 0: the decoded centroid.",
    )
    return Table.of_groups(caption, columns, lines, notes)
