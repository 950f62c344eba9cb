"""Read, write, make and check grids: a quantizer with its weights as a file, in the field's layout or as .npz.

The published grids of N(0, I_d) (quantize.maths-fi.com, 1 to 10 dimensions) are text files `N_d_nopti` with N + 1 rows
of d + 3 numbers. Each of the first N rows has the weight of a cell C_i, its point x_i, and two companion parameters,
E[|X - x_i|^2 | X in C_i] and E[|X - x_i| | X in C_i]; the last row has 0 for the weight and the point, then the means
of the companions, E min_i |X - x_i|^2 and E min_i |X - x_i|. Files `N_1_dualopti` have no companions, and one number at
the end. They are dual grids: their weights are not the masses of cells.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import multivariate_normal, norm

from ..errors import InputError
from .exact import exact_quantizer
from .lloyd import best_of_restarts, lloyd
from .plane import plane_cells, plane_quantizer
from .powers import power_cells
from .voronoi import assign, at_least

DRAWS = 2**20  # for a law in more than two dimensions
STARTS = 4  # of Lloyd's algorithm, each on a share of the draws
SHARE = 16  # this share is one draw in 16
BATCHES = 16  # of draws; their scatter gives the error of a distortion
SEED = 7_203_551_946  # of a check; grids are made from other seeds, because a check by their own draws is no check


@dataclass(frozen=True, eq=False)
class Grid:
    """N points with the weights of their cells, and the other numbers of the file."""

    points: Float[ndarray, "N d"]
    weights: Float[ndarray, " N"]
    companions: Float[ndarray, "N c"]  # of each cell, for X in it
    totals: Float[ndarray, " columns"]  # the last row, 1 + d + c numbers


@dataclass(frozen=True)
class GridCheck:
    """How far a grid is from stationarity and from its own weights under a law."""

    draws: int  # 0: by quadrature
    stationarity: float  # largest |x_i - centroid of its cell|
    weights: float  # largest |w_i - mass of its cell|
    distortion: float  # E min_i |X - x_i|^2
    errors: tuple[float, float, float]  # one standard deviation of each, with draws; 0 with quadrature

    @property
    def lines(self) -> list[str]:
        """The check as text."""
        ends = [f" ± {error:.1g}" if self.draws else "" for error in self.errors]
        return [
            f"distortion: {self.distortion:.12g}{ends[2]}",
            f"largest distance of a point from the centroid of its cell: {self.stationarity:.2g}{ends[0]}",
            f"largest error of a weight: {self.weights:.2g}{ends[1]}",
            f"by {self.draws:,} draws; ± is one standard deviation" if self.draws else "by quadrature",
        ]


def normal_law(d: int) -> Any:
    """N(0, I_d) as SciPy has it; InputError for d < 1."""
    at_least(1, d=d)
    return norm() if d == 1 else multivariate_normal(np.zeros(d))


def normal_grid(N: int, d: int, rng: np.random.Generator, *, n_draws: int = DRAWS) -> Grid:
    """A grid of N(0, I_d): exact on a line, stationary up to rounding in the plane, from draws in higher dimensions.

    On a line it is optimal. Elsewhere it is the best of several starts, and better grids may exist.

    Args:
        rng: orders the starts and makes the draws; on a line nothing is random.
        n_draws: draws for Lloyd's algorithm if d > 2, and again as many for the weights of the cells.
    Raises:
        InputError: N or d below 1, or fewer than 16 N draws.
    """
    at_least(1, N=N)
    law = normal_law(d)
    if d == 1:
        return _grid(exact_quantizer(law, N).points[:, None], _cells_of(law))
    if n_draws < SHARE * N:
        raise InputError(f"n_draws = {n_draws}, but {N} points need at least {SHARE * N}")
    X = torch.from_numpy(rng.standard_normal((n_draws, d)))
    start = best_of_restarts(X[::SHARE], N, n_restarts=STARTS, rng=rng).points
    if d == 2:
        return _grid(plane_quantizer(law, start.numpy()), _cells_of(law))
    points = lloyd(X, start).points.numpy()
    return _grid(points, _cells_of_draws(torch.from_numpy(rng.standard_normal((n_draws, d)))))


def check_grid(grid: Grid, law: Any, *, rng: np.random.Generator | None = None, n_draws: int = DRAWS) -> GridCheck:
    """Check stationarity, weights and distortion of a grid against a law.

    By quadrature on a line, and in the plane for a normal law; otherwise by draws, with their errors.

    Args:
        law: of `scipy.stats`, in one dimension (as in `exact_quantizer`), or in several with `rvs` and a mean.
        rng: for the draws, which must not be those that made the grid; None uses a fixed seed.
    Raises:
        InputError: the law and the grid have different dimensions, or the law has no mean.
        ArithmeticError: as `exact_quantizer`.
    """
    d = grid.points.shape[1]
    if (other := _dimension_of(law)) != d:
        raise InputError(f"the grid has {d} dimensions, but the law has {other}; give a law in {d} dimensions")
    order = np.argsort(grid.points[:, 0]) if d == 1 else np.arange(len(grid.points))
    x, n = grid.points[order], 0 if d == 1 or (d == 2 and _is_normal(law)) else n_draws
    if n:
        rng = np.random.default_rng(SEED) if rng is None else rng
        batches = torch.from_numpy(law.rvs(n, random_state=rng).reshape(n, d)).chunk(BATCHES)
        found = [_cells_of_draws(batch)(x) for batch in batches]
        mass, moment, second, _ = (np.mean(parts, 0) for parts in zip(*found, strict=True))
    else:
        mass, moment, second, _ = _cells_of(law)(x)
    held, wrong = np.maximum(mass, 1 / n if n else 1e-300), np.abs(grid.weights[order] - mass)
    off = np.linalg.norm(moment, axis=1) / held
    errors, i, k = (0.0, 0.0, 0.0), off.argmax(), wrong.argmax()
    if n:
        totals = [parts[2].sum() for parts in found]
        errors = (second[i] / n) ** 0.5 / held[i], (mass[k] / n) ** 0.5, np.std(totals, ddof=1) / BATCHES**0.5
    return GridCheck(n, off[i], wrong[k], second.sum(), errors)


def read_grid(path: Path | str, *, dimension: int | None = None) -> Grid:
    """Read a grid from a text file in the layout `N_d_nopti` or `N_1_dualopti`, or from a .npz of `write_grid`.

    Args:
        dimension: of a text file whose name does not give it.
    Raises:
        InputError: the file is missing, has another layout, or its dimension is unknown.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no grid file {path}; give a file in the layout N_d_nopti, or .npz")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as kept:
                (N, d), rows = kept["points"].shape, _rows(**kept)
        else:
            lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
            rows = np.array(lines, dtype=float, ndmin=2)
            named = re.fullmatch(r"(\d+)_(\d+)_(?:nopti|dualopti).*", path.name)
            N, d = map(int, named.groups()) if named else (len(rows) - 1, dimension)
    except (ValueError, TypeError, KeyError, OSError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} is not a grid: {error}") from error
    if d is None:
        raise InputError(f"{path} does not say its dimension; give the dimension, or name the file N_d_nopti")
    if len(rows) != N + 1 or N < 1 or not 1 <= d < rows.shape[1]:
        raise InputError(f"{path} has {len(rows)} rows of {rows.shape[1]} numbers; N points need N + 1 rows of d + 3")
    if not np.isfinite(rows).all():
        raise InputError(f"{path} has numbers that are not finite; make it again")
    return Grid(rows[:-1, 1 : d + 1], rows[:-1, 0], rows[:-1, d + 1 :], rows[-1])


def write_grid(grid: Grid, path: Path | str) -> None:
    """Write a grid as .npz, or as text; `read_grid` gives the same numbers back."""
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    if path.suffix == ".npz":
        with part.open("wb") as file:
            np.savez(file, **vars(grid))
    else:
        part.write_text("".join("\t".join(map(repr, row)) + "\n" for row in _rows(**vars(grid)).tolist()))
    part.replace(path)


def _rows(points: ndarray, weights: ndarray, companions: ndarray, totals: ndarray) -> Float[ndarray, "rows columns"]:
    """The rows of a text file; ValueError for shapes that do not fit."""
    return np.vstack([np.column_stack([weights, points, companions]), totals]).astype(float)


def _dimension_of(law: Any) -> int:
    """Of a law, by its mean."""
    try:
        return np.size(law.mean() if callable(law.mean) else law.mean)
    except (AttributeError, TypeError) as error:
        name = type(law).__name__
        raise InputError(f"{name} has no mean; give a law that has, as scipy.stats.norm()") from error


def _is_normal(law: Any) -> bool:
    """Whether a law is one for `plane_cells`: `cov` is a method of other laws of SciPy."""
    return not callable(getattr(law, "cov", callable))


Cells = Callable[[Float[ndarray, "N d"]], tuple[ndarray, ndarray, ndarray, ndarray]]


def _grid(points: Float[ndarray, "N d"], cells: Cells) -> Grid:
    mass, _, second, distance = cells(points)
    costs = np.stack([second, distance], 1)
    totals = np.concatenate([np.zeros(1 + points.shape[1]), costs.sum(0)])
    return Grid(points, mass, costs / np.where(mass > 0, mass, 1)[:, None], totals)


def _cells_of(law: Any) -> Cells:
    """Mass, first moment, second moment and mean distance of the cells of a law on a line or in the plane."""

    def on_line(points: Float[ndarray, "N 1"]) -> tuple[ndarray, ndarray, ndarray, ndarray]:
        mass, slope, second = power_cells(law, points[:, 0], 2)
        return mass, -slope[:, None] / 2, second, power_cells(law, points[:, 0], 1)[2]

    return (lambda points: plane_cells(law, points)) if _is_normal(law) else on_line


def _cells_of_draws(X: Float[torch.Tensor, "n d"]) -> Cells:
    """The same from n draws, each with mass 1/n."""

    def cells(points: Float[ndarray, "N d"]) -> tuple[ndarray, ndarray, ndarray, ndarray]:
        label = assign(X, torch.from_numpy(points)).numpy()
        away = X.numpy() - points[label]
        squared, N, n = (away**2).sum(1), len(points), len(X)
        moment = np.stack([np.bincount(label, column, N) for column in away.T], 1) / n
        mass, second, distance = (np.bincount(label, w, N) / n for w in (None, squared, np.sqrt(squared)))
        return mass, moment, second, distance

    return cells
