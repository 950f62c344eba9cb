"""GLaD (Cazenavette et al., 2023) with the run's own prior: latents whose decoded images match the real ones.

min_Z L(G(Z)), with a frozen generator G and the loss L of a pixel method: here the prior's decoder and DM's loss, whose
gradient is computed in two stages. Latents start as those of random real images. As published: descent with momentum
0.5. Different in the publication: layers within StyleGAN-XL as G, with rates that depend on the layer; also gradient
and trajectory matching as L.
"""

import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ..config.profile import knob
from ..data.image_files import resized
from ..pipeline.distilled import DistilledDataset
from ..priors.load import GenerativePrior
from ..store.artifacts import Artifact, Workspace
from .account import NETWORK_WEIGHT, Account, Cost
from .dm import MATCHING, dm_gradient
from .method import Method, MethodRun
from .random_real import random_real
from .shared.evaluation import dc_protocol, train_on_floats
from .shared.latent import Decode, frozen_prior, real_latents, through_decoder
from .shared.learned import MOMENTUM, Learned, RealBatches, descend, learned_set


class Knobs:
    """The length of the learning."""

    glad_steps: int = knob(
        800, "optimisation steps for the latents (GLaD)", low=1, methods=("glad", "glad_codebook"), since="0.2"
    )
    glad_rate: float = knob(
        1.0, "rate of the steps on latents (GLaD)", low=0.0, methods=("glad", "glad_codebook"), since="0.2"
    )


def matched_latents(
    run: MethodRun, name: str, ipc: int, distill_seed: int, *, start: Callable[[GenerativePrior], Tensor],
    decode_of: Callable[[GenerativePrior], Decode], knobs: tuple[str, ...], module: str, inputs: tuple[Artifact, ...],
) -> DistilledDataset:  # fmt: skip
    """The set whose decoded latents match real images in DM's loss.

    Args:
        start: function of the prior for the initial latents.
        decode_of: function of the prior that returns a function from latents to images.
        knobs: those for the number of steps and the rate, then others that shape the set.
    """
    p, data = run.profile, run.dataset
    steps, rate = p.subset(*knobs[:2]).values()

    def learn(work: Workspace, key: tuple) -> Learned:
        prior, real = frozen_prior(run), RealBatches(data, p.device)
        decode, latents = decode_of(prior), start(prior).clone()
        std = torch.tensor(data.std, device=p.device).view(1, -1, 1, 1)
        optimiser = torch.optim.SGD([latents], lr=rate, momentum=MOMENTUM)

        def step(t: int) -> float:
            def matched(images: Float[Tensor, "n C H W"]) -> tuple[float, Float[Tensor, "n C H W"]]:
                loss, gradient = dm_gradient(run, real, data.normalise(images), ipc, (*key, t))
                return loss, gradient / std

            loss, latents.grad = through_decoder(decode, latents, matched)
            optimiser.step()
            return loss

        losses = descend(work, steps, name, step, {"latents": latents, "optimiser": optimiser})
        parts = [slice(i, i + 1) for i in range(len(latents))]
        with torch.no_grad():
            images = torch.cat([decode(latents[rows], rows) for rows in parts])
        return Learned(images, losses, {"latents": latents})

    knobs = (*MATCHING, *knobs)
    return learned_set(run, name, ipc, distill_seed, learn, knobs=knobs, module=module, inputs=(run.prior, *inputs))


def decoder(run: MethodRun) -> Callable[[GenerativePrior], Decode]:
    """The prior's decoder, at the data set's size."""
    size = run.dataset.image_size
    return lambda prior: lambda latents, rows: resized(prior.decode(latents, graph=True), size)


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    first = random_real(run.store, run.dataset, run.profile, ipc=ipc, distill_seed=distill_seed)
    return matched_latents(
        run, "glad", ipc, distill_seed, start=lambda prior: real_latents(run, prior, first), decode_of=decoder(run),
        knobs=("glad_steps", "glad_rate"), module=__name__, inputs=(first.artifact,),
    )  # fmt: skip


def latent_cost(account: Account, step: str, title: str, steps: int, image: float) -> Iterator[Cost]:
    """DM's passes, and two decodings of every image; the second, with gradient, costs three times the first."""
    p, network, C = account.profile, account.classifier(account.profile.matching_network), account.images.n_classes
    memory = NETWORK_WEIGHT * network.parameters + account.number * account.prior().parameters
    for ipc in account.levels:
        passes = C * (min(p.matching_batch, account.images.per_class) * network.forward + ipc * network.training)
        more = ipc * C * math.prod(account.prior().latent_shape)
        yield account.learned(step, title, ipc, steps * (passes + 4 * ipc * C * image), memory, more=more)


def _cost(account: Account) -> Iterator[Cost]:
    return latent_cost(account, "glad", "GLaD", account.profile.glad_steps, account.prior().decode)


METHOD = Method(
    name="glad", title="GLaD", reference="cazenavette2023glad", distill=_distill, protocol=dc_protocol,
    fit=train_on_floats, cost=_cost, uses=("prior", "random_real"), small={"glad_steps": 2},
)  # fmt: skip
