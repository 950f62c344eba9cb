"""Every slip is one: what is printed is off, what is corrected is right."""

import math

import pytest

from ddoq_book.ch16.errata_checks import STOP, Slips, slips, slips_table
from ddoq_core.theory.bounds import log_pathwise_constant, log_printed_constant
from ddoq_core.theory.diffusion import BROWNIAN, ORNSTEIN_UHLENBECK


@pytest.fixture(scope="module")
def found() -> Slips:
    """All slips, with a small quantizer and few paths."""
    return slips(200, 50_000, 0)


def test_the_kernel_as_printed_has_the_inverse_of_its_mass_twice(found):
    for d, mass in found.kernel_mass.items():
        assert (mass.printed, mass.corrected) == pytest.approx(((2 * math.pi * 0.3) ** d, 1))


def test_hoelders_step_fails_without_the_square_and_holds_with_it(found):
    for (left, right), holds in ((found.hoelder.printed, False), (found.hoelder.corrected, True)):
        assert (left <= right) == holds


def test_closed_cells_count_a_tie_twice(found):
    assert (found.closed_cells.printed, found.closed_cells.corrected) == (2, 1)


def test_the_scaled_law_as_printed_lacks_mass(found):
    assert (found.scaled_mass.printed, found.scaled_mass.corrected) == pytest.approx((math.exp(-0.5), 1))


def test_the_time_changed_path_has_another_covariance(found):
    path, process = found.covariance.printed, found.covariance.corrected
    assert abs(path.value - (1 - math.exp(-1))) < 1.7 * path.half
    assert abs(process.value - math.exp(-0.5) * (1 - math.exp(-1))) < 1.7 * process.half


def test_weights_are_not_below_1_and_their_roots_have_a_mean_below_1(found):
    assert found.largest_weight > 1 > found.mean_root
    assert found.mean_weight == pytest.approx(1)


def test_the_order_of_kl_matters(found):
    assert (found.kl.printed, found.kl.corrected) == pytest.approx((0.19204, 0.18379), abs=6e-6)


def test_the_table_has_a_row_for_each_slip(found):
    assert len(slips_table(found).rows) == 10


def test_one_constant_serves_all_times_but_not_the_printed_one(found):
    """Brownian motion: log C has its maximum log(delta / R^2) + R^2 / delta - 1 at T = R^2. Erratum 22 was wrong."""
    assert found.largest_constant.corrected == pytest.approx(math.log(STOP) + 1 / STOP - 1, abs=1e-3)
    assert found.largest_constant.printed > 400
    for R, delta in ((1.3, 0.2), (0.9, 0.5)):
        best = math.log(delta / R**2) + R**2 / delta - 1
        assert log_pathwise_constant(BROWNIAN, R, delta, R**2) == pytest.approx(best)
        assert all(log_pathwise_constant(BROWNIAN, R, delta, R**2 * f) < best for f in (0.9, 1.1, 10, 1e6))


@pytest.mark.parametrize("d", [1, 7])
def test_the_printed_constant_grows_like_the_exponential_of_half_d_t(d):
    slopes = {BROWNIAN: d / 2, ORNSTEIN_UHLENBECK: (d - 1) / 2}  # the second has 1/2 less by the decay of beta
    for process, slope in slopes.items():
        ends = [log_printed_constant(process, 1.0, 0.2, T, d) for T in (200.0, 400.0)]
        assert (ends[1] - ends[0]) / 200 == pytest.approx(slope, abs=0.005)


def test_the_other_process_has_its_largest_constant_where_the_drift_is_neutral():
    R, delta = 1.3, 0.2
    best = -math.log(math.sqrt(1 + R**4) - R**2)  # zero of 1/2 + R^2 a^2 / v^2 - 1 / v
    times = [best * f for f in (0.9, 1.0, 1.1)] + [50.0]
    values = [log_pathwise_constant(ORNSTEIN_UHLENBECK, R, delta, T) for T in times]
    assert max(values) == values[1] and values[3] < -10
