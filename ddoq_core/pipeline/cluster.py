"""Algorithm 4, lines 2-3 (Algorithm 3, lines 3-11): prototypes z_k of each class and the counts v_k of their cells.

In: the latents of every class, one class in memory at a time. Out: class00000.safetensors with, for each level K,
points_000KK [K, c, h, w] in the profile's precision, counts_000KK [K] int64 (they sum to the class size), history_000KK
and, for an online quantizer, companion_000KK, its own estimate of the masses; and clusters.jsonl, one row per class and
K. The weights w_k of line 3 are computed from the counts when a student is trained (quantization/weights.py).
"""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..config.profile import Profile
from ..data.dataset import check_class_sizes
from ..errors import InputError
from ..priors.load import PRECISIONS
from ..processes import bar, world
from ..quantization.clvq import OnlineQuantizer, clvq, power_steps
from ..quantization.lloyd import best_of_restarts
from ..quantization.minibatch import d4m_minibatch, minibatch
from ..quantization.seeding import kmeans_plus_plus, random_samples
from ..quantization.voronoi import Quantizer
from ..randomness import numpy_rng
from ..store.artifacts import Artifact, Store, Workspace
from ..store.safe_files import open_tensors, read_tensors
from ..threads import threads
from .encode import Latents

QUANTIZER_KNOBS = ("seed", "quantizer", "n_restarts", "n_passes", "start")  # knobs that `quantize_class` uses
OFFLINE = ("lloyd", "stratified")  # quantizers that see all samples at once, from several starts


def cluster(
    store: Store, latents: Latents, profile: Profile, *, distill_seed: int,
    strata: Callable[[int], Int64[Tensor, " n"] | None] = lambda label: None,
) -> Artifact:  # fmt: skip
    """Algorithm 4, lines 2-3: quantize the latents of every class at every level K of the profile.

    All levels share one pass over the latents of a class, which are read, or encoded and not kept.

    Args:
        strata: for a class, the sub-population of every image; only a stratified codebook uses it.
    Raises:
        InputError: a level K above the size of a class, or latents that are not finite; a stratified codebook for a
            class without sub-populations, or with too few images in one.
    """
    classes, levels = latents.classes, levels_of(profile)
    check_class_sizes(classes, max(levels), f"ipc = {max(levels)}")

    def share(work: Workspace) -> None:
        for row in bar(world().my_share(classes), desc="cluster"):
            write = functools.partial(_write_class, latents, row["index"], strata, levels, profile, distill_seed)
            work.chunk(class_file(row["index"]), write)

    def build(work: Workspace) -> None:
        work.jsonl("clusters.jsonl", (r for row in classes for r in _summaries(work.path, row["index"], levels)))

    knobs = ["n_restarts"] if profile.quantizer in OFFLINE else ["n_passes", "start"]
    parameters = profile.keyed("seed", "quantizer", *knobs, "precision") | latents.parameters
    parameters |= {"levels": levels, "distill_seed": distill_seed}
    with threads(profile.threads):
        return store.make(
            "cluster", build, parameters=parameters, inputs=latents.inputs, modules=(__name__, *latents.modules),
            label=f"{profile.quantizer}-{distill_seed}", plan=profile.subset("threads"), share=share,
        )  # fmt: skip


def quantize_class(
    samples: Float[Tensor, "n d"], levels: list[int], *key: int, seed: int, quantizer: str, n_restarts: int,
    n_passes: int, start: str,
) -> list[Quantizer]:  # fmt: skip
    """The codebooks of one class, one for each level K, with draws keyed by (seed, step, *key).

    Args:
        n_restarts: starts of Lloyd's algorithm; the best is kept.
        n_passes: passes of an online quantizer over the samples.
        start: start of an online quantizer, `kmeans++` or `samples`.
    """
    if quantizer in OFFLINE:
        return best_of_restarts(samples, levels, n_restarts=n_restarts, rng=numpy_rng(seed, "cluster", *key))
    return [_online(samples, K, quantizer, n_passes, start, numpy_rng(seed, "cluster", *key, K)) for K in levels]


def quantize_strata(
    samples: Float[Tensor, "n d"], parts: Int64[Tensor, " n"], levels: list[int], *key: int, **knobs: int | str
) -> list[Quantizer]:
    """Codebooks of K / P points in each of the P parts of a class, one part after the other. A count is that of a cell
    within its part, so the masses of the parts, and not Lloyd's algorithm, determine the spread of the counts.

    Args:
        knobs: as in `quantize_class`.
    Raises:
        InputError: P does not divide a level K, or a part has fewer samples than points.
    """
    strata = [(p, samples[parts == p]) for p in parts.unique().tolist()]
    for K in levels:
        if K % len(strata):
            raise InputError(f"ipc = {K} is not a multiple of {len(strata)} sub-populations; change ipc or quantizer")
    each = [K // len(strata) for K in levels]
    for p, stratum in strata:
        if len(stratum) < max(each):
            raise InputError(f"{max(each)} points in sub-population {p}, which has {len(stratum)} images; lower ipc")
    found = [quantize_class(stratum, each, *key, p, **knobs) for p, stratum in strata]
    return [_joined(list(level)) for level in zip(*found, strict=True)]


def _joined(strata: list[Quantizer]) -> Quantizer:
    counts = torch.cat([q.counts for q in strata])
    n = int(counts.sum())
    distortion = sum(q.distortion * int(q.counts.sum()) for q in strata) / n
    return Quantizer(torch.cat([q.points for q in strata]), counts, counts / n, distortion, ())


def _online(
    samples: Float[Tensor, "n d"], K: int, quantizer: str, passes: int, start: str, rng: np.random.Generator
) -> Quantizer:
    if quantizer == "d4m":
        return d4m_minibatch(samples, K, rng)
    first = (random_samples if start == "samples" else kmeans_plus_plus)(samples, K, rng)
    if quantizer == "minibatch":
        return minibatch(samples, first, passes=passes, rng=rng)
    return clvq(samples, first, steps=power_steps(K), passes=passes, rng=rng)


def load_prototypes(prototypes: Artifact, ipc: int) -> tuple[Float[Tensor, "C K c h w"], Int64[Tensor, "C K"]]:
    """Prototypes and counts of every class at level K = ipc.

    Raises:
        InputError: that level was not made.
    """
    n_classes = len(list(prototypes.path.glob("class*.safetensors")))
    points = torch.stack([prototypes_of(prototypes, ipc, c) for c in range(n_classes)])
    return points, load_counts(prototypes, ipc)


def prototypes_of(prototypes: Artifact, ipc: int, label: int) -> Float[Tensor, "K c h w"]:
    """Prototypes of one class at level K = ipc; reads nothing else."""
    return _entry(prototypes, f"points_{ipc:05d}", ipc, label).float()


def load_counts(prototypes: Artifact, ipc: int) -> Int64[Tensor, "C K"]:
    """Counts of every class at level K = ipc."""
    n_classes = len(list(prototypes.path.glob("class*.safetensors")))
    return torch.stack([_entry(prototypes, f"counts_{ipc:05d}", ipc, c) for c in range(n_classes)])


def load_companion(prototypes: Artifact, ipc: int) -> Float[Tensor, "C K"]:
    """Masses of every class's cells at level K = ipc: an online quantizer's estimates, or else the exact ones."""
    counts = load_counts(prototypes, ipc)
    try:
        return torch.stack([_entry(prototypes, f"companion_{ipc:05d}", ipc, c) for c in range(len(counts))])
    except InputError:
        return counts / counts.sum(1, keepdim=True)


def _entry(prototypes: Artifact, name: str, ipc: int, label: int) -> Tensor:
    with open_tensors(prototypes.path / class_file(label)) as file:
        if name not in file.keys():  # noqa: SIM118 - it is no mapping
            raise InputError(f"no prototypes for ipc = {ipc} in {prototypes.path}; add {ipc} to ipc")
        return file.get_tensor(name)


def levels_of(profile: Profile) -> list[int]:
    """Every K on which a run of this profile trains."""
    return sorted({*profile.ipc, *(profile.hard_ipc if "hard" in profile.targets else [])})


def _write_class(
    latents: Latents, index: int, strata: Callable[[int], Int64[Tensor, " n"] | None], levels: list[int],
    profile: Profile, distill_seed: int, path: Path,
) -> None:  # fmt: skip
    Z, parts, knobs = latents.of_class(index), strata(index), profile.subset(*QUANTIZER_KNOBS)
    try:
        if profile.quantizer != "stratified":
            codebooks = quantize_class(Z.flatten(1), levels, distill_seed, index, **knobs)
        elif parts is None:
            raise InputError("quantizer = stratified needs super-classes; set superclasses")
        else:
            codebooks = quantize_strata(Z.flatten(1), parts, levels, distill_seed, index, **knobs)
    except InputError as error:
        raise InputError(f"latents of class {index}: {error}") from None
    tensors = {}
    for K, found in zip(levels, codebooks, strict=True):
        points = found.points.reshape(K, *Z.shape[1:])
        tensors |= level_entries(points.to(PRECISIONS[profile.precision]), found.counts)
        if isinstance(found, OnlineQuantizer):
            tensors[f"companion_{K:05d}"] = found.companion
        tensors[f"history_{K:05d}"] = torch.tensor([*found.history, found.distortion], dtype=torch.float64)
    safetensors.torch.save_file(tensors, path)


def _summaries(folder: Path, index: int, levels: list[int]) -> Iterator[dict]:
    """Rows of clusters.jsonl for one class, read from its file, whichever run wrote it."""
    tensors = read_tensors(folder / class_file(index))
    for K in levels:
        *history, distortion = tensors[f"history_{K:05d}"].tolist()
        counts = tensors[f"counts_{K:05d}"].tolist()
        yield {"class": index, "ipc": K, "distortion": distortion, "history": history, "counts": counts}


def class_file(index: int) -> str:
    """File of the prototypes of a class."""
    return f"class{index:05d}.safetensors"


def level_entries(points: Float[Tensor, "K c h w"], counts: Int64[Tensor, " K"]) -> dict[str, Tensor]:
    """The entries of one level in the file of a class: prototypes and counts by name."""
    return {f"points_{len(points):05d}": points.contiguous(), f"counts_{len(counts):05d}": counts.contiguous()}
