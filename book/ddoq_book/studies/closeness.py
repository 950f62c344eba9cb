"""How close a distilled set lies to the real images: W_2 between latents, class by class.

In: a distilled set, the prior and the latents of the training images. Out: distances.jsonl, one row per class: `w2`
with the weights v / sum v that the set keeps, and `w2_uniform` with 1 / K each. mu is the uniform law on the class's
training latents; images are encoded as the real ones are.
"""

import torch

from ddoq_core.data.image_files import resized
from ddoq_core.pipeline.encode import BATCH
from ddoq_core.priors.load import KNOBS, load_prior, prior_modules
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Artifact, Workspace
from ddoq_core.theory.transport import wasserstein2
from ddoq_core.threads import threads


def closeness_of(run: Run, method: str, ipc: int, distill_seed: int = 0) -> Artifact:
    """W_2 of every class's distilled latents, weighted and uniform, to its training latents (a linear program each)."""
    distilled, latents, profile = run.distilled(method, ipc, distill_seed), run.latent_source, run.profile

    def build(work: Workspace) -> None:
        model = load_prior(run.prior.path, **profile.subset(*KNOBS))
        pictures = resized(distilled.images(), model.image_size)
        made = torch.cat([model.encode(part).cpu() for part in pictures.split(BATCH)]).flatten(1).double()
        rows = []
        for label in range(len(distilled.classes)):
            members = torch.nonzero(distilled.labels == label).flatten()
            mu, v = latents.of_class(label).flatten(1).double(), distilled.counts[members].double()
            weighted, uniform = (v / v.sum()).numpy(), torch.full_like(v, 1 / len(v)).numpy()
            rows.append(
                {
                    "class": label,
                    "w2": wasserstein2(made[members], weighted, mu),
                    "w2_uniform": wasserstein2(made[members], uniform, mu),
                }
            )
        work.jsonl("distances.jsonl", rows)

    with threads(profile.threads):
        return run.store.make(
            "closeness", build, parameters=profile.keyed("precision") | latents.parameters,
            inputs=[distilled.artifact, run.prior, *latents.inputs], modules=(__name__, *prior_modules(profile)),
            label=distilled.artifact.label, plan=profile.subset("threads", "device"),
        )  # fmt: skip
