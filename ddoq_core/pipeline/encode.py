"""Algorithm 4, line 1: the latent variables Z = E(T), one file per class.

In: a data set and a prior. Out: latents/class00000.safetensors with {"latents": [n_c, c, h, w] float32,
"index": [n_c] int64 (into the training part)}, all images of the class, none dropped; and classes.json.
"""

import safetensors.torch
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from tqdm import tqdm

from ..errors import InputError
from ..keys import torch_rng
from ..profile import Profile
from ..store import Artifact, Store, Workspace
from .datasets import Dataset
from .plan import threads
from .prior import GenerativePrior, load_prior

BATCH = 50  # images encoded together; part of the plan


def encode(store: Store, dataset: Dataset, prior: Artifact, profile: Profile) -> Artifact:
    """Algorithm 4, line 1: Z = E(T), the posterior's mean of every training image, or a keyed draw (encode_sample).

    Raises:
        InputError: the prior is made for images of another size or number of channels.
    """

    def build(work: Workspace) -> None:
        model = load_prior(prior.path, profile.device)
        check_fit(model, dataset)
        for c in tqdm(range(dataset.n_classes), desc="encode", disable=None):
            index = dataset.train.of_class(c)
            work.chunk(
                f"latents/class{c:05d}.safetensors",
                lambda path, index=index: safetensors.torch.save_file(
                    {"latents": encode_images(model, dataset, index, profile), "index": index}, path
                ),
            )
        work.json("classes.json", [row | {"n": len(dataset.train.of_class(row["index"]))} for row in dataset.classes])

    sample = {"seed": profile.seed} if profile.encode_sample else None
    with threads(profile.threads):
        return store.make(
            "encode", build, parameters={"sample": sample}, inputs=[dataset.key, prior],
            modules=("ddoq_core.pipeline.encode",), label=dataset.name, plan=profile.pick("threads", "device"),
        )  # fmt: skip


def encode_images(
    prior: GenerativePrior, dataset: Dataset, index: Int64[Tensor, " n"], profile: Profile, batch: int = BATCH
) -> Float[Tensor, "n c h w"]:
    """Latents of training images; a drawn one has its image's own noise, whatever the batch."""
    latents = []
    for part in index.split(batch):
        rng = [torch_rng(profile.seed, "encode", i) for i in part.tolist()] if profile.encode_sample else None
        latents.append(prior.encode(dataset.train.images(part), rng).cpu())
    return torch.cat(latents)


def check_fit(prior: GenerativePrior, dataset: Dataset) -> None:
    """Say whether a prior can encode a data set.

    Raises:
        InputError: another number of channels, or another image size.
    """
    size = prior.image_size
    if prior.channels != dataset.channels:
        raise InputError(
            f"the prior has {prior.channels} image channels, but {dataset.name} has {dataset.channels}; mend prior_path"
        )
    if size != dataset.image_size:
        raise InputError(
            f"the prior makes images of {size} pixels, but image_size = {dataset.image_size}; set image_size={size}"
        )
