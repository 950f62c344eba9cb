"""Trajectories of small networks on the real images: TESLA and MTT match them, and their early parts score examples.

Gradient descent without momentum, as published; the parameters of a network are one vector theta.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.func import functional_call

from ...config.profile import Profile
from ...data.dataset import Dataset
from ...errors import InputError
from ...networks.classifiers import make_network
from ...pipeline.teacher import affine_maps, moved
from ...processes import bar, world
from ...randomness import numpy_rng, torch_rng
from ...store.artifacts import Artifact, Store, Workspace
from ...store.safe_files import read_tensors
from ...threads import threads
from .siamese import augmented, drawn, families_of

EXPERT_BATCH = 50  # with the published 256, a small data set would have few steps
EXPERT_RATE = 0.01  # as published

Change = Callable[[Float[Tensor, "b C H W"]], Float[Tensor, "b C H W"]]  # of normalised images


def experts(store: Store, dataset: Dataset, profile: Profile, *, siamese: bool = False) -> Artifact:
    """Trajectories on the real training images: the parameters of a network after every epoch.

    One file per expert: `parameters` [epochs + 1, P], the first row before training.

    Args:
        siamese: augment by DSA, with a draw for each image, as published for MTT; otherwise by small affine maps.
    Raises:
        InputError: the network has running statistics, so a step changes more than its parameters.
    """
    if next(vector_network(dataset, profile).buffers(), None) is not None:
        raise InputError(
            f"tesla_network = {profile.tesla_network} has buffers (BatchNorm) besides its parameters, but TESLA "
            f"matches only parameters; set tesla_network=convnet-32"
        )
    step = "mtt_experts" if siamese else "tesla_experts"

    def share(work: Workspace) -> None:
        for expert in bar(world().my_share(range(profile.tesla_experts)), desc="experts"):
            work.chunk(_file(expert), lambda path, e=expert: save_file(_trajectory(dataset, profile, e, step), path))

    knobs = profile.keyed("seed", "flip", "tesla_network", "tesla_experts", "tesla_epochs")
    with threads(profile.threads):
        return store.make(
            step, share=share, parameters=knobs, inputs=[dataset.key], modules=(__name__,),
            label=profile.tesla_network, plan=profile.subset("threads", "device"),
        )  # fmt: skip


def trajectory(made: Artifact, expert: int) -> Float[Tensor, "epochs_and_1 P"]:
    """The parameters of one expert, epoch by epoch."""
    return read_tensors(made.path / _file(expert))["parameters"]


def vector_network(dataset: Dataset, profile: Profile) -> nn.Module:
    """The network of a trajectory, in evaluation mode, since dropout would draw from the global generator."""
    return _network(dataset, profile, torch_rng(0, "replaced"))


def vector_loss(
    network: nn.Module, dataset: Dataset, theta: Float[Tensor, " P"], images: Float[Tensor, "b C H W"],
    labels: Int64[Tensor, " b"], change: Change,
) -> Float[Tensor, ""]:  # fmt: skip
    """Cross-entropy of augmented images in [0, 1], for the network with the parameters theta."""
    return F.cross_entropy(called_with(network, theta, change(dataset.normalise(images))), labels)


def called_with(
    network: nn.Module, theta: Float[Tensor, " P"], images: Float[Tensor, "b C H W"]
) -> Float[Tensor, "b classes"]:
    """Logits of normalised images, for the network with the parameters theta."""
    own = dict(network.named_parameters())
    parts = theta.split([p.numel() for p in own.values()])
    state = {name: part.view_as(p) for (name, p), part in zip(own.items(), parts, strict=True)}
    return functional_call(network, state, (images,))


def _file(expert: int) -> str:
    return f"expert{expert:03d}.safetensors"


def _network(dataset: Dataset, profile: Profile, rng: torch.Generator) -> nn.Module:
    shape = (dataset.n_classes, dataset.channels, dataset.image_size)
    return make_network(profile.tesla_network, *shape, rng).to(profile.device).eval().requires_grad_(False)


def _trajectory(
    dataset: Dataset, profile: Profile, expert: int, step: str
) -> dict[str, Float[Tensor, "epochs_and_1 P"]]:
    key, n = (profile.seed, step, expert), len(dataset.train)
    network = _network(dataset, profile, torch_rng(*key, "init"))
    theta = nn.utils.parameters_to_vector(network.parameters())
    passed = [theta]
    for epoch in bar(range(profile.tesla_epochs), desc=f"expert {expert}", leave=False):
        rng = numpy_rng(*key, "epoch", epoch)
        order, maps = torch.from_numpy(rng.permutation(n)), affine_maps(n, profile.flip, rng)
        for rows in order.split(EXPERT_BATCH):
            images, labels = dataset.train.images(rows), dataset.train.labels[rows]
            if step == "mtt_experts":
                draw = drawn(rng, families_of(profile.flip), len(rows))
                change = lambda x, draw=draw: augmented(x, draw)  # noqa: E731
            else:
                change = lambda x, here=maps[rows]: moved(x, here.to(x))  # noqa: E731
            here = theta.requires_grad_()
            loss = vector_loss(network, dataset, here, images.to(profile.device), labels.to(profile.device), change)
            theta = here.detach() - EXPERT_RATE * torch.autograd.grad(loss, here)[0]
        passed.append(theta)
    return {"parameters": torch.stack(passed).detach().cpu()}
