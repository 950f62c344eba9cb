"""DDOQ with estimated powers of the cell masses instead of the square root of eq. 33.

The function f is the teacher's logits. The mean and variance of each cell come from its training images, or from
several draws of the sampler. `quantization/exponents.py` has the criterion; *Sharper results*, section 14, has the
theorem. Every class and level has an exponent, which is shrunk towards that of all classes according to its
uncertainty. The method uses no test or validation images, and no students.
"""

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..config.profile import knob
from ..pipeline.cluster import load_prototypes
from ..pipeline.distilled import DistilledDataset
from ..pipeline.synthesize import DENOISE_KNOBS, synthesize_images
from ..pipeline.teacher import load_teacher, predict
from ..priors.load import KNOBS, load_prior, prior_modules
from ..processes import bar, world
from ..quantization.exponents import best_exponent, deviation, shrunk, squared_errors
from ..quantization.voronoi import assign
from ..quantization.weights import companion_weights
from ..randomness import numpy_rng, torch_rng
from ..store.artifacts import Artifact, Workspace
from ..threads import threads
from .account import NETWORK_WEIGHT, TRAINING, Account, Cost
from .d4m import METHOD as D4M
from .method import MethodRun

EXPONENTS = "exponents.jsonl"  # one row per class
Values = tuple[Float[Tensor, "n c"], Int64[Tensor, " n"]]  # the teacher's logits, and the cell of each


class Knobs:
    """The source of the exponents."""

    adaptive_draws: int = knob(
        0, "draws of the sampler per prototype, for the exponents; 0 uses the images in the cells", low=0, since="0.2"
    )


def exponents(run: MethodRun, ipc: int, distill_seed: int) -> Artifact:
    """The exponent of every class at one level.

    Each row has `exponent`, the shrunk exponent of the class; `own`, the exponent before shrinking; `deviation` of
    `own`, by the bootstrap; `together`, the exponent of all classes; `between`, the variance between classes; `errors`,
    the estimated mean squared error at every exponent.
    """
    profile, dataset, prototypes = run.profile, run.dataset, run.prototypes(distill_seed)
    draws = profile.adaptive_draws

    def share(work: Workspace) -> None:
        network, (points, counts) = load_teacher(run.teacher, profile.device), load_prototypes(prototypes, ipc)
        of = functools.partial(_of_draws, draws=draws, distill_seed=distill_seed) if draws else _of_images
        values = of(run, network, points)

        def write(label: int, path: Path) -> None:
            found = counts[label], *values(label)
            rng = numpy_rng(profile.seed, "exponents", distill_seed, ipc, label)
            row = {"class": label, "deviation": deviation(*found, rng), "errors": squared_errors(*found).tolist()}
            path.write_text(json.dumps(row))

        for label in bar(world().my_share(range(dataset.n_classes)), desc=f"exponents ipc {ipc}"):
            work.chunk(_file(label), functools.partial(write, label))

    def build(work: Workspace) -> None:
        rows = [json.loads((work.path / _file(label)).read_text()) for label in range(dataset.n_classes)]
        errors, deviations = (torch.tensor([r[name] for r in rows]).double() for name in ("errors", "deviation"))
        own, together = best_exponent(errors), best_exponent(errors.sum(0)).item()
        exponent, between = shrunk(own, deviations, together)
        rows = [
            {"exponent": a, "own": b, "together": together, "between": between} | row
            for a, b, row in zip(exponent.tolist(), own.tolist(), rows, strict=True)
        ]
        work.jsonl(EXPONENTS, rows)
        for label in range(dataset.n_classes):
            work.discard(_file(label))

    of_draws = (*DENOISE_KNOBS, "synthesis_batch", "negative_prompt", "precision") if draws else ()
    parameters = profile.keyed("seed", "adaptive_draws", *of_draws) | {"ipc": ipc, "distill_seed": distill_seed}
    with threads(profile.threads):
        return run.store.make(
            "exponents", build, parameters=parameters, inputs=[dataset.key, run.teacher, prototypes, run.prior],
            modules=(__name__, *prior_modules(profile)), label=f"ipc{ipc:03d}-seed{distill_seed}",
            plan=profile.subset("threads", "device"), share=share,
        )  # fmt: skip


def _of_images(run: MethodRun, network: nn.Module, points: Float[Tensor, "C K c h w"]) -> Callable[[int], Values]:
    """A function of a class: the teacher's logits of its training images, and the cells of their latents."""

    def of_class(label: int) -> Values:
        latents, index = run.class_latents(label)
        logits = predict(network, run.dataset, run.dataset.train.subset(index), run.profile.device)
        strata = run.dataset.train.parts_of_class(label) if run.profile.quantizer == "stratified" else None
        return logits, _cells(latents.flatten(1).float(), points[label].flatten(1).float(), strata)

    return of_class


def _cells(
    latents: Float[Tensor, "n d"], points: Float[Tensor, "K d"], strata: Int64[Tensor, " n"] | None
) -> Int64[Tensor, " n"]:
    """The nearest point of each latent; in a stratified codebook, the nearest of its sub-population."""
    if strata is None:
        return assign(latents, points).long()
    parts, cell = strata.unique(), torch.empty_like(strata)
    each = len(points) // len(parts)
    for first, part in zip(range(0, len(points), each), parts, strict=True):
        cell[strata == part] = first + assign(latents[strata == part], points[first : first + each]).long()
    return cell


def _of_draws(
    run: MethodRun, network: nn.Module, points: Float[Tensor, "C K c h w"], draws: int, distill_seed: int
) -> Callable[[int], Values]:
    """A function of a class: the teacher's logits of several pictures of every prototype, each with its own noise."""
    profile, dataset = run.profile, run.dataset
    model = load_prior(run.prior.path, **profile.subset(*KNOBS))
    classes, knobs, K = model.embed(dataset.classes), profile.subset(*DENOISE_KNOBS), points.shape[1]

    def of_class(label: int) -> Values:
        cell, found = torch.arange(K).repeat_interleave(draws), []
        for part in torch.arange(K * draws).split(profile.synthesis_batch):
            noise = [torch_rng(profile.seed, "exponents", distill_seed, K, label, i) for i in part.tolist()]
            conditioning = classes[label].expand(len(part), *classes[label].shape)
            start = points[label][cell[part]].float()
            images = synthesize_images(model, start, conditioning, noise, dataset.image_size, **knobs)
            with torch.no_grad():
                found.append(network(dataset.normalise(images.to(profile.device))).float().cpu())
        return torch.cat(found), cell

    return of_class


def weights(run: MethodRun, distilled: DistilledDataset, distill_seed: int) -> Float[Tensor, " n"]:
    """Weights proportional to v^alpha, mean 1, with the exponent alpha of the class and level."""
    rows = exponents(run, distilled.ipc, distill_seed).jsonl(EXPONENTS)
    counts = distilled.by_class(distilled.counts)
    return torch.cat([companion_weights(v, row["exponent"]) for v, row in zip(counts, rows, strict=True)]).float()


def weighing(account: Account) -> Iterator[Cost]:
    """The teacher on the training images, or on more draws."""
    p, images, teacher = account.profile, account.images, account.classifier(account.profile.teacher)
    for ipc in account.levels:
        drawn = p.adaptive_draws * ipc * images.n_classes
        picture = account.prior().calls(p) * account.prior().call + account.prior().decode if drawn else 0
        yield Cost(
            step="exponents", stage=TRAINING, title="exponents of the weights", ipc=ipc, times=account.times(ipc),
            flops=(drawn or images.n) * teacher.forward + drawn * picture, reads=0 if drawn else images.read(1),
            memory=NETWORK_WEIGHT * teacher.parameters,
        )  # fmt: skip


def _file(label: int) -> str:
    return f"class{label:05d}.json"


METHOD = replace(
    D4M, name="ddoq_adaptive", title="DDOQ, exponents estimated", weights=weights, weighing=weighing,
    small={"adaptive_draws": 0},
)  # fmt: skip
