"""Commands besides the steps of Algorithm 4: the cost of a run, its parameters, and exports for other programs."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import typer

from .config.knobs import suggestion
from .config.profile import Profile
from .errors import InputError
from .grid import grid
from .options import (
    Artifacts,
    Calibrate,
    Classes,
    DataRoot,
    Efficiency,
    ImagesPerClass,
    Measured,
    Parameters,
    Peak,
    PriorPath,
    ProfileName,
    given_profile,
    given_run,
    path_of,
    tell,
)

tools = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)


@tools.command()
def bench(
    task: Annotated[list[str] | None, typer.Option(help="One task; may be repeated. All by default.")] = None,
    reps: Annotated[int, typer.Option(min=1, help="Repetitions, each with its own seed.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Threads of every method.")] = 1,
    out: Annotated[Path | None, typer.Option(parser=path_of, metavar="FILE", help="File to save the rows in.")] = None,
) -> None:
    """Time the quantizers against other libraries.

    They are scikit-learn, faiss, kmeans1d and plain torch. Prints a Markdown table.
    """
    import torch

    from ddoq_benchmarks.quantizers import TASKS, bench_rows
    from ddoq_benchmarks.side_by_side import bench_table, side_by_side

    torch.set_num_threads(threads)
    print(bench_table(side_by_side(bench_rows(task or list(TASKS), reps, out))).markdown())


tools.command()(grid)


@tools.command()
def against_d4m(profile: ProfileName = "laptop", parameter: Parameters = None) -> None:
    """Time this pipeline against D4M's procedure."""
    whole = given_run(profile, parameter)
    from ddoq_benchmarks.against_d4m import beside_d4m, d4m_table

    print(d4m_table(beside_d4m(whole)).markdown())


@tools.command()
def export_labels(
    out: Annotated[Path, typer.Argument(parser=path_of, help="Folder of the labels; existing files are kept.")],
    ipc: Annotated[int, typer.Option(help="Images per class of the set.")],
    method: Annotated[str, typer.Option(help="Method of the set.")] = "ddoq",
    distill_seed: Annotated[int, typer.Option(help="Seed of the distillation.")] = 0,
    profile: ProfileName = "laptop",
    parameter: Parameters = None,
    data_root: DataRoot = "",
    prior_path: PriorPath = "",
) -> None:
    """Write soft labels for the programs of SRe2L and D4M.

    The layout is that of FKD, epoch_E/batch_B.tar. Give the printed folder of images to these programs as --data.
    """
    whole = given_run(profile, parameter, data_root=data_root, prior_path=prior_path)
    from .foreign.fkd import write_fkd
    from .methods import METHODS

    if method not in METHODS or METHODS[method].distill is None:
        raise InputError(f"no method '{method}' with a distilled set{suggestion(method, METHODS)}")
    made = whole.distilled(method, ipc, distill_seed)
    tell(made.artifact.path, write_fkd(whole.store, made, whole.dataset, whole.teacher, whole.profile, out))


@tools.command()
def cost(
    profile: ProfileName = "laptop",
    parameter: Parameters = None,
    data_root: DataRoot = "",
    prior_path: PriorPath = "",
    artifacts: Artifacts = "",
    classes: Classes = None,
    images_per_class: ImagesPerClass = None,
    peak: Peak = None,
    efficiency: Efficiency = None,
    calibrate: Calibrate = None,
    measured: Measured = False,
) -> None:
    """Estimate operations, disk and hours of `ddoq run`.

    For device = cpu it first measures the speed of this machine, in a few seconds. --peak describes another device.
    """
    given = given_profile(profile, parameter, data_root=data_root, prior_path=prior_path, artifacts=artifacts)
    from .cost.sizes import Images, device_of  # checks the options before torch is imported

    if calibrate and (peak or efficiency):
        raise InputError("--calibrate has the speeds of each step; leave out --peak and --efficiency")
    device = device_of(given, peak, efficiency)
    images = None if measured else Images.of(given, classes, images_per_class)
    if calibrate:
        from .cost.calibration import calibrated

        device = calibrated(calibrate, given)
    elif images and not (peak or efficiency):
        from .cost.model import costs
        from .cost.this_machine import machine_of

        costs(given, images)  # raises errors before anything is measured
        device = machine_of(given, images)
        device = dataclasses.replace(device, start=time.process_time() if device.workers else 0.0)
    if measured:
        from importlib.metadata import entry_points

        (table,) = entry_points(group="ddoq.cost", name="measured")  # in the book's package, for the chapter on cost
        print(table.load()(given, device).markdown())
        return
    from .cost import tables

    found = tables.run_cost(given, images, device)
    print(tables.cost_table(found).markdown())
    print(tables.memory_table(found).markdown())
    if images.n_classes == 1000:
        print(tables.paper_table(tables.paper_steps(), device).markdown())


@tools.command()
def knobs() -> None:
    """List every parameter with its default and meaning."""
    for name, knob in Profile.knobs().items():
        choices = f" One of: {', '.join(knob.metadata['of'])}." if knob.metadata["of"] else ""
        print(f"{name} = {getattr(Profile(), name)!r}\n    {knob.metadata['meaning']}.{choices}")
