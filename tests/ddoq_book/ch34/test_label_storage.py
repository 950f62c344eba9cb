"""What fewer bytes of labels cost: bytes that follow from the form, accuracies from records, or that there are none."""

import pytest

from ddoq_book import recorded
from ddoq_book.ch31.label_column import ONLINE, label_storage, storage_form
from ddoq_book.ch34.label_storage import DATA, label_results, label_table, label_texts
from ddoq_book.studies import labels as study
from ddoq_book.studies.labels import DISTILLATIONS, LABEL_FORMS, labels_study
from ddoq_core.config.profile import Profile
from ddoq_core.data.imagenet import SUBSETS
from ddoq_core.results.ledger import read
from ddoq_core.results.studies import record_study
from ddoq_core.results.table import NOTHING
from ddoq_core.runs.jobs import Student, bytes_of_labels
from ddoq_core.store.artifacts import Workspace

from ...rows import row


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "RESULTS", tmp_path)
    return tmp_path / "labels"


def test_without_records_the_bytes_are_told_and_the_rest_is_not_recorded_yet(folder):
    found = label_results()
    assert {r.accuracy for r in found} == {None} and "not recorded yet" in label_table(found).markdown()
    sizes = {r.form: r.bytes for r in found if r.data == "digits"}
    assert sizes == {"float16": 2000, "int8": 1400, "top3": 1400, "top1": 600, "reused": 200, "reused-int8": 140}
    assert len(SUBSETS["imagenette"]) == DATA["imagefolder"][2]


def test_what_a_form_costs_is_its_paired_difference_to_float16(folder):
    for form, right in (("float16", 9), ("top1", 8)):
        rows = [row([1] * right + [0] * (10 - right), distill_seed=s, seed=s) for s in DISTILLATIONS]
        Workspace(folder).jsonl(f"mnist5k-{form}.jsonl", rows)
    found = {r.form: r for r in label_results() if r.data == "digits"}
    assert found["float16"].accuracy.mean == pytest.approx(90) and found["float16"].change is None
    assert found["top1"].change.mean == pytest.approx(-10) and found["int8"].accuracy is None
    assert found["top1"].verdict == "not told apart" and found["int8"].verdict is None


def test_a_form_costs_nothing_if_its_difference_is_within_half_a_point(folder):
    of_image = [1] * 900 + [0] * 100
    for form, changed in (("float16", 0), ("int8", 1)):
        rows = [row(of_image[changed:] + [0] * changed, distill_seed=s, seed=s) for s in DISTILLATIONS]
        Workspace(folder).jsonl(f"mnist5k-{form}.jsonl", rows)
    found = label_results()
    assert {r.form: r.verdict for r in found if r.data == "digits"}["int8"] == "no effect"
    assert "within ±0.5 points" in label_table(found).markdown()


def test_the_texts_name_the_form_with_the_fewest_bytes_that_loses_nothing(folder):
    for form, changed in (("float16", 0), ("int8", 1), ("top1", 300), ("reused", 200)):
        of_image = [1] * 900 + [0] * 100
        rows = [row(of_image[changed:] + [0] * changed, distill_seed=s, seed=s) for s in DISTILLATIONS]
        Workspace(folder).jsonl(f"mnist5k-{form}.jsonl", rows)
    texts = label_texts(label_results())
    assert (texts["digits_form"], texts["digits_share"], texts["digits_verdict"]) == (
        "8 bits, all classes",
        "70 %",
        "no effect",
    )
    assert (texts["digits_epochs"], texts["digits_fewer"]) == ("100", "10") and texts["digits_change"].startswith(
        "−20.0"
    )
    assert texts["photographs_change"] == NOTHING and "photographs_form" not in texts


def test_the_study_has_the_same_students_for_every_form():
    parts = list(labels_study(Profile.load("table")))
    assert [part.file for part in parts] == [f"mnist5k-{form}.jsonl" for form in LABEL_FORMS]
    assert all(part.tasks == parts[0].tasks for part in parts) and len(parts[0].tasks) == 12
    knobs = {part.file: part.run.profile for part in parts}
    assert knobs["mnist5k-reused.jsonl"].labelled_epochs == 10
    assert knobs["mnist5k-top1.jsonl"].label_top == 1 and knobs["mnist5k-float16.jsonl"].label_form == "float16"


TINY = {
    "train_size": 200, "image_size": 16, "vae_epochs": 1, "diffusion_epochs": 1, "teacher": "convnet-8", "n_steps": 2,
    "teacher_epochs": 1, "students": ["convnet-2"], "epochs": 10, "synthesis_batch": 100, "workers": 1, "threads": 1,
}  # fmt: skip


@pytest.mark.slow
def test_the_study_runs_and_the_page_shows_what_it_has_recorded(folder, tmp_path, monkeypatch, declared_studies):
    """In small: two distillations, a student of ten epochs each. Every form is trained on labels of its own."""
    monkeypatch.setattr(study, "DISTILLATIONS", range(200, 202))
    profile = Profile.load("table", TINY | {"artifacts": str(tmp_path / "artifacts")})
    files = list(record_study("labels", profile, folder, {}))
    assert [file.name for file in files] == [f"mnist5k-{form}.jsonl" for form in LABEL_FORMS]
    rows = {file: read(file) for file in files}
    assert all(len(of_form) == 4 for of_form in rows.values())
    assert len({row["key"] for of_form in rows.values() for row in of_form}) == 4 * len(LABEL_FORMS)
    found = [r for r in label_results() if r.data == "digits"]
    assert all(r.accuracy and (r.change is None) == (r.form == "float16") for r in found)


def test_the_column_of_table_1_follows_from_a_row_or_from_what_a_record_says_of_its_profile():
    task = Student("ddoq", 10, "convnet-32", "soft", 0, 0)
    assert bytes_of_labels(Profile(), task, 10) == 100 * 10 * 100 * 2
    assert bytes_of_labels(Profile(soft_labels="online"), task, 10) == 0 and storage_form(0) == ONLINE
    for labels, ipc in (("hard", 10), ("own", 10), ("hard", None)):
        assert bytes_of_labels(Profile(), Student("ddoq", ipc, "convnet-32", labels, 0, 0), 10) is None
    (old,) = [r for r in read(recorded.RESULTS / "table" / "mnist5k-convnet-32-ipc010.jsonl")
              if (r["method"], r["labels"], r["distill_seed"], r["seed"]) == ("ddoq", "soft", 0, 0)]  # fmt: skip
    assert "label_bytes" not in old and label_storage([old]) == 100 * 10 * 100 * 2
    assert label_storage([old | {"label_bytes": 7}]) == 7 and label_storage([old | {"labels": "hard"}]) is None
