"""The proof of a GPU, tried on the CPU with small sizes: every part runs, and its record is read and used."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ddoq_core import cli
from ddoq_core.cost.calibration import LIKE, Speed, calibrated, read_record
from ddoq_core.cost.sizes import Images
from ddoq_core.cost.tables import PAPER, run_cost
from ddoq_core.errors import InputError
from ddoq_core.store.artifacts import machine_facts

from . import prove
from .agreement import CHECKS, Agreement
from .prove import Proof, main
from .speeds import FULL, Clock, counts_of, untrained_prior

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
    assert {s.step for s in found.speeds} == {step for step, _, _ in LIKE}
    assert all(found.share(s) > 0 for s in found.speeds)
    assert {a["step"] for a in found.agreements} >= {"resumed student", "relabel", "exact score, local", "exact cells"}
    assert {a["precision"] for a in found.agreements} == {"float32", "float16", "bfloat16"} == set(found.peaks)
    with pytest.raises(InputError, match="a record of small sizes"):
        calibrated(out, PAPER)


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


def test_what_does_not_agree_is_named_kept_in_the_record_and_ends_with_exit_code_1(tmp_path, capsys, monkeypatch):
    wrong = Agreement("encode", "float16", 0.5, 0.1)
    monkeypatch.setattr(prove, "CHECKS", {"one": lambda device: iter([wrong])})
    monkeypatch.setattr(prove, "_timed", lambda device, sizes: {})
    assert main([str(tmp_path / "r.json"), "--device", "cpu", "--small"]) == 1
    said = capsys.readouterr().out
    assert "encode, float16: 0.5 > 0.1" in said and "1 agreements, of which 1 do not hold" in said
    assert read_record(tmp_path / "r.json").disagreements == ["encode, float16"]


def test_at_full_size_the_prior_of_the_paper_is_timed_in_half_precision_and_the_networks():
    assert list(prove._timed("cpu", FULL)) == ["prior in float16", "networks"]
    known = {"steps": 50, "batches": (10, 50), "network": "resnet18", "side": 224, "batch": 1024}
    assert {name: getattr(FULL, name) for name in known} == known
    prior = untrained_prior(FULL, "meta", torch.float16)
    assert prior.latent_shape == (4, 64, 64) and prior.unet.dtype == torch.float16
    parts = (prior.unet, prior.vae, prior.text_encoder)
    assert sum(p.numel() for part in parts for p in part.parameters()) == counts_of(FULL).parameters


def test_on_a_gpu_the_clock_waits_before_and_after_and_the_peak_is_that_of_between(monkeypatch):
    """Without a GPU: what is asked of it, in its order. The first call warms up, and counts for nothing."""
    asked = []
    for name, found in (("synchronize", None), ("reset_peak_memory_stats", None), ("max_memory_allocated", 7)):
        monkeypatch.setattr(torch.cuda, name, lambda name=name, found=found: asked.append(name) or found)
    seconds, peak = Clock("cuda").timed(lambda: asked.append("call"))
    assert asked == [
        "call", "synchronize", "reset_peak_memory_stats", "call", "synchronize", "max_memory_allocated",
    ] and seconds >= 0 and peak == 7  # fmt: skip
    asked.clear()
    Clock("cuda").timed(lambda: asked.append("call"), warm=False)
    assert asked.count("call") == 1


def test_a_machine_without_cuda_is_told_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main([str(tmp_path / "r.json")]) == 2
    assert "no CUDA device" in capsys.readouterr().err and not list(tmp_path.iterdir())


def script(*words: str, folder: Path, python: str) -> subprocess.CompletedProcess:
    how = {"env": os.environ | {"PYTHON": python}, "cwd": folder, "capture_output": True, "text": True}
    return subprocess.run(["bash", SCRIPT, *words], **how)


@pytest.mark.slow
@pytest.mark.parametrize("wheels", ["", "empty"])
def test_the_script_runs_where_everything_is_installed_with_and_without_an_environment_of_its_own(tmp_path, wheels):
    """This Python stands in an environment itself, and lacks no wheel: none needs to be in the folder."""
    (tmp_path / "empty").mkdir()
    more = ["--device", "cpu", "--small", "--limit", "-1"]  # every part is too late: what is run is the script
    done = script(wheels, "r.json", *more, folder=tmp_path, python=sys.executable)
    assert done.returncode == 1, done.stderr
    failures = read_record(tmp_path / "r.json").failures
    assert failures and all("not begun" in failure for failure in failures)


@pytest.fixture
def python(tmp_path) -> Path:
    """A Python that notes what it is asked for, and makes environments of its kind."""
    path = tmp_path / "python"
    path.write_text(f"""#!/usr/bin/env bash
printf '%s ' "$@" >> {tmp_path}/asked
echo >> {tmp_path}/asked
case "$*" in
  "-m venv"*) mkdir -p "${{@: -1}}/bin" && cp "$0" "${{@: -1}}/bin/python" ;;
  *requirement*) cp "${{@: -1}}" {tmp_path}/requirement ;;
  -c*) echo {tmp_path} ;;
esac
""")
    path.chmod(0o755)
    return path


def test_the_script_installs_what_is_carried_beside_pytorch_and_takes_that_time_off_its_limit(tmp_path, python):
    done = script("wheels", "r.json", "--small", folder=tmp_path, python=str(python))
    assert done.returncode == 0, done.stderr
    *_, removed, install, run = (tmp_path / "asked").read_text().splitlines()
    assert removed == "-m pip uninstall --quiet --yes setuptools "
    assert install.startswith("-m pip install --quiet --no-index --find-links wheels accelerate diffusers ")
    word, limit = re.fullmatch(rf"-m tests.gpu.prove {tmp_path}/r.json (--limit) (\d+) --small ", run).groups()
    assert word and 200 < int(limit) <= 300
    assert (tmp_path / "torch.pth").read_text() == f"{tmp_path}\n"  # beside what stands where PyTorch does


def test_the_script_carries_the_tested_versions_of_all_but_pytorch(tmp_path, python):
    done = script("carry", "wheels", folder=tmp_path, python=str(python))
    assert done.returncode == 0, done.stderr
    (asked,) = (tmp_path / "asked").read_text().splitlines()
    assert asked.startswith("-m pip download --quiet --no-deps --dest wheels --requirement ")
    carried = {re.split("[=;@ ]", line)[0].lower() for line in (tmp_path / "requirement").read_text().splitlines()}
    assert carried >= {"diffusers", "transformers", "accelerate", "jaxtyping"}
    assert not carried & {"torch", "torchvision", "triton"} and not any(n.startswith("nvidia") for n in carried)


def test_the_script_says_how_it_is_used(tmp_path):
    done = script(folder=tmp_path, python=sys.executable)
    assert done.returncode == 2 and "tests/gpu/prove.sh WHEELS RECORD" in done.stderr


def test_a_cost_is_told_by_the_speeds_of_a_record(tmp_path):
    device, images = calibrated(record(tmp_path / "r.json"), PAPER), Images.of(PAPER)
    told = {(c.step, c.ipc): device.seconds(c.flops, c.step) for c in run_cost(PAPER, images, device).costs}
    operations = {(c.step, c.ipc): c.flops for c in run_cost(PAPER, images, device).costs}
    assert told["encode", None] == pytest.approx(operations["encode", None] / 1e14)
    assert told["synthesize", 10] == pytest.approx(operations["synthesize", 10] / 2e14)
    assert told["train", 10] == pytest.approx(operations["train", 10] / 2.5e13)
    assert str(device) == "a GPU, at its measured speeds"
    assert device.seconds(1e14, "another step") == pytest.approx(4)  # the lowest speed


def test_the_precision_of_a_profile_chooses_the_speeds(tmp_path):
    path = record(tmp_path / "r.json")
    in_bfloat16 = calibrated(path, PAPER.replace(training_precision="bfloat16"))
    assert in_bfloat16.seconds(1e14, "train") == pytest.approx(2)
    assert in_bfloat16.seconds(1e14, "teacher") == pytest.approx(4)  # it is trained in float32
    in_float32 = calibrated(path, PAPER.replace(precision="float32"))
    assert in_float32.seconds(1e14, "encode") == pytest.approx(4)  # not measured in float32: the lowest speed
    nothing = [vars(speed("encode", "float16"))]
    with pytest.raises(InputError, match="has no speed in the precisions of profile imagenet"):
        calibrated(record(tmp_path / "r.json", speeds=nothing), PAPER.replace(precision="float32"))


def test_the_command_has_the_speeds_of_a_record(tmp_path, monkeypatch, capsys):
    path = record(tmp_path / "r.json")
    monkeypatch.setattr(sys, "argv", ["ddoq", "cost", "--profile", "imagenet", "--calibrate", str(path)])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    out = capsys.readouterr().out
    assert "on a GPU, at its measured speeds" in out and "slower in float32" not in out


@pytest.mark.parametrize("content", ["", "[]", '{"device": "x"}'])
def test_what_is_no_record_is_one_clear_line(tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(InputError, match=r"is not a record of tests/gpu/prove\.sh") as error:
        read_record(tmp_path / "r.json")
    assert "\n" not in str(error.value)
