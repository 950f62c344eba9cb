"""No method sees the test images: with other ones, every file is the same but the scores."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

from ddoq_core.config.profile import Profile
from ddoq_core.data.loaders import load_dataset
from ddoq_core.methods import METHODS, SMALL
from ddoq_core.networks.classifiers import make_network
from ddoq_core.networks.fitting import initialised
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.jobs import train_student
from ddoq_core.runs.run import Run
from ddoq_core.store.manifest import sha256_of

SCORES = ("metrics.json", "result.json", "manifest.json", "run.json")  # the manifest holds the scores' checksums
KEY = re.compile("-?[0-9a-f]{16}")
PROFILE = Profile.of(
    SMALL
    | {
        "image_size": 16, "train_size": 80, "validation_fraction": 0.25, "vae_epochs": 1, "diffusion_epochs": 1,
        "teacher": "convnet-4", "teacher_epochs": 1, "students": ["convnet-2"], "ipc": [2], "hard_ipc": [2],
        "targets": ["soft", "own"], "epochs": 1, "n_steps": 2, "n_restarts": 1, "n_seeds": 1, "threads": 1,
        "methods": list(METHODS),
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def digits():
    return load_dataset(PROFILE)


def files_made(root: Path, dataset, profile: Profile = PROFILE) -> Counter[tuple[str, str]]:
    """Name and checksum of every file that a run of all methods leaves, scores and keys apart.

    The teacher's score is a file of its artifact, and so part of the keys of what it labels.
    """
    run = Run(profile.replace(artifacts=str(root)))
    run.__dict__["dataset"] = dataset
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ddoq_core.runs.jobs._dataset_of", lambda profile: dataset)
        for task in run.plan:
            train_student(run.job(task))
    made = sorted(p for p in root.rglob("*") if p.is_file() and p.name not in SCORES)
    return Counter((KEY.sub("", str(p.relative_to(root))), sha256_of(p)) for p in made)


@pytest.mark.slow
def test_nothing_but_the_scores_depends_on_the_test_images(digits, tmp_path):
    poisoned = replace(digits.test, labels=digits.test.labels.flip(0), pixels=255 - digits.test.pixels)
    assert not torch.equal(poisoned.labels, digits.test.labels)
    clean = files_made(tmp_path / "clean", digits)
    assert files_made(tmp_path / "poisoned", replace(digits, test=poisoned)) == clean
    steps = {Path(name).parts[0] for name, _ in clean}
    assert {"random_real", "generate", "synthesize", "rded", "sre2l", "cda", "tesla", "train", "relabel"} <= steps
    assert {"herding", "el2n", "dm", "mtt", "kip", "frepo", "glad", "minimax", "wmdd", "ot_guided", "dd"} <= steps


@pytest.mark.slow
def test_the_scores_do_depend_on_them(digits, tmp_path):
    poisoned = replace(digits.test, labels=digits.test.labels.flip(0))
    scores = []
    for name, test in (("clean", digits.test), ("poisoned", poisoned)):
        run = Run(PROFILE.replace(artifacts=str(tmp_path / name), methods=["random_real"], targets=["hard"]))
        run.__dict__["dataset"] = replace(digits, test=test)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ddoq_core.runs.jobs._dataset_of", lambda profile, run=run: run.dataset)
            scores.append(train_student(run.job(run.plan[0])).json("result.json")["hits"])
    assert scores[0] != scores[1]


def test_nor_does_anything_of_the_photographs_profile(tmp_path):
    """The same with the exact score, a given autoencoder and teacher, and pictures larger than students see them."""
    with initialised(torch_rng(0, "poisoned")):
        AutoencoderTiny(in_channels=1, out_channels=1, latent_channels=4).save_pretrained(tmp_path / "vae")
        save_file(
            make_network("convnet-4", 10, 1, 32, torch_rng(0, "poisoned")).state_dict(),
            tmp_path / "teacher.safetensors",
        )
    given = {"autoencoder_path": str(tmp_path / "vae"), "teacher_path": str(tmp_path / "teacher.safetensors")}
    profile = Profile.load("imagenette_cpu").replace(
        dataset="mnist5k", class_list="", image_size=16, teacher_size=32, train_size=80, validation_fraction=0.25,
        teacher="convnet-4", ipc=[2], hard_ipc=[2], methods=["d4m", "ddoq", "ddoq_medoid", "ddoq_adaptive"],
        students=["convnet-2"], n_steps=2, epochs=2, label_epochs=1, threads=1, **given,
    )  # fmt: skip
    digits = load_dataset(profile)
    poisoned = replace(digits.test, labels=digits.test.labels.flip(0), pixels=255 - digits.test.pixels)
    clean = files_made(tmp_path / "clean", digits, profile)
    assert files_made(tmp_path / "poisoned", replace(digits, test=poisoned), profile) == clean
    assert {"autoencoder", "encode", "exponents", "medoid", "train"} <= {Path(name).parts[0] for name, _ in clean}
