"""Grids as files: numbers come back unchanged, and a check finds what is wrong with them."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import laplace, multivariate_normal, norm, t

from ddoq_core.errors import InputError
from ddoq_core.quantization import exact_quantizer
from ddoq_core.quantization.grids import Grid, check_grid, normal_grid, normal_law, read_grid, write_grid
from ddoq_core.randomness import numpy_rng

# As the published grids are written: tabs, 2 points of N(0, 1), the last row with totals of its own.
THEIRS = (
    "5.000000e-01\t-7.978846e-01\t1.816901e-01\t2.403e-01\n"
    "5.000000e-01\t7.978846e-01\t1.816901e-01\t2.403e-01\n"
    "1.000000e+00\t0.000000e+00\t3.633802e-01\t4.806e-01\n"
)


def same(a: Grid, b: Grid) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


@pytest.fixture
def line():
    """The optimal 6 points of N(0, 1)."""
    return normal_grid(6, 1, numpy_rng(0, "test"))


@pytest.mark.parametrize("name", ["6_1_nopti", "mine.txt", "mine.npz"])
def test_what_is_written_is_read_back_to_the_last_bit(line, tmp_path, name):
    write_grid(line, tmp_path / name)
    assert same(read_grid(tmp_path / name), line)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_grid_of_others_is_read_written_and_read_unchanged(tmp_path):
    (tmp_path / "2_1_nopti").write_text(THEIRS)
    theirs = read_grid(tmp_path / "2_1_nopti")
    assert theirs.points.tolist() == [[-0.7978846], [0.7978846]] and theirs.totals.tolist() == [1, 0, 0.3633802, 0.4806]
    write_grid(theirs, tmp_path / "again")
    assert same(read_grid(tmp_path / "again"), theirs)
    found = check_grid(theirs, norm())
    assert found.distortion == pytest.approx(1 - 2 / np.pi, abs=1e-12) and found.stationarity < 1e-7


def test_companions_of_ours_are_the_costs_of_cells_and_the_last_row_their_sums(line):
    exact = exact_quantizer(norm(), 6)
    np.testing.assert_array_equal(line.points[:, 0], exact.points)
    total, mean, squared, distance = line.totals
    assert (total, mean, squared) == pytest.approx((1, 0, exact.distortion), abs=1e-12)
    np.testing.assert_allclose(line.companions.sum(0), [squared, distance])
    draws = numpy_rng(0, "test", "draws").standard_normal(10**5)
    assert distance == pytest.approx(np.abs(draws[:, None] - exact.points).min(1).mean(), abs=0.003)


def test_a_grid_of_the_plane_is_stationary_and_its_distortion_no_accident():
    grid = normal_grid(5, 2, numpy_rng(0, "test"), n_draws=2**14)
    found = check_grid(grid, normal_law(2))
    assert found.draws == 0 and found.stationarity < 1e-7 and found.weights < 1e-12
    assert found.distortion == pytest.approx(0.61448350877, abs=1e-9)  # from many starts
    assert found.lines[-1] == "by quadrature"


def test_above_the_plane_all_errors_are_within_what_is_stated():
    grid = normal_grid(8, 3, numpy_rng(0, "test"), n_draws=2**16)
    found = check_grid(grid, normal_law(3), rng=numpy_rng(1, "test"), n_draws=2**16)
    assert found.draws == 2**16 and found.lines[-1].startswith("found by 65,536 draws")
    assert found.weights < 6 * found.errors[1] and found.stationarity < 6 * found.errors[0]
    totals = grid.totals[-2]
    assert abs(found.distortion - totals) < 6 * found.errors[2] < 0.05 * totals


def test_a_check_finds_what_is_wrong(line):
    moved = dataclasses.replace(line, points=line.points + 0.1)
    assert check_grid(moved, norm()).stationarity > 0.01 and check_grid(line, laplace()).stationarity > 0.1
    heavy = dataclasses.replace(line, weights=line.weights[::-1] ** 2)
    assert check_grid(heavy, norm()).weights > 0.03
    turned = dataclasses.replace(line, points=line.points[::-1], weights=line.weights[::-1])
    assert check_grid(turned, norm()).weights < 1e-12  # the order of the rows is nobody's business
    with pytest.raises(InputError, match="the grid has 1 dimensions, the law 2"):
        check_grid(line, normal_law(2))
    by_draws = check_grid(Grid(np.zeros((1, 2)), np.ones(1), np.zeros((1, 2)), np.ones(5)), Uniform(), n_draws=2**14)
    assert by_draws.distortion == pytest.approx(2 / 3, abs=6 * by_draws.errors[2])


class Uniform:
    """On [-1, 1]^2: a law with draws only."""

    mean = np.zeros(2)

    def rvs(self, n: int, random_state: np.random.Generator) -> np.ndarray:
        return random_state.uniform(-1, 1, (n, 2))


@pytest.mark.parametrize("text", ["", "a b c\n", "1 2 3\n1 2\n", THEIRS[:-45], "1 2 3\n"])
def test_a_file_of_something_else_is_one_line(tmp_path, text):
    (tmp_path / "2_1_nopti").write_text(text)
    with pytest.raises(InputError, match="2_1_nopti") as told:
        read_grid(tmp_path / "2_1_nopti")
    assert "\n" not in str(told.value)
    (tmp_path / "bad.npz").write_text(text)
    with pytest.raises(InputError, match=r"bad\.npz is not a grid"):
        read_grid(tmp_path / "bad.npz")
    with pytest.raises(InputError, match=r"no grid file .*missing"):
        read_grid(tmp_path / "missing")


def test_sizes_out_of_range_are_refused():
    rng = numpy_rng(0, "test")
    for N, d, words in ((0, 1, "N = 0"), (3, 0, "d = 0")):
        with pytest.raises(InputError, match=words):
            normal_grid(N, d, rng)
    with pytest.raises(InputError, match="n_draws = 100, but 50 points take 800 at least"):
        normal_grid(50, 3, rng, n_draws=100)
    assert check_grid(normal_grid(3, 1, rng), t(5)).weights > 0.001
    assert isinstance(normal_law(2), type(multivariate_normal(np.zeros(2))))
