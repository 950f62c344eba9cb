"""The counts that ship are those of the networks, for all that a shipped profile names; what they are asked without."""

import json
import sys
from dataclasses import asdict

import pytest
from diffusers import DDIMScheduler, DDPMScheduler, HeunDiscreteScheduler, PNDMScheduler

from ddoq_core import cli
from ddoq_core.cost import flops
from ddoq_core.cost.counting import STEPS, count_classifier, count_prior
from ddoq_core.cost.counts import Prior
from ddoq_core.cost.flops import prior_of
from ddoq_core.cost.tables import PAPER
from ddoq_core.errors import InputError

from . import published

SHIPPED = json.loads(flops.COUNTS.read_text())
CLASSIFIERS = [what for what in SHIPPED if "classes" in what]


@pytest.mark.parametrize("what", CLASSIFIERS)
def test_the_counts_of_a_classifier_that_ship_are_those_of_its_network(what):
    name, classes, shape = what.split(", ")
    channels, size, _ = map(int, shape.split(" x "))
    n_classes = int(classes.removesuffix(" classes"))
    assert asdict(count_classifier(name, n_classes, channels, size)) == SHIPPED[what]


def test_the_counts_of_a_prior_that_ship_are_those_of_its_networks():
    counts = published.published_counts()
    assert {kind: prior_of(PAPER.replace(prior=kind), 3) for kind in counts} == counts
    fitted = PAPER.replace(prior="pretrain", image_size=32)
    assert prior_of(fitted, 1) == count_prior(fitted, 1)


def test_a_prior_whose_counts_do_not_ship_is_counted_in_its_folder(monkeypatch):
    monkeypatch.setattr(flops, "known_counts", dict)
    with pytest.raises(InputError, match="the cost of prior = dit is counted from its folder; set prior_path"):
        prior_of(PAPER.replace(prior="dit"), 3)


@pytest.mark.slow
def test_the_file_that_ships_is_the_one_that_is_written(tmp_path, monkeypatch):
    counts = {}
    monkeypatch.setattr(published, "known_counts", lambda: counts)
    monkeypatch.setattr(flops, "known_counts", lambda: counts)
    published.write_counts(tmp_path / "counts.json")
    assert (tmp_path / "counts.json").read_text() == flops.COUNTS.read_text()


@pytest.mark.parametrize("scheduler", [DDIMScheduler, DDPMScheduler, PNDMScheduler, HeunDiscreteScheduler])
@pytest.mark.parametrize("n_steps", [7, 50])
def test_calls_are_the_timesteps_that_a_scheduler_of_any_kind_runs(scheduler, n_steps):
    own = scheduler.from_config(published.NOISE)
    own.set_timesteps(STEPS)
    schedule = {"order": own.order, "extra": len(own.timesteps) - STEPS * own.order, "latent_shape": (4, 64, 64)}
    counted = Prior(**SHIPPED["stable-diffusion"] | schedule)
    own.set_timesteps(n_steps)
    for strength in (0.0, 0.3, 0.7, 1.0):
        profile = PAPER.replace(n_steps=n_steps, strength=strength, guidance_scale=1.0)
        run = int(n_steps * strength)
        assert counted.calls(profile) == (len(own.timesteps[(n_steps - run) * own.order :]) if run else 0)


def test_a_network_that_does_not_ship_asks_for_the_extra_in_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.delitem(sys.modules, "ddoq_core.cost.counting")
    monkeypatch.setattr(sys, "argv", ["ddoq", "cost", "-p", "students=[resnet34]"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    line = capsys.readouterr().err
    assert stop.value.code == 2 and len(line.splitlines()) == 1
    assert "is not installed" in line and "pip install 'ddoq_core[pipeline]'" in line


def test_an_error_of_a_package_that_no_extra_brings_is_not_hidden(monkeypatch):
    def broken():
        raise ModuleNotFoundError("No module named 'nobody'", name="nobody")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(ModuleNotFoundError):
        cli.main()
