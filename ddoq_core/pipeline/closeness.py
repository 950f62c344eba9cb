"""How close a distilled set lies to the real images: W_2 between latents, class by class.

In: a distilled set, the prior and the latents of the training images. Out: distances.jsonl, one row per class: `w2`
with the weights v / sum v that the set keeps, and `w2_uniform` with 1 / K each. mu is the uniform law on the class's
training latents; images are encoded as the real ones are.
"""

import torch

from ..profile import Profile
from ..store import Artifact, Store, Workspace
from ..theory.transport import wasserstein2
from .distilled import DistilledDataset
from .encode import BATCH, PassingLatents, StoredLatents
from .images import resized
from .plan import threads
from .prior import KNOBS, load_prior


def closeness(
    store: Store, distilled: DistilledDataset, prior: Artifact, latents: StoredLatents | PassingLatents,
    profile: Profile,
) -> Artifact:  # fmt: skip
    """W_2 of every class's distilled latents, weighted and uniform, to its training latents (a linear program each)."""

    def build(work: Workspace) -> None:
        model = load_prior(prior.path, **profile.pick(*KNOBS))
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
        return store.make(
            "closeness", build, parameters=profile.pick("precision") | latents.parameters,
            inputs=[distilled.artifact, prior, *latents.inputs], modules=(__name__,),
            label=distilled.artifact.path.name, plan=profile.pick("threads", "device"),
        )  # fmt: skip
