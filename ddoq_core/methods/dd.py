"""Dataset distillation, DD (Wang et al., 2018): images and rates, learned through the steps that train a network.

min E L_real(theta_T) over images and rates, theta_(t+1) = theta_t - eta_t grad l(x_(t mod S), theta_t): S sets of one
image of each class are shown in order, E times, each step with its own rate, from newly drawn networks. These T = S E
steps are the whole training of the student; with another schedule the images do badly. The gradient is the exact one of
the unrolled training. As published: E = 3, images from N(0, 1), rates from 0.02 through a softplus, Adam with betas
(0.5, 0.999) and a rate halved after every tenth of the steps, 1,024 real images, networks by Xavier's normal law
without biases. Different in the publication: 400 epochs (23,600 steps on MNIST) at 0.01 with LeNet; see the knobs. Adam
moves every number by at most its rate in a step, so a run of fewer steps needs a larger rate: with 0.01 the student's
rates would stay near their start, and it would learn nothing. With `dd_known` the network is always the same.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..config.profile import NETWORK, Profile, knob
from ..data.dataset import Dataset
from ..errors import InputError
from ..pipeline.distilled import DistilledDataset
from ..pipeline.train_student import LEARNED_LABELS
from ..randomness import torch_rng
from ..store.artifacts import Workspace
from .account import NETWORK_WEIGHT, Account, Cost
from .method import Method, MethodRun, SetSize
from .shared.evaluation import fitting
from .shared.learned import Learned, RealBatches, descend, floats_of, fresh_network, keyed, learned_set, pixels_of
from .shared.trajectories import called_with
from .shared.unroll import End, PartsLoss, unrolled

PASSES, REAL = 3, 1024
FIRST_RATE, BETAS = 0.02, (0.5, 0.999)
UNROLLED = 4  # cost of a step with its gradient, in units of training on an image


class Knobs:
    """The network, and the length and rate of the learning."""

    dd_network: str = knob("convnet-32", "network that DD trains", like=NETWORK, since="0.2")
    dd_steps: int = knob(1000, "optimisation steps for images and rates (DD)", low=1, since="0.2")
    dd_rate: float = knob(0.1, "Adam's first rate on images and rates (DD)", low=0.0, since="0.2")
    dd_known: bool = knob(False, "start every training from one network, which is also the student's (DD)", since="0.2")


def step_loss(network: nn.Module, labels: Tensor, ipc: int) -> PartsLoss:
    """The loss of step i: of set i mod ipc, one image of each class."""
    return lambda theta, parts, i: F.cross_entropy(
        called_with(network, theta, parts[0][i % ipc :: ipc]), labels[i % ipc :: ipc]
    )


def loss_on(network: nn.Module, images: Float[Tensor, "n C H W"], labels: Tensor) -> End:
    """The objective of the training: the loss on normalised real images."""

    def end(theta: Float[Tensor, " P"]) -> tuple[float, Float[Tensor, " P"]]:
        here = theta.detach().requires_grad_()
        loss = F.cross_entropy(called_with(network, here, images), labels)
        return loss.item(), torch.autograd.grad(loss, here)[0]

    return end


def _start(run: MethodRun, key: tuple, t: int) -> Float[Tensor, " P"]:
    p = run.profile
    key = known_key(p) if p.dd_known else (*key, "network", t)
    network = by_xavier(fresh_network(run, p.dd_network, *key), torch_rng(*key, "xavier"))
    return nn.utils.parameters_to_vector(network.parameters()).detach()


@torch.no_grad()
def by_xavier(network: nn.Module, rng: torch.Generator) -> nn.Module:
    """The same network with new weights: kernels and matrices by Xavier's normal law, biases 0; norms stay."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            weight = nn.init.xavier_normal_(torch.empty(layer.weight.shape), generator=rng)
            layer.weight.copy_(weight)
            if layer.bias is not None:
                layer.bias.zero_()
    return network


def known_key(profile: Profile) -> tuple:
    """Key of the one network that every training starts from, if it is known."""
    return profile.seed, "dd", "known"


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    p, data = run.profile, run.dataset

    def learn(work: Workspace, key: tuple) -> Learned:
        real = RealBatches(data, p.device)
        network = fresh_network(run, p.dd_network, 0, "replaced").eval().requires_grad_(False)
        if next(network.buffers(), None) is not None:
            raise InputError(
                f"dd_network = {p.dd_network} has buffers (BatchNorm), which cannot be unrolled; use a convnet"
            )
        shape = (data.n_classes * ipc, data.channels, data.image_size, data.image_size)
        images = torch.randn(shape, generator=torch_rng(*key, "images")).to(p.device)
        labels = torch.arange(data.n_classes, device=p.device).repeat_interleave(ipc)
        raw = torch.full((PASSES * ipc,), FIRST_RATE, device=p.device).expm1().log()  # softplus gives the rates
        optimiser = torch.optim.Adam([images, raw], lr=p.dd_rate, betas=BETAS)

        def step(t: int) -> float:
            for group in optimiser.param_groups:
                group["lr"] = p.dd_rate / 2 ** (10 * t // p.dd_steps)
            end = loss_on(network, *real.mixed(REAL, keyed(key, t)))
            found = unrolled(step_loss(network, labels, ipc), (images,), F.softplus(raw), _start(run, key, t), end)
            images.grad, raw.grad = found.parts[0], found.rates * raw.sigmoid()
            optimiser.step()
            return found.value

        losses = descend(work, p.dd_steps, "dd", step, {"images": images, "raw": raw, "optimiser": optimiser})
        return Learned(pixels_of(data, images), losses, {"rates": F.softplus(raw)})

    knobs = ("dd_network", "dd_steps", "dd_rate", "dd_known")
    return learned_set(run, "dd", ipc, distill_seed, learn, knobs=knobs, module=__name__)


def learned_steps(
    work: Workspace, network: nn.Module, distilled: DistilledDataset, dataset: Dataset, profile: Profile, key: tuple
) -> None:
    """Train a student in place with exactly the learned steps, in order."""
    kept = {name: t.to(profile.device) for name, t in floats_of(distilled).items()}
    images = dataset.normalise(fitting(kept["images"], dataset.image_size))
    labels, ipc = distilled.labels.to(profile.device), distilled.ipc
    by_xavier(network, torch_rng(*(known_key(profile) if profile.dd_known else key), "xavier"))
    for i, rate in enumerate(kept["rates"]):
        loss = F.cross_entropy(network(images[i % ipc :: ipc]), labels[i % ipc :: ipc])
        with torch.no_grad():
            for parameter, g in zip(
                network.parameters(), torch.autograd.grad(loss, [*network.parameters()]), strict=True
            ):
                parameter -= rate * g


def protocol(profile: Profile, size: SetSize) -> tuple[str, dict]:
    """The learned steps at the learned rates; the knobs of the shared training have no effect."""
    return LEARNED_LABELS, {"optimiser": "sgd", "cutmix": False}


def _cost(account: Account) -> Iterator[Cost]:
    p, network, C = account.profile, account.classifier(account.profile.dd_network), account.images.n_classes
    for ipc in account.levels:
        passes = UNROLLED * PASSES * ipc * C + min(REAL, account.images.n)
        memory = NETWORK_WEIGHT * network.parameters * PASSES * ipc
        yield account.learned("dd", "DD", ipc, p.dd_steps * passes * network.training, memory, more=PASSES * ipc)


METHOD = Method(
    name="dd", title="Dataset distillation", reference="wang2018distillation", distill=_distill, protocol=protocol,
    fit=learned_steps, cost=_cost, small={"dd_network": "convnet-4", "dd_steps": 2},
)  # fmt: skip
