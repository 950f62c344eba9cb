"""Figures of Algorithm 4 step by step: the input and output of each step, on the profile's own images."""

import torch
from jaxtyping import Float, Int64
from matplotlib.figure import Figure
from torch import Tensor

from ddoq_core.methods import METHODS
from ddoq_core.pipeline.cluster import load_prototypes
from ddoq_core.pipeline.teacher import load_teacher
from ddoq_core.priors.load import KNOBS, load_prior
from ddoq_core.runs.run import Run

from ..ch32.figure1 import nearest_latents
from ..image_rows import image_rows, show_image
from ..studies.strips import distilled_images
from ..style import BLUE, INK, MUTED, VERMILION, WIDTH, figure_style, label, subplots

MOST_CLASSES = 10  # largest number of classes in a figure of one image per class
SOFT_SHOWN = 5  # number of images with soft labels in the figure


@figure_style()
def pipeline_steps_figure(run: Run, ipc: int, distill_seed: int = 0) -> Figure:
    """One column per class: a real image, its reconstruction, the heaviest centroid decoded, and its distilled image.

    The real image has the latent nearest to that centroid.
    """
    prior = load_prior(run.prior.path, **run.profile.subset(*KNOBS))
    points, counts = load_prototypes(run.prototypes(distill_seed), ipc)
    distilled = run.distilled("ddoq", ipc, distill_seed)
    classes = range(min(run.dataset.n_classes, MOST_CLASSES))
    heaviest = [int(counts[c].argmax()) for c in classes]
    centroids = torch.stack([points[c, k] for c, k in zip(classes, heaviest, strict=True)])
    latents, real = _nearest_real(run, centroids)
    made = distilled_images(distilled, [c * ipc + k for c, k in zip(classes, heaviest, strict=True)])
    rows = [
        ("real $x$", real),
        ("$\\mathcal{D}(\\mathcal{E}(x))$", prior.decode(latents).cpu()),
        ("centroid\n$\\mathcal{D}(z_k)$", prior.decode(centroids).cpu()),
        ("distilled\n$\\mathcal{D}\\circ\\mathcal{U}_t(z_k)$", made),
    ]
    return image_rows(rows)[0]


def _nearest_real(run: Run, centroids: Float[Tensor, "C c h w"]) -> tuple[Tensor, Tensor]:
    """Latent and image of the training image of class i nearest to centroid i."""
    latents, index = [], []
    for class_index, centroid in enumerate(centroids):
        of_class, places = run.class_latents(class_index)
        nearest, _ = nearest_latents(centroid[None], of_class)
        latents.append(of_class[nearest[0]])
        index.append(int(places[nearest[0]]))
    return torch.stack(latents), run.dataset.train.images(index)


@figure_style()
def history_figure(histories: list[tuple[float, ...]]) -> Figure:
    """Distortion along Lloyd's algorithm as a share of its start, one line per class."""
    figure, ax = subplots()
    for history in histories:
        ax.plot([g / history[0] for g in history], color=BLUE, alpha=0.5, linewidth=1)
    ax.set(xlabel="iteration of Lloyd's algorithm", ylabel="distortion $G$ / its start")
    ax.set_title("one line per class; it never rises (Algorithm 2)")
    return figure


def explained_share(run: Run, ipc: int, distill_seed: int = 0) -> float:
    """Share 1 - G / Var of the latents' variance that the weighted codebook explains; mean over classes."""
    shares = []
    for row in run.prototypes(distill_seed).jsonl("clusters.jsonl"):
        if row["ipc"] == ipc:
            latents = run.class_latents(row["class"])[0].flatten(1).double()
            shares.append(1 - row["distortion"] / float((latents - latents.mean(0)).square().sum(1).mean()))
    return sum(shares) / len(shares)


@figure_style()
def masses_figure(counts: Int64[Tensor, "C K"], names: list[str]) -> Figure:
    """Cell masses v / sum v: one column of points per class, and the uniform weight of D4M as a line."""
    masses = counts.double() / counts.sum(1, keepdim=True)
    shown = min(len(counts), 2 * MOST_CLASSES)
    figure, ax = subplots()
    for c in range(shown):
        ax.plot([c] * len(masses[c]), masses[c], "o", color=BLUE, alpha=0.7)
    uniform = 1 / counts.shape[1]
    ax.axhline(uniform, color=VERMILION, linestyle="--", linewidth=1.2)
    label(ax, shown - 0.5, uniform, "D4M: $1/K$", VERMILION)
    slant = {"rotation": 45, "ha": "right"} if shown > MOST_CLASSES else {}
    ax.set_xticks(range(shown), names[:shown], parse_math=False, **slant)
    ax.set(ylabel="cell mass $v_k / \\Sigma v$", xlabel="class", ylim=(0, None))
    ax.grid(axis="x", visible=False)
    return figure


@figure_style()
def loss_weights_figure(counts: Int64[Tensor, "C K"]) -> Figure:
    """The weight of an image in the loss against its cell mass, for the three schemes."""
    K = counts.shape[1]
    p = torch.linspace(0, float((counts / counts.sum(1, keepdim=True)).max()) * 1.05, 200)
    figure, ax = subplots()
    for weights, text, colour, style in (
        (K * p, "proportional: $Kp$ (line 3)", INK, "-"),
        ((K * p).sqrt(), "eq. 33: $\\sqrt{Kp}$", BLUE, "-"),
        (torch.ones_like(p), "D4M: 1", VERMILION, "--"),
    ):
        ax.plot(p, weights, color=colour, linestyle=style)
        label(ax, float(p[-1]), float(weights[-1]), text, colour)
    masses = (counts.double() / counts.sum(1, keepdim=True)).flatten()
    ax.plot(masses, torch.zeros_like(masses), "|", color=MUTED, markersize=10)
    ax.set(xlabel="cell mass $p = v_k / \\Sigma v$ (ticks: the cells of this run)", ylabel="weight in the loss")
    return figure


@figure_style()
@torch.no_grad()
def soft_label_figure(run: Run, ipc: int, class_index: int, distill_seed: int = 0) -> Figure:
    """Distilled images of one class, heaviest first, and the teacher's probabilities at T = 1 and at the run's T."""
    distilled = run.distilled("ddoq", ipc, distill_seed)
    members = torch.nonzero(distilled.labels == class_index).flatten()
    order = torch.argsort(distilled.counts[members], descending=True, stable=True)[:SOFT_SHOWN]
    images = distilled_images(distilled, members[order].tolist())
    logits = load_teacher(run.teacher)(run.dataset.normalise(images))
    n = len(images)
    shape = {"width": WIDTH * (n + 1) / (SOFT_SHOWN + 1), "height": 4, "gridspec_kw": {"height_ratios": (3, 2, 2)}}
    figure, axes = subplots(3, n, squeeze=False, sharey="row", **shape)
    for column in range(n):
        axes[0, column].set_axis_off()
        show_image(axes[0, column], images[column])
        for ax, T in zip(axes[1:, column], (1.0, run.profile.temperature), strict=True):
            ax.bar(range(logits.shape[1]), torch.softmax(logits[column] / T, 0), color=BLUE)
            ax.grid(axis="x", visible=False)
    for ax, T in zip(axes[1:, 0], (1.0, run.profile.temperature), strict=True):
        ax.set_ylabel(f"$T$ = {T:g}")
    axes[2, 0].set_xlabel("class index")
    return figure


@figure_style()
def accuracy_figure(accuracies: dict[str, float], teacher: float) -> Figure:
    """Test accuracy of one student per method, and of the teacher."""
    figure, ax = subplots(height=0.6 + 0.4 * len(accuracies), width=WIDTH)
    names = [METHODS[name].title for name in accuracies]
    ax.plot(list(accuracies.values()), range(len(names)), "o", color=BLUE)
    for y, value in enumerate(accuracies.values()):
        label(ax, value, y, f"{value:.1f}")
    ax.axvline(teacher, color=INK, linestyle="--", linewidth=1.2)
    label(ax, teacher, len(names) - 0.6, f"teacher {teacher:.1f}")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="test accuracy, %", ylim=(len(names) - 0.4, -0.6))
    return figure
