"""What was tried: every value is a valid profile, the taken one is marked, and the test images are not looked at."""

import numpy as np

from ddoq_book.ch31 import tuning
from ddoq_book.recorded import RESULTS
from ddoq_book.studies.searches import SEARCHES, TUNED, tuning_runs, tuning_study
from ddoq_core.config.profile import Profile
from ddoq_core.results.intervals import Mean
from ddoq_core.results.ledger import read, shaping

PROFILE = Profile.load("table")
BY_NAME = {"inversion": ("sre2l", "cda"), "tesla": ("tesla",)}


def test_every_search_holds_the_value_that_the_long_run_takes():
    assert all(getattr(PROFILE, search.knob) in search.values for search in SEARCHES if not search.name)


def test_every_value_that_the_second_searches_chose_was_tried():
    for name, methods in BY_NAME.items():
        tried = {(s.knob, value) for s in SEARCHES if s.name and s.method in methods for value in s.values}
        beside = {pair for s in SEARCHES if s.name and s.method in methods for pair in s.beside.items()}
        assert TUNED[name].items() <= tried | beside


def test_the_files_of_the_first_searches_are_the_recorded_ones_and_no_second_one_has_their_names():
    first = {search.file("mnist5k", value) for search in SEARCHES if not search.name for value in search.values}
    again = {search.file("mnist5k", value) for search in SEARCHES if search.name for value in search.values}
    recorded = {file.name for file in (RESULTS / "tuning").glob("*.jsonl")}
    assert len(first) == 14 and first <= recorded and not first & again
    for part in tuning_study(PROFILE):
        if part.file in first:
            rows = read(RESULTS / "tuning" / part.file)
            assert {(r["method"], r["ipc"], r["labels"], r["seed"]) for r in rows} == {
                (t.method, t.ipc, t.labels, t.seed) for t in part.tasks
            }
            assert {r["settings"] for r in rows} == {shaping(part.run, t.method)["settings"] for t in part.tasks}


def test_every_value_is_a_run_with_a_file_of_its_own():
    found = dict(tuning_runs(PROFILE))
    assert len(found) == sum(len(search.values) for search in SEARCHES)
    assert all({t.ipc for t in run.plan} in ({1}, {10}) for run in found.values())


def test_validation_accuracies_are_shown_and_what_was_taken_is_marked(monkeypatch):
    def rows(folder, pattern):
        shared = {"top1": 0.0, "hits": "", "labels": "soft"}
        return [shared | {"validation_top1": v} for v in (90.0, 91.0, 92.0)] if "sre2l" in pattern else []

    monkeypatch.setattr(tuning, "rows_of", rows)
    found = tuning.tried_values(PROFILE)
    tried = [one for one in found if one.search.method == "sre2l" and not one.search.name]
    assert all(one.accuracies["soft"] == Mean.of(np.array([90.0, 91.0, 92.0])) for one in tried)
    assert [one.value for one in tried if one.taken] == [PROFILE.inversion_statistics]
    assert {one.accuracies["hard"] for one in found} == {None}
    table = tuning.tuning_table(found)
    assert table.notes[0].startswith("n = 3 students of one distilled set each")
    assert "between distillations is missing" in table.notes[0] and table.notes[1] == tuning.UNRECORDED
    assert len(table.rows) == len(found) and table.csv().count(" (taken)") == sum(one.taken for one in found)


def test_the_taken_value_stands_beside_what_other_distillations_gave():
    found = tuning.tried_values(PROFILE)
    place = {"method": "tesla", "ipc": 1, "labels": "soft"}
    rows = [place | {"distill_seed": d, "validation_top1": 80.0 + 5 * d + s} for d in range(3) for s in (-1, 1)]
    rows.append({"method": "tesla", "ipc": 10, "labels": "soft", "distill_seed": 7, "validation_top1": 1.0})
    texts = tuning.spread_texts(found, rows)
    assert (texts["tuned_n"], texts["tuned_others"]) == ("3", "80.0, 85.0, 90.0")
    taken = next(one for one in found if one.taken and one.search.method == "tesla")
    assert texts["tuned"] == f"{taken.accuracies['soft']:.1f}"
