"""The proof of a GPU, tried on the CPU with small sizes: every part runs, and its record is read and used."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddoq_core.cost.calibration import LIKE, Speed, calibrated, read_record
from ddoq_core.cost.sizes import Images
from ddoq_core.cost.tables import PAPER, run_cost
from ddoq_core.errors import InputError
from ddoq_core.store.artifacts import machine_facts

from .agreement import CHECKS, Agreement
from .prove import Proof, main

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "gpu" / "prove.sh"


def speed(step: str, precision: str, seconds: float = 1.0) -> Speed:
    return Speed.of(step, precision, 10, 100, seconds, 1e12, 10**9)


def record(path: Path, **changes) -> Path:
    """A record as a GPU would have written it."""
    facts = machine_facts()
    content = {name: facts[name] for name in ("date", "versions")} | {"device": "a GPU", "small": False, "seconds": 1.0}
    content |= {"peaks": {"float32": 2e14, "float16": 8e14, "bfloat16": 8e14}, "agreements": [], "failures": []}
    speeds = [speed("encode", "float16"), speed("synthesize", "float16", 0.5), speed("relabel", "float32", 2)]
    speeds += [speed("train", "float32", 4), speed("train", "bfloat16", 2)]
    content |= {"speeds": [vars(s) for s in speeds]}
    path.write_text(json.dumps(content | changes))
    return path


@pytest.mark.parametrize("name", ["dit, float32", "exact, float16", "labels"])
def test_on_the_cpu_itself_a_step_agrees(name):
    found = list(CHECKS[name]("cpu"))
    assert found and all(agreement.holds for agreement in found)
    assert all(a.difference == 0 for a in found if a.precision == "float32")


def test_a_difference_that_is_not_finite_is_none_that_is_allowed():
    assert not Agreement("encode", "float16", math.nan, 0.1).holds and Agreement("encode", "float16", 0.1, 0.1).holds


@pytest.mark.slow
def test_the_whole_proof_runs_on_the_cpu_with_small_sizes(tmp_path):
    out = tmp_path / "records" / "cpu.json"
    assert main([str(out), "--device", "cpu", "--small", "--limit", "600"]) == 0
    found = read_record(out)
    assert found.small and not found.failures and not found.disagreements
    assert {s.step for s in found.speeds} == set(LIKE) and all(found.share(s) > 0 for s in found.speeds)
    assert {a["step"] for a in found.agreements} >= {"resumed student", "relabel", "exact score, local", "exact cells"}
    assert {a["precision"] for a in found.agreements} == {"float32", "float16", "bfloat16"} == set(found.peaks)
    with pytest.raises(InputError, match="a record of small sizes"):
        calibrated(out)


def test_a_part_that_fails_and_one_that_is_too_late_are_named_and_the_rest_is_kept(tmp_path):
    proof = Proof(tmp_path / "r.json", small=True, limit=60.0)
    proof.run("first", lambda: proof.peaks.update(float32=1.0))
    proof.run("second", lambda: 1 / 0)
    proof.limit = -1.0
    proof.run("third", lambda: proof.peaks.update(float16=1.0))
    found = read_record(tmp_path / "r.json")
    assert found.peaks == {"float32": 1.0}
    assert found.failures[0] == "second: ZeroDivisionError: division by zero"
    assert found.failures[1].startswith("third: not begun after")


def test_a_machine_without_cuda_is_told_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main([str(tmp_path / "r.json")]) == 2
    assert "no CUDA device" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_script_runs_without_wheels_where_everything_is_installed(tmp_path):
    environment = os.environ | {"PYTHON": sys.executable}
    more = ["--device", "cpu", "--small", "--limit", "-1"]  # every part is too late: what is run is the script
    done = subprocess.run(["bash", SCRIPT, "", tmp_path / "r.json", *more], env=environment, capture_output=True)
    assert done.returncode == 1 and all("not begun" in f for f in read_record(tmp_path / "r.json").failures)


def test_the_script_says_how_it_is_used():
    done = subprocess.run(["bash", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 2 and "tests/gpu/prove.sh WHEELS RECORD" in done.stderr


def test_a_cost_is_told_by_the_speeds_of_a_record(tmp_path):
    device, images = calibrated(record(tmp_path / "r.json")), Images.of(PAPER)
    told = {(c.step, c.ipc): device.seconds(c.flops, c.step) for c in run_cost(PAPER, images, device).costs}
    operations = {(c.step, c.ipc): c.flops for c in run_cost(PAPER, images, device).costs}
    assert told["encode", None] == pytest.approx(operations["encode", None] / 1e14)
    assert told["synthesize", 10] == pytest.approx(operations["synthesize", 10] / 2e14)
    assert told["train", 10] == pytest.approx(operations["train", 10] / 5e13)  # the faster of both precisions
    assert str(device) == "a GPU, by the speeds that were measured on it"
    assert device.seconds(1e14, "another step") == pytest.approx(1e14 / min(1e14, 2e14, 5e13))


@pytest.mark.parametrize("content", ["", "[]", '{"device": "x"}'])
def test_what_is_no_record_is_one_clear_line(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(InputError, match=r"is not a record of tests/gpu/prove\.sh") as error:
        read_record(tmp_path / "r.json")
    assert "\n" not in str(error.value)
