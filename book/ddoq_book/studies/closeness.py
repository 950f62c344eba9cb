"""How close a distilled set is to the real images: W_2 between latents, class by class.

In: a distilled set, the prior and the latents of the training images. Out: distances.jsonl, one row per class: `w2`
with the weights v / sum v of the set, `w2_uniform` with 1 / K each, and `w2_used` with the weights of the method's
students, divided by their sum. mu is the uniform law on the class's training latents. Distilled images are encoded like
the real ones.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ddoq_core.data.image_files import resized
from ddoq_core.pipeline.encode import BATCH
from ddoq_core.pipeline.train_student import Weights, image_weights
from ddoq_core.priors.load import KNOBS, load_prior, prior_modules
from ddoq_core.runs.jobs import Student
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Artifact, Workspace
from ddoq_core.theory.transport import wasserstein2
from ddoq_core.threads import threads


def weights_used(run: Run, method: str, ipc: int, distill_seed: int = 0) -> Float[Tensor, " n"]:
    """The weight of every image in the loss of a method's students."""
    task, distilled = Student(method, ipc, "", "soft", distill_seed, 0), run.distilled(method, ipc, distill_seed)
    return image_weights(distilled, run.weights(task, distilled)).double()


def closeness_of(run: Run, method: str, ipc: int, distill_seed: int = 0) -> Artifact:
    """W_2 of every class's distilled latents to its training latents for three weightings, by linear program."""
    distilled, latents, profile = run.distilled(method, ipc, distill_seed), run.latent_source, run.profile
    counts, used = distilled.counts.double(), weights_used(run, method, ipc, distill_seed)
    masses = {"w2": counts, "w2_uniform": torch.ones_like(counts), "w2_used": used}
    of_class = {name: distilled.by_class(mass) for name, mass in masses.items()}

    def build(work: Workspace) -> None:
        model = load_prior(run.prior.path, **profile.subset(*KNOBS))
        pictures = resized(distilled.images(), model.image_size)
        made = torch.cat([model.encode(part).cpu() for part in pictures.split(BATCH)]).flatten(1).double()
        rows = []
        for label, points in enumerate(distilled.by_class(made)):
            mu = latents.of_class(label).flatten(1).double()
            shares = {name: (mass[label] / mass[label].sum()).numpy() for name, mass in of_class.items()}
            rows.append({"class": label} | {name: wasserstein2(points, share, mu) for name, share in shares.items()})
        work.jsonl("distances.jsonl", rows)

    parameters = profile.keyed("precision") | latents.parameters | {"weights": str(Weights(used.numpy()))}
    with threads(profile.threads):
        return run.store.make(
            "closeness", build, parameters=parameters, inputs=[distilled.artifact, run.prior, *latents.inputs],
            modules=(__name__, *prior_modules(profile)), label=distilled.artifact.label,
            plan=profile.subset("threads", "device"),
        )  # fmt: skip
