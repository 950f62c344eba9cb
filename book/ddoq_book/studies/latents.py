"""The study `latents` measures the latents of a data set, its codebooks and weights, and the prior's pictures.

No student is trained. In: a profile. Out: one JSON file with numbers of one distillation, class by class.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ddoq_core.config.profile import Profile
from ddoq_core.data.image_files import resized
from ddoq_core.pipeline.cluster import load_prototypes
from ddoq_core.pipeline.encode import BATCH, encode_images
from ddoq_core.pipeline.teacher import load_teacher, predict
from ddoq_core.priors.load import KNOBS, GenerativePrior, load_prior
from ddoq_core.quantization.lloyd import best_of_restarts
from ddoq_core.quantization.voronoi import assign, distortion, squared_distances
from ddoq_core.randomness import numpy_rng
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Workspace
from ddoq_core.theory.transport import wasserstein2_of_weights

from .unequal_masses import FRESH
from .weightings import CODEBOOKS

FOLDER = "latents"  # of book/results
NEIGHBOURS = 20  # nearest neighbours of a latent; their distances give the dimension
CURVE = (1, 2, 5, 10, 20, 50, 100)  # numbers of points of the codebooks for the curve of the distortion
STRENGTHS = (0.0, 0.3, 0.5, 0.7, 0.9)
KINDS = {"exact": ("local", "global"), "pretrain": ("learned",)}  # kinds of pictures by prior
LEVEL, WEIGHED = 10, (10, 50)  # images per class of the pictures, and of the weighted codebooks
Cloud = tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]  # training and held-out latents of a class


def latents_study(profile: Profile) -> Iterator[StudyPart]:
    """The study, with one file of measurements for the codebooks of one pass."""
    run = Run(profile.replace(ipc=list(WEIGHED), **CODEBOOKS["one pass"]))
    file = measured_file(profile.profile)
    yield StudyPart(file, run, [], lambda run, task: {}, before=lambda folder: keep_measures(run, folder / file))


def measured_file(profile: str) -> str:
    """Name of the file of a profile."""
    return f"{profile}-measured.json"


def keep_measures(run: Run, path: Path) -> None:
    """Measure latents and codebooks, then pictures of every kind, and write all results, unless the file exists."""
    if path.exists():
        return
    clouds = latent_clouds(run)
    found = {
        "n": [len(X) for X, _ in clouds],
        "held_out": [len(Y) for _, Y in clouds],
        "d": clouds[0][0].shape[1],
        "dimension": [dimension(X) for X, _ in clouds],
        "curve": [curve(X, Y, c) for c, (X, Y) in enumerate(clouds)],
        "codebooks": {str(ipc): _codebooks(run, clouds, ipc) for ipc in WEIGHED},
        "pictures": list(pictures(run, clouds, LEVEL, FRESH[0], STRENGTHS)),
    }
    Workspace(path.parent).json(path.name, rounded(found))


def latent_clouds(run: Run) -> list[Cloud]:
    """Latents of the training and validation images of every class."""
    model, p, part = load_prior(run.prior.path, **run.profile.subset(*KNOBS)), run.profile, run.dataset.validation
    held_out = [encode_images(model, part, part.of_class(c), **p.subset("seed", "resize")) for c in _classes(run)]
    return [(run.class_latents(c)[0].flatten(1), held_out[c].flatten(1)) for c in _classes(run)]


def _classes(run: Run) -> range:
    return range(run.dataset.n_classes)


def dimension(X: Float[Tensor, "n d"]) -> float:
    """Intrinsic dimension by maximum likelihood (Levina and Bickel 2004, pooled over points as MacKay and Ghahramani):
    one over the mean of log T_k / T_j, T_j the distance to the j-th of the k nearest neighbours."""
    distances = squared_distances(X, X).clamp_min(0).fill_diagonal_(torch.inf)
    nearest = distances.topk(min(NEIGHBOURS, len(X) - 1), dim=1, largest=False).values.sort(1).values.double()
    logs = nearest.clamp_min(torch.finfo(torch.float64).tiny).log() / 2
    return 1 / (logs[:, -1:] - logs[:, :-1]).mean().item()


def curve(X: Float[Tensor, "n d"], held_out: Float[Tensor, "m d"], label: int) -> dict[str, list[float]]:
    """Distortion of Lloyd's codebooks of a class at every level of CURVE, on the training and on held-out latents."""
    levels = [K for K in CURVE if len(X) // 2 >= K]
    found = best_of_restarts(X, levels, n_restarts=2, rng=numpy_rng(0, "latents", "curve", label))
    other = [distortion(held_out.double(), q.points.double()) for q in found]
    return {"K": levels, "training": [q.distortion for q in found], "held_out": other}


def _codebooks(run: Run, clouds: list[Cloud], ipc: int) -> list[dict]:
    """For each class's codebook: W_2 with its counts and with equal weights, to training and to held-out latents; the
    variance of the teacher's logits within and between the cells (*Sharper results*, section 14)."""
    points, counts = load_prototypes(run.prototypes(FRESH[0]), ipc)
    teacher, rows = load_teacher(run.teacher, run.profile.device), []
    for c, (X, Y) in enumerate(clouds):
        z, v = points[c].flatten(1), counts[c].double()
        weights = np.stack([(v / v.sum()).numpy(), np.full(ipc, 1 / ipc)])
        row = {
            name: wasserstein2_of_weights(z.double(), weights, Z.double()).tolist()
            for name, Z in (("training", X), ("held_out", Y))
        }
        logits = predict(teacher, run.dataset, run.dataset.train.subset(run.dataset.train.of_class(c)))
        rows.append(row | {"counts": v.tolist()} | variances(logits.double(), assign(X, z).long(), ipc))
    return rows


def variances(values: Float[Tensor, "n c"], cell: Int64[Tensor, " n"], K: int) -> dict[str, float]:
    """Variance of f within the cells, and of its means between the cells. Each cell is weighted by its mass, which is 0
    for an empty cell. The noise of the means is subtracted from the second variance."""
    sizes = cell.bincount(minlength=K).double()
    means = torch.zeros(K, values.shape[1], dtype=torch.float64).index_add(0, cell, values) / sizes.clip(1)[:, None]
    within = (values - means[cell]).square().sum(1)
    of_cell = torch.zeros(K, dtype=torch.float64).index_add(0, cell, within) / (sizes - 1).clip(1)
    mass = sizes / sizes.sum()
    between = mass @ (means - mass @ means).square().sum(1) - (mass * (1 - mass) / sizes.clip(1)) @ of_cell
    return {"within": (mass @ of_cell).item(), "between": between.item()}


def pictures(run: Run, clouds: list[Cloud], ipc: int, distill_seed: int, strengths: Sequence[float]) -> Iterator[dict]:
    """For every kind and strength, class by class: the share that the teacher recognises; the distance to the nearest
    training latent, over that of held-out latents; and W_2 to the held-out latents, with the counts."""
    model, teacher = load_prior(run.prior.path, **run.profile.subset(*KNOBS)), load_teacher(run.teacher)
    usual = [nearest_distances(Y, X).mean() for X, Y in clouds]
    for kind, strength in itertools.product(KINDS.get(run.profile.prior, ()), strengths):
        distilled = of_kind(run, kind, strength).distilled("d4m", ipc, distill_seed)
        images = distilled.images()
        with torch.no_grad():
            logits = [teacher(run.dataset.normalise(part)) for part in images.split(BATCH)]
        right = (torch.cat(logits).argmax(1) == distilled.labels).float()
        row = {"kind": kind, "strength": strength, "recognised": [], "nearest": [], "w2": []}
        parts = map(distilled.by_class, (encoded_pictures(model, images), right, distilled.counts.double()))
        for (X, Y), usually, z, hit, v in zip(clouds, usual, *parts, strict=True):
            row["recognised"].append(hit.mean().item())
            row["nearest"].append((nearest_distances(z, X).mean() / usually).item())
            by_counts = (v / v.sum()).numpy()[None]
            row["w2"].append(wasserstein2_of_weights(z.double(), by_counts, Y.double()).item())
        yield row


def of_kind(run: Run, kind: str, strength: float) -> Run:
    """The same run with a prior for pictures of this kind."""
    where = {"locality": kind} if run.profile.prior == "exact" else {}
    return Run(run.profile.replace(strength=strength, **where))


def encoded_pictures(model: GenerativePrior, images: Float[Tensor, "n C H W"]) -> Float[Tensor, "n d"]:
    """Latents of pictures of any size."""
    return torch.cat([model.encode(part).cpu() for part in resized(images, model.image_size).split(BATCH)]).flatten(1)


def nearest_distances(z: Float[Tensor, "k d"], X: Float[Tensor, "n d"]) -> Float[Tensor, " k"]:
    """Distance of each to the nearest of X."""
    return squared_distances(z, X).clamp_min(0).min(1).values.sqrt()


def rounded(found: object) -> object:
    """The same with every number rounded to six digits."""
    if isinstance(found, dict):
        return {name: rounded(value) for name, value in found.items()}
    if isinstance(found, list):
        return [rounded(value) for value in found]
    return float(f"{found:.6g}") if isinstance(found, float) else found
