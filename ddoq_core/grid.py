"""`ddoq grid`: write an optimal or stationary grid of a law to a file, and check it."""

from pathlib import Path
from typing import Annotated

import typer

from .errors import InputError
from .options import path_of

LAWS = ("normal",)


def grid(
    law: Annotated[str, typer.Option(metavar="|".join(LAWS), help="The law: normal is N(0, I).")] = "normal",
    dimension: Annotated[int, typer.Option(min=1, max=10, help="Its dimension.")] = 1,
    points: Annotated[int, typer.Option(min=1, help="Number of points.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of starts and draws; on a line nothing is random.")] = 0,
    out: Annotated[
        Path | None, typer.Option(parser=path_of, metavar="FILE", help="Text, or .npz. Default: N_d_nopti, here.")
    ] = None,
) -> None:
    """Make an optimal quantization grid and check it.

    Exact on a line, stationary up to rounding in the plane, from a million draws in higher dimensions. The text file
    has the layout of the grids published at quantize.maths-fi.com.
    """
    if law not in LAWS:
        raise InputError(f"no law '{law}'; laws: {', '.join(LAWS)}")
    from .quantization.grids import check_grid, normal_grid, normal_law, write_grid  # torch takes seconds to import
    from .randomness import numpy_rng

    made = normal_grid(points, dimension, numpy_rng(seed, "grid", dimension, points))
    out = out or Path(f"{points}_{dimension}_nopti")
    write_grid(made, out)
    found = check_grid(made, normal_law(dimension), rng=numpy_rng(seed, "grid", "check"))
    print(out, *found.lines, sep="\n")
