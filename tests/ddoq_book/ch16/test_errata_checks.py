"""Every slip is one: what is printed is off, what is corrected is right."""

import math

import pytest

from ddoq_book.ch16.errata_checks import slips_table


@pytest.fixture(scope="module")
def rows():
    return {row[1]: row[2:] for row in slips_table(200, 50_000, 0).rows}


def test_the_kernel_as_printed_has_the_inverse_of_its_mass_twice(rows):
    for d in (1, 2):
        printed, right = rows[f"mass of g_t, t = 0.3, d = {d}"]
        assert float(printed) == pytest.approx((2 * math.pi * 0.3) ** d, abs=6e-4) and float(right) == 1


def test_hoelders_step_fails_without_the_square_and_holds_with_it(rows):
    printed, right = (text.split(" ≤ ") for text in rows["Hölder's step, uniform law on [−4, 4], K = 1"])
    assert float(printed[0]) > float(printed[1]) and float(right[0]) < float(right[1])


def test_closed_cells_count_a_tie_twice(rows):
    assert rows["mass of Σ μ(Cᵢ) δ(xᵢ), μ = δ₀, x = (−1, 1)"] == ("2", "1")


def test_the_time_changed_path_has_another_covariance(rows):
    path, process = (tuple(map(float, text.split(" ± "))) for text in rows["covariance of x at times 1 and 2"])
    assert abs(path[0] - (1 - math.exp(-1))) < 1.7 * path[1]
    assert abs(process[0] - math.exp(-0.5) * (1 - math.exp(-1))) < 1.7 * process[1]


def test_weights_are_not_below_1_and_their_roots_have_a_mean_below_1(rows):
    largest, mean = rows["largest weight w, N(0, 1), K = 200"][1].split(", mean ")
    assert float(largest) > 1 and float(mean) == 1
    assert float(rows["mean of √w, N(0, 1), K = 200"][1].split(",")[0]) < 1


def test_the_order_of_kl_matters(rows):
    printed, usual = (
        float(text.split(": ")[1]) for text in rows["KL of teacher (.7, .2, .1) and student (.4, .4, .2)"]
    )
    assert (printed, usual) == pytest.approx((0.19204, 0.18379), abs=6e-6)
