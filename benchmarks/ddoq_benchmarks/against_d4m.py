"""`ddoq against-d4m`: time this pipeline against D4M's procedure, on the same prior and images.

D4M encodes the training set again for every IPC in batches of ten, runs scikit-learn's mini-batch k-means, stores
prototypes as JSON text, and denoises one image at a time, embedding its class in every call. Both procedures run here
in turn, in one process; the comparison is of seconds, and of the distortion of the codebooks.
"""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from ddoq_core.pipeline.cluster import QUANTIZER_KNOBS, levels_of, quantize_class
from ddoq_core.pipeline.distilled import write_image
from ddoq_core.pipeline.encode import ENCODE_KNOBS, encode_images
from ddoq_core.pipeline.synthesize import DENOISE_KNOBS, synthesize_images
from ddoq_core.priors.load import KNOBS, GenerativePrior, load_prior
from ddoq_core.quantization import distortion
from ddoq_core.randomness import numpy_rng, torch_rng
from ddoq_core.results.table import Column, Table
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Workspace
from ddoq_core.threads import threads

THEIR_BATCH = 10  # images in one of D4M's encoding batches

EncodedClasses = dict[int, Float[Tensor, "n c h w"]]  # by class
CodebooksByLevel = dict[tuple[int, int], Float[Tensor, "K c h w"]]  # by class and IPC


@dataclass(frozen=True)
class Stage:
    """Seconds of one stage with either procedure."""

    name: str
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        """D4M's time over this package's."""
        return self.theirs / self.ours


@dataclass(frozen=True)
class BesideD4M:
    """Seconds of all stages, our distortion over theirs (mean over classes and levels), and the run."""

    stages: tuple[Stage, ...]
    distortion: float
    n_images: int
    levels: tuple[int, ...]
    prior: str
    threads: int

    @property
    def whole(self) -> Stage:
        """All stages together."""
        return Stage("all", sum(s.ours for s in self.stages), sum(s.theirs for s in self.stages))


def beside_d4m(run: Run) -> BesideD4M:
    """Encode, cluster and synthesize at every IPC of a run, with this package's steps and with D4M's."""
    prior, levels = load_prior(run.prior.path, **run.profile.subset(*KNOBS)), levels_of(run.profile)
    with threads(run.profile.threads), tempfile.TemporaryDirectory() as folder:
        work = {name: Workspace(Path(folder) / name) for name in ("ours", "theirs")}
        encode = _timed(lambda: _encode(run, prior)), _timed(lambda: [_their_encode(run, prior, K) for K in levels])
        latents = encode[0][1]
        first = {0: latents[0]}  # once before the timing, to load compiled code
        _cluster(run, first, levels), _their_cluster(run, first, levels, Path(folder))
        cluster = (
            _timed(lambda: _cluster(run, latents, levels)),
            _timed(lambda: _their_cluster(run, latents, levels, Path(folder))),
        )
        books, theirs = cluster[0][1], cluster[1][1]
        synthesis = (
            _timed(lambda: [_synthesize(run, prior, books, K, work["ours"]) for K in levels]),
            _timed(lambda: [_their_synthesize(run, prior, theirs, K, work["theirs"]) for K in levels]),
        )
    pairs = zip(("encode", "cluster", "synthesize"), (encode, cluster, synthesis), strict=True)
    stages = tuple(Stage(name, ours[0], other[0]) for name, (ours, other) in pairs)
    ratios = [distortion(_flat(latents[c]), _flat(books[c, K])) / distortion(_flat(latents[c]), _flat(theirs[c, K]))
              for c, K in books]  # fmt: skip
    sizes = len(run.dataset.train), tuple(levels), run.profile.prior, run.profile.threads
    return BesideD4M(stages, float(np.mean(ratios)), *sizes)


def d4m_table(found: BesideD4M) -> Table:
    """One row per stage, and the whole."""
    columns = ("step", "seconds", "seconds, D4M's way", "ratio")
    return Table.of_rows(
        "Algorithm 4 beside D4M's way of working",
        (columns[0], *(Column(name, ".1f") for name in columns[1:]), Column("distortion, ours over theirs", ".3f")),
        [
            (stage.name, stage.ours, stage.theirs, stage.ratio, found.distortion if stage.name == "cluster" else None)
            for stage in (*found.stages, found.whole)
        ],
        (
            f"{found.n_images:,} images, IPC {', '.join(map(str, found.levels))}, prior = {found.prior}, "
            f"threads {found.threads}.",
        ),
    )


def _encode(run: Run, prior: GenerativePrior) -> EncodedClasses:
    split, knobs = run.dataset.train, run.profile.subset(*ENCODE_KNOBS)
    return {c: encode_images(prior, split, split.of_class(c), **knobs) for c in range(run.dataset.n_classes)}


def _their_encode(run: Run, prior: GenerativePrior, K: int) -> None:
    """One pass over all images in random order, in separate batches, for one IPC; the latents are not kept."""
    order = torch.from_numpy(numpy_rng(run.profile.seed, "d4m", "order", K).permutation(len(run.dataset.train)))
    for part in order.split(THEIR_BATCH):
        images = run.dataset.train.images(part, prior.image_size, run.profile.resize)
        prior.encode(images, [torch_rng(run.profile.seed, "d4m", K, i) for i in part.tolist()])


def _cluster(run: Run, latents: EncodedClasses, levels: list[int]) -> CodebooksByLevel:
    books, knobs = {}, run.profile.subset(*QUANTIZER_KNOBS)
    for c, Z in latents.items():
        for K, found in zip(levels, quantize_class(_flat(Z), levels, 0, c, **knobs), strict=True):
            books[c, K] = found.points.reshape(K, *Z.shape[1:])
    return books


def _their_cluster(run: Run, latents: EncodedClasses, levels: list[int], folder: Path) -> CodebooksByLevel:
    """scikit-learn's partial_fit on batches of K, and all prototypes of an IPC as one JSON text."""
    books = {}
    for K in levels:
        for c, Z in latents.items():
            model = MiniBatchKMeans(K, random_state=0, batch_size=K, n_init="auto")
            X = _flat(Z).numpy()
            for first in range(0, len(X) - K + 1, K):  # fewer than K remaining samples are dropped, as in D4M
                model.partial_fit(X[first : first + K])
            books[c, K] = torch.from_numpy(model.cluster_centers_).float().reshape(K, *Z.shape[1:])
        text = {str(c): books[c, K].tolist() for c in latents}
        (folder / f"{K}.json").write_text(json.dumps(text))
        json.loads((folder / f"{K}.json").read_text())  # the next script reads it
    return books


def _synthesize(run: Run, prior: GenerativePrior, books: CodebooksByLevel, K: int, work: Workspace) -> None:
    classes, knobs = prior.embed(run.dataset.classes), run.profile.subset(*DENOISE_KNOBS)
    points = torch.stack([books[c, K] for c in range(run.dataset.n_classes)]).flatten(0, 1)
    for part in torch.arange(len(points)).split(run.profile.synthesis_batch):
        noise = [torch_rng(run.profile.seed, "d4m", K, i) for i in part.tolist()]
        made = synthesize_images(prior, points[part], classes[part // K], noise, run.dataset.image_size, **knobs)
        for i, image in zip(part.tolist(), made, strict=True):
            write_image(work, i // K, 1000 * K + i % K, image)


def _their_synthesize(run: Run, prior: GenerativePrior, books: CodebooksByLevel, K: int, work: Workspace) -> None:
    size, knobs = run.dataset.image_size, run.profile.subset(*DENOISE_KNOBS)
    for c, row in enumerate(run.dataset.classes):
        for k in range(K):
            noise = [torch_rng(run.profile.seed, "d4m", K, c * K + k)]
            args = books[c, K][k : k + 1], prior.embed(run.dataset.classes)[[row["index"]]], noise
            write_image(work, c, 1000 * K + k, synthesize_images(prior, *args, size, **knobs)[0])


def _timed(work: Callable) -> tuple[float, object]:
    began = time.perf_counter()
    made = work()
    return time.perf_counter() - began, made


def _flat(latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    return latents.flatten(1)
