"""Minimax diffusion (Gu et al., 2024): the prior is tuned to make images that are typical and differ from each other.

The denoising loss of a class-conditional transformer gets two terms for each class of a batch: r (1 - min_m cos(p, m))
over a memory of real latents m, and d max_m cos(p, m) over a memory of earlier predictions. So a prediction p should be
near the farthest real latent, and far from the nearest prediction. Images are then sampled from pure noise. As
published: r = 0.002, d = 0.008, memories of 64 for each class, first in first out, AdamW at 1e-3 without decay, only on
biases, norms and the table of classes (DiffFit, whose added factors are left out); a tenth of the labels is left out,
as guidance needs. The prior is tuned once for all distillations. Different in the publication: batches of 8, 8 epochs,
moving averages of the weights. The released code compares the predicted noise with clean latents
(`minimax_compared=noise`); the paper describes latents, which is the default here.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..config.profile import knob
from ..errors import InputError
from ..pipeline.distilled import DistilledDataset
from ..pipeline.synthesize import generate
from ..priors.load import KNOBS, GenerativePrior, load_prior, prior_modules
from ..randomness import torch_rng
from ..store.artifacts import Artifact, Workspace
from ..threads import threads
from .account import BEFORE, TRAINED_WEIGHT, Account, Cost
from .method import Method, MethodRun
from .shared.learned import CHECKPOINT, descend, keyed

REPRESENTATIVE, DIVERSE = 0.002, 0.008
MEMORY, BATCH, RATE = 64, 20, 1e-3


class Knobs:
    """The tuning of the prior."""

    minimax_epochs: int = knob(5, "epochs over the latents for tuning the prior (Minimax)", low=1, since="0.2")
    minimax_compared: str = knob(
        "latent", "part of a prediction to compare with latents (Minimax)", of=("latent", "noise"), since="0.2"
    )


class Memory:
    """The most recent vectors of every class, first in first out."""

    def __init__(self, n_classes: int, size: int, d: int, device: str) -> None:
        self.vectors = torch.zeros(n_classes, size, d, device=device)
        self.seen = torch.zeros(n_classes, dtype=torch.int64)

    def of(self, label: int) -> Float[Tensor, "m d"]:
        """The stored vectors of a class."""
        return self.vectors[label, : int(self.seen[label])]

    def add(self, label: int, vectors: Float[Tensor, "b d"]) -> None:
        """Replace the oldest vectors."""
        size = self.vectors.shape[1]
        for vector in vectors.detach():
            place = int(self.seen[label]) % size
            self.vectors[label, place] = vector
            self.seen[label] += 1


def minimax_terms(
    predicted: Float[Tensor, "b d"], real: Float[Tensor, "m d"], earlier: Float[Tensor, "k d"]
) -> Float[Tensor, ""]:
    """r (1 - min cos) to real latents and d max cos to earlier predictions, as means over the batch of a class."""
    total = predicted.new_zeros(())
    if len(real):
        total = total + REPRESENTATIVE * (1 - F.cosine_similarity(predicted[:, None], real, dim=2).amin(1)).mean()
    if len(earlier):
        total = total + DIVERSE * F.cosine_similarity(predicted[:, None], earlier, dim=2).amax(1).mean()
    return total


def tuned_prior(run: MethodRun) -> Artifact:
    """The prior of the run with some of its transformer's parameters tuned.

    Raises:
        InputError: the prior is not a DiT.
    """
    p, data = run.profile, run.dataset
    if p.prior not in ("pretrain", "dit"):
        raise InputError(
            f"minimax tunes a DiT, but prior = {p.prior} is not one; set prior=pretrain, or remove minimax from methods"
        )

    def build(work: Workspace) -> None:
        prior = load_prior(run.prior.path, **p.subset(*KNOBS))
        _tune(run, work, prior)
        others = shutil.ignore_patterns("run.json", "manifest.json")
        shutil.copytree(run.prior.path, work.path, dirs_exist_ok=True, ignore=others)
        prior.transformer.save_pretrained(work.path / "transformer", safe_serialization=True)
        config = Path("transformer", "config.json")  # a saved one would name the folder of the original prior
        shutil.copyfile(run.prior.path / config, work.path / config)
        work.discard(CHECKPOINT)

    with threads(p.threads):
        return run.store.make(
            "minimax_prior", build, parameters=p.keyed("seed", "minimax_epochs", "minimax_compared"),
            inputs=[data.key, run.prior, run.latents], modules=(__name__, *prior_modules(p)), label=data.name,
            plan=p.subset("threads", "device"),
        )  # fmt: skip


def _tune(run: MethodRun, work: Workspace, prior: GenerativePrior) -> None:
    """Tune in place and in evaluation mode, since otherwise diffusers drops labels by the global generator."""
    from ..priors.dit import NULL  # needs diffusers, in the extra `pipeline`
    from ..priors.pretrain import NO_CLASS

    p, data, network, schedule = run.profile, run.dataset, prior.transformer, noise_schedule(prior)
    of_class = [run.class_latents(label)[0].float() for label in range(data.n_classes)]
    latents = torch.cat(of_class)
    classes = torch.arange(data.n_classes).repeat_interleave(torch.tensor([len(z) for z in of_class]))
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(parameter.ndim == 1 or "class_embedder" in name)  # biases, norms, the table of classes
    chosen = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(chosen, lr=RATE, weight_decay=0.0)
    conditions, d = prior.embed(data.classes), latents[0].numel()
    memories = [Memory(data.n_classes, MEMORY, d, p.device) for _ in range(2)]
    steps, key = -(-len(latents) // BATCH), (p.seed, "minimax")

    def step(t: int) -> float:
        rows = torch.from_numpy(keyed(key, "order", t // steps).permutation(len(latents)))[t % steps * BATCH :][:BATCH]
        rng = torch_rng(*key, "noise", t)
        clean, labels = latents[rows], classes[rows]
        noise = torch.randn(clean.shape, generator=rng)
        times = torch.randint(schedule.config.num_train_timesteps, (len(rows),), generator=rng)
        noisy, clean, noise = (x.to(p.device) for x in (schedule.add_noise(clean, noise, times), clean, noise))
        shown = torch.where(torch.rand(len(rows), generator=rng) < NO_CLASS, NULL, conditions[labels].cpu())
        seen = network(noisy, timestep=times.to(p.device), class_labels=shown.to(p.device))
        found = seen.sample[:, : clean.shape[1]]
        loss = (found - noise).square().mean()
        predicted = found
        if p.minimax_compared == "latent":
            a = schedule.alphas_cumprod[times].to(found).view(-1, 1, 1, 1)
            predicted = (noisy - (1 - a).sqrt() * found) / a.sqrt()
        present = labels.unique().tolist()
        for label in present:
            own, mine = predicted[labels == label].flatten(1), clean[labels == label].flatten(1)
            loss = loss + minimax_terms(own, memories[0].of(label), memories[1].of(label)) / len(present)
            memories[0].add(label, mine)
            memories[1].add(label, own)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    parts = {"network": network, "optimiser": optimiser}
    parts |= {f"memory{i}": [m.vectors, m.seen] for i, m in enumerate(memories)}
    descend(work, steps * p.minimax_epochs, "minimax", step, parts)


def noise_schedule(prior: GenerativePrior) -> Any:
    """The noise schedule on which a prior was trained."""
    from diffusers import DDIMScheduler  # in the extra `pipeline`

    return DDIMScheduler.from_config(prior.scheduler_config)


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    tuned = tuned_prior(run)
    return generate(run.store, tuned, run.dataset, run.profile, ipc=ipc, distill_seed=distill_seed, step="minimax")


def _cost(account: Account) -> Iterator[Cost]:
    p, prior, n = account.profile, account.prior(), account.images.n
    yield Cost(
        step="minimax_prior", stage=BEFORE, title="Minimax: tune the prior", times=int(bool(account.sets)),
        flops=p.minimax_epochs * n * prior.train_network, writes=account.number * prior.parameters,
        memory=TRAINED_WEIGHT * prior.parameters,
    )  # fmt: skip
    yield from account.denoised("minimax", "from a tuned prior")


METHOD = Method(
    name="minimax", title="Minimax diffusion", reference="gu2024minimax", distill=_distill, cost=_cost,
    uses=("prior", "encode"), small={"minimax_epochs": 1},
)  # fmt: skip
