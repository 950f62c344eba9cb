"""What was tried: every value is a valid profile, the taken one is marked, and the test images are not looked at."""

import numpy as np
import pytest

from ddoq_book.ch31 import tuning
from ddoq_book.recorded import RESULTS
from ddoq_book.studies.searches import ENOUGH, SEARCHES, TUNED, tuning_runs, tuning_study
from ddoq_core.config.profile import Profile
from ddoq_core.results.intervals import Mean
from ddoq_core.results.ledger import read, shaping

PROFILE = Profile.load("table")
SEARCHED = {"inversion": (("sre2l", "cda"), 1), "sre2l": (("sre2l",), 10), "tesla": (("tesla",), 10)}


def test_every_search_holds_the_value_that_the_long_run_takes():
    assert all(getattr(PROFILE, search.knob) in search.values for search in SEARCHES if not search.name)


def test_every_value_that_the_second_searches_chose_was_tried():
    assert TUNED.keys() == SEARCHED.keys()
    for name, (methods, ipc) in SEARCHED.items():
        searches = [s for s in SEARCHES if s.name and s.method in methods and s.ipc == ipc]
        tried = {(s.knob, value) for s in searches for value in s.values}
        assert TUNED[name].items() <= tried | {pair for s in searches for pair in s.beside.items()}


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


@pytest.mark.parametrize("name", [name for name in SEARCHED if TUNED[name]])
def test_what_the_second_searches_chose_has_the_best_validation_accuracy_in_their_records(name):
    methods, ipc = SEARCHED[name]
    means: dict[tuple, list[float]] = {}
    for one in tuning.tried_values(PROFILE):
        of_it = one.search.name and one.search.method in methods and one.search.ipc == ipc
        if of_it and one.accuracies["soft"]:
            changed = frozenset((one.search.beside | {one.search.knob: one.value}).items() - ENOUGH.items())
            means.setdefault(changed, []).append(one.accuracies["soft"].value)
    of_all = {changed: sum(of_one) / len(of_one) for changed, of_one in means.items() if len(of_one) == len(methods)}
    assert dict(max(of_all, key=of_all.get)) == TUNED[name]
