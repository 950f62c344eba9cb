"""What is not as published is listed with the values of the run, and no page hides how much of a data set it takes."""

import re

import pytest

from ddoq_book.ch31 import published
from ddoq_book.ch31.published import (
    departures,
    departures_table,
    mean_rate,
    paper_training,
    training_table,
    with_paper_schedule,
)
from ddoq_book.data_named import data_title, data_used
from ddoq_book.notebook import ROOT
from ddoq_book.recorded import rows_of
from ddoq_core.config.profile import Profile
from ddoq_core.methods import cda
from ddoq_core.methods.shared import trajectories

PROFILE = Profile.load("table")


def test_what_is_here_comes_from_the_profile_and_the_code():
    here = {(d.method, d.choice): d.here for d in departures(PROFILE)}
    changed = PROFILE.replace(inversion_iterations=7, tesla_experts=5, epochs=200, n_restarts=3)
    there = {(d.method, d.choice): d.here for d in departures(changed)}
    assert here["CDA", "smallest crop"] == f"{cda.SMALLEST_CROP_OF_SMALL:g}"
    assert here["TESLA", "images of a step of a trajectory"] == f"{trajectories.EXPERT_BATCH}"
    assert there["SRe²L, CDA", "iterations"].startswith("7") and there["TESLA", "trajectories × epochs"].startswith(
        "5 ×"
    )
    assert there["D⁴M, DDOQ", "codebook"].endswith("best of 3 starts")


def test_values_that_were_searched_again_stand_beside_the_first_ones(monkeypatch):
    monkeypatch.setitem(published.TUNED, "inversion", {"inversion_network": "resnet18", "inversion_statistics": 0.5})
    monkeypatch.setitem(published.TUNED, "sre2l", {"inversion_statistics": 7.0})
    here = {d.choice: d.here for d in departures(PROFILE)}
    assert here["network that is inverted"].startswith(f"{PROFILE.inversion_network}; resnet18 at K = 1; ")
    assert here["factor of the statistics"].endswith("; 0.5 at K = 1; 7 for SRe²L at K = 10")
    assert here["iterations"] == f"{PROFILE.inversion_iterations:,g}"


def test_rdeds_own_epochs_are_those_of_the_rows_that_are_recorded(monkeypatch):
    own = ("RDED", "epochs of its own protocol")
    monkeypatch.setattr(published, "rows_of", lambda folder, pattern: [])
    assert {(d.method, d.choice): d.here for d in departures(PROFILE)}[own] == "100"
    monkeypatch.setattr(published, "rows_of", lambda folder, pattern: [{}])
    assert own not in {(d.method, d.choice) for d in departures(PROFILE)}  # 300 as published


def test_every_choice_of_the_table_differs_from_what_was_published():
    found = departures(PROFILE)
    assert len({(d.method, d.choice) for d in found}) == len(found) >= 9
    assert all(d.published != d.here for d in found)
    assert len(departures_table(PROFILE).rows) == len(found)


def test_the_training_of_a_run_stands_beside_the_papers():
    table = training_table(PROFILE)
    rows = {line[0]: line[1:] for line in table.rows}
    assert rows["epochs"] == ("300", "300", f"{PROFILE.epochs}")
    assert rows["learning rate falls by"][0].startswith("step") and rows["learning rate falls by"][2] == "cosine to 0"
    assert mean_rate(paper_training()) == pytest.approx(1.75e-3)


def test_students_with_the_papers_schedule_are_counted_from_the_rows():
    shared = {"profile": "table", "labels": "soft"}
    rows = [shared | {"parameters": {}}, shared | {"parameters": {"lr_schedule": "step"}}]
    assert with_paper_schedule(rows) == 1
    assert with_paper_schedule([row | {"labels": "own"} for row in rows]) == 0


def test_a_data_set_that_was_cut_is_named_with_its_number_of_images():
    whole, cut = {"dataset": "a", "parameters": {}}, {"dataset": "b", "parameters": {"train_size": 6000}}
    assert data_title([whole, cut]) == "a, b (6,000 of its training images)"
    used = data_used([cut, cut | {"parameters": {"train_size": 80}}])["b"]
    assert (used.images, used.n_training) == (6000, 5250)
    assert data_title([cut, cut | {"parameters": {}}]) == "b"
    assert data_title([{"dataset": "c"}]) == "c"


@pytest.mark.parametrize("page", ["README.md", "book/running.md", "Makefile", "ddoq_core/config/profiles/table.yaml"])
def test_pages_that_name_fashion_mnist_say_how_many_images_the_records_have(page):
    images = data_used(rows_of("table", "fashion_mnist-*.jsonl"))["fashion_mnist"].images
    assert re.search(f"{images:,}|train_size={images}", (ROOT / page).read_text())
