"""The speed of the machine at hand: measured in seconds, for every step, and right within a factor of two."""

import json
import time
from types import SimpleNamespace

import pytest

from ddoq_core.config.profile import Profile
from ddoq_core.cost import this_machine as module
from ddoq_core.cost.sizes import A6000, Images
from ddoq_core.cost.tables import cost_table, run_cost
from ddoq_core.cost.this_machine import machine_of
from ddoq_core.methods.account import STAGES
from ddoq_core.runs.run import Run
from ddoq_core.store import artifacts

SMALL = Profile(
    image_size=16, diffusion_width=32, diffusion_layers=1, teacher="convnet-4", students=["convnet-2", "convnet-8"],
    threads=1, workers=2,
)  # fmt: skip
IMAGES = Images(200, 10, 1, 256, False)


@pytest.fixture(scope="module")
def machine():
    """This machine, and the seconds that measuring it took."""
    began = time.monotonic()
    return machine_of(SMALL, IMAGES), time.monotonic() - began


def test_every_step_with_networks_is_measured_and_what_computes_alike_has_its_speed(machine):
    speeds = dict(machine[0].speeds)
    assert {"train", "relabel", "teacher", "prior", "synthesize", "encode"} < speeds.keys()
    assert speeds["generate"] == speeds["synthesize"] and speeds["sre2l"] == speeds["train"]
    assert all(1e6 < speed < 1e13 for speed in speeds.values()) and 0 < machine[0].artifact < 5


def test_measuring_takes_seconds(machine, monkeypatch):
    monkeypatch.setattr(
        module, "time", SimpleNamespace(perf_counter=time.process_time, perf_counter_ns=time.perf_counter_ns)
    )
    began = time.process_time()
    machine_of(SMALL, IMAGES)
    assert time.process_time() - began < 10


def test_a_large_network_is_measured_on_few_images():
    assert module._batch(50, 1e6) == 50 and module._batch(1024, 1e10) == 2 and module._batch(250, 1e8) == 200


def test_a_gpu_is_that_of_its_data_sheet():
    assert machine_of(SMALL.replace(device="cuda"), IMAGES) == A6000


def test_the_time_of_a_run_is_by_the_clock_students_side_by_side(machine):
    found = run_cost(SMALL, IMAGES, machine[0])
    students = sum(c.times * machine[0].seconds_of_artifact(c.flops, c.step) for c in found.costs if c.step == "train")
    others = sum(c.times * machine[0].seconds_of_artifact(c.flops, c.step) for c in found.costs if c.step != "train")
    assert found.seconds == pytest.approx(others + students / 2)
    assert "2 students are trained in parallel" in cost_table(found).markdown()


@pytest.mark.slow
def test_what_is_told_is_within_a_factor_of_two_of_what_is_taken(tmp_path, monkeypatch):
    """In seconds of the processor, so that other programs do not count."""
    clock = {"monotonic": time.process_time, "perf_counter": time.process_time, "perf_counter_ns": time.perf_counter_ns}
    for where in (module, artifacts):
        monkeypatch.setattr(where, "time", SimpleNamespace(strftime=time.strftime, gmtime=time.gmtime, **clock))
    profile = Profile(
        artifacts=str(tmp_path), train_size=400, ipc=[1, 10], n_seeds=1, diffusion_epochs=10, epochs=30, threads=1,
        workers=1, methods=["random_real", "random_generated", "rded", "d4m", "ddoq", "full"],
    )  # fmt: skip
    images = Images(350, 10, 1, 784, False)
    told = run_cost(profile, images, machine_of(profile, images))
    Run(profile).train_students(say=lambda line: None)
    took = {}
    for file in tmp_path.glob("*/*/run.json"):
        step = file.parents[1].name
        took[step] = took.get(step, 0) + json.loads(file.read_text())["seconds"]
    assert 0.5 < told.seconds / sum(took.values()) < 2
    for stage in (STAGES[0], STAGES[2], STAGES[4]):  # where the time goes
        costs = [cost for cost in told.costs if cost.stage == stage]
        here = sum(c.times * told.device.seconds_of_artifact(c.flops, c.step) for c in costs)
        assert 0.4 < here / sum(took.get(step, 0) for step in {c.step for c in costs}) < 2.5
