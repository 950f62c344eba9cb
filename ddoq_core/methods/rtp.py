"""Remember the past, RTP (Deng & Russakovsky, 2022): shared bases addressed by classes, learned through a training.

All classes share K bases with a d-th of the side. Class y has a matrix A_y of r rows, and its images are A_y B,
enlarged d times, with r chosen so that all floats together are those of a plain set of ipc images. The objective is
DD's, with momentum in the unrolled training and a fixed rate; each step draws images of each class. As published:
K = 16, d = 2, rate 0.01, momentum 0.9, descent on the tables with momentum 0.5, gradients clipped at norm 2, Xavier's
start, no augmentation. Different in the publication: 150 unrolled steps of 32 images per class and up to 500,000 steps
at 0.1 on the tables (CIFAR-10, one image per class); one Xavier's law for the addresses of all classes; see the knobs.
The published penalty on the addresses has no gradient, and is left out. Students of other protocols see the first ipc
images of a class, each stretched to the mean and deviation of the data, since these floats have little contrast.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..config.profile import NETWORK, Profile, knob
from ..data.dataset import Dataset
from ..errors import InputError
from ..pipeline.distilled import DistilledDataset
from ..pipeline.train_student import LEARNED_LABELS
from ..randomness import torch_rng
from ..store.artifacts import Workspace
from .account import NETWORK_WEIGHT, Account, Cost
from .dd import UNROLLED, loss_on
from .method import Method, MethodRun, SetSize, published_epochs
from .shared.evaluation import Shown, train_on_floats
from .shared.learned import MOMENTUM, Learned, RealBatches, descend, fresh_network, keyed, learned_set, pixels_of
from .shared.trajectories import called_with
from .shared.unroll import PartsLoss, unrolled

FACTOR, REAL = 2, 64
INNER_RATE, INNER_MOMENTUM = 0.01, 0.9
CLIP = 2.0


class Knobs:
    """The tables, and the length of their learning."""

    rtp_network: str = knob("convnet-32", "network that RTP trains", like=NETWORK, since="0.2")
    rtp_bases: int = knob(16, "bases that all classes share (RTP)", low=1, since="0.2")
    rtp_unrolled: int = knob(20, "unrolled steps (RTP)", low=1, since="0.2")
    rtp_batch: int = knob(2, "images of a class in an unrolled step (RTP)", low=1, since="0.2")
    rtp_steps: int = knob(1500, "optimisation steps for the tables (RTP)", low=1, since="0.2")
    rtp_rate: float = knob(1.0, "rate of these steps (RTP)", low=0.0, since="0.2")


def addresses_of_class(ipc: int, n_classes: int, pixels: int, bases: int) -> int:
    """Rows r of a class's address matrix: the total of floats is that of ipc images of `pixels` floats per class.

    Raises:
        InputError: the bases alone need more floats, or leave less than ipc images of a class.
    """
    r = (ipc * pixels * n_classes - bases * pixels // FACTOR**2) // (n_classes * bases)
    if r < ipc:
        raise InputError(f"rtp_bases = {bases} leave no room for addresses at ipc = {ipc}; lower rtp_bases")
    return r


def addressed(
    bases: Float[Tensor, "K C h w"], addresses: Float[Tensor, "n K"], factor: int
) -> Float[Tensor, "n C H W"]:
    """Images A B, enlarged bilinearly."""
    small = torch.einsum("nk,kchw->nchw", addresses, bases)
    return F.interpolate(small, scale_factor=factor, mode="bilinear") if factor > 1 else small


def table_loss(network: nn.Module, labels: Int64[Tensor, "T b"], rows: Int64[Tensor, "T b"], factor: int) -> PartsLoss:
    """The loss of step i, on the images at some addresses."""

    def loss(theta: Tensor, parts: tuple[Tensor, ...], i: int) -> Float[Tensor, ""]:
        bases, addresses = parts
        images = addressed(bases, addresses[rows[i]], factor)
        return F.cross_entropy(called_with(network, theta, images), labels[i])

    return loss


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    p, data = run.profile, run.dataset
    C, side = data.n_classes, data.image_size
    r = addresses_of_class(ipc, C, data.channels * side**2, p.rtp_bases)

    def learn(work: Workspace, key: tuple) -> Learned:
        real, rng = RealBatches(data, p.device), torch_rng(*key, "start")
        bases = _xavier((p.rtp_bases, data.channels * (side // FACTOR) ** 2), rng).to(p.device)
        bases = bases.view(p.rtp_bases, data.channels, side // FACTOR, side // FACTOR)
        addresses = torch.cat([_xavier((r, p.rtp_bases), rng) for _ in range(C)]).to(p.device)
        network = fresh_network(run, p.rtp_network, 0, "replaced").eval().requires_grad_(False)
        optimiser = torch.optim.SGD([bases, addresses], lr=p.rtp_rate, momentum=MOMENTUM)
        rates = torch.full((p.rtp_unrolled,), INNER_RATE, device=p.device)
        labels = torch.arange(C, device=p.device).repeat_interleave(p.rtp_batch).expand(p.rtp_unrolled, -1)

        def step(t: int) -> float:
            draws = keyed(key, t)
            rows = [[c * r + draws.integers(r, size=p.rtp_batch) for c in range(C)] for _ in range(p.rtp_unrolled)]
            rows = torch.from_numpy(np.array(rows)).flatten(1)
            batch, of_batch = real.mixed(REAL * C, draws)
            start = fresh_network(run, p.rtp_network, *key, "network", t)
            start = nn.utils.parameters_to_vector(start.parameters()).detach()
            loss = table_loss(network, labels, rows, FACTOR)
            end = loss_on(network, batch, of_batch)
            found = unrolled(loss, (bases, addresses), rates, start, end, momentum=INNER_MOMENTUM)
            bases.grad, addresses.grad = found.parts
            nn.utils.clip_grad_norm_([bases, addresses], CLIP)
            optimiser.step()
            return found.value

        parts = {"bases": bases, "addresses": addresses, "optimiser": optimiser}
        losses = descend(work, p.rtp_steps, "rtp", step, parts)
        first = torch.cat([addresses[c * r : c * r + ipc] for c in range(C)])
        more = {"bases": bases, "addresses": addresses}
        return Learned(pixels_of(data, stretched(addressed(bases, first, FACTOR))), losses, more)

    knobs = ("rtp_network", "rtp_bases", "rtp_unrolled", "rtp_batch", "rtp_steps", "rtp_rate")
    return learned_set(run, "rtp", ipc, distill_seed, learn, knobs=knobs, module=__name__)


def stretched(images: Float[Tensor, "n C S S"]) -> Float[Tensor, "n C S S"]:
    """Each image at mean 0 and deviation 1, as normalised data have."""
    flat = images.flatten(1)
    return ((flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True).clamp_min(1e-6)).view_as(images)


def _xavier(shape: tuple[int, int], rng: torch.Generator) -> Float[Tensor, "a b"]:
    bound = (6 / sum(shape)) ** 0.5
    return bound * (2 * torch.rand(shape, generator=rng) - 1)


def _shown(kept: dict[str, Tensor], data: Dataset, ipc: int, key: tuple) -> Shown:
    """Every image of every class."""
    r = len(kept["addresses"]) // data.n_classes
    images = pixels_of(data, addressed(kept["bases"], kept["addresses"], FACTOR))
    return images, torch.arange(data.n_classes, device=images.device).repeat_interleave(r)


def _fit(work: Workspace, network: nn.Module, *told) -> None:
    """Train students on all images of the tables."""
    train_on_floats(work, network, *told, families=lambda flip: (), shown_of=_shown)


def protocol(profile: Profile, size: SetSize) -> tuple[str, dict]:
    """300 epochs on all its images at a constant rate, batches of 640, no decay, no augmentation."""
    return LEARNED_LABELS, {
        "optimiser": "sgd", "learning_rate": 0.01, "lr_schedule": "constant", "batch_size": 640, "weight_decay": 0.0,
        "cutmix": False, "epochs": published_epochs(300, profile),
    }  # fmt: skip


def _cost(account: Account) -> Iterator[Cost]:
    p, network, C = account.profile, account.classifier(account.profile.rtp_network), account.images.n_classes
    pixels = account.images.channels * p.picture_size**2
    for ipc in account.levels:
        r = addresses_of_class(ipc, C, pixels, p.rtp_bases)
        passes = UNROLLED * p.rtp_unrolled * p.rtp_batch * C + min(REAL * C, account.images.n)
        memory = 2 * NETWORK_WEIGHT * network.parameters * p.rtp_unrolled
        more = p.rtp_bases * (pixels // FACTOR**2 + C * r)
        yield account.learned("rtp", "RTP", ipc, p.rtp_steps * passes * network.training, memory, more=more)


METHOD = Method(
    name="rtp", title="Remember the past", reference="deng2022remember", distill=_distill, protocol=protocol,
    fit=_fit, cost=_cost,
    small={"rtp_network": "convnet-4", "rtp_bases": 2, "rtp_unrolled": 2, "rtp_batch": 1, "rtp_steps": 2},
)  # fmt: skip
