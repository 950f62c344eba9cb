"""D4M (Su et al., 2024): k-means prototypes in latent space, decoded by the prior; all images have equal weights."""

from collections.abc import Iterator

from ..config.profile import Profile
from ..pipeline.distilled import DistilledDataset
from ..pipeline.synthesize import synthesize
from .account import Account, Cost
from .method import SRE2L_TRAINING, Method, MethodRun, SetSize

PROTOTYPES = "prototypes"  # the images that D4M and DDOQ share


def distill(run: MethodRun, ipc: int, distill_seed: int) -> DistilledDataset:
    """The distilled set of D4M and DDOQ: one set, which keeps the counts; the rows differ only in their weights."""
    prototypes = run.prototypes(distill_seed)
    return synthesize(run.store, prototypes, run.prior, run.dataset, run.profile, ipc=ipc, distill_seed=distill_seed)


def protocol(profile: Profile, size: SetSize) -> tuple[str, dict]:
    """D4M's labels and training, as in its released code (validate/train_FKD.py, matching/matching.sh).

    AdamW from 1e-3 along a cosine to 0; views of at least 0.08 of the area; CutMix; KL(teacher || student) at T = 20.
    The batch is 1024 for a thousand classes, and proportional to their number: about one image of each. The profile
    sets epochs (published: 300), mirroring (published: always), and parts of a batch (published: 2).
    """
    changes = {
        "batch_size": min(round(1.024 * size.n_classes), size.n),
        "crop_scale": 0.08,
        "lr_schedule": "cosine",
    }
    return "soft", SRE2L_TRAINING | changes


def cost(account: Account) -> Iterator[Cost]:
    """The sets decoded from prototypes."""
    return account.denoised("synthesize", "from prototypes")


METHOD = Method(
    name="d4m", title="D⁴M", reference="su2024d4m", distill=distill, images=PROTOTYPES, cost=cost, protocol=protocol,
    uses=("prior", "encode", "cluster"),
)  # fmt: skip
