"""Every slip is one: what is printed is off, what is corrected is right."""

import math

import pytest

from ddoq_book.ch16.errata_checks import Slips, slips, slips_table


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
    assert len(slips_table(found).rows) == 9
