"""Figure 1: the distilled images of one class, sorted by weight, with the nearest real training images.

In: a run. Out: the K images of a row of Table 1, each with its share of the class, v_k / sum v, as the paper prints it,
and the real image with the latent nearest to its centroid. If a row has no centroids, its images have equal shares, and
the latent is that of the image itself.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from matplotlib.figure import Figure
from torch import Tensor

from ddoq_core.config.knobs import unknown_name
from ddoq_core.data.image_files import resized
from ddoq_core.errors import InputError
from ddoq_core.methods import METHODS
from ddoq_core.methods.d4m import PROTOTYPES
from ddoq_core.pipeline.cluster import levels_of, load_counts, prototypes_of
from ddoq_core.pipeline.encode import BATCH
from ddoq_core.priors.load import KNOBS, load_prior
from ddoq_core.quantization import minibatch, random_samples
from ddoq_core.quantization.voronoi import squared_distances
from ddoq_core.randomness import numpy_rng
from ddoq_core.runs.run import ANOTHER_SCALE, Run

from ..image_rows import find_class, image_rows
from ..studies.strips import distilled_images
from ..style import figure_style

PER_LINE = 10  # images side by side


@dataclass(frozen=True)
class WeightedClass:
    """K distilled images of one class, heaviest first; row k of each field belongs to image k."""

    class_name: str
    images: Float[Tensor, "K C H W"]
    masses: Float[Tensor, " K"]  # v_k / sum v; they sum to 1
    real: Float[Tensor, "K C H W"]  # nearest training image of the class, in latent space
    real_ids: list[str]
    distances: Float[Tensor, " K"]  # |z_k - latent of that image|; z_k: the centroid, or the image's own latent

    @property
    def spread(self) -> float:
        """Heaviest mass over lightest."""
        return float(self.masses[0] / self.masses[-1])


def weighted_class(run: Run, class_name: str, ipc: int, method: str = "ddoq", distill_seed: int = 0) -> WeightedClass:
    """The content of Figure 1, read from the run's artifacts.

    Raises:
        InputError: there is no such class, the method has no images, the run does not have this IPC, or a run at
            ImageNet's scale is not finished.
    """
    if method not in METHODS or METHODS[method].distill is None:
        raise unknown_name(method, [m for m in METHODS if METHODS[m].distill], "method")
    levels = [K for K in levels_of(run.profile) if METHODS[method].runs_at(run.profile, K)]
    if ipc not in levels:
        raise InputError(f"figure_ipc = {ipc}, but the run has {method} at images per class {levels}; choose one")
    if run.dataset.n_classes > ANOTHER_SCALE:
        run.results()  # only read: the error says what to do if the run is not finished
    label = find_class(run.dataset, class_name)
    distilled = run.distilled(method, ipc, distill_seed)
    members = torch.nonzero(distilled.labels == label).flatten()
    images = distilled_images(distilled, members.tolist())
    if METHODS[method].images == PROTOTYPES:
        prototypes = run.prototypes(distill_seed)
        points, counts = prototypes_of(prototypes, ipc, label), load_counts(prototypes, ipc)[label]
    else:
        points, counts = _latents_of(run, images), distilled.counts[members]
    latents, index = run.class_latents(label)
    order = torch.argsort(counts, descending=True, stable=True)
    nearest, distances = nearest_latents(points[order], latents)
    real = index[nearest]
    return WeightedClass(
        run.dataset.class_names[label],
        images[order],
        counts[order].double() / counts.sum(),
        run.dataset.train.images(real),
        [run.dataset.train.ids[i] for i in real.tolist()],
        distances,
    )


def one_pass_spreads(run: Run, class_name: str, ipc: int, n_starts: int = 10) -> list[float]:
    """Heaviest cell over lightest cell of one class after one pass of mini-batch k-means, as in the paper, per start.

    A start is K of the class's latents. The cells are counted exactly; an empty cell counts as one.
    """
    latents, _ = run.class_latents(find_class(run.dataset, class_name))
    found = []
    for start in range(n_starts):
        rng = numpy_rng(run.profile.seed, "32", "one pass", start)
        counts = minibatch(latents.flatten(1), random_samples(latents.flatten(1), ipc, rng), rng=rng).counts
        found.append(float(counts.max() / counts.min().clamp_min(1)))
    return found


def _latents_of(run: Run, images: Float[Tensor, "K C H W"]) -> Float[Tensor, "K c h w"]:
    """Latents of distilled images, encoded like real images: at the prior's size, by the posterior's mean."""
    prior = load_prior(run.prior.path, **run.profile.subset(*KNOBS))
    batches = resized(images, prior.image_size).split(BATCH)
    return torch.cat([prior.encode(batch).cpu() for batch in batches]).float()


def nearest_latents(
    points: Float[Tensor, "K ..."], latents: Float[Tensor, "n ..."]
) -> tuple[Int64[Tensor, " K"], Float[Tensor, " K"]]:
    """Index of the latent nearest to each point, and its distance."""
    nearest = squared_distances(latents.flatten(1), points.flatten(1)).argmin(0)
    return nearest, (latents[nearest] - points).flatten(1).norm(dim=1)


@figure_style()
def figure1(shown: WeightedClass) -> Figure:
    """Figure 1: distilled images, heaviest first, each with its weight v / sum v, above the nearest real image."""
    rows = []
    for start in range(0, len(shown.images), PER_LINE):
        part = slice(start, start + PER_LINE)
        rows += [("distilled", shown.images[part]), ("nearest\nreal", shown.real[part])]
    figure, axes = image_rows(rows)
    for k, mass in enumerate(shown.masses.tolist()):
        axes[2 * (k // PER_LINE), k % PER_LINE].set_title(f"{mass:.3f}", loc="center", fontsize=9)
    return figure


@figure_style()
def shuffled_figure(shown: WeightedClass, seed: int) -> Figure:
    """The distilled images in random order, without their weights."""
    order = torch.from_numpy(numpy_rng(seed, "32", "shuffled").permutation(len(shown.images)))
    return image_rows([("", part) for part in shown.images[order].split(PER_LINE)])[0]
