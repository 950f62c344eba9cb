"""Is the run right? What a codebook and its distilled pictures should look like, before students are trained on them.

In: latents, prototypes and distilled pictures of one IPC, the prior, the teacher. Out: check.json, one `Fact` by name
for each thing measured (facts.py); and classes.jsonl, one row per class. One class is in memory at a time.
"""

import functools
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..keys import numpy_rng
from ..processes import bar, here
from ..profile import Profile
from ..quantization.voronoi import distortion, quantize
from ..store import Artifact, Store, Workspace
from ..theory.transport import wasserstein2
from .assess import reconstruction_errors
from .cluster import prototypes_of
from .datasets import Dataset, Split
from .distilled import DistilledDataset, image_name, read_pixels
from .encode import PassingLatents, StoredLatents, encode_images
from .facts import summary
from .plan import threads
from .prior import KNOBS, GenerativePrior, load_prior
from .teacher import load_teacher, predict

FEW = 5  # images of a class that are reconstructed
DRAWS = 5  # of K random training latents
LOOKED_AT = 20  # classes, where latents are not kept and so are encoded again
ENTRIES = 1300 * 200  # of a transport plan; where there would be more,
SUBSAMPLE = 500  # so many latents stand for a class
ROUNDING = 1e-9  # of a distortion; a number of a latent has about unit variance


def check(
    store: Store,
    dataset: Dataset,
    latents: StoredLatents | PassingLatents,
    prototypes: Artifact,
    distilled: DistilledDataset,
    prior: Artifact,
    teacher: Artifact,
    profile: Profile,
    *,
    ipc: int,
    distill_seed: int,
) -> Artifact:
    """Reconstruction, recognition, blank pictures, distortion, and W_2 to the training latents, with what is healthy.

    Every distilled picture is shown to the teacher. The rest is measured on all classes, or, where latents are not
    kept, on 20 drawn by key. An interrupted check goes on with the class where it was.
    """

    def share(work: Workspace) -> None:
        model, network = load_prior(prior.path, **profile.pick(*KNOBS)), load_teacher(teacher, profile.device)
        measured = _measured_classes(latents, dataset.n_classes, profile)
        blank = set(distilled.artifact.json("blank.json"))

        def write(entry: dict, path: Path) -> None:
            c = entry["index"]
            pictures = _pictures(distilled, dataset, c, ipc)
            right = (predict(network, dataset, pictures, profile.device).argmax(1) == c).sum().item()
            row = {"class": c, "name": entry["name"], "directory": entry["directory"], "n_pictures": ipc}
            row |= {"recognised": 100 * right / ipc, "blank": len(blank & set(pictures.ids))}
            if c in measured:
                row |= _reconstruction(model, dataset, c, profile)
                again = _encoded_again(model, dataset, pictures, profile)
                row |= _distances(latents.of_class(c), prototypes_of(prototypes, ipc, c), again, c, profile)
            path.write_text(json.dumps(row))

        for entry in bar(here().mine(dataset.classes), desc=f"check ipc {ipc}"):
            work.chunk(_file(entry["index"]), functools.partial(write, entry))

    def build(work: Workspace) -> None:
        files = [_file(c) for c in range(dataset.n_classes)]
        rows = [json.loads((work.path / file).read_text()) for file in files]
        work.jsonl("classes.jsonl", rows)
        facts = summary(rows, distilled.artifact.json("blank.json"), teacher.json("metrics.json")["top1"])
        work.json("check.json", {name: asdict(fact) for name, fact in facts.items()})
        for file in files:
            work.discard(file)

    parameters = profile.pick("seed", "resize", "precision") | latents.parameters
    with threads(profile.threads):
        return store.make(
            "check", build, parameters=parameters | {"ipc": ipc, "distill_seed": distill_seed},
            inputs=[dataset.key, prior, teacher, prototypes, distilled.artifact, *latents.inputs],
            modules=(__name__,), label=f"ipc{ipc:03d}-seed{distill_seed}", plan=profile.pick("threads", "device"),
            share=share,
        )  # fmt: skip


def _file(index: int) -> str:
    return f"class{index:05d}.json"


def _measured_classes(latents: StoredLatents | PassingLatents, n_classes: int, profile: Profile) -> set[int]:
    """All classes, or 20 drawn by key where latents are encoded again."""
    if isinstance(latents, StoredLatents):
        return set(range(n_classes))
    return set(numpy_rng(profile.seed, "check", "classes").permutation(n_classes)[:LOOKED_AT].tolist())


def _pictures(distilled: DistilledDataset, dataset: Dataset, label: int, ipc: int) -> Split:
    """The distilled pictures of one class, nothing else being read."""
    names = [image_name(label, item) for item in range(ipc)]
    pixels = torch.stack([read_pixels(distilled.artifact.path / name) for name in names])
    return Split(torch.full((ipc,), label), names, pixels, dataset.image_size)


def _reconstruction(model: GenerativePrior, dataset: Dataset, label: int, profile: Profile) -> dict:
    """Mean squared error of a few images of a class, validation images if it has any; and that of one flat colour."""
    split = dataset.validation if len(dataset.validation.of_class(label)) else dataset.train
    images = split.images(split.of_class(label)[:FEW], model.image_size, profile.resize)
    flat = (2 * (images - images.mean((2, 3), keepdim=True))).square().mean().item()
    errors = reconstruction_errors(model, images)
    return {"n_reconstructed": len(images), "reconstruction": _finite(errors.mean().item()), "flat": flat}


def _encoded_again(
    model: GenerativePrior, dataset: Dataset, pictures: Split, profile: Profile
) -> Float[Tensor, "K c h w"]:
    """Latents of distilled pictures, as training images are encoded, but always the posterior's mean."""
    index = torch.arange(len(pictures))
    return encode_images(model, replace(dataset, train=pictures), index, profile.but(encode_sample=False))


def _distances(
    latents: Float[Tensor, "n c h w"],
    prototypes: Float[Tensor, "K c h w"],
    pictures: Float[Tensor, "K c h w"],
    label: int,
    profile: Profile,
) -> dict:
    """Distortion of a codebook and of K random latents; W_2 from the latents to the codebook and to the pictures.

    With cell masses W_2 is the root of the distortion (Proposition 2). All three W_2 are to the same latents.
    """
    Z, x, y = latents.flatten(1), prototypes.flatten(1), pictures.flatten(1)
    (n, K), rng = (len(Z), len(x)), numpy_rng(profile.seed, "check", len(x), label)
    codebook = quantize(Z, x)
    random = np.mean([distortion(Z, Z[rng.permutation(n)[:K]]) for _ in range(DRAWS)]).item()
    kept = Z if n * K <= ENTRIES else Z[np.sort(rng.permutation(n)[:SUBSAMPLE])]
    even = torch.full((K,), 1 / K, dtype=torch.float64)
    return {
        "n_latents": n,
        "distortion": codebook.distortion,
        "random_distortion": random,
        "ratio": codebook.distortion / max(random, ROUNDING),
        "n_transported": len(kept),
        "W2_codebook": math.sqrt(distortion(kept, x)),
        "W2_uniform": wasserstein2(x, even, kept),
        "W2_pictures": wasserstein2(y, codebook.weights, kept) if y.isfinite().all() else None,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
