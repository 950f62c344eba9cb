"""Checks of a codebook and its distilled pictures, before students are trained on them.

In: latents, prototypes and distilled pictures of one IPC, the prior, the teacher. Out: classes.jsonl, one row per
class; and measured.json, the names of blank pictures and the teacher's accuracy. These are only numbers: `check_lines`
interprets them. One class is in memory at a time.
"""

import functools
import json
import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..config.profile import Profile
from ..data.dataset import Dataset, Split
from ..pipeline.cluster import prototypes_of
from ..pipeline.distilled import DistilledDataset, image_name, read_pixels
from ..pipeline.encode import Latents, StoredLatents, encode_images
from ..pipeline.teacher import load_teacher, predict
from ..priors.load import KNOBS, GenerativePrior, load_prior, prior_modules
from ..processes import bar, world
from ..quantization.voronoi import distortion, quantize
from ..randomness import numpy_rng
from ..store.artifacts import Artifact, Store, Workspace
from ..theory.transport import wasserstein2
from ..threads import threads
from .prior_quality import reconstruction_errors

CLASSES, MEASURED = "classes.jsonl", "measured.json"
FEW = 5  # images of a class to reconstruct
DRAWS = 5  # draws of K random training latents
LOOKED_AT = 20  # classes to measure if latents are not kept and have to be encoded again
ENTRIES = 1300 * 200  # largest transport plan; above it,
SUBSAMPLE = 500  # this many latents represent a class
ROUNDING = 1e-9  # rounding error of a distortion; the entries of a latent have about unit variance


def check(
    store: Store, dataset: Dataset, latents: Latents, prototypes: Artifact, distilled: DistilledDataset,
    prior: Artifact, teacher: Artifact, profile: Profile, *, ipc: int, distill_seed: int,
) -> Artifact:  # fmt: skip
    """Reconstruction, recognition, blank pictures, distortion, and W_2 to the training latents.

    The teacher sees every distilled picture. The rest is measured on all classes, or on 20 drawn by key if latents are
    not kept. An interrupted check resumes at the same class.
    """

    def share(work: Workspace) -> None:
        model, network = load_prior(prior.path, **profile.subset(*KNOBS)), load_teacher(teacher, profile.device)
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
                again = encode_images(  # the posterior's mean
                    model, pictures, torch.arange(ipc), seed=profile.seed, resize=profile.resize
                )
                row |= _distances(latents.of_class(c), prototypes_of(prototypes, ipc, c), again, c, profile)
            path.write_text(json.dumps(row))

        for entry in bar(world().my_share(dataset.classes), desc=f"check ipc {ipc}"):
            work.chunk(_file(entry["index"]), functools.partial(write, entry))

    def build(work: Workspace) -> None:
        files = [_file(c) for c in range(dataset.n_classes)]
        rows = [json.loads((work.path / file).read_text()) for file in files]
        work.jsonl(CLASSES, rows)
        blank = distilled.artifact.json("blank.json")
        work.json(MEASURED, {"blank": blank, "teacher_top1": teacher.json("metrics.json")["top1"]})
        for file in files:
            work.discard(file)

    parameters = profile.keyed("seed", "resize", "precision") | latents.parameters
    with threads(profile.threads):
        return store.make(
            "check", build, parameters=parameters | {"ipc": ipc, "distill_seed": distill_seed},
            inputs=[dataset.key, prior, teacher, prototypes, distilled.artifact, *latents.inputs],
            modules=(__name__, *prior_modules(profile)), label=f"ipc{ipc:03d}-seed{distill_seed}",
            plan=profile.subset("threads", "device"), share=share,
        )  # fmt: skip


def _file(index: int) -> str:
    return f"class{index:05d}.json"


def _measured_classes(latents: Latents, n_classes: int, profile: Profile) -> set[int]:
    """All classes, or 20 drawn by key if latents have to be encoded again."""
    if isinstance(latents, StoredLatents):
        return set(range(n_classes))
    return set(numpy_rng(profile.seed, "check", "classes").permutation(n_classes)[:LOOKED_AT].tolist())


def _pictures(distilled: DistilledDataset, dataset: Dataset, label: int, ipc: int) -> Split:
    """The distilled pictures of one class; reads nothing else."""
    names = [image_name(label, item) for item in range(ipc)]
    pixels = torch.stack([read_pixels(distilled.artifact.path / name) for name in names])
    return Split(torch.full((ipc,), label), names, pixels, dataset.image_size)


def _reconstruction(model: GenerativePrior, dataset: Dataset, label: int, profile: Profile) -> dict:
    """Mean squared error for a few images of a class, from validation if possible; and the error of a flat colour."""
    split = dataset.validation if len(dataset.validation.of_class(label)) else dataset.train
    images = split.images(split.of_class(label)[:FEW], model.image_size, profile.resize)
    flat = (2 * (images - images.mean((2, 3), keepdim=True))).square().mean().item()
    error = reconstruction_errors(model, images).mean().item()
    error = error if math.isfinite(error) else None
    return {"n_reconstructed": len(images), "reconstruction": error, "flat": flat}


def _distances(
    latents: Float[Tensor, "n c h w"], prototypes: Float[Tensor, "K c h w"], pictures: Float[Tensor, "K c h w"],
    label: int, profile: Profile,
) -> dict:  # fmt: skip
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
