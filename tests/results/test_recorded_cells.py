"""Records in the repository are what the code gives: two cells are trained again, in full."""

import math
import statistics

import pytest

from ddoq_book.recorded import rows_of
from ddoq_core.config.profile import Profile
from ddoq_core.results.ledger import record, shaping
from ddoq_core.runs.run import Run

FILE = "mnist5k-convnet-32-ipc001.jsonl"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """The profile of the long run, nothing of it made."""
    return Run(Profile.load("table", {"artifacts": str(tmp_path_factory.mktemp("again"))}))


def test_the_records_are_of_the_profile_as_it_is(run):
    rows = rows_of("table", "mnist5k-*.jsonl")
    shapes = {method: shaping(run, method) for method in {row["method"] for row in rows}}
    assert rows and all({n: row[n] for n in shapes[row["method"]]} == shapes[row["method"]] for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_a_recorded_cell_of_random_real_images_is_found_again(run, labels, tmp_path):
    kept = [row for row in rows_of("table", FILE) if (row["method"], row["labels"]) == ("random_real", labels)]
    tasks = [t for t in run.plan if (t.method, t.ipc, t.student, t.labels) == ("random_real", 1, "convnet-32", labels)]
    again = record(run, tmp_path / FILE, tasks)
    assert len(kept) == len(again) == 9
    scores = [row["top1"] for row in kept]
    error = statistics.stdev(scores) / math.sqrt(len(scores))
    assert abs(statistics.mean(row["top1"] for row in again) - statistics.mean(scores)) <= 3 * error
