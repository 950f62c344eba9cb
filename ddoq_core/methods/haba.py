"""HaBa (Liu et al., 2022): bases for each class and hallucinators shared by all classes; each pair makes an image.

h(b) = deconv(scale * conv(b) + shift), both 3 x 3, with scale and shift for every place: ipc bases and H hallucinators
make H ipc images of a class. The objective is MTT's, where each step of the student draws one hallucinator for its
batch, plus a contrast: the features of two hallucinations of the same bases should differ, measured by the mean of (1 +
cos) / 2 in an extractor that alternately learns the hallucinated images' classes. As published: H = 5, contrast at 0.1,
the extractor at 1e-3 with momentum 0.9, momentum 0.95 of bases and hallucinators. Different in the publication: random
initial hallucinators, with biases and at the rate of the bases, at which kernels of size 1 jump by 8 in a step; an
extractor that learns two more contrasts, 15,000 steps, inputs standardised for each batch. Hallucinators count as
storage, and do not reduce the number of bases.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..config.profile import knob
from ..data.dataset import Dataset
from ..pipeline.distilled import DistilledDataset
from ..randomness import torch_rng
from ..store.artifacts import Workspace
from .account import NETWORK_WEIGHT, Account, Cost
from .method import Method, MethodRun
from .mtt import MATCHED, Ways, learned_rate, unrolled_cost
from .shared.distances import embedded
from .shared.evaluation import Shown, dc_protocol, train_on_floats
from .shared.learned import Learned, descend, fresh_network, keyed, learned_set, pixels_of, real_start
from .shared.trajectories import experts
from .shared.unroll import distance_to, unrolled
from .tesla import LOWEST_RATE, RATE_OF_RATE

MOMENTUM, EXTRACTOR = 0.95, {"lr": 1e-3, "momentum": 0.9}
NAMES = ("bases", "conv", "scale", "shift", "deconv")
SLOWER = 1e-3  # rate of the hallucinators over that of the bases
APART = 0.05  # standard deviation of an initial hallucinator around the identity


class Knobs:
    """The hallucinators."""

    haba_hallucinators: int = knob(5, "hallucinators that all classes share (HaBa)", low=1, since="0.2")
    haba_contrast: float = knob(0.1, "factor of the contrast of hallucinations (HaBa)", low=0.0, since="0.2")


def near_identities(n: int, channels: int, side: int, apart: float, rng: torch.Generator) -> tuple[Tensor, ...]:
    """n hallucinators near the identity: kernels, scale, shift, kernels of the inverse."""
    middle = torch.zeros(n, channels, channels, 3, 3)
    middle[:, range(channels), range(channels), 1, 1] = 1
    conv, deconv = (middle + apart * torch.randn(middle.shape, generator=rng) for _ in range(2))
    return conv, torch.ones(n, channels, side - 2, side - 2), torch.zeros(n, channels, side - 2, side - 2), deconv


def hallucinated(parts: tuple[Tensor, ...], h: int) -> Float[Tensor, "n C S S"]:
    """All bases through one hallucinator."""
    bases, conv, scale, shift, deconv = parts
    return F.conv_transpose2d(scale[h] * F.conv2d(bases, conv[h]) + shift[h], deconv[h])


def contrast(network: nn.Module, one: Float[Tensor, "n C S S"], other: Float[Tensor, "n C S S"]) -> Float[Tensor, ""]:
    """Mean of (1 + cos) / 2 of the features of two hallucinations of the same bases."""
    return (1 + F.cosine_similarity(embedded(network, one), embedded(network, other))).mean() / 2


def _distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    p, data = run.profile, run.dataset
    taught = experts(run.store, data, p, siamese=True)

    def learn(work: Workspace, key: tuple) -> Learned:
        ways, n = Ways(run, taught), p.haba_hallucinators
        made = near_identities(n, data.channels, data.image_size, APART if n > 1 else 0.0, torch_rng(*key, "start"))
        parts = (real_start(run, ipc, distill_seed), *(t.to(p.device) for t in made))
        rate = torch.tensor(p.tesla_first_rate, device=p.device)
        labels = torch.arange(data.n_classes, device=p.device).repeat_interleave(ipc)
        groups = [{"params": [parts[0]], "lr": p.mtt_rate}, {"params": [*parts[1:]], "lr": SLOWER * p.mtt_rate}]
        groups.append({"params": [rate], "lr": RATE_OF_RATE})
        optimiser = torch.optim.SGD(groups, momentum=MOMENTUM)
        extractor = fresh_network(run, p.tesla_network, *key, "extractor")
        teaching = torch.optim.SGD(extractor.parameters(), **EXTRACTOR)

        def step(t: int) -> float:
            rng = keyed(key, t)
            start, goal = ways.part(rng)
            which = rng.integers(n, size=p.tesla_steps)
            loss = ways.loss(labels, rng, lambda parts, i: hallucinated(parts, int(which[i])))
            end = distance_to(goal, (goal - start).square().sum())
            found = unrolled(loss, parts, rate.expand(p.tesla_steps), start, end)
            gradients = [*found.parts]
            if n > 1 and p.haba_contrast:
                pair = rng.permutation(n)[:2]
                live = tuple(part.detach().requires_grad_() for part in parts)
                apart = contrast(extractor, *(hallucinated(live, int(h)) for h in pair))
                for total, g in zip(gradients, torch.autograd.grad(p.haba_contrast * apart, live), strict=True):
                    total += g
                teaching.zero_grad()
                F.cross_entropy(extractor(hallucinated(parts, int(pair[0]))), labels).backward()
                teaching.step()
            for part, g in zip(parts, gradients, strict=True):
                part.grad = g
            rate.grad = found.rates.sum()
            optimiser.step()
            rate.clamp_(min=LOWEST_RATE)
            return found.value

        changed = dict(zip(NAMES, parts, strict=True)) | {"rate": rate, "optimiser": optimiser}
        changed |= {"extractor": extractor, "teaching": teaching}
        losses = descend(work, p.mtt_steps, "haba", step, changed)
        more = dict(zip(NAMES, parts, strict=True)) | {"rate": rate[None]}
        return Learned(pixels_of(data, hallucinated(parts, 0)), losses, more)

    knobs = (*MATCHED, "mtt_steps", "mtt_rate", "haba_hallucinators", "haba_contrast")
    return learned_set(run, "haba", ipc, distill_seed, learn, knobs=knobs, module=__name__, inputs=(taught,))


def _shown(kept: dict[str, Tensor], data: Dataset, ipc: int, key: tuple) -> Shown:
    """Every base, through a newly drawn hallucinator in every epoch."""
    parts = tuple(kept[name] for name in NAMES)
    every = torch.stack([hallucinated(parts, h) for h in range(len(parts[1]))])
    rows = torch.arange(every.shape[1])
    which = torch.from_numpy(keyed(key, "hallucinators").integers(len(every), size=len(rows)))
    labels = torch.arange(data.n_classes, device=every.device).repeat_interleave(ipc)
    return pixels_of(data, every[which, rows]), labels


def _fit(work: Workspace, network: nn.Module, *told) -> None:
    """Train students on hallucinated bases."""
    train_on_floats(work, network, *told, shown_of=_shown)


def _cost(account: Account) -> Iterator[Cost]:
    p, network = account.profile, account.classifier(account.profile.tesla_network)
    channels, side = account.images.channels, p.picture_size
    yield account.trajectories("mtt_experts")
    for ipc in account.levels:
        bases = ipc * account.images.n_classes * channels * side**2
        more = bases + p.haba_hallucinators * 2 * channels * (9 * channels + (side - 2) ** 2) + 1
        flops = unrolled_cost(account, ipc, p.mtt_steps)
        flops += p.mtt_steps * 3 * ipc * account.images.n_classes * network.training  # contrast and extractor
        memory = NETWORK_WEIGHT * network.parameters * p.tesla_steps
        yield account.learned("haba", "HaBa", ipc, flops, memory, more=more)


METHOD = Method(
    name="haba", title="HaBa", reference="liu2022haba", distill=_distill, ipc="tesla_ipc", protocol=dc_protocol,
    rate=learned_rate, fit=_fit, cost=_cost, uses=("random_real",), small={"haba_hallucinators": 2},
)  # fmt: skip
