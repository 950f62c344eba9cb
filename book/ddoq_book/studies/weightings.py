"""The study `weights`: the effect of weights with the paper's codebook and optimiser, as the protocol declares.

A cell of the study is a codebook at a number of images per class. If its counts are nearly equal it cannot test the
weights, and none of its students is trained. The spread of the counts is stored next to the records.
"""

import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ddoq_core.config.profile import Profile
from ddoq_core.pipeline.cluster import load_companion, load_counts
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.jobs import Student
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Artifact, Workspace

from ..cell_masses import effective_share, mass_ratio
from ..codebooks import FOLDER, LEVELS, NEARLY_EQUAL, kept_spreads, spread_of, spreads_file
from .images_seen import images_seen
from .unequal_masses import FRESH, fresh_students

CODEBOOKS = {
    "one pass": {"quantizer": "minibatch", "n_passes": 1, "start": "samples"},
    "scikit-learn": {"quantizer": "d4m"},
    "Lloyd": {"quantizer": "lloyd"},
}
OPTIMISERS = {
    "A": {"learning_rate": 1e-3, "lr_schedule": "cosine"},  # D4M's
    "B": {"learning_rate": 2e-3, "lr_schedule": "step"},  # Table 3 of the paper
}


@dataclass(frozen=True)
class Block:
    """Students of one codebook, one optimiser and one number of images per class."""

    codebook: str
    optimiser: str
    ipc: int
    methods: tuple[str, ...]
    students: int = 2  # students of each distillation

    @property
    def name(self) -> str:
        """Name of its file."""
        images = "medoids" if "d4m_medoid" in self.methods else "decoded"
        codebook = self.codebook.replace(" ", "-").lower()
        return f"{codebook}-{images}-{self.optimiser}-ipc{self.ipc:03d}"


PAIR, MEDOIDS = ("d4m", "ddoq"), ("d4m_medoid", "ddoq_medoid")
BLOCKS = (
    Block("one pass", "B", 10, (*PAIR, "ddoq_proportional", "ddoq_permuted")),
    Block("one pass", "A", 10, PAIR),
    Block("one pass", "B", 50, PAIR, students=1),
    Block("one pass", "B", 10, MEDOIDS),
    Block("scikit-learn", "B", 10, (*PAIR, "ddoq_companion")),
    Block("Lloyd", "B", 10, PAIR),
    Block("one pass", "B", 5, (*PAIR, "ddoq_proportional", "ddoq_permuted")),
    Block("one pass", "A", 5, PAIR),
    Block("one pass", "B", 5, MEDOIDS),
    Block("Lloyd", "B", 5, PAIR),
)  # the primary blocks first


def weights_study(profile: Profile) -> Iterator[StudyPart]:
    """The declared blocks that can test the weights, with a file for each."""
    runs = {name: Run(profile.replace(ipc=LEVELS, targets=["soft"], **found)) for name, found in CODEBOOKS.items()}
    spreads = spreads_of(profile.dataset, runs, LEVELS)
    for block in BLOCKS:
        if spread_of(spreads, block.codebook, block.ipc) > NEARLY_EQUAL:
            continue
        run = Run(runs[block.codebook].profile.replace(**OPTIMISERS[block.optimiser]))
        tasks = [
            Student(method, block.ipc, profile.students[0], "soft", distillation, seed)
            for distillation in FRESH
            for seed in fresh_students(distillation)[: block.students]
            for method in block.methods
        ]
        file = f"{profile.dataset}-{block.name}.jsonl"
        yield StudyPart(file, run, tasks, images_seen, before=lambda out: keep_spreads(profile.dataset, spreads, out))


def spreads_of(name: str, runs: dict[str, Run], levels: list[int], folder: str = FOLDER) -> list[dict]:
    """Spread of the counts for every codebook, level and distillation: stored next to the records, or measured."""
    if kept := kept_spreads(name, folder):
        return kept
    cells = itertools.product(runs.items(), FRESH, levels)
    return [row for (codebook, run), i, ipc in cells for row in _spread(codebook, run.prototypes(i), i, ipc)]


def _spread(codebook: str, prototypes: Artifact, distillation: int, ipc: int) -> Iterator[dict]:
    """A row for the exact cell counts, and a row for the masses that an online quantizer estimated."""
    masses = {"cells": load_counts(prototypes, ipc)}
    if codebook != "Lloyd":
        masses["own"] = load_companion(prototypes, ipc)
    for counts, v in masses.items():
        yield {
            "codebook": codebook,
            "ipc": ipc,
            "counts": counts,
            "distill_seed": distillation,
            "effective": round(statistics.fmean(map(effective_share, v)), 4),  # mean over classes
            "ratio": round(statistics.median(map(mass_ratio, v)), 2),  # median over classes
        }


def keep_spreads(name: str, spreads: list[dict], folder: Path) -> None:
    """Write the spreads next to the records."""
    Workspace(folder).json(spreads_file(name), spreads)
