"""The `ddoq` command: Algorithm 4 step by step, or all of it, for a profile.

All outputs go to the folder `artifacts` and are reused; after an interruption, the same command resumes.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .config.knobs import suggestion
from .config.profile import parse_assignment
from .errors import InputError, readable
from .options import (
    Artifacts,
    DataRoot,
    ForeignSet,
    Parameters,
    PriorPath,
    ProfileName,
    Quiet,
    Version,
    given_profile,
    given_run,
    path_of,
    reported,
    silence,
    tell,
)
from .processes import OwnError, among_peers, world
from .tools import tools

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(tools)

EXTRAS = {  # packages that the light core does not install, by the extra that does
    "pipeline": ("accelerate", "diffusers", "huggingface_hub", "matplotlib", "mlxtend", "torchvision", "transformers"),
    "bench": ("faiss", "kmeans1d"),
    "book": ("IPython",),
}
PRESETS = ("d4m", "rded", "tesla")


@app.callback(help=__doc__)
def options(version: Version = False) -> None:
    """Options of `ddoq` itself."""


def _made(*artifacts) -> None:
    tell(*(artifact.path for artifact in artifacts))


@app.command()
def run(
    profile: ProfileName = "laptop",
    parameter: Parameters = None,
    data_root: DataRoot = "",
    prior_path: PriorPath = "",
    artifacts: Artifacts = "",
    quiet: Quiet = False,
) -> None:
    """Run everything: prior, teacher, distilled sets, students.

    Algorithm 4 for every method, IPC and distillation seed. Prints the table; report.html also shows the pictures.
    """
    whole = given_run(profile, parameter, data_root=data_root, prior_path=prior_path, artifacts=artifacts)
    with silence(quiet):
        whole.train_students()
        shown = reported("run", whole)
    tell(*([] if quiet else shown), whole.file)


@app.command()
def pretrain(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Fit the generative prior on the training images.

    For prior = pretrain; the folder has the layout of diffusers' DiTPipeline.
    """
    _made(given_run(profile, parameter).prior)


@app.command()
def teacher(
    profile: ProfileName = "laptop",
    parameter: Parameters = None,
    data_root: DataRoot = "",
    published: Annotated[bool, typer.Option("--published", help="Compare with the published accuracy.")] = False,
) -> None:
    """Train the teacher, or load the one of teacher_path.

    With --published, compares its accuracy on ImageNet with torchvision's, 69.76 % for a ResNet-18, and fails if they
    differ.
    """
    whole = given_run(profile, parameter, data_root=data_root)
    _made(whole.teacher)
    if published:
        from .pipeline.teacher import published_comparison

        tell(published_comparison(whole.teacher, whole.dataset, whole.profile))


@app.command()
def assess(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Measure the prior: reconstruction and recognition.

    Prints the error of reconstructed images, and the share of generated images that the teacher recognises.
    """
    artifact = given_run(profile, parameter).assessment
    tell(*(f"{name}: {value}" for name, value in artifact.json("metrics.json").items()))


@app.command()
def encode(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Algorithm 4, line 1: latents of the training images."""
    _made(given_run(profile, parameter).latents)


@app.command()
def cluster(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Algorithm 4, lines 2-3: codebooks and cell counts."""
    whole = given_run(profile, parameter)
    _made(*(whole.prototypes(seed) for seed in range(whole.profile.n_seeds)))


@app.command()
def synthesize(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Algorithm 4, lines 4-5: the distilled images."""
    whole = given_run(profile, parameter)
    _made(*dict.fromkeys(d.artifact for d, _ in whole.distilled_sets()))


@app.command()
def check(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Check the distilled sets before students are trained.

    Prints each measurement with its healthy range.
    """
    whole = given_run(profile, parameter)
    from .checks.check_lines import fact_lines

    for artifact in whole.checks():
        tell(artifact.path, *fact_lines(artifact))


@app.command()
def relabel(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Algorithm 4, line 6: the teacher's soft labels."""
    whole = given_run(profile, parameter)
    if whole.profile.soft_labels == "online":
        raise InputError("soft_labels = online stores no labels; set soft_labels=stored, or run `ddoq train`")
    _made(*dict.fromkeys(whole.soft_labels(d, seed) for d, seed in whole.distilled_sets("soft")))


@app.command()
def train(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Algorithm 4, line 7: train and score every student.

    The same as `ddoq run`, under the name of its last step.
    """
    run(profile, parameter)


@app.command("eval")
def evaluate(
    folder: ForeignSet,
    preset: Annotated[
        str,
        typer.Option(metavar="|".join(PRESETS), help="Published protocol. Default: d4m, or tesla for a .pt."),
    ] = "",
    profile: ProfileName = "laptop",
    parameter: Parameters = None,
    data_root: DataRoot = "",
    artifacts: Artifacts = "",
    mean: Annotated[str, typer.Option(metavar="N,N,N", help="Channel means subtracted from a .pt's images.")] = "",
    std: Annotated[str, typer.Option(metavar="N,N,N", help="Channel deviations they were divided by.")] = "",
    quiet: Quiet = False,
) -> None:
    """Train and score students on any distilled set.

    Every assumption about the images is printed. The profile sets data, teacher and networks; the preset sets the
    training; -p overrides both.
    """
    given = given_profile(profile, parameter, data_root=data_root, artifacts=artifacts)
    if preset and preset not in PRESETS:
        raise InputError(f"no preset '{preset}'{suggestion(preset, PRESETS)}; presets: {', '.join(PRESETS)}")
    from .foreign.protocols import evaluate_folder, evaluation_table

    try:
        scale = [[float(number) for number in text.split(",") if number] for text in (mean, std)]
    except ValueError as error:
        raise InputError(f"--mean {mean} and --std {std} must be one number for each channel ({error})") from error
    named = [parse_assignment(text)[0] for text in parameter or []]
    with silence(quiet):
        done = evaluate_folder(folder, preset, given, named, mean=scale[0], std=scale[1])
        shown = [*done.assumed, "", evaluation_table(done).text(), *reported("eval", done)]
    tell(*([] if quiet else shown), done.file)


@app.command()
def record(
    study: Annotated[str, typer.Argument(help="For example table; an unknown name lists all studies.")],
    out: Annotated[Path, typer.Option(parser=path_of, metavar="FOLDER", help="Folder; keeps old records.")] = "records",
    profile: ProfileName = "table",
    parameter: Parameters = None,
    data_root: DataRoot = "",
    prior_path: PriorPath = "",
    artifacts: Artifacts = "",
    ipc: Annotated[list[int] | None, typer.Option(help="Only these images per class; may be repeated.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Only these methods; may be repeated.")] = None,
    student: Annotated[list[str] | None, typer.Option(help="Only these networks; may be repeated.")] = None,
    labels: Annotated[list[str] | None, typer.Option(help="Only these labels; may be repeated.")] = None,
) -> None:
    """Train all students of a study.

    Each result is saved when its student is done; run the command again to resume.
    """
    whole = given_run(profile, parameter, data_root=data_root, prior_path=prior_path, artifacts=artifacts)
    from .results.studies import record_study

    wanted = {"ipc": ipc, "method": method, "student": student, "labels": labels}
    for file in record_study(study, whole.profile, out, {name: v for name, v in wanted.items() if v}):
        tell(file)


def main() -> None:
    """Entry point: an error that the user can fix is one line and exit code 2."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait stall on a busy machine
    try:
        with among_peers():
            app()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = next((extra for extra, packages in EXTRAS.items() if package in packages), None)
        if extra is None:
            raise
        print(f"ddoq: {package} is not installed; pip install 'ddoq_core[{extra}]'", file=sys.stderr)
        sys.exit(2)
    except (InputError, OSError) as error:
        line = error if isinstance(error, InputError) else readable(error)
        if world().main or isinstance(error, OwnError):
            print(f"ddoq: {line}", file=sys.stderr)
        sys.exit(2)
