"""A data set of 36 bright squares and a prior of random weights: small enough for every test of a step."""

import dataclasses
import itertools
import json
import sys
import tomllib
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline, DiTTransformer2DModel
from PIL import Image
from xdist.scheduler import LoadScopeScheduling

from ddoq_core import cli
from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset, Split
from ddoq_core.foreign.folder import read_foreign
from ddoq_core.networks.fitting import initialised
from ddoq_core.randomness import torch_rng
from ddoq_core.results import studies
from ddoq_core.results.studies import GROUP
from ddoq_core.store.artifacts import Artifact, Store

from .theirs import IPC, LAYOUTS, WNIDS, N, grey

SIZE = 16
NAMES = ["left", "middle", "right"]


class FilesApart(LoadScopeScheduling):
    """Of several workers one has all tests of a file, and one has all of the book, which takes minutes to make."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "tests/book" if file.startswith("tests/book/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log) -> FilesApart:
    return FilesApart(config, log)


@pytest.fixture
def declared_studies(monkeypatch) -> EntryPoints:
    """The studies that pyproject.toml declares, whatever the installed metadata says."""
    declared = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["entry-points"]
    found = EntryPoints(EntryPoint(name, value, GROUP) for name, value in declared[GROUP].items())
    monkeypatch.setattr(studies, "entry_points", lambda group: found.select(group=group))
    return found


@pytest.fixture
def store(tmp_path) -> Store:
    """An empty store."""
    return Store(tmp_path / "artifacts")


@pytest.fixture(scope="session")
def squares() -> Dataset:
    """Three classes: a bright square at the left, in the middle, at the right; 12 + 3 + 6 noisy images of each."""

    def split(part: str, per_class: int) -> Split:
        images = torch.randint(0, 60, (3 * per_class, 1, SIZE, SIZE), generator=torch_rng(0, "squares", part))
        labels = torch.arange(3).repeat(per_class)
        for image, label in zip(images, labels.tolist(), strict=True):
            image[:, 5:11, 5 * label : 5 * label + 5] += 180
        return Split(labels, [f"{part}/{i}" for i in range(len(labels))], images.to(torch.uint8), SIZE)

    return Dataset(
        "squares", split("train", 12), split("validation", 3), split("test", 6),
        class_ids=["0", "1", "2"], class_names=NAMES, prompts=NAMES, image_size=SIZE, channels=1,
        mean=(0.2,), std=(0.25,), key="squares",
    )  # fmt: skip


@pytest.fixture(scope="session")
def tiny() -> Profile:
    """A profile that asks for as little as possible."""
    return Profile(
        image_size=SIZE, vae_epochs=1, diffusion_epochs=2, teacher="convnet-8", teacher_epochs=2, n_steps=6,
        synthesis_batch=4, ipc=[2], hard_ipc=[2], n_restarts=2, threads=1,
    )  # fmt: skip


@pytest.fixture(scope="session")
def save_random_prior():
    """`save_random_prior(folder)` writes a DiT of random weights in the DiTPipeline layout."""
    return _save_random_prior


def _save_random_prior(folder, *, channels: int = 1, learn_sigma: bool = False) -> None:
    with initialised(torch_rng(1, "prior")):
        transformer = DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, num_layers=2, in_channels=4, sample_size=8, patch_size=2,
            out_channels=8 if learn_sigma else 4, norm_num_groups=1,
        )  # fmt: skip
        vae = AutoencoderKL(
            in_channels=channels, out_channels=channels, block_out_channels=[4, 8], layers_per_block=1,
            norm_num_groups=4, down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
            mid_block_add_attention=False, scaling_factor=0.7, sample_size=SIZE,
        )  # fmt: skip
    DiTPipeline(transformer, vae, DDIMScheduler(clip_sample=False)).save_pretrained(folder)
    index = folder / "model_index.json"
    labels = {str(i): name for i, name in enumerate(NAMES)}
    index.write_text(json.dumps(json.loads(index.read_text()) | {"id2label": labels}))


@pytest.fixture(scope="session")
def prior(tmp_path_factory) -> Artifact:
    """That prior, as the artifact that steps take."""
    folder = tmp_path_factory.mktemp("prior")
    _save_random_prior(folder)
    return Artifact(folder, "prior", "random", "random")


@pytest.fixture(scope="session")
def contents():
    """`contents(artifact)`: every file that belongs to its identity."""

    def of(artifact: Artifact) -> dict[str, bytes]:
        files = sorted(p for p in artifact.path.rglob("*") if p.is_file() and p.name != "run.json")
        return {str(p.relative_to(artifact.path)): p.read_bytes() for p in files}

    return of


@pytest.fixture
def birds(squares):
    """Eleven classes of grey images in memory, known by wnids."""
    return dataclasses.replace(squares, class_ids=WNIDS, class_names=[f"bird {i}" for i in range(N)], prompts=WNIDS)


@pytest.fixture
def folder(tmp_path):
    """`folder(layout)` writes IPC images of each class, each of one grey that says which it is."""

    def write(layout: str, size: tuple[int, int] = (SIZE, SIZE), ipc: int = IPC, n: int = N):
        root = tmp_path / "theirs"
        for c, k in itertools.product(range(n), range(ipc)):
            path = root / LAYOUTS[layout].format(c=c, k=k, wnid=WNIDS[c])
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size, (grey(c, k),) * 3).save(path, quality=95)
        return root

    return write


@pytest.fixture
def read(store, birds, tiny):
    """`read(folder)`: the folder as a set of those eleven classes."""
    return lambda root, **knobs: read_foreign(store, root, birds, tiny.replace(**knobs))


@pytest.fixture
def ddoq(monkeypatch, capsys, tmp_path):
    """Run the command in an empty folder; exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ddoq", *words])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
