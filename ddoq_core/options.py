"""What the commands of `ddoq` share: their options, the run behind them, and the output of results."""

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .config.profile import Profile, parse_assignment
from .processes import world

if TYPE_CHECKING:  # torch takes seconds to import
    from .runs.run import Run


def path_of(text: str) -> Path:
    """A path of the command line; `~` is the home folder, even if the shell does not expand it (--out=~/records)."""
    return Path(text).expanduser()


def _print_version(wanted: bool) -> bool:
    if wanted:
        print(f"ddoq {version('ddoq_core')}")
        raise typer.Exit
    return wanted


ProfileName = Annotated[str, typer.Option("--profile", metavar="NAME|FILE", help="a shipped profile, or a YAML file")]
Parameters = Annotated[
    list[str] | None,
    typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="change one parameter; repeatable; see `ddoq knobs`"),
]
DataRoot, PriorPath, Artifacts = (
    Annotated[str, typer.Option(metavar="FOLDER", help=Profile.knobs()[name].metadata["meaning"])]
    for name in ("data_root", "prior_path", "artifacts")
)
ForeignSet = Annotated[
    Path, typer.Argument(parser=path_of, help="A folder with a folder of images for each class, or images_best.pt.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the path of the results and nothing else.")]
Version = Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")]

# options of `ddoq cost`
Classes = Annotated[int | None, typer.Option(help="Classes, with --images-per-class instead of a data set.")]
ImagesPerClass = Annotated[int | None, typer.Option(help="Images of a class, validation included.")]
Peak = Annotated[
    float | None,
    typer.Option(help="TFLOP/s of another device. Default: 154.8 (A6000) for a GPU; a processor is measured."),
]
Efficiency = Annotated[float | None, typer.Option(help="Share of the peak that a step reaches. Default: 0.4.")]
Calibrate = Annotated[
    Path | None, typer.Option(parser=path_of, metavar="RECORD", help="Use the speeds in a record of prove.sh.")
]
Measured = Annotated[bool, typer.Option("--measured", help="Print the measured seconds of the finished run instead.")]


def given_profile(profile: str, parameters: list[str] | None, **folders: str) -> Profile:
    """The profile of a command, with its parameters and folders."""
    values = dict(parse_assignment(text) for text in parameters or []) | {n: f for n, f in folders.items() if f}
    return Profile.load(profile, values)


def given_run(profile: str, parameters: list[str] | None, **folders: str) -> "Run":
    """The run of that profile."""
    found = given_profile(profile, parameters, **folders)
    from .runs.run import Run  # torch takes seconds to import: report a bad parameter before that

    return Run(found)


@contextlib.contextmanager
def silence(wanted: bool) -> Iterator[None]:
    """If `wanted`, suppress standard error inside the block; an error that ends the command is printed after it."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere if wanted else sys.stderr):
        yield


def reported(kind: str, made: object) -> list[str]:
    """Write the report of a finished run or evaluation (group `ddoq.report`); return its lines for the terminal."""
    return [line for entry in entry_points(group="ddoq.report", name=kind) for line in entry.load()(made)]


def tell(*lines: object) -> None:
    """Print results on standard output, once for all processes."""
    if world().main:
        print(*lines, sep="\n")
