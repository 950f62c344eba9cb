"""Options that several commands of `ddoq` share."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from .config.profile import Profile


def path_of(text: str) -> Path:
    """A path of the command line; `~` is the home folder, also where the shell leaves it (--out=~/records)."""
    return Path(text).expanduser()


def _print_version(wanted: bool) -> bool:
    if wanted:
        print(f"ddoq {version('ddoq_core')}")
        raise typer.Exit
    return wanted


ProfileName = Annotated[str, typer.Option("--profile", metavar="NAME|FILE", help="a shipped profile, or a YAML file")]
Parameters = Annotated[
    list[str] | None,
    typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="change one parameter; repeat it; see `ddoq knobs`"),
]
DataRoot, PriorPath, Artifacts = (
    Annotated[str, typer.Option(metavar="FOLDER", help=Profile.knobs()[name].metadata["meaning"])]
    for name in ("data_root", "prior_path", "artifacts")
)
ForeignSet = Annotated[
    Path, typer.Argument(parser=path_of, help="A folder of images for each class, or images_best.pt, of anybody.")
]
Peak = Annotated[
    float | None, typer.Option(help="TFLOP/s of the device. Default: an A6000's 154.8, or 0.16 of two CPU cores.")
]
Version = Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")]
