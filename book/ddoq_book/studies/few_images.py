"""The study `few_images`: how many images a fitted prior needs before its pictures show their class.

No student is trained. In: a profile of digits. Out: one row for each number of training images, prior, method and
distillation: the share of the distilled pictures that a teacher of all images recognises. That teacher only judges;
each run makes everything from its own few images.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ddoq_core.config.profile import Profile
from ddoq_core.pipeline.distilled import DistilledDataset
from ddoq_core.pipeline.teacher import load_teacher
from ddoq_core.results.studies import StudyPart
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Workspace

FOLDER, FILE = "few_images", "recognised.jsonl"  # of book/results
SIZES = (160, 400, 800, 1600, 0)  # training and validation images; 0: all
LONGER = (160, 400)  # sizes whose prior is fitted a second time, for longer
TIMES = 4  # factor of the epochs for LONGER
IPC = 10
FITTED = ("random_generated", "d4m")  # rows whose pictures the fitted prior draws
REAL = ("d4m_medoid", "rded")  # rows of real pictures
SHARED = {"ipc": [IPC], "hard_ipc": [IPC], "targets": ["soft"], "n_seeds": 2, "methods": [*FITTED, *REAL]}


@dataclass(frozen=True)
class FewImages:
    """Pictures made from a given number of real images."""

    size: int  # train_size
    prior: str
    times: int  # epochs of the prior over those of the profile
    methods: tuple[str, ...]

    def run(self, judge: Run) -> Run:
        """The run of its pictures. The exact score has an autoencoder fitted to all images, to stand for one that was
        trained elsewhere on many images."""
        p = judge.profile
        epochs = {name: self.times * getattr(p, name) for name in ("vae_epochs", "diffusion_epochs")}
        given = {"autoencoder_path": str(judge.prior.path / "vae")} if self.prior == "exact" else {}
        return Run(p.replace(train_size=self.size, prior=self.prior, **epochs, **given))


ARMS = (
    *(FewImages(size, "pretrain", 1, (*FITTED, *REAL)) for size in SIZES),
    *(FewImages(size, "exact", 1, ("d4m",)) for size in SIZES),
    *(FewImages(size, "pretrain", TIMES, FITTED) for size in LONGER),
)


def few_images_study(profile: Profile) -> Iterator[StudyPart]:
    """The study, with one file of shares."""
    run = Run(profile.replace(**SHARED))
    yield StudyPart(FILE, run, [], lambda run, task: {}, before=lambda folder: keep_shares(run, folder / FILE))


def keep_shares(run: Run, path: Path) -> None:
    """Write the missing rows to the file, each as soon as it is computed."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    there = {_name(row) for row in rows}
    for arm in ARMS:
        row = {"images": arm.size, "prior": arm.prior, "times": arm.times}
        for method, seed in itertools.product(arm.methods, range(SHARED["n_seeds"])):
            row = row | {"method": method, "seed": seed}
            if _name(row) in there:
                continue
            made = arm.run(run)
            found = row | {"training": len(made.dataset.train), "n": IPC * made.dataset.n_classes}
            rows.append(found | {"recognised": recognised_pictures(run, made.distilled(method, IPC, seed))})
            Workspace(path.parent).jsonl(path.name, rows)


def _name(row: dict) -> tuple:
    return tuple(row[name] for name in ("images", "prior", "times", "method", "seed"))


def recognised_pictures(judge: Run, distilled: DistilledDataset) -> int:
    """Number of pictures that the teacher of a run classifies correctly."""
    network, device = load_teacher(judge.teacher, judge.profile.device), judge.profile.device
    with torch.no_grad():
        logits = network(judge.dataset.normalise(distilled.images()).to(device))
    return int((logits.argmax(1).cpu() == distilled.labels).sum())
