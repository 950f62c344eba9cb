"""The study `ablations`: one knob of Algorithm 4 at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

from ddoq_core.config.profile import Profile
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.run import Run

from .images_seen import images_seen

ABLATED_AT = 10, "soft"  # images per class and labels


@dataclass(frozen=True)
class Ablation:
    """One knob: its settings by name, of which the first is that of the long run, and the rows that are tested."""

    title: str
    settings: dict[str, dict]
    methods: tuple[str, ...] = ("d4m", "ddoq")


ABLATIONS = {
    "weights": Ablation(
        "Exponent α of the weights, w ∝ v^α with mean 1; eq. 33 is α = 1/2 without the normalisation",
        {"eq. 33": {}} | {f"α = {a:g}": {"weights": a} for a in (0.0, 0.25, 0.5, 0.75, 1.0)},
        ("ddoq",),
    ),
    "loss": Ablation(
        "Direction of the divergence", {"KL(teacher ‖ student)": {}, "KL(student ‖ teacher)": {"loss": "reverse"}}
    ),
    "cutmix": Ablation(
        "Weight of a mixed image", {"λ-mixture": {}, "base image": {"cutmix_weight": "base"}}, ("ddoq",)
    ),
    "strength": Ablation("Strength of the noise", {"0.7": {}} | {f"{s}": {"strength": s} for s in (0.3, 0.5, 0.9)}),
    "sampler": Ablation("Reverse process", {"DDIM, deterministic": {}, "DDPM, stochastic": {"sampler": "ddpm"}}),
    "quantizer": Ablation(
        "Codebook",
        {
            "Lloyd, 10 starts": {},
            "mini-batch, 10 passes": {"quantizer": "minibatch"},
            "mini-batch, 1 pass": {"quantizer": "minibatch", "n_passes": 1},
            "CLVQ, 10 passes": {"quantizer": "clvq"},
        },
    ),
    "rate": Ablation(
        "Learning rate of the student",
        {"0.003": {}, "0.002": {"learning_rate": 2e-3}, "0.001": {"learning_rate": 1e-3}},
        ("random_real", "d4m", "ddoq"),
    ),
}


def ablation_runs(profile: Profile) -> Iterator[tuple[str, Run]]:
    """File name and run of every setting of ABLATIONS."""
    few = {"ipc": [ABLATED_AT[0]], "targets": [ABLATED_AT[1]], "students": profile.students[:1]}
    for name, ablation in ABLATIONS.items():
        for number, changes in enumerate(ablation.settings.values()):
            run = Run(profile.replace(**few, methods=list(ablation.methods), **changes))
            yield f"{profile.dataset}-{name}-{number}.jsonl", run


def ablations_study(profile: Profile) -> Iterator[StudyPart]:
    """One knob of Algorithm 4 at a time, with a file for each setting."""
    return (StudyPart(file, run, run.plan, images_seen) for file, run in ablation_runs(profile))
