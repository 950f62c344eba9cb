"""A distilled set of real images chosen by a rule, and the features and errors that rules use."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ...data.dataset import check_class_sizes
from ...data.image_files import resized
from ...errors import InputError
from ...pipeline.distilled import DistilledDataset, write_image, write_metadata
from ...pipeline.teacher import EVALUATION_BATCH, fit_classifier, load_teacher
from ...store.artifacts import Artifact, Workspace
from ..method import MethodRun
from ..rded import tiled

# indices of the chosen training images of a class, and how many images each represents
Choice = Callable[[int], tuple[Int64[Tensor, " k"], Int64[Tensor, " k"]]]


def chosen_set(
    run: MethodRun, step: str, ipc: int, distill_seed: int, choice: Choice, *, inputs: list[Artifact], module: str,
    parameters: dict | None = None, factor: int = 1,
) -> DistilledDataset:  # fmt: skip
    """The chosen real images of every class with their counts.

    Args:
        step: of the artifact.
        inputs: other inputs of the rule, besides the images.
        module: the module that defines the rule.
        parameters: knobs of the rule.
        factor: a picture is tiled from factor x factor shrunken images; the rule chooses this many for each.
    Raises:
        InputError: a class has fewer images, or factor does not divide their side.
    """
    dataset, need = run.dataset, f"ipc = {ipc}" + (f" of {factor} x {factor} images each" if factor > 1 else "")
    check_class_sizes(dataset.sized_classes, ipc * factor**2, need)
    if dataset.image_size % factor:
        raise InputError(
            f"{factor} x {factor} images of a picture do not fill {dataset.image_size} pixels; change factor"
        )

    def build(work: Workspace) -> None:
        sources, counts = [], []
        for label in range(dataset.n_classes):
            kept, served = choice(label)
            shrunken = resized(dataset.train.images(kept), dataset.image_size // factor)
            for item, image in enumerate(tiled(shrunken, factor)):
                write_image(work, label, item, image)
            sources += [dataset.train.ids[i] for i in kept.tolist()]
            counts.append(served)
        write_metadata(work, dataset, counts, seed=distill_seed, sources=sources if factor == 1 else ())

    parameters = (parameters or {}) | {"ipc": ipc, "distill_seed": distill_seed, "classes": dataset.classes}
    return DistilledDataset(
        run.store.make(
            step, build, parameters=parameters, inputs=[dataset.key, *inputs], modules=(module,),
            label=f"ipc{ipc:03d}-seed{distill_seed}",
        )
    )  # fmt: skip


def feature_network(run: MethodRun, name: str, distill_seed: int) -> Artifact:
    """A network trained on all real training images by the teacher's recipe, one for each distillation."""
    return fit_classifier(run.store, run.dataset, run.profile, name, distill_seed)


def features_and_logits(
    network: nn.Module, images: Float[Tensor, "n C H W"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n classes"]]:
    """Inputs (features) and outputs (logits) of the last linear layer of a network, for normalised images.

    Raises:
        InputError: the network does not end in a linear layer.
    """
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise InputError(f"{type(network).__name__} has no linear layer to take features from; use a convnet")
    seen: list[Tensor] = []
    hook = linear[-1].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    try:
        logits = network(images)
    finally:
        hook.remove()
    return seen[0].flatten(1), logits


@torch.no_grad()
def class_features(
    run: MethodRun, network: Artifact, label: int
) -> tuple[Int64[Tensor, " n"], Float[Tensor, "n d"], Float[Tensor, "n classes"]]:
    """Indices of the training images of a class, their features and their logits, on the CPU."""
    model, index = load_teacher(network, run.profile.device), run.dataset.train.of_class(label)
    parts = []
    for rows in index.split(EVALUATION_BATCH):
        images = run.dataset.normalise(run.dataset.train.images(rows)).to(run.profile.device)
        parts.append([t.cpu() for t in features_and_logits(model, images)])
    features, logits = map(torch.cat, zip(*parts, strict=True))
    return index, features, logits


def last_layer_gradients(logits: Float[Tensor, "n C"], label: int) -> Float[Tensor, "n C"]:
    """Gradient of the cross-entropy with respect to the logits, softmax - one-hot; its norm is EL2N."""
    gradient = logits.softmax(1)
    gradient[:, label] -= 1
    return gradient
