"""The picture of the first page: cells with their own weights, and photographs where their strips are recorded."""

import json

import pytest
import torch

from ddoq_book import hero
from ddoq_book.studies.photographs import NAME, STRIP_FILE, STRIPS, recorded_pictures
from ddoq_core.config.profile import Profile
from ddoq_core.methods import SMALL
from ddoq_core.pipeline.distilled import write_picture
from ddoq_core.quantization.weights import companion_weights
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Workspace

K = 2


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return Run(Profile.load("smoke", SMALL | {"artifacts": str(tmp_path_factory.mktemp("hero"))}))


def weights_below(figure) -> list[str]:
    return [ax.get_xlabel() for ax in figure.axes if ax.get_xlabel()]


@pytest.mark.slow
def test_each_picture_has_the_weight_of_its_own_cell(run, tmp_path):
    (real, centroids, made), weights = hero._cells(run, K, 2)
    counts = run.distilled("ddoq", K).counts.reshape(-1, K)
    share = counts / counts.sum(1, keepdim=True)
    uneven = (share.max(1).values - share.min(1).values).argsort(descending=True)[:2]
    expected = companion_weights(counts, "sqrt")[uneven.sort().values]
    assert weights.tolist() == pytest.approx(expected.sort(1, descending=True).values.flatten().tolist())
    assert len(real) == len(centroids) == len(made) == 4
    figure = hero.hero_figure(run, K, tmp_path)
    assert len(weights_below(figure)) == 2 * hero.WITHOUT
    (tmp_path / NAME).mkdir()
    for name in STRIPS:
        write_picture(Workspace(tmp_path / NAME), name, torch.rand(3, 8, 80))
    assert len(weights_below(hero.hero_figure(run, K, tmp_path))) == 2 * hero.WITHOUT  # the weights are not there yet
    Workspace(tmp_path / NAME).json(STRIP_FILE, {"class": "church", "weights": [2.0, 1.7] + [0.6] * 8})
    below = weights_below(hero.hero_figure(run, K, tmp_path))
    assert below[2 * hero.CLASSES :] == ["×2.00", "×1.70", *["×0.60"] * 3]


def test_strips_that_are_not_complete_are_no_photographs(tmp_path):
    (tmp_path / STRIP_FILE).write_text(json.dumps({"weights": [1.0]}))
    assert recorded_pictures(tmp_path) is None
