"""When weights matter: the known law, what weights make of it, and the students to whom it is one."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from ddoq_book.ch34 import mixture_study
from ddoq_book.ch34.mixture import MixtureSetting, cell_weights, codebook_sample
from ddoq_book.ch34.mixture_study import MixtureCell
from ddoq_core.quantization import quantize
from ddoq_core.results.intervals import Mean, half_width
from ddoq_core.results.table import written
from ddoq_core.theory.bounds import limit_exponent
from ddoq_core.threads import threads


@pytest.fixture(autouse=True)
def one_thread():
    with threads(1):
        yield


@pytest.fixture(scope="module")
def cells() -> list[MixtureCell]:
    """A linear student and a rich one, equal and very unequal masses."""
    return mixture_study.study(
        (0.0, 2.0), (8,), (0, 32), n_replicates=10, n_samples=500, n_law=32, n_test=40, n_steps=200
    )


def cell(cells: list[MixtureCell], exponent: float, width: int, labels: str = "soft") -> MixtureCell:
    return next(c for c in cells if (c.exponent, c.width, c.labels) == (exponent, width, labels))


def clear(gap: np.ndarray) -> float:
    """The mean difference, or 0 if its 95 % interval holds 0."""
    return gap.mean() if abs(gap.mean()) > half_width(gap) else 0.0


@pytest.mark.parametrize("s", [0.0, 1.0, 2.0])
def test_masses_follow_zipf_and_sum_to_1_in_an_order_that_is_drawn(s):
    setting = MixtureSetting(s, n_parts=5)
    for masses in setting.masses:
        ordered = masses.sort(descending=True).values
        assert masses.sum().item() == pytest.approx(1)
        assert (ordered / ordered[0]).tolist() == pytest.approx([r**-s for r in range(1, 6)])
    assert s == 0 or not torch.equal(setting.masses, MixtureSetting(s, n_parts=5, replicate=1).masses)


@pytest.mark.parametrize("d", [2, 8])
def test_the_posterior_is_the_ratio_of_densities(d):
    setting = MixtureSetting(1.5, d=d)
    x = setting.draws(2, "test").x
    densities = [
        sum(p * multivariate_normal(m, 0.3**2 * np.eye(d)).pdf(x) for p, m in zip(masses, means, strict=True))
        for masses, means in zip(setting.masses.numpy(), setting.means.numpy(), strict=True)
    ]
    np.testing.assert_allclose(torch.sigmoid(setting.logit(x)), densities[1] / sum(densities), rtol=1e-6)


def test_no_line_parts_the_classes():
    setting = MixtureSetting(0.0)
    x, classes = setting.means.flatten(0, 1), torch.arange(2).repeat_interleave(8)
    A = torch.cat([x, torch.ones(16, 1)], 1)
    fitted = A @ torch.linalg.lstsq(A, 2.0 * classes[:, None].double() - 1).solution
    assert ((fitted[:, 0] > 0) == (classes == 1)).double().mean() < 0.8


def test_the_draws_of_a_setting_have_its_mean():
    setting = MixtureSetting(1.0)
    sample = setting.draws(2000, "law")
    assert sample.mass.sum().item() == pytest.approx(1)
    mean = (setting.laws[0].mean() + setting.laws[1].mean()) / 2
    np.testing.assert_allclose(sample.mass @ sample.x, mean, atol=0.01)


def test_equal_counts_make_all_weightings_one():
    setting = MixtureSetting(0.0)
    X = (setting.means[:, :, None] + torch.tensor([[-0.1, 0.0], [0.1, 0.0]], dtype=torch.float64)).flatten(1, 2)
    books = [quantize(x, means) for x, means in zip(X, setting.means, strict=True)]
    weights = cell_weights(codebook_sample(books), books)
    np.testing.assert_allclose(weights, 1 / 16)


def test_with_a_point_for_each_of_equal_parts_the_weightings_are_worth_nothing(cells):
    for width in (0, 32):
        at = cell(cells, 0.0, width)
        assert at.effective > 0.95
        for method in ("DDOQ", "proportional"):
            assert clear(at.gap(method)) == 0
            assert abs(at.gap(method, "excess KL").mean()) < 0.01


def test_proportional_weights_tend_to_the_law_and_uniform_ones_to_another():
    setting = MixtureSetting(1.0)
    heaviest = setting.means[0, setting.masses[0].argmax()]

    def f(x: torch.Tensor) -> torch.Tensor:
        return torch.exp(-2 * (x - heaviest).square().sum(1))

    law = setting.draws(4000, "moment")
    x, mass = law.x[law.classes == 0], 2 * law.mass[law.classes == 0]
    p = setting.laws[0].log_density(x).exp()

    def limit(alpha: float) -> float:
        """E f under the density proportional to p^beta that weights mu(C_i)^alpha tend to."""
        w = mass * p ** (limit_exponent(2, alpha) - 1)
        return (w @ f(x) / w.sum()).item()

    found = []
    for K in (16, 128):
        book = setting.codebooks(K, 10_000, n_restarts=1)[0]
        w = torch.stack([book.weights**alpha for alpha in (0.0, 0.5, 1.0)])
        found.append((w @ f(book.points) / w.sum(1)).tolist())
    true = (mass @ f(x)).item()
    assert found[1][2] == pytest.approx(true, abs=0.005)
    assert abs(found[1][2] - true) < abs(found[0][2] - true)
    assert found[1] == pytest.approx([limit(0.0), limit(0.5), limit(1.0)], abs=0.025)
    assert found[1][0] + 0.05 < found[1][1] < found[1][2] - 0.05


def test_proportional_weights_leave_the_law_as_it_is():
    setting = MixtureSetting(2.0)
    books, sample = setting.codebooks(8, 400), setting.draws(10, "law")
    np.testing.assert_allclose(cell_weights(sample, books)[:, 2], sample.mass)


def test_many_students_fitted_at_once_are_those_fitted_alone():
    settings = [MixtureSetting(1.0, replicate=r) for r in (0, 1)]
    x = torch.stack([setting.means.flatten(0, 1) for setting in settings])
    rng = torch.Generator().manual_seed(0)
    y, w = (torch.rand(2, 16, 3, generator=rng) for _ in range(2))
    together = mixture_study.fit_students(mixture_study.random_students(settings, 3, 4), x, y, w, n_steps=30)(x.float())
    last = mixture_study.random_students(settings[1:], 1, 4)
    alone = mixture_study.fit_students(last, x[1:], y[1:, :, 2:], w[1:, :, 2:], n_steps=30)(x[1:].float())
    torch.testing.assert_close(together[1:, :, 2:], alone, rtol=1e-3, atol=1e-4)


def test_a_linear_student_loses_without_weights_as_the_theory_foretells(cells):
    for labels in ("soft", "hard"):
        at = cell(cells, 2.0, 0, labels)
        for method in ("DDOQ", "proportional"):
            measured, predicted = at.gap(method, "excess KL"), at.gap(method, "excess KL", predicted=True)
            assert clear(measured) < 0 and clear(predicted) < 0
            assert np.corrcoef(measured, predicted)[0, 1] > 0.7  # layout by layout
        assert clear(at.gap("proportional", "excess KL") - at.gap("DDOQ", "excess KL")) < 0


def test_a_student_that_matches_soft_labels_does_not_care_for_weights(cells):
    rich, linear = (cell(cells, 2.0, width) for width in (32, 0))
    for method in ("DDOQ", "proportional"):
        assert clear(rich.gap(method)) == pytest.approx(0, abs=0.5)
        assert abs(rich.gap(method, "excess KL").mean()) < 0.4 * abs(linear.gap(method, "excess KL").mean())


def test_no_student_beats_the_posterior_and_the_rich_one_comes_near(cells):
    for c in cells:
        assert (c.measured[1] > 0).all() and (c.predicted[1] > 0).all()
    assert cell(cells, 2.0, 32).predicted[2].mean() > 95 > cell(cells, 2.0, 0).predicted[2].mean()


def test_the_table_and_the_figures_show_every_cell(cells):
    table = mixture_study.mixture_table(cells, "excess KL")
    assert len(table.rows) == len(cells) == 8
    assert all(isinstance(value, Mean) for row in table.rows for value in row[-4:])
    assert set(table.column("D4M")) == {c.measured[1, 0].mean() for c in cells}
    figure = mixture_study.mixture_figure(cells, "hard", "excess KL")
    assert [ax.get_title("left") for ax in figure.axes] == ["linear, K = 8", "width 32, K = 8"]
    assert len(mixture_study.prediction_figure(cells).axes) == 2


def test_the_summary_is_of_the_largest_spread_and_agrees_with_the_cells(cells):
    found = mixture_study.mixture_summary(cells)
    assert (found.K, found.exponent, found.n) == (8, 2.0, 10)
    (worth,) = [w for w in found.worth if (w.student, w.labels, w.method) == ("linear", "soft", "proportional")]
    at = cell(cells, 2.0, 0)
    assert worth.excess == Mean.of(at.gap("proportional", "excess KL"))
    assert worth.predicted == Mean.of(at.gap("proportional", "excess KL", predicted=True))
    assert worth.points == Mean.of(at.gap("proportional"))
    assert 0.7 < found.foretold <= 1 and all(0 < share < 1 for share in found.root_shares)
    texts = mixture_study.mixture_texts(found)
    assert texts["linear_soft_proportional_kl"] == written(worth.excess, ".4f")
