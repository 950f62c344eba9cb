"""Fields on the images in a row of a long run: their distance to the real images, and the spread of their weights."""

import functools
import itertools

import numpy as np
from numpy import ndarray

from ddoq_core.config.profile import Profile
from ddoq_core.data.loaders import load_dataset
from ddoq_core.pipeline.cluster import load_prototypes
from ddoq_core.quantization.voronoi import assign
from ddoq_core.runs.jobs import Student
from ddoq_core.runs.run import Run

from ..cell_masses import effective_share
from .closeness import closeness_of, weights_used


def images_seen(run: Run, task: Student) -> dict:
    """Class by class: W_2 to the training latents with the counts (`w2`), with equal weights (`w2_uniform`), and with
    the student's weights (`w2_used`); effective number of equal counts over K, (sum v)^2 / (K sum v^2)."""
    if task.ipc is None:
        return {}
    which = (task.method, task.ipc, task.distill_seed)
    rows = closeness_of(run, *which).jsonl("distances.jsonl")
    distilled = run.distilled(*which)
    effective = [effective_share(counts) for counts in distilled.by_class(distilled.counts)]
    found = {name: [row[name] for row in rows] for name in ("w2", "w2_uniform", "w2_used")} | {"effective": effective}
    return {name: [round(value, 4) for value in values] for name, values in found.items()}


def sub_populations(profile: Profile) -> dict[str, int]:
    """The class of every image before classes were merged, by the image's identity."""
    whole = load_dataset(profile.replace(superclasses=0, train_size=0, zipf=0.0))
    parts = (whole.train, whole.validation, whole.test)
    return dict(itertools.chain.from_iterable(zip(p.ids, p.labels.tolist(), strict=True) for p in parts))


@functools.cache
def _cells(run: Run, ipc: int, distill_seed: int) -> tuple[ndarray, ndarray]:
    """Counts [class, K] of all cells, and [class, K, part] of their images by sub-population."""
    points, counts = load_prototypes(run.prototypes(distill_seed), ipc)
    origin = sub_populations(run.profile)
    n_parts = 1 + max(origin.values())
    parts = np.zeros((*counts.shape, n_parts))
    for c in range(len(points)):
        latents, index = run.class_latents(c)
        part = np.array([origin[run.dataset.train.ids[i]] for i in index.tolist()])
        if run.profile.quantizer == "stratified":  # points are ordered by part, and cells do not cross parts
            each = ipc // len(np.unique(part))
            parts[c, np.arange(ipc), np.repeat(np.unique(part), each)] = counts[c]
            continue
        cell = assign(latents.flatten(1), points[c].flatten(1)).numpy()
        np.add.at(parts[c], (cell, part), 1)
    return counts.numpy(), parts


def law_seen(run: Run, task: Student) -> dict:
    """The fields of `images_seen`, and `tv`: the total variation distance, class by class, between the masses of the
    sub-populations and their masses under the student's weights, where each image represents the images of its cell."""
    counts, parts = _cells(run, task.ipc, task.distill_seed)
    weights = weights_used(run, task.method, task.ipc, task.distill_seed).reshape(-1, task.ipc).numpy()
    given = np.einsum("ck,ckp->cp", weights / weights.sum(1, keepdims=True), parts / counts[..., None])
    true = parts.sum(1) / parts.sum((1, 2))[:, None]
    return images_seen(run, task) | {"tv": (np.abs(given - true).sum(1) / 2).round(4).tolist()}
