"""The study `baselines`: which rows of the long run it records again, and with which values."""

from collections import Counter

import pytest

from ddoq_book.recorded import ALL_IMAGES
from ddoq_book.studies.baselines import baselines_runs, baselines_study
from ddoq_book.studies.searches import TUNED
from ddoq_core.config.profile import Profile
from ddoq_core.methods import METHODS
from ddoq_core.methods.method import SetSize

PROFILE = Profile.load("table")
PARTS = {"all-ipc001", "rded-own", "sre2l-ipc010", "tesla-ipc010", "small-stem-ipc010"}


@pytest.fixture(autouse=True)
def chosen(monkeypatch):
    """The second searches have chosen other values than the profile's."""
    monkeypatch.setitem(TUNED, "inversion", {"inversion_iterations": 1000})
    monkeypatch.setitem(TUNED, "sre2l", {"inversion_statistics": 3.0})
    monkeypatch.setitem(TUNED, "tesla", {"tesla_rate": 3.0})


@pytest.fixture
def runs():
    """Every part by name."""
    return dict(baselines_runs(PROFILE))


def test_what_no_search_has_changed_is_not_recorded_again(monkeypatch):
    monkeypatch.setitem(TUNED, "sre2l", {})
    monkeypatch.setitem(TUNED, "tesla", {})
    found = dict(baselines_runs(PROFILE))
    assert set(found) == {"all-ipc001", "rded-own", "small-stem-ipc010"}
    assert {"sre2l", "cda", "tesla"} <= {t.method for t in found["all-ipc001"].plan}


def test_every_part_has_a_file_of_its_own_and_all_its_students(runs):
    parts = list(baselines_study(PROFILE))
    assert set(runs) == PARTS and {part.file for part in parts} == {f"mnist5k-{name}.jsonl" for name in PARTS}
    assert all(part.tasks == part.run.plan and part.tasks for part in parts)
    assert all(part.run.profile.dataset == "fashion_mnist" for part in baselines_study(fashion()))


def test_where_the_data_set_was_cut_all_real_images_are_trained_on_without_the_cut():
    cut = PROFILE.replace(train_size=6000)
    assert ALL_IMAGES not in dict(baselines_runs(PROFILE))
    run = dict(baselines_runs(cut))[ALL_IMAGES]
    assert {(t.method, t.ipc, t.seed) for t in run.plan} == {("full", None, seed) for seed in range(3)}
    assert (run.profile.train_size, run.profile.teacher_epochs) == (0, PROFILE.teacher_epochs)


def fashion() -> Profile:
    """The other data set of the long run."""
    return PROFILE.replace(dataset="fashion_mnist")


def test_at_one_image_per_class_every_distilled_row_is_trained_for_a_thousand_steps(runs):
    run = runs["all-ipc001"]
    rows = Counter((t.method, t.labels) for t in run.plan)
    assert rows.keys() == {(m, labels) for m in PROFILE.methods if m != "full" for labels in ("soft", "hard")}
    assert set(rows.values()) == {9} and {(t.ipc, t.student) for t in run.plan} == {(1, "convnet-32")}
    assert run.profile.epochs == 1000 == 10 * PROFILE.epochs


def test_what_was_searched_again_is_recorded_with_the_values_that_were_chosen(runs):
    assert runs["all-ipc001"].profile.subset(*TUNED["inversion"]) == TUNED["inversion"]
    for method in ("sre2l", "tesla"):
        run = runs[f"{method}-ipc010"]
        assert run.profile.subset(*TUNED[method]) == TUNED[method]
        assert {(t.method, t.ipc) for t in run.plan} == {(method, 10)}
    assert {t.labels for t in runs["tesla-ipc010"].plan} == {"soft", "hard", "own"}


def test_rdeds_own_protocol_has_the_published_share_of_epochs_at_every_level(runs):
    run = runs["rded-own"]
    assert Counter((t.method, t.labels, t.ipc) for t in run.plan) == {("rded", "own", k): 9 for k in PROFILE.ipc}
    assert METHODS["rded"].protocol(run.profile, SetSize(10, 10))[1]["epochs"] == 300


def test_the_small_stem_has_a_student_for_each_of_six_distillations(runs):
    run = runs["small-stem-ipc010"]
    assert {(t.distill_seed, t.seed) for t in run.plan} == {(i, i) for i in range(6)}
    assert Counter((t.method, t.student, t.labels, t.ipc) for t in run.plan) == {
        (method, "resnet18-small", "soft", 10): 6 for method in ("d4m", "ddoq")
    }


def test_the_values_that_are_not_of_a_part_are_those_of_the_long_run(runs):
    changed = {"epochs", "ipc", "hard_ipc", "methods", "students", "targets", "n_seeds", "n_student_seeds"}
    changed |= {knob for chosen in TUNED.values() for knob in chosen}
    same = [name for name in Profile.knobs() if name not in changed]
    assert all(run.profile.subset(*same) == PROFILE.subset(*same) for run in runs.values())
