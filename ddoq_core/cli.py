"""The `ddoq` command: Algorithm 4 step by step, or all of it, for a profile.

All outputs go to the folder `artifacts` and are used again; after an interruption, the same command resumes.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .config.knobs import suggestion
from .config.profile import Profile, parse_assignment
from .errors import InputError, readable
from .grid import grid
from .options import Artifacts, DataRoot, ForeignSet, Parameters, Peak, PriorPath, ProfileName, Version, path_of
from .processes import OwnError, among_peers, world

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

EXTRAS = {  # packages that the light core does without, and what brings them
    "pipeline": ("accelerate", "diffusers", "huggingface_hub", "mlxtend", "torchvision", "transformers"),
    "bench": ("faiss", "kmeans1d"),
    "book": ("IPython", "matplotlib"),
}
PRESETS = ("d4m", "rded", "tesla")


@app.callback(help=__doc__)
def options(version: Version = False) -> None:
    """Options of `ddoq` itself."""


def _checked(profile: str, parameters: list[str] | None, **folders: str) -> Profile:
    values = dict(parse_assignment(text) for text in parameters or []) | {n: f for n, f in folders.items() if f}
    return Profile.load(profile, values)


def _run(profile: str, parameters: list[str] | None, **folders: str):
    checked = _checked(profile, parameters, **folders)
    from .runs.run import Run  # torch takes seconds to import: a bad parameter is told before

    return Run(checked)


def _tell(*lines) -> None:
    """Results on standard output, of several processes once."""
    if world().main:
        print(*lines, sep="\n")


def _made(*artifacts) -> None:
    _tell(*(artifact.path for artifact in artifacts))


@app.command()
def run(
    profile: ProfileName = "laptop",
    parameter: Parameters = None,
    data_root: DataRoot = "",
    prior_path: PriorPath = "",
    artifacts: Artifacts = "",
) -> None:
    """Run everything: prior, teacher, distilled sets, students.

    Algorithm 4 for every method, IPC and distillation seed. The scores of the students are in results.jsonl.
    """
    whole = _run(profile, parameter, data_root=data_root, prior_path=prior_path, artifacts=artifacts)
    whole.train_students()
    _tell(whole.folder / "results.jsonl")


@app.command()
def pretrain(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Fit the generative prior on the training images.

    For prior = pretrain; the folder has the layout of diffusers' DiTPipeline.
    """
    _made(_run(profile, parameter).prior)


@app.command()
def teacher(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Train the teacher, or load the one of teacher_path."""
    _made(_run(profile, parameter).teacher)


@app.command()
def assess(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Measure the prior: reconstruction and recognition.

    The error of reconstructed images, and the share of generated images that the teacher gives their class.
    """
    artifact = _run(profile, parameter).assessment
    _tell(*(f"{name}: {value}" for name, value in artifact.json("metrics.json").items()))


@app.command()
def encode(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Algorithm 4, line 1: latents of the training images."""
    _made(_run(profile, parameter).latents)


@app.command()
def cluster(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Algorithm 4, lines 2-3: codebooks and cell counts."""
    whole = _run(profile, parameter)
    _made(*(whole.prototypes(seed) for seed in range(whole.profile.n_seeds)))


@app.command()
def synthesize(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Algorithm 4, lines 4-5: the distilled images."""
    whole = _run(profile, parameter)
    _made(*dict.fromkeys(d.artifact for d, _ in whole.distilled_sets()))


@app.command()
def check(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Check the distilled sets before students are trained.

    Prints each measurement with the range that is expected of it.
    """
    whole = _run(profile, parameter)
    from .checks.check_lines import fact_lines

    for artifact in whole.checks():
        _tell(artifact.path, *fact_lines(artifact))


@app.command()
def relabel(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Algorithm 4, line 6: the teacher's soft labels."""
    whole = _run(profile, parameter)
    if whole.profile.soft_labels == "online":
        raise InputError("soft_labels = online stores no labels; set soft_labels=stored, or go on with `ddoq train`")
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
    mean: Annotated[str, typer.Option(metavar="N,N,N", help="Mean of each channel, taken from a .pt's images.")] = "",
    std: Annotated[str, typer.Option(metavar="N,N,N", help="Deviation of each channel, likewise.")] = "",
) -> None:
    """Train and score students on any distilled set.

    Every assumption about the images is printed. The profile sets data, teacher and networks; the preset sets the
    training; -p overrides both.
    """
    checked = _checked(profile, parameter, data_root=data_root, artifacts=artifacts)
    if preset and preset not in PRESETS:
        raise InputError(f"no preset '{preset}'{suggestion(preset, PRESETS)}; presets: {', '.join(PRESETS)}")
    from .foreign.protocols import evaluate_folder, evaluation_lines

    try:
        scale = [[float(number) for number in text.split(",") if number] for text in (mean, std)]
    except ValueError as error:
        raise InputError(f"--mean {mean} and --std {std} are numbers, one for each channel ({error})") from error
    done = evaluate_folder(
        folder, preset, checked, [parse_assignment(text)[0] for text in parameter or []], mean=scale[0], std=scale[1]
    )
    _tell(*evaluation_lines(done), done.file)


@app.command()
def record(
    study: Annotated[str, typer.Argument(help="For instance table; an unknown name lists all.")],
    out: Annotated[Path, typer.Option(parser=path_of, metavar="FOLDER", help="Folder of the records; they are kept.")],
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
    whole = _run(profile, parameter, data_root=data_root, prior_path=prior_path, artifacts=artifacts)
    from .results.studies import record_study

    wanted = {"ipc": ipc, "method": method, "student": student, "labels": labels}
    for file in record_study(study, whole.profile, out, {name: v for name, v in wanted.items() if v}):
        _tell(file)


@app.command()
def bench(
    task: Annotated[list[str] | None, typer.Option(help="One task; may be repeated. All by default.")] = None,
    reps: Annotated[int, typer.Option(min=1, help="Repetitions, each with its own seed.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Threads of every method.")] = 1,
    out: Annotated[Path | None, typer.Option(parser=path_of, metavar="FILE", help="File that keeps the rows.")] = None,
) -> None:
    """Time the quantizers beside those of other libraries.

    scikit-learn, faiss, kmeans1d and plain torch; prints a Markdown table.
    """
    import torch

    from ddoq_benchmarks.quantizers import TASKS, bench_rows
    from ddoq_benchmarks.side_by_side import bench_table, side_by_side

    torch.set_num_threads(threads)
    print(bench_table(side_by_side(bench_rows(task or list(TASKS), reps, out))).markdown())


app.command()(grid)


@app.command()
def against_d4m(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Time this pipeline beside D4M's procedure."""
    whole = _run(profile, parameter)
    from ddoq_benchmarks.against_d4m import beside_d4m, d4m_table

    print(d4m_table(beside_d4m(whole)).markdown())


@app.command()
def cost(
    profile: ProfileName = "laptop",
    parameter: Parameters = None,
    data_root: DataRoot = "",
    prior_path: PriorPath = "",
    artifacts: Artifacts = "",
    classes: Annotated[int | None, typer.Option(help="Classes, with --images-per-class instead of a data set.")] = None,
    images_per_class: Annotated[int | None, typer.Option(help="Images of a class, validation included.")] = None,
    peak: Peak = None,
    efficiency: Annotated[float | None, typer.Option(help="Share of the peak that is reached. Default: 0.4.")] = None,
    measured: Annotated[bool, typer.Option("--measured", help="Seconds of the finished run instead.")] = False,
) -> None:
    """Estimate operations, disk and hours of `ddoq run`."""
    checked = _checked(profile, parameter, data_root=data_root, prior_path=prior_path, artifacts=artifacts)
    from .cost.sizes import Images, device_of  # checks what is given before torch is imported

    device = device_of(checked, peak, efficiency)
    images = None if measured else Images.of(checked, classes, images_per_class)
    if measured:
        from importlib.metadata import entry_points

        (table,) = entry_points(group="ddoq.cost", name="measured")  # the book's chapter on cost has it
        print(table.load()(checked, device).markdown())
        return
    from .cost import tables

    print(tables.cost_table(tables.run_cost(checked, images, device)).markdown())
    if images.n_classes == 1000:
        print(tables.paper_table(tables.paper_steps(), device).markdown())


@app.command()
def knobs() -> None:
    """List every parameter with its default and meaning."""
    for name, knob in Profile.knobs().items():
        choices = f" One of: {', '.join(knob.metadata['of'])}." if knob.metadata["of"] else ""
        print(f"{name} = {getattr(Profile(), name)!r}\n    {knob.metadata['meaning']}.{choices}")


def main() -> None:
    """Entry point: an error that the user can mend is one line and exit code 2."""
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
