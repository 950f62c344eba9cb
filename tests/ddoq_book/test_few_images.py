"""How many images a fitted prior needs: what is counted, what is recorded, and what the page says of it."""

import json
from pathlib import Path

import pytest
import torch

from ddoq_book.few_images import ROWS, few_images_table, recognised_share, training_sizes
from ddoq_book.studies import few_images as module
from ddoq_book.studies.few_images import ARMS, FILE, few_images_study, keep_shares, recognised_pictures
from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset
from ddoq_core.pipeline.distilled import DistilledDataset
from ddoq_core.runs.run import Run

from ..stand_ins import stand_in

PAGE = Path(__file__).parents[2] / "book" / "running.md"


def test_pictures_are_counted_that_the_teacher_of_all_images_gives_their_class(monkeypatch):
    data = stand_in(Dataset, normalise=lambda images: images, n_classes=2)
    judge = stand_in(Run, teacher=None, dataset=data, profile=Profile())
    monkeypatch.setattr(module, "load_teacher", lambda teacher, device: lambda images: images.flatten(1))
    pictures = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]], [[[1.0, 0.0]]]])
    assert (
        recognised_pictures(judge, stand_in(DistilledDataset, images=lambda: pictures, labels=torch.tensor([0, 1, 1])))
        == 2
    )


def test_a_share_is_recorded_as_soon_as_it_is_there_and_not_again(monkeypatch, tmp_path):
    [part] = few_images_study(Profile())
    asked = []

    def counted(judge: Run, distilled: object) -> int:
        asked.append(distilled)
        if len(asked) == 5:
            raise KeyboardInterrupt
        return 7

    data = stand_in(Dataset, train=range(100), n_classes=10)
    made = stand_in(Run, dataset=data, distilled=lambda *key: key)
    monkeypatch.setattr(module, "recognised_pictures", counted)
    monkeypatch.setattr(module.FewImages, "run", lambda arm, judge: made)
    with pytest.raises(KeyboardInterrupt):
        keep_shares(part.run, tmp_path / FILE)
    assert len((tmp_path / FILE).read_text().splitlines()) == 4
    part.before(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert len(rows) == 2 * sum(len(arm.methods) for arm in ARMS) == len(asked) - 1
    assert {(row["training"], row["n"], row["recognised"]) for row in rows} == {(100, 100, 7)}


def test_the_exact_score_has_another_autoencoder_and_the_fitted_prior_the_same_epochs_or_more(tmp_path):
    judge = stand_in(Run, profile=Profile(), prior=stand_in(object, path=tmp_path))
    profiles = {(arm.size, arm.prior, arm.times): arm.run(judge).profile for arm in ARMS}
    assert profiles[160, "exact", 1].autoencoder_path == str(tmp_path / "vae")
    assert profiles[160, "pretrain", 1].subset("vae_epochs", "train_size") == {"vae_epochs": 6, "train_size": 160}
    assert profiles[160, "pretrain", 4].diffusion_epochs == 4 * 34


def test_the_page_has_the_recorded_shares():
    lines = few_images_table().markdown().splitlines()
    assert training_sizes() and all(line in PAGE.read_text().splitlines() for line in lines if line)


def test_real_pictures_are_recognised_however_few_images_there_are():
    for method in ("d4m_medoid", "rded"):
        assert all(recognised_share("pretrain", 1, method, n).percent > 95 for n in training_sizes())
    assert recognised_share("pretrain", 1, "no such", 140) is None and len(ROWS) == len(few_images_table().rows)
