"""When weights matter: the law that a weighting shows, and differences under the law of the training images."""

import numpy as np
import pytest
import torch

from ddoq_book.ch34.imbalance import (
    imbalance_gaps,
    imbalance_summary,
    imbalance_table,
    imbalance_texts,
    law_figure,
)
from ddoq_book.studies import images_seen as module
from ddoq_book.studies.images_seen import law_seen, sub_populations
from ddoq_core.config.profile import Profile
from ddoq_core.data.imbalance import masses
from ddoq_core.data.loaders import load_dataset
from ddoq_core.pipeline.cluster import cluster, load_counts
from ddoq_core.quantization.weights import companion_weights
from ddoq_core.randomness import torch_rng
from ddoq_core.runs.jobs import Student
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Artifact, Store

from ...rows import row
from ...stand_ins import stand_in

PROFILE = Profile.load("table")


@pytest.fixture(scope="module")
def digits_of_test():
    origin = sub_populations(PROFILE)
    return np.array([origin[i] for i in load_dataset(PROFILE).test.ids])


def weights_of(counts: np.ndarray):
    """Weights of a row's students by these counts, as `weights_used` gives them."""
    scheme = {"d4m": "uniform", "ddoq": "sqrt", "ddoq_proportional": "proportional"}
    return lambda run, method, ipc, seed: companion_weights(torch.tensor(counts), scheme[method]).flatten().double()


@pytest.fixture
def cells(monkeypatch):
    """One class of two cells: 30 images of part 0, and 10 of part 1."""
    counts = np.array([[30, 10]])
    parts = np.array([[[30.0, 0.0], [0.0, 10.0]]])
    monkeypatch.setattr(module, "_cells", lambda run, ipc, seed: (counts, parts))
    monkeypatch.setattr(module, "weights_used", weights_of(counts))
    monkeypatch.setattr(module, "images_seen", lambda run, task: {})


@pytest.mark.parametrize(("method", "shown"), [("d4m", 0.5), ("ddoq_proportional", 0.75), ("ddoq", None)])
def test_proportional_weights_show_the_true_law_and_uniform_ones_the_law_of_the_cells(cells, method, shown):
    run = stand_in(Run, profile=PROFILE)
    (tv,) = law_seen(run, Student(method, 2, "convnet-2", "soft", 0, 0))["tv"]
    shown = shown or np.sqrt(0.75) / (np.sqrt(0.75) + np.sqrt(0.25))
    assert tv == pytest.approx(abs(0.75 - shown), abs=1e-4)


class RandomLatents:
    """Latents of no meaning for every image of a data set, and its stratified prototypes."""

    __class__ = property(lambda self: Run)  # what isinstance asks for

    inputs, parameters, modules = [], {}, ()

    def __init__(self, profile: Profile, store: Store):
        self.profile, self.store, self.dataset = profile, store, load_dataset(profile)
        self.classes = [r | {"n": len(self.of_class(r["index"]))} for r in self.dataset.classes]

    def of_class(self, label: int) -> torch.Tensor:
        n = len(self.dataset.train.of_class(label))
        return torch.randn(n, 2, 2, 2, generator=torch_rng(0, "latents", label))

    def class_latents(self, label: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.of_class(label), self.dataset.train.of_class(label)

    def prototypes(self, distill_seed: int) -> Artifact:
        strata = self.dataset.train.parts_of_class
        return cluster(self.store, self, self.profile, distill_seed=distill_seed, strata=strata)


def test_a_stratified_codebook_shows_the_masses_set_by_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "images_seen", lambda run, task: {})
    profile = PROFILE.replace(superclasses=2, train_size=1000, zipf=1.0, ipc=[5], hard_ipc=[5], quantizer="stratified")
    run = RandomLatents(profile, Store(tmp_path))
    monkeypatch.setattr(module, "weights_used", weights_of(load_counts(run.prototypes(0), 5).numpy()))
    mass = masses(10, 2, 1.0, run.profile.seed)
    equal, proportional = (
        law_seen(run, Student(m, 5, "convnet-2", "soft", 0, 0))["tv"] for m in ("d4m", "ddoq_proportional")
    )
    for c in range(2):
        assert proportional[c] == pytest.approx(0, abs=1e-4)
        assert equal[c] == pytest.approx(np.abs(mass[c::2] - 0.2).sum() / 2, abs=0.01)


def rows_where_d4m_fails_on(part: int, digits: np.ndarray, exponent: float) -> list[dict]:
    found = []
    for method in ("d4m", "ddoq"):
        for i in range(3):
            for s in range(2):
                hits = (digits != part) | (method == "ddoq") | (np.arange(len(digits)) % 7 == i + s)
                extra = {"parameters": {"zipf": exponent} if exponent else {}, "effective": [0.5], "tv": [0.3]}
                found.append(row(hits, method, 5, "convnet-2", distill_seed=i, seed=s) | extra)
    return found


def test_under_the_training_law_an_image_counts_for_the_mass_of_its_sub_population(digits_of_test):
    mass = masses(10, 2, 2.0, PROFILE.seed)
    heaviest = int(mass.argmax())
    rows = rows_where_d4m_fails_on(heaviest, digits_of_test, 2.0)
    (training,), (equal,) = (imbalance_gaps(rows, PROFILE, law) for law in ("training", "equal"))
    # half of the law's mass is one super-class; its heaviest sub-population fails but for a seventh
    assert training.difference.mean == pytest.approx(100 * mass[heaviest] / 2 * 6 / 7, abs=2)
    assert equal.difference.mean == pytest.approx(100 / 10 * 6 / 7, abs=1)
    assert (training.exponent, training.tv, training.effective) == (2.0, 0.3, 0.5)


def test_with_equal_masses_both_laws_of_the_test_images_are_the_same(digits_of_test):
    rows = rows_where_d4m_fails_on(3, digits_of_test, 0.0)
    (training,), (equal,) = (imbalance_gaps(rows, PROFILE, law) for law in ("training", "equal"))
    assert training.difference.mean == pytest.approx(equal.difference.mean)


def test_the_study_shows_every_difference_in_a_table_and_a_figure(digits_of_test):
    rows = [r for s in (0.0, 2.0) for r in rows_where_d4m_fails_on(3, digits_of_test, s)]
    found = imbalance_gaps(rows, PROFILE, "training")
    assert imbalance_table(found, "DDOQ − D⁴M").column("s") == [0.0, 2.0]
    assert len(law_figure({"stratified": found, "lloyd": found}).axes) == 1


def test_sub_populations_are_the_classes_before_they_were_merged():
    origin = sub_populations(PROFILE.replace(superclasses=2, train_size=1000, zipf=1.0))
    assert torch.tensor(list(origin.values())).bincount().tolist() == [500] * 10


def test_the_summary_counts_what_is_above_and_below_0(digits_of_test):
    rows = [r for s in (0.0, 1.0, 2.0) for r in rows_where_d4m_fails_on(3, digits_of_test, s)]
    summary = imbalance_summary(imbalance_gaps(rows, PROFILE, "training"), "soft")
    assert (summary.n, summary.n_higher, summary.n_lower) == (3, 3, 0)
    assert (summary.most_tv, summary.least_effective) == (0.3, 0.5)
    assert imbalance_texts(summary)["higher"] == "3"
