"""The study of all families: who is in it, with which seeds, and what a student needs in bytes."""

import pytest

from ddoq_book.studies.baselines import baselines_runs
from ddoq_book.studies.families import (
    FAMILY_SEARCHES,
    GROUPS,
    ORACLE_RUNS,
    REDUCED,
    families_study,
    families_tuning,
    kernel_accuracy,
    oracles_study,
    stored_bytes,
)
from ddoq_core.config.profile import Profile
from ddoq_core.methods import METHODS, SMALL
from ddoq_core.pipeline.relabel import label_bytes
from ddoq_core.runs.jobs import Student
from ddoq_core.runs.run import Run

TABLE = Profile.load("table")


def test_every_row_beyond_the_first_ones_is_in_the_study_once():
    mine = [name for group in GROUPS for name in group.methods]
    assert len(mine) == len(set(mine))
    theirs = {"full", *Profile.load("table").methods} | {m for m in METHODS if m.startswith(("ddoq", "d4m"))}
    assert set(METHODS) - theirs == set(mine)


def test_fast_rows_are_crossed_up_to_ten_images_and_others_have_a_student_of_each_distillation():
    parts = {part.file: part for part in families_study(TABLE)}
    dm = parts["mnist5k-dm-ipc010.jsonl"].tasks
    assert {(t.distill_seed, t.seed) for t in dm if t.labels == "soft"} == {(i, j) for i in range(3) for j in range(3)}
    one = {(0, 0), (1, 1), (2, 2)}
    for file in ("mnist5k-mtt-own-ipc001.jsonl", "mnist5k-core-sets-ipc050.jsonl"):
        method = parts[file].tasks[0].method
        assert {(t.distill_seed, t.seed) for t in parts[file].tasks if t.method == method} == one
    assert all(t.student == "convnet-32" for part in parts.values() for t in part.tasks)


def test_one_image_per_class_has_the_steps_of_the_rows_beside_it_and_own_protocols_their_published_length():
    parts = {part.file: part for part in families_study(TABLE)}
    beside = dict(baselines_runs(TABLE))["all-ipc001"].profile
    assert parts["mnist5k-dm-ipc001.jsonl"].run.profile.epochs == beside.epochs > TABLE.epochs
    for file in ("mnist5k-dm-ipc010.jsonl", "mnist5k-dm-own-ipc001.jsonl"):
        assert parts[file].run.profile.epochs == TABLE.epochs
    for file, part in parts.items():
        assert {t.labels for t in part.tasks} == ({"own"} if "-own-" in file else {"soft", "hard"})
    assert not any("core-sets-own" in file for file in parts)  # core-sets have no protocol of their own


def test_fashion_has_the_rows_that_are_cheap_and_photographs_those_that_are_feasible():
    fashion = {part.file for part in families_study(TABLE.replace(dataset="fashion_mnist", train_size=6000))}
    assert {name.split("-")[1] for name in fashion} == {"core", "dm"}
    photographs = {t.method for p in families_study(Profile.load("imagenette_cpu")) for t in p.tasks}
    assert {"herding", "dm", "wmdd", "ot_guided"} <= photographs and not {"glad", "ld3m", "minimax"} & photographs


def test_searches_hold_the_value_that_is_taken_and_touch_a_knob_of_their_row():
    for search in FAMILY_SEARCHES:
        (group,) = (g for g in GROUPS if search.method in g.methods)
        assert getattr(TABLE.replace(**REDUCED | group.values), search.knob) in search.values
        assert search.method in Profile.knobs()[search.knob].metadata["methods"]
    parts = list(families_tuning(TABLE))
    assert len({p.file for p in parts}) == len(parts) == sum(len(s.values) for s in FAMILY_SEARCHES)
    for part in parts:
        (method,) = {t.method for t in part.tasks}
        assert {t.labels for t in part.tasks} == ({"own"} if METHODS[method].protocol else {"soft", "hard"})


@pytest.fixture(scope="module")
def run(squares, tmp_path_factory):
    values = SMALL | {"image_size": 16, "threads": 1, "ipc": [2], "teacher": "convnet-4", "epochs": 3, "tesla_ipc": [2]}
    made = Run(Profile.of(values | {"artifacts": str(tmp_path_factory.mktemp("artifacts"))}))
    made.__dict__["dataset"] = squares
    return made


def stored(run, method: str, labels: str) -> dict:
    return stored_bytes(run, Student(method, 2, "convnet-4", labels, 0, 0))


def test_bytes_are_those_of_pictures_and_labels_or_of_what_was_learned(run):
    pixels, n = 6 * 16 * 16, 6
    assert stored(run, "herding", "hard") == {"pixels": pixels, "labels": n, "more": 0}
    assert stored(run, "herding", "soft") == {"pixels": pixels, "labels": label_bytes(n, 3, 3), "more": 0}
    assert stored(run, "mtt", "hard")["pixels"] == pixels
    assert stored(run, "mtt", "own") == {"pixels": 4 * pixels, "labels": n, "more": 4}
    assert stored(run, "kip_labels", "own") == {"pixels": 4 * pixels, "labels": 4 * n * 3, "more": 0}
    assert stored(run, "kip", "own") == {"pixels": 4 * pixels, "labels": n, "more": 0}  # its labels are the classes
    assert stored(run, "rfad", "own") == {"pixels": 4 * pixels, "labels": n, "more": 0}  # its scale is unseen
    tables = stored(run, "rtp", "own")
    assert tables["pixels"] == 0 and 0 < tables["more"] <= 4 * pixels


def test_kernel_regression_on_all_training_images_tells_the_squares_apart(run):
    assert kernel_accuracy(run, Student("kip", 2, "convnet-4", "own", 0, 0)) > 60


def test_oracles_are_published_settings_of_their_data_set():
    assert len({o.file for o in ORACLE_RUNS}) == len(ORACLE_RUNS)
    parts = list(oracles_study(TABLE.replace(dataset="mnist")))
    assert [p.file for p in parts] == [o.file for o in ORACLE_RUNS if o.dataset == "mnist"]
    for part, oracle in zip(parts, (o for o in ORACLE_RUNS if o.dataset == "mnist"), strict=True):
        assert part.run.profile.subset(*oracle.values) == oracle.values
        alone = "dd_known" in oracle.values  # all students would be the same network
        assert {t.student for t in part.tasks} == {oracle.student} and len(part.tasks) == (1 if alone else 3)
    assert not list(oracles_study(TABLE))
