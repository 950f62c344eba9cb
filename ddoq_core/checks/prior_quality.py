"""The quality of a prior: the error of its autoencoder, and the share of its images that the teacher recognises.

In: a prior and a teacher. Out: metrics.json with the mean squared error of reconstructed validation images, the share
of images from pure noise that the teacher assigns to their class, and the same share for real test images.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ..config.profile import Profile
from ..data.dataset import Dataset, Split
from ..finite import finite
from ..pipeline.synthesize import DENOISE_KNOBS, synthesize_images
from ..pipeline.teacher import load_teacher
from ..priors.load import KNOBS, GenerativePrior, load_prior, prior_modules
from ..processes import bar
from ..randomness import torch_rng
from ..store.artifacts import Artifact, Store, Workspace
from ..threads import threads

PER_CLASS = 50  # generated images of each class
BATCH = 100


def assess(store: Store, dataset: Dataset, prior: Artifact, teacher: Artifact, profile: Profile) -> Artifact:
    """Reconstruction error of the prior, and the teacher's recognition rate of its images in percent, with n."""

    def build(work: Workspace) -> None:
        model = load_prior(prior.path, **profile.subset(*KNOBS))
        recognised = _recognised(model, dataset, teacher, profile)
        split = dataset.validation if len(dataset.validation) else dataset.train
        work.json(
            "metrics.json",
            {
                "reconstruction_mse": _reconstruction_error(model, split, profile),
                "n_reconstructed": len(split),
                "recognised": 100 * recognised.float().mean().item(),
                "recognised_by_class": (100 * recognised.float().mean(1)).tolist(),
                "n_generated": recognised.numel(),
                "teacher_top1": teacher.json("metrics.json")["top1"],
                "n_test": len(dataset.test),
            },
        )

    parameters = profile.keyed("seed", "guidance_scale", "n_steps", "sampler", "resize", "precision", "negative_prompt")
    with threads(profile.threads):
        return store.make(
            "assess", build, parameters=parameters, inputs=[dataset.key, prior, teacher],
            modules=(__name__, *prior_modules(profile)), label=dataset.name, plan=profile.subset("threads", "device"),
        )  # fmt: skip


def reconstruction_errors(model: GenerativePrior, images: Float[Tensor, "b C H W"]) -> Float[Tensor, " b"]:
    """Error of the autoencoder on images in [0, 1]: mean squared error per pixel on [-1, 1]."""
    return (2 * (model.decode(model.encode(images)).cpu() - images)).square().mean((1, 2, 3))


def _reconstruction_error(model: GenerativePrior, split: Split, profile: Profile) -> float:
    """Mean of that error over a split, at the prior's size."""
    total = 0.0
    for rows in torch.arange(len(split)).split(BATCH):
        errors = reconstruction_errors(model, split.images(rows, model.image_size, profile.resize))
        total += finite(errors, lambda i, rows=rows: f"image {split.ids[rows[i]]}").sum().item()
    return total / len(split)


@torch.no_grad()
def _recognised(model: GenerativePrior, dataset: Dataset, teacher: Artifact, profile: Profile) -> torch.Tensor:
    """Bool [n_classes, PER_CLASS]: the teacher assigns an image from pure noise to its class."""
    network = load_teacher(teacher, profile.device)
    classes, knobs = model.embed(dataset.classes), profile.subset(*DENOISE_KNOBS)
    right = []
    for rows in bar(torch.arange(dataset.n_classes * PER_CLASS).split(BATCH), desc="assess"):
        noise = [torch_rng(profile.seed, "assess", *divmod(i, PER_CLASS)) for i in rows.tolist()]
        images = synthesize_images(model, None, classes[rows // PER_CLASS], noise, dataset.image_size, **knobs)
        finite(images, lambda i, rows=rows: f"image {rows[i] % PER_CLASS} of class {rows[i] // PER_CLASS}")
        right.append(network(dataset.normalise(images.to(profile.device))).argmax(1).cpu() == rows // PER_CLASS)
    return torch.cat(right).reshape(dataset.n_classes, PER_CLASS)
