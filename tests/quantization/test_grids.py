"""Grids as files: numbers come back unchanged, and a check finds what is wrong with them."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import dirichlet, laplace, multivariate_normal, multivariate_t, norm, t

from ddoq_core.errors import InputError
from ddoq_core.quantization import exact_quantizer
from ddoq_core.quantization.grids import Grid, check_grid, normal_grid, normal_law, read_grid, write_grid
from ddoq_core.randomness import numpy_rng

# The published 5 points of N(0, I_2), made on draws: 5_2_nopti of quantize.maths-fi.com (Pagès and Printems), as kept
# in github.com/loehndorf/scengen, src/main/resources/vq; rounded to nine digits.
THEIRS = """\
   2.17726240e-01   3.71074754e-02  -1.12360479e+00   6.23671762e-01   6.96503297e-01
   1.54721370e-01   6.98805773e-01   1.22089898e+00   6.40905603e-01   7.01886140e-01
   2.55557230e-01  -5.91024473e-01   7.02782131e-01   5.97068924e-01   6.82268372e-01
   2.17325220e-01   1.10185183e+00  -2.31216862e-01   6.23447728e-01   6.96359843e-01
   1.54669940e-01  -1.32360855e+00  -4.75050727e-01   6.40695094e-01   7.01767930e-01
   0.00000000e+00   0.00000000e+00   0.00000000e+00   6.22123967e-01   6.94481404e-01
"""


def same(a: Grid, b: Grid) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


@pytest.fixture
def line():
    """The optimal 6 points of N(0, 1)."""
    return normal_grid(6, 1, numpy_rng(0, "test"))


@pytest.mark.parametrize("name", ["6_1_nopti", "mine.txt", "mine.npz"])
def test_what_is_written_is_read_back_to_the_last_bit(line, tmp_path, name):
    write_grid(line, tmp_path / name)
    assert same(read_grid(tmp_path / name, dimension=1), line)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.fixture
def theirs(tmp_path):
    (tmp_path / "5_2_nopti").write_text(THEIRS)
    return read_grid(tmp_path / "5_2_nopti")


def test_a_published_grid_is_read_written_and_read_unchanged(theirs, tmp_path):
    assert theirs.points[1].tolist() == [0.698805773, 1.22089898] and theirs.weights[1] == 0.15472137
    write_grid(theirs, tmp_path / "5_2_nopti_again")
    assert same(read_grid(tmp_path / "5_2_nopti_again"), theirs)
    found = check_grid(theirs, normal_law(2))
    assert found.weights < 1e-4 and found.stationarity < 2e-3
    assert found.distortion == pytest.approx(theirs.totals[-2], abs=1e-4)


def test_ours_are_of_the_published_layout(theirs, line):
    ours = normal_grid(5, 2, numpy_rng(0, "test"), n_draws=2**12)
    drawn = normal_grid(5, 3, numpy_rng(0, "test"), n_draws=2**12)
    for grid in (theirs, ours, drawn, line):  # 0 for weight and point, then means of the companions
        assert not grid.totals[:-2].any() and len(grid.totals) == 1 + grid.points.shape[1] + 2
        np.testing.assert_allclose(grid.weights @ grid.companions, grid.totals[-2:], rtol=1e-8)
    two = normal_grid(2, 1, numpy_rng(0, "test"))  # of |X| about its mean, in both cells
    np.testing.assert_allclose(two.companions[:, 0], 1 - 2 / np.pi, rtol=1e-10)


def test_a_dual_grid_of_others_is_read(tmp_path):
    # 2_1_dualopti, from the same place
    (tmp_path / "2_1_dualopti").write_text("5.0e-01\t-6.4714282e-01\n5.0e-01\t6.4714282e-01\n0.0\t4.5387286e-01\n")
    grid = read_grid(tmp_path / "2_1_dualopti")
    assert grid.points.tolist() == [[-0.64714282], [0.64714282]] and grid.companions.shape == (2, 0)
    assert check_grid(grid, norm()).stationarity > 0.1


def test_a_file_that_does_not_say_its_dimension_needs_it(tmp_path):
    grid = Grid(numpy_rng(0, "test").standard_normal((3, 4)), np.ones(3) / 3, np.zeros((3, 0)), np.zeros(5))
    name = str(tmp_path / "mine.txt")  # five columns: d = 4, or d = 2 with companions
    write_grid(grid, name)
    with pytest.raises(InputError, match=r"mine\.txt does not say its dimension; give the dimension"):
        read_grid(name)
    assert same(read_grid(name, dimension=4), grid)


@pytest.mark.parametrize(
    "wrong", [{"weights": np.ones(5)}, {"totals": np.ones(3)}, {"points": np.ones(6)}, {"companions": np.ones((2, 6))},
              {"weights": np.full(6, np.nan)}, {"weights": np.array(["a"] * 6)}, {"more": np.ones(6)}],
)  # fmt: skip
def test_a_npz_of_shapes_that_do_not_fit_is_one_line(line, tmp_path, wrong):
    np.savez(tmp_path / "bad.npz", **vars(line) | wrong)
    with pytest.raises(InputError, match=r"bad\.npz (is not a grid|has numbers)") as told:
        read_grid(tmp_path / "bad.npz")
    assert "\n" not in str(told.value)


def test_totals_on_a_line_are_what_the_points_cost(line):
    exact = exact_quantizer(norm(), 6)
    np.testing.assert_array_equal(line.points[:, 0], exact.points)
    squared, distance = line.totals[-2:]
    assert squared == pytest.approx(exact.distortion, abs=1e-12)
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
    assert found.draws == 2**16 and found.lines[-1].startswith("by 65,536 draws")
    assert found.weights < 6 * found.errors[1] and found.stationarity < 6 * found.errors[0]
    totals = grid.totals[-2]
    assert abs(found.distortion - totals) < 6 * found.errors[2] < 0.05 * totals


def test_a_check_does_not_draw_what_the_grid_was_made_of():
    grid = normal_grid(8, 3, np.random.default_rng(0), n_draws=2**12)  # on its own draws it is stationary to rounding
    assert check_grid(grid, normal_law(3), n_draws=2**12).stationarity > 1e-3


def test_a_check_finds_what_is_wrong(line):
    moved = dataclasses.replace(line, points=line.points + 0.1)
    assert check_grid(moved, norm()).stationarity > 0.01 and check_grid(line, laplace()).stationarity > 0.1
    heavy = dataclasses.replace(line, weights=line.weights[::-1] ** 2)
    assert check_grid(heavy, norm()).weights > 0.03
    turned = dataclasses.replace(line, points=line.points[::-1], weights=line.weights[::-1])
    assert check_grid(turned, norm()).weights < 1e-12  # the order of the rows is nobody's business
    with pytest.raises(InputError, match="the grid has 1 dimensions, but the law has 2"):
        check_grid(line, normal_law(2))
    by_draws = check_grid(Grid(np.zeros((1, 2)), np.ones(1), np.zeros((1, 2)), np.ones(5)), Uniform(), n_draws=2**14)
    assert by_draws.distortion == pytest.approx(2 / 3, abs=6 * by_draws.errors[2])


@pytest.mark.parametrize("law", [multivariate_t([0, 0]), multivariate_normal, dirichlet, lambda x: x, 3, None])
def test_what_has_no_mean_is_no_law(line, law):
    with pytest.raises(InputError, match=r"^\w+ has no mean; give a law that has, as scipy\.stats\.norm\(\)$"):
        check_grid(line, law)


def test_a_law_of_the_plane_that_is_not_normal_is_checked_by_draws():
    grid = Grid(np.array([[0.5, 0.5]]), np.ones(1), np.zeros((1, 2)), np.zeros(5))
    found = check_grid(grid, dirichlet([1, 1]), n_draws=2**12)  # uniform on a segment of length √2
    assert found.draws == 2**12 and found.distortion == pytest.approx(1 / 6, abs=6 * found.errors[2])


class Uniform:
    """On [-1, 1]^2: a law with draws only."""

    mean = np.zeros(2)

    def rvs(self, n: int, random_state: np.random.Generator) -> np.ndarray:
        return random_state.uniform(-1, 1, (n, 2))


@pytest.mark.parametrize(
    "text", ["", "a b c\n", "1 2 3\n1 2\n", THEIRS[:-45], "1 2 3\n", THEIRS.replace("6.96503297e-01", "nan")]
)
def test_a_file_of_something_else_is_one_line(tmp_path, text):
    (tmp_path / "5_2_nopti").write_text(text)
    with pytest.raises(InputError, match="5_2_nopti") as told:
        read_grid(tmp_path / "5_2_nopti")
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
    with pytest.raises(InputError, match="n_draws = 100, but 50 points need at least 800"):
        normal_grid(50, 3, rng, n_draws=100)
    assert check_grid(normal_grid(3, 1, rng), t(5)).weights > 0.001
    assert isinstance(normal_law(2), type(multivariate_normal(np.zeros(2))))
