"""LD3M (Moser et al., 2024) with the run's own prior: GLaD through the whole reverse process.

An image is D(U(z)): the latent z is noised to the end of the schedule and denoised in S steps. At the step with a share
i/S left, the predicted clean latent is replaced by (1 - i/S) of itself plus i/S of z, so gradients reach z from every
step and do not vanish. Noise is keyed by image and the same in every call. As published: S = 10, start from real
images, momentum 0.5, DM at rate 1. Different in the publication: guidance 3, a Stable-Diffusion-like prior for
ImageNet, and a class vector learned with z; here classes are rows of tables in every block of the prior, and stay
fixed.
"""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ..config.profile import knob
from ..data.image_files import resized
from ..errors import InputError
from ..pipeline.distilled import DistilledDataset
from ..priors.load import GenerativePrior, Guide
from ..randomness import torch_rng
from .account import Account, Cost
from .glad import latent_cost, matched_latents
from .method import Method, MethodRun
from .random_real import random_real
from .shared.evaluation import dc_protocol, train_on_floats
from .shared.latent import Decode, real_latents


class Knobs:
    """The length of the learning."""

    ld3m_steps: int = knob(400, "optimisation steps for the latents (LD3M)", low=1, since="0.2")
    ld3m_rate: float = knob(1.0, "rate of the steps on latents (LD3M)", low=0.0, since="0.2")
    ld3m_chain: int = knob(10, "steps of the differentiated reverse process (LD3M)", low=1, since="0.2")


def skipping(latents: Float[Tensor, "b c h w"]) -> Guide:
    """A guide that mixes the latents into every prediction, in proportion to the share of the steps left."""
    return lambda clean, left: (1 - left) * clean + left * latents


def chained(run: MethodRun, ipc: int, distill_seed: int) -> Callable[[GenerativePrior], Decode]:
    """The reverse process of a prior, followed by its decoder, for classes in order."""
    p, data = run.profile, run.dataset

    def of(prior: GenerativePrior) -> Decode:
        conditions = prior.embed(data.classes).repeat_interleave(ipc, 0)

        def decode(latents: Float[Tensor, "b c h w"], rows: slice) -> Float[Tensor, "b C H W"]:
            places = range(*rows.indices(len(conditions)))
            noise = [torch_rng(p.seed, "ld3m", "noise", distill_seed, ipc, *divmod(i, ipc)) for i in places]
            denoised = prior.denoise(
                latents, conditions[rows], strength=1.0, guidance=p.guidance_scale, steps=p.ld3m_chain, noise=noise,
                sampler="ddim", guide=skipping(latents), graph=torch.is_grad_enabled(),
            )  # fmt: skip
            return resized(prior.decode(denoised, graph=True), data.image_size)

        return decode

    return of


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    if run.profile.prior == "exact":
        raise InputError("ld3m needs the network of a prior, but prior = exact has none; remove ld3m from methods")
    first = random_real(run.store, run.dataset, run.profile, ipc=ipc, distill_seed=distill_seed)
    return matched_latents(
        run, "ld3m", ipc, distill_seed, start=lambda prior: real_latents(run, prior, first),
        decode_of=chained(run, ipc, distill_seed),
        knobs=("ld3m_steps", "ld3m_rate", "ld3m_chain", "guidance_scale"), module=__name__, inputs=(first.artifact,),
    )  # fmt: skip


def _cost(account: Account) -> Iterator[Cost]:
    p, prior = account.profile, account.prior()
    image = prior.decode + p.ld3m_chain * prior.call * (2 if p.guidance_scale > 1 else 1)
    return latent_cost(account, "ld3m", "LD3M", p.ld3m_steps, image)


METHOD = Method(
    name="ld3m", title="LD3M", reference="moser2024ld3m", distill=_distill, protocol=dc_protocol, fit=train_on_floats,
    cost=_cost, uses=("prior", "random_real"), small={"ld3m_steps": 2, "ld3m_chain": 2},
)  # fmt: skip
