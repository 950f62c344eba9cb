"""The teacher: a classifier of the real images, whose logits become the soft labels.

In: a data set. Out: an artifact with config.json, model.safetensors and metrics.json (validation and test accuracy; the
test images are used once, after the last epoch). `fit_classifier` is the recipe; the row `full` trains its students
with it.
"""

import base64
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..config.profile import Profile
from ..data.dataset import Dataset, Split
from ..data.imagenet import IMAGENET_MEAN, IMAGENET_STD, imagenet_classes
from ..errors import InputError
from ..networks.classifiers import check_network, make_network, torchvision_classifiers
from ..networks.fitting import BatchLoss, Recipe, train_network
from ..processes import ALONE, Processes
from ..randomness import numpy_rng, torch_rng
from ..store.artifacts import Artifact, Store, Workspace
from ..store.manifest import sha256_of
from ..store.safe_files import read_tensors
from ..threads import threads

RECIPE = Recipe(batch=50, rate=4e-3, warm_up=0.2, decay=0.05)
EVALUATION_BATCH = 100  # a larger batch would leave the processor's cache
SMOOTHING = 0.05
SHIFT = 1 / 16  # largest shift, as a share of the side
SCALE = 0.15  # largest change of scale
PRETRAINED = "pretrained"  # the teacher_path that means torchvision's weights
PUBLISHED_IMAGES, PUBLISHED_MARGIN = 50_000, 0.1  # ImageNet's validation part; points, since image decoders differ
HERE = ("ddoq_core.pipeline.teacher",)
NORMALISATIONS = {"imagenet": (IMAGENET_MEAN, IMAGENET_STD), "half": ((0.5,), (0.5,)), "none": ((0.0,), (1.0,))}


class Renormalised(nn.Module):
    """A network trained with another mean and deviation of the channels than the data set's images have."""

    def __init__(self, network: nn.Module, data: dict, weights: dict) -> None:
        super().__init__()
        mean, std, own_mean, own_std = (
            torch.tensor(of[name])[:, None, None] for of in (data, weights) for name in ("mean", "std")
        )
        self.network = network
        self.register_buffer("scale", std / own_std, persistent=False)
        self.register_buffer("shift", (mean - own_mean) / own_std, persistent=False)

    def forward(self, images: Float[Tensor, "b C H W"]) -> Float[Tensor, "b classes"]:
        """Logits of images that are normalised as in the data set."""
        return self.network(images * self.scale + self.shift)


def teacher(store: Store, dataset: Dataset, profile: Profile) -> Artifact:
    """The classifier Psi of Algorithm 4: trained here, or torchvision's weights, or your own state dict.

    Raises:
        InputError: an unknown architecture; a teacher_path that is missing or does not fit.
    """
    if not profile.teacher_path:
        return fit_classifier(store, dataset, profile, profile.teacher, 0)
    check_network(profile.teacher)
    source = Path(profile.teacher_path)
    given = "torchvision" if profile.teacher_path == PRETRAINED else sha256_of(source) if source.is_file() else ""
    recipe = {"network": profile.teacher, "epochs": 0, "learning_rate": None, "given": given}
    if profile.teacher_normalisation != "data":
        mean, std = NORMALISATIONS[profile.teacher_normalisation]
        recipe["weights"] = {"mean": mean, "std": std}

    def build(work: Workspace) -> None:
        _finish(work, _given_weights(dataset, profile), dataset, profile, recipe)

    with threads(profile.threads):
        return store.make(
            "teacher", build, parameters=recipe, inputs=[dataset.key], modules=HERE, label=profile.teacher,
            plan=profile.subset("threads", "device"),
        )  # fmt: skip


def fit_classifier(store: Store, dataset: Dataset, profile: Profile, network_name: str, seed: int) -> Artifact:
    """Train a network on all real training images and their labels; `seed` distinguishes repetitions.

    AdamW, a linear warm-up and a cosine decay of the rate, label smoothing, small shifts and changes of scale, and
    mirrored images if the profile has `flip`. The result is the network after the last epoch.
    """
    check_network(network_name)
    key = (profile.seed, "classifier", network_name, seed)
    recipe = {
        "network": network_name,
        "epochs": profile.teacher_epochs,
        "flip": profile.flip,
        "seed": [profile.seed, seed],
    }

    def build(work: Workspace) -> None:
        shape = (dataset.n_classes, dataset.channels, dataset.image_size)
        network = make_network(network_name, *shape, torch_rng(*key, "init")).to(profile.device)
        _train(work, network, dataset, profile, key)
        _finish(work, network, dataset, profile, recipe | {"learning_rate": RECIPE.rate})

    with threads(profile.threads):
        return store.make(
            "teacher", build, parameters=recipe, inputs=[dataset.key], modules=HERE, label=network_name,
            plan=profile.subset("threads", "device"),
        )  # fmt: skip


def load_teacher(artifact: Artifact, device: str = "cpu") -> nn.Module:
    """The network of a teacher artifact in evaluation mode: normalised images in, logits out."""
    config = artifact.json("config.json")
    shape = (config["n_classes"], config["channels"], config["image_size"])
    network = make_network(config["network"], *shape, torch_rng(0, "replaced"))
    network.load_state_dict(read_tensors(artifact.path / "model.safetensors"))
    if "weights" in config:
        network = Renormalised(network, config, config["weights"])
    return network.to(device).eval()


@torch.no_grad()
def predict(
    network: nn.Module, dataset: Dataset, split: Split, device: str = "cpu", processes: Processes = ALONE
) -> Float[Tensor, "n C"]:
    """Logits of every image of a split, on the CPU; the `processes` share the work, and each gets all logits."""
    network.eval()
    chunks = torch.arange(len(split)).split(EVALUATION_BATCH)
    mine = [network(dataset.normalise(split.images(i).to(device))).float().cpu() for i in processes.my_share(chunks)]
    return torch.cat(processes.together(processes.gathered(mine)))


def accuracy(logits: Float[Tensor, "n C"], labels: Int64[Tensor, " n"]) -> dict:
    """top1 and top5 in percent, their n, and which images were right (base64 of a bit set in image order)."""
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices
    hits = best[:, 0] == labels
    within = (best == labels[:, None]).any(1)
    return {
        "top1": 100 * hits.double().mean().item(),
        "top5": 100 * within.double().mean().item(),
        "n_test": len(labels),
        "hits": base64.b64encode(np.packbits(hits.numpy()).tobytes()).decode(),
    }


def _train(work: Workspace, network: nn.Module, dataset: Dataset, profile: Profile, key: tuple) -> None:
    n = len(dataset.train)

    def loss_of(epoch: int) -> BatchLoss:
        maps = affine_maps(n, profile.flip, numpy_rng(*key, "augment", epoch))

        def loss(rows: Tensor) -> Float[Tensor, ""]:
            images = moved(dataset.normalise(dataset.train.images(rows)), maps[rows])
            logits = network(images.to(profile.device))
            return nn.functional.cross_entropy(
                logits, dataset.train.labels[rows].to(profile.device), label_smoothing=SMOOTHING
            )

        return loss

    train_network(work, network, loss_of, n, RECIPE, epochs=profile.teacher_epochs, name="classifier", key=key)
    work.discard("classifier.pt")


def affine_maps(n: int, flip: bool, rng: np.random.Generator) -> Float[Tensor, "n 2 3"]:
    """A shift and a change of scale for each training image (row = its index), mirrored half the time if `flip`."""
    draws = rng.random((n, 5), dtype=np.float32)
    maps = np.zeros((n, 2, 3), dtype=np.float32)
    scales = 1 + SCALE * (2 * draws[:, :2] - 1)
    maps[:, 0, 0], maps[:, 1, 1] = scales.T
    maps[:, :, 2] = 2 * SHIFT * (2 * draws[:, 2:4] - 1)
    if flip:
        maps[:, 0, 0] *= np.where(draws[:, 4] < 0.5, -1, 1)
    return torch.from_numpy(maps)


def moved(images: Float[Tensor, "b C H W"], maps: Float[Tensor, "b 2 3"]) -> Float[Tensor, "b C H W"]:
    grid = nn.functional.affine_grid(maps, list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _finish(work: Workspace, network: nn.Module, dataset: Dataset, profile: Profile, recipe: dict) -> None:
    """Write the weights, the configuration, and the accuracy on the validation and the test images."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    work.replace("model.safetensors", lambda path: safetensors.torch.save_file(tensors, path))
    shape = {"n_classes": dataset.n_classes, "channels": dataset.channels, "image_size": dataset.image_size}
    config = recipe | shape | {"mean": dataset.mean, "std": dataset.std}
    work.json("config.json", config)
    if "weights" in recipe:
        network = Renormalised(network, config, recipe["weights"]).to(profile.device)
    metrics = accuracy(predict(network, dataset, dataset.test, profile.device), dataset.test.labels)
    metrics |= {"epochs": recipe["epochs"], "learning_rate": recipe["learning_rate"], "validation_top1": None}
    if len(dataset.validation):
        logits = predict(network, dataset, dataset.validation, profile.device)
        metrics["validation_top1"] = accuracy(logits, dataset.validation.labels)["top1"]
    work.json("metrics.json", metrics)


def _given_weights(dataset: Dataset, profile: Profile) -> nn.Module:
    """The architecture with torchvision's ImageNet weights, or with the state dict of a file."""
    network = make_network(
        profile.teacher, dataset.n_classes, dataset.channels, dataset.image_size, torch_rng(0, "replaced")
    )
    network = network.to(profile.device)
    if profile.teacher_path == PRETRAINED:
        state = _torchvision_weights(dataset, profile.teacher)
    else:
        state = _read_state(Path(profile.teacher_path))
    state = _rows_of_classes(state, network, dataset)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:300]
        raise InputError(
            f"{profile.teacher_path} does not fit {profile.teacher} with {dataset.n_classes} classes: {detail}"
        ) from error
    return network


def _torchvision_weights(dataset: Dataset, name: str) -> dict:
    """Torchvision's default weights, for all thousand classes."""
    known = imagenet_classes()
    strangers = [c for c in dataset.class_ids if c not in known]
    if name not in torchvision_classifiers() or strangers or dataset.mean != IMAGENET_MEAN:
        found = f"class {strangers[0]} is not one of them" if strangers else f"teacher = {name}"
        raise InputError(
            f"teacher_path = pretrained needs a classifier of torchvision and an imagefolder of ImageNet's classes, "
            f"named by their wnids, but {found}; leave teacher_path empty to train the teacher"
        )
    from torchvision import models

    return models.get_model_weights(name).DEFAULT.get_state_dict(check_hash=True, weights_only=True)


def published_comparison(artifact: Artifact, dataset: Dataset, profile: Profile) -> str:
    """The accuracy of torchvision's weights on ImageNet's test images here, compared with the published one.

    Raises:
        InputError: another network, other images, a test other than torchvision's, or another accuracy.
    """
    from torchvision import models

    if profile.teacher_path != PRETRAINED:
        raise InputError("--published is for torchvision's own weights; set teacher_path=pretrained")
    weights = models.get_model_weights(profile.teacher).DEFAULT
    shown, metrics = weights.transforms.keywords, artifact.json("metrics.json")
    seen = {"image_size": shown["crop_size"], "test_crop": shown["crop_size"] / shown.get("resize_size", 256)}
    for name, value in seen.items():
        if abs(getattr(profile, name) - value) > 1e-3:
            raise InputError(f"{name} = {getattr(profile, name)}, but torchvision scored {weights} at {value:.4g}")
    if (dataset.n_classes, metrics["n_test"]) != (len(imagenet_classes()), PUBLISHED_IMAGES):
        found = f"{dataset.n_classes} classes and {metrics['n_test']:,} test images"
        raise InputError(f"{found}, but torchvision scored its weights on the {PUBLISHED_IMAGES:,} of all classes")
    published = weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    line = f"top-1 {metrics['top1']:.2f} %, and {published:.2f} % published by torchvision for {weights}"
    if abs(metrics["top1"] - published) > PUBLISHED_MARGIN:
        raise InputError(f"{line}; they differ by more than {PUBLISHED_MARGIN}: check the images and their classes")
    return line


def _rows_of_classes(state: dict, network: nn.Module, dataset: Dataset) -> dict:
    """The rows of a last layer of ImageNet's thousand classes for the data set's classes, if these are a known part."""
    known, own = imagenet_classes(), network.state_dict()
    if not all(c in known for c in dataset.class_ids):
        return state
    rows = [known[c].index for c in dataset.class_ids]
    whole = {name for name, t in state.items() if t.ndim and len(t) == len(known)}
    whole = {name for name in whole if name in own and len(own[name]) == len(rows)}
    return {name: tensor[rows] if name in whole else tensor for name, tensor in state.items()}


def _read_state(path: Path) -> dict:
    if not path.is_file():
        raise InputError(f"no file {path}; set teacher_path to a state dict (.safetensors, or .pt), or to 'pretrained'")
    try:
        if path.suffix == ".safetensors":
            return read_tensors(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise their own kinds of errors for a file in another format
        raise InputError(
            f"{path} is not a state dict ({' '.join(str(error).split())[:200]}); save one with safetensors"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise InputError(f"{path} is not a state dict of tensors; save model.state_dict()")
    return state
