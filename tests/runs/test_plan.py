"""What is known before anything is made: too few images for a prior, too few for a codebook."""

import re

import pytest

from ddoq_book.few_images import recognised_share, training_sizes
from ddoq_core.config.profile import Profile
from ddoq_core.data.dataset import Dataset
from ddoq_core.errors import InputError
from ddoq_core.runs import run as run_module
from ddoq_core.runs.plan import ENOUGH, check_levels, students_of, warning_of_few
from ddoq_core.runs.run import Run

from ..stand_ins import stand_in

FEW = stand_in(Dataset, train=range(28), n_classes=2)


def warned(dataset: Dataset = FEW, **changes) -> str:
    profile = Profile(**changes)
    return warning_of_few(students_of(profile), profile, dataset)


def test_few_photographs_for_a_prior_that_is_fitted_are_told_with_what_works_instead():
    line = warned()
    assert line.startswith("28 training images are too few for prior = pretrain") and "\n" not in line
    assert "prior=exact" in line and "rded" in line and f"{ENOUGH:,}" in line


def test_nothing_is_said_where_no_prior_is_fitted_or_images_suffice():
    assert warned(stand_in(Dataset, train=range(ENOUGH), n_classes=2)) == ""
    assert warned(prior="exact", autoencoder_path="vae") == ""
    assert warned(methods=["random_real", "rded", "d4m_medoid", "ddoq_medoid", "full"]) == ""  # real pictures
    assert warned(methods=["d4m_medoid", "d4m"])


def test_the_number_of_images_that_are_enough_is_the_recorded_one():
    shares = {n: recognised_share("pretrain", 1, "d4m", n) for n in training_sizes()}
    assert {n for n, share in shares.items() if share.percent > 75} == {n for n in shares if n >= ENOUGH}


def test_a_run_warns_before_it_makes_anything_and_not_when_all_is_there(monkeypatch, tmp_path):
    said, run = [], Run(Profile(artifacts=str(tmp_path), methods=["d4m"], ipc=[1], targets=["soft"], n_seeds=1))
    run.__dict__["dataset"] = stand_in(Dataset, train=range(28), n_classes=2, content="", sized_classes=[])

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "train_all", stopped)
    with pytest.raises(KeyboardInterrupt):
        run.train_students(say=said.append)
    assert [bool(re.match("ddoq: 28 training images are too few", line)) for line in said] == [True]
    monkeypatch.setattr(run_module, "read_rows", lambda file: {task: {} for task in run.plan})
    with pytest.raises(KeyboardInterrupt):
        run.train_students(say=said.append)
    assert len(said) == 1


def test_a_class_that_is_smaller_than_a_codebook_is_told_by_the_knob_that_asks_for_more():
    row = {"index": 0, "name": "ant", "directory": "ant", "n": 7}
    dataset = stand_in(Dataset, sized_classes=[row])

    def check(**changes) -> None:
        profile = Profile.of(changes)
        check_levels(students_of(profile), profile, dataset)

    check(ipc=[2, 5])
    check(ipc=[2, 50], methods=["random_generated"])
    check(ipc=[2], hard_ipc=[50], targets=["soft"])
    with pytest.raises(InputError, match=r"^ipc = 8, but class 0 .* has 7 training images; lower ipc"):
        check(ipc=[2, 8])
    with pytest.raises(InputError, match=r"^hard_ipc = 10, but class 0 .* has 7 training images; lower hard_ipc"):
        check(ipc=[2], hard_ipc=[10])
