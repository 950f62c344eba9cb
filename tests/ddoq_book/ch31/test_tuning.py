"""What was tried: every value is a valid profile, the taken one is marked, and the test images are not looked at."""

from ddoq_book.ch31 import tuning
from ddoq_core.profile import Profile
from ddoq_core.results.studies import SEARCHES, tuning_runs

PROFILE = Profile.load("table")


def test_every_search_holds_the_value_that_the_long_run_takes():
    assert all(getattr(PROFILE, search.knob) in search.values for search in SEARCHES)


def test_every_value_is_a_run_with_a_file_of_its_own():
    found = dict(tuning_runs(PROFILE))
    assert len(found) == sum(len(search.values) for search in SEARCHES)
    assert all({t.ipc for t in run.plan} in ({1}, {10}) for run in found.values())


def test_the_table_shows_validation_accuracies_and_marks_what_was_taken(monkeypatch):
    def rows(folder, pattern):
        shared = {"top1": 0.0, "hits": "", "labels": "soft"}
        return [shared | {"validation_top1": v} for v in (90.0, 91.0, 92.0)] if "sre2l" in pattern else []

    monkeypatch.setattr(tuning, "rows_of", rows)
    lines = [line for line in tuning.table(PROFILE).rows if line[0] == "SRe²L"]
    assert [line[4] for line in lines] == ["91.0 ± 2.5"] * 3
    assert [line[2] for line in lines if line[2].endswith("(taken)")] == [f"{PROFILE.inversion_statistics:g} (taken)"]
    assert {line[5] for line in lines} == {"–"}
    assert tuning.table(PROFILE).notes == ("n = 3 students of one distilled set each.", tuning.UNRECORDED)
