"""The study `learned`: a diffusion transformer fitted to the latents of photographs, beside their exact score.

No student is trained. In: a profile whose prior is the exact score. Out: a JSON file with the errors of each score and
measurements of the transformer's pictures, and a strip of those.
"""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ddoq_core.config.profile import Profile
from ddoq_core.data.image_files import resized
from ddoq_core.pipeline.distilled import write_picture
from ddoq_core.priors.latent_diffusion import LatentDiffusion
from ddoq_core.priors.load import KNOBS, load_prior
from ddoq_core.randomness import torch_rng
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Workspace
from ddoq_core.threads import threads

from .latents import KINDS, LEVEL, STRENGTHS, Cloud, latent_clouds, of_kind, pictures, rounded
from .photographs import NAME, NEW, PICTURES, SIDE, newness_of
from .strips import distilled_images, heaviest
from .unequal_masses import FRESH
from .weightings import CODEBOOKS

FILE, STRIP = f"{NAME}-learned.json", f"{NAME}-learned.png"
NOISED = (0.1, 0.3, 0.5, 0.7, 0.9)  # shares of the noise schedule at which scores are compared
POINTS = 20  # latents of each class and part that are noised
LEARNED = "learned"


def learned_study(profile: Profile) -> Iterator[StudyPart]:
    """The study, with one file, for the codebooks of one pass."""
    run = Run(profile.replace(ipc=[LEVEL], **CODEBOOKS["one pass"]))
    keep = functools.partial(keep_learned, run)
    yield StudyPart(FILE, run, [], lambda run, task: {}, before=keep)


def keep_learned(run: Run, folder: Path) -> None:
    """Fit the transformer, and write its errors, measurements and pictures, unless the file exists."""
    if (folder / FILE).exists():
        return
    clouds, learned = latent_clouds(run), Run(run.profile.replace(**PICTURES[LEARNED]))
    runs = {kind: of_kind(run, kind, run.profile.strength) for kind in KINDS["exact"]} | {LEARNED: learned}
    found = {
        "fit": learned.profile.subset("diffusion_width", "diffusion_layers", "diffusion_epochs"),
        "errors": [row for kind, one in runs.items() for row in noise_errors(one, kind, clouds, NOISED, POINTS)],
        "pictures": list(pictures(learned, clouds, LEVEL, FRESH[0], STRENGTHS[1:])),  # at strength 0 no score is used
    }
    _keep_strip(learned, folder)
    Workspace(folder).json(FILE, rounded(found))


@torch.no_grad()
def noise_errors(run: Run, kind: str, clouds: list[Cloud], shares: Sequence[float], n: int) -> Iterator[dict]:
    """For each share of the schedule, class by class: mean squared error of the predicted noise, per dimension, on n
    training and n held-out latents; 1 is the error of predicting 0. All kinds see the same noise."""
    prior = load_prior(run.prior.path, **run.profile.subset(*KNOBS))
    signals = prior.scheduler_class.from_config(prior.scheduler_config).alphas_cumprod
    labels = prior.embed(run.dataset.classes)
    with threads(run.profile.threads):
        for share in shares:
            t = torch.tensor(max(round(share * len(signals)) - 1, 0))
            row = {"kind": kind, "share": share, "training": [], "held_out": []}
            for c, parts in enumerate(clouds):
                for part, Z in zip(("training", "held_out"), parts, strict=True):
                    rng = torch_rng(run.profile.seed, LEARNED, part, c, int(t))
                    chosen = Z[torch.randperm(len(Z), generator=rng)[:n]].reshape(-1, *prior.latent_shape)
                    row[part].append(_error(prior, chosen, t, signals[t].item(), labels[c], rng))
            yield row


def _error(prior: LatentDiffusion, z: Tensor, t: Tensor, signal: float, label: Tensor, rng: torch.Generator) -> float:
    noise = torch.randn(z.shape, generator=rng)
    x = signal**0.5 * z + (1 - signal) ** 0.5 * noise
    return (prior.predicted(x, t, label.expand(len(z))) - noise).square().mean().item()


def _keep_strip(learned: Run, folder: Path) -> None:
    """The heaviest picture of every class from Lloyd's codebook, as in the strip of the local score, if it is new."""
    distilled = Run(learned.profile.replace(**CODEBOOKS["Lloyd"])).distilled("d4m", LEVEL, FRESH[0])
    items = heaviest(distilled)
    newness = newness_of(learned, distilled).flatten()
    if new := [i for i in items if newness[i] >= NEW]:
        shown = resized(distilled_images(distilled, new), SIDE)
        write_picture(Workspace(folder), STRIP, torch.cat(list(shown), dim=-1))
