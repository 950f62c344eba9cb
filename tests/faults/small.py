"""The whole of Algorithm 4, with a method of every kind, on 33 pictures of 16 pixels: what the faults are tried on."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from ddoq_book.studies.closeness import closeness_of
from ddoq_core.config.profile import Profile
from ddoq_core.methods import SMALL
from ddoq_core.pipeline.pixels import mapped_pixels
from ddoq_core.runs.run import Run
from ddoq_core.store.manifest import sha256_of

SIZE = 16
# a row for each way of making a set; the other rows make theirs as one of these does
ROWS = [
    "random_real", "random_generated", "herding", "dm", "tesla", "sre2l", "cda", "rded", "d4m", "ddoq",
    "ddoq_proportional", "ddoq_companion", "ddoq_adaptive", "ddoq_permuted", "d4m_medoid", "ddoq_medoid",
    "ddoq_medoid_permuted", "full",
]  # fmt: skip
VALUES = {
    **SMALL, "dataset": "imagefolder", "image_size": SIZE, "ipc": [2], "hard_ipc": [2], "n_seeds": 1,
    "methods": ROWS, "targets": ["soft"], "soft_labels": "stored", "workers": 1,
    "teacher": "convnet-8-bn", "students": ["convnet-4"], "synthesis_batch": 2,
}  # fmt: skip

# every step, as the folder of its artifacts is called, and what asks for it
STEPS: dict[str, Callable[[Run], object]] = {
    "scan": lambda run: run.dataset,
    "prior": lambda run: run.prior,
    "teacher": lambda run: (run.teacher, run.train_students(say=lambda line: None)),  # the row `full` is another
    "assess": lambda run: run.assessment,
    "encode": lambda run: run.latents,
    "cluster": lambda run: run.prototypes(),
    "synthesize": lambda run: run.distilled("ddoq", 2),
    "exponents": lambda run: run.train_students(say=lambda line: None),  # of the row ddoq_adaptive
    "medoid": lambda run: run.distilled("d4m_medoid", 2),
    "generate": lambda run: run.distilled("random_generated", 2),
    "herding": lambda run: run.distilled("herding", 2),
    "dm": lambda run: run.distilled("dm", 2),
    "random_real": lambda run: run.distilled("random_real", 2),
    "rded_crops": lambda run: run.distilled("rded", 2),
    "rded": lambda run: run.distilled("rded", 2),
    "sre2l_images": lambda run: run.distilled("sre2l", 2),
    "sre2l": lambda run: run.distilled("sre2l", 2),
    "cda_images": lambda run: run.distilled("cda", 2),
    "cda": lambda run: run.distilled("cda", 2),
    "tesla_experts": lambda run: run.distilled("tesla", 2),
    "tesla": lambda run: run.distilled("tesla", 2),
    "check": lambda run: run.check(2),
    "closeness": lambda run: closeness_of(run, "ddoq", 2),
    "relabel": lambda run: run.train_students(say=lambda line: None),  # of every set
    "pixels": lambda run: [mapped_pixels(run.store, distilled) for distilled, _ in run.distilled_sets()],
    "train": lambda run: run.train_students(say=lambda line: None),
}


def pictures(root: Path) -> Path:
    """train/ and val/ with three classes of noise, each with a bright stripe at a place of its own."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 8), ("val", 3)):
        for label, name in enumerate(("ant", "bee", "cat")):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(n):
                values = rng.integers(0, 60, (SIZE, SIZE, 3))
                values[:, 5 * label : 5 * label + 5] += 180
                Image.fromarray(values.astype(np.uint8)).save(folder / f"{i}.png")
    return root


def profile(data: Path, artifacts: Path, **changes) -> Profile:
    """The smoke profile on these pictures."""
    return Profile.load("smoke", VALUES | {"data_root": str(data), "artifacts": str(artifacts)} | changes)


def command(data: Path, artifacts: Path, **changes) -> list[str]:
    """Words that give `ddoq run` the same profile."""
    values = VALUES | {"data_root": str(data), "artifacts": str(artifacts)} | changes
    return ["run", "--profile", "smoke", *(w for n, v in values.items() for w in ("-p", f"{n}={json.dumps(v)}"))]


def identity(artifacts: Path) -> dict[str, str]:
    """Checksum of every file but run.json; of results, without the time and the place that they were made."""
    found, outside = {}, ("run.json", "report.html", ".locks")  # what says when and where
    for path in sorted(p for p in artifacts.rglob("*") if p.is_file() and not {p.name, p.parent.name} & {*outside}):
        name = str(path.relative_to(artifacts))
        found[name] = _rows(path) if path.name == "results.jsonl" else sha256_of(path)
    return found


def _rows(path: Path) -> str:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [{n: v for n, v in row.items() if n not in ("seconds", "date")} for row in rows]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
