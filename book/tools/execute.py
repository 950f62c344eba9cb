"""Run the notebooks at a profile and write their executed copies to the folder that the book reads.

In: notebooks/NN_slug.md (MyST text) and a profile. Out: book/chapters/NN_slug.ipynb, one for each. A notebook runs
again only if something that its page depends on has changed (`freshness`).

Notebooks that use artifacts run one after the other, since each uses artifacts of those before it. The other notebooks
run in parallel to keep two cores busy.
"""

import argparse
import ast
import logging
import multiprocessing
import multiprocessing.connection
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
import papermill
from freshness import freshness_key, stored_key
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from twins import differences

from ddoq_book.provenance import PATHS
from ddoq_core.config.files import find_profile
from ddoq_core.config.knobs import unknown_name
from ddoq_core.config.profile import NOTEBOOKS, Profile, read_profile
from ddoq_core.errors import InputError
from ddoq_core.processes import die_with_parent

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK_ONLY = ("papermill", "widgets", "jupytext")
LACK = "often for lack of memory; end other programs or use smaller values, and run the same command again"
CELL_ONLY = ("papermill", "execution", "ExecuteTime")
QUIET = {"extra_arguments": ["--IPKernelApp.log_level=CRITICAL"]}  # the kernel's own log; errors of cells are raised


@dataclass(frozen=True)
class Stale:
    """A notebook that must run."""

    name: str
    notebook: NotebookNode
    parameters: dict
    stamp: dict  # goes into its metadata: key, profile, source


def execute_all(notebooks: Path, profile: str, out: Path, artifacts: str) -> None:
    """Execute every notebook of a folder at a profile, skipping those that are fresh.

    Args:
        notebooks: folder of NN_slug.md files.
        profile: name of a profile in the package, or the path of a YAML file.
        out: folder of the executed notebooks; copies without a notebook are removed.
        artifacts: folder of the runs' artifacts, relative to the repository root or absolute.
    Raises:
        InputError: a parameter that neither the package nor a notebook declares, or a value out of range.
        SystemExit: a notebook fails; the error line and the path of the executed part were printed.
    """
    for line in differences(notebooks):
        print(f"ddoq: {line}", file=sys.stderr, flush=True)
    sources = sorted(notebooks.glob("[0-9][0-9]_*.md"))
    parsed = {source: jupytext.read(source) for source in sources}
    values = profile_values(profile, artifacts, [declared(notebook) for notebook in parsed.values()])
    out.mkdir(parents=True, exist_ok=True)
    for gone in set(out.glob("*.ipynb")) - {out / f"{source.stem}.ipynb" for source in sources}:
        gone.unlink()
    building, alone = [], []
    for source, notebook in parsed.items():
        names = declared(notebook)
        parameters = given(names, values)
        key = freshness_key(source, parameters)
        if stored_key(out / f"{source.stem}.ipynb") == key:
            print(f"{source.stem}: unchanged", flush=True)
            continue
        stamp = {"key": key, "profile": values["profile"], "source": f"notebooks/{source.name}"}
        lane = building if "artifacts" in names else alone
        lane.append(Stale(source.stem, notebook, parameters, stamp))
    side_by_side([lane for lane in (building, alone) if lane], out)
    failed = out / "failed"
    if failed.is_dir() and not any(failed.iterdir()):
        failed.rmdir()


def side_by_side(lanes: list[list[Stale]], out: Path) -> None:
    """Run each lane in its own process; the first failure ends the others.

    Raises:
        SystemExit: a lane failed and printed the reason.
    """
    context, running = multiprocessing.get_context("spawn"), {}
    try:
        for lane in lanes:
            process = context.Process(target=run_lane, args=(lane, out, os.getpid()))
            process.start()
            running[process.sentinel] = process, lane
        while running:
            for sentinel in multiprocessing.connection.wait(list(running)):
                process, lane = running.pop(sentinel)
                process.join()
                if process.exitcode > 0:
                    sys.exit(1)
                if process.exitcode:
                    name = next((s.name for s in lane if stored_key(out / f"{s.name}.ipynb") != s.stamp["key"]), "")
                    sys.exit(f"ddoq: {name}: its process was ended by signal {-process.exitcode}, {LACK}")
    finally:
        for process, _ in running.values():
            process.kill()  # nbclient may delay a milder signal until its cell ends; kernels end with their parent
            process.join()


def run_lane(lane: list[Stale], out: Path, parent: int) -> None:
    """Body of a process: run notebooks one after the other, and end with the parent process."""
    die_with_parent(parent)
    run(lane, out)


def run(lane: list[Stale], out: Path) -> None:
    """Run notebooks one after the other, and write each as soon as it is done.

    Raises:
        SystemExit: a notebook fails; the message has the error line and the path of the executed part.
    """
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # it warns of every undeclared knob; errors are raised
    for stale in lane:
        began = time.monotonic()
        executed = execute(stale.notebook, stale.name, stale.parameters, out)
        executed.metadata["ddoq"] = stale.stamp
        write_atomically(executed, out / f"{stale.name}.ipynb")
        print(f"{stale.name}: executed in {time.monotonic() - began:.0f} s", flush=True)


def declared(notebook: NotebookNode) -> dict:
    """Names and default values in the cell tagged `parameters`; empty if there is none."""
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            assignments = (s for s in ast.parse(cell.source).body if isinstance(s, ast.AnnAssign))
            return {s.target.id: ast.literal_eval(s.value) for s in assignments}
    return {}


def profile_values(profile: str, artifacts: str, declarations: list[dict]) -> dict:
    """The checked content of a profile file: knobs of `Profile`, and sizes that a notebook declares.

    Raises:
        InputError: a name that is declared nowhere, a value of another type than its default, or out of range.
    """
    path = find_profile(profile)
    content = {"profile": path.stem} | read_profile(path) | {"artifacts": artifacts}
    sizes = content.pop(NOTEBOOKS, {})
    Profile.of(content)
    known = set().union(*declarations) - set(Profile.knobs())
    for name in sizes:
        if name not in known:
            raise unknown_name(name, known, f"the section '{NOTEBOOKS}' of profile {path.name}")
    for names in declarations:
        for name in set(names) & set(sizes):
            if not _same_kind(sizes[name], names[name]):
                raise InputError(f"{name} = {sizes[name]!r} in profile {path.name}; give a value like {names[name]!r}")
            if isinstance(sizes[name], list) and len({*sizes[name]}) < len(sizes[name]):
                raise InputError(f"{name} = {sizes[name]} in profile {path.name} holds a value twice; give it once")
    return content | sizes


def given(names: dict, values: dict) -> dict:
    """The values that one notebook gets from a profile: those it declares, and every knob if it declares `profile`."""
    every_knob = "profile" in names
    return {n: v for n, v in values.items() if n in names or (every_knob and n in Profile.knobs())}


def execute(notebook: NotebookNode, name: str, parameters: dict, out: Path) -> NotebookNode:
    """Run a notebook from the repository root with these values instead of its defaults; returns it cleaned.

    If a cell fails, the executed part is kept in `out`/failed.
    """
    partial = out / "failed" / f"{name}.ipynb"
    partial.parent.mkdir(exist_ok=True)
    try:
        executed = papermill.execute_notebook(
            notebook, partial, parameters, kernel_name="python3", cwd=ROOT, progress_bar=False, **QUIET
        )
    except PapermillExecutionError as error:
        last_line = next(iter(reversed(error.evalue.strip().splitlines())), "")
        sys.exit(f"{name}: {error.ename}: {last_line}\n{name}: the executed part is in {partial}")
    except RuntimeError as error:  # from nbclient: the kernel died, or never answered
        sys.exit(f"{name}: {error}, {LACK}\n{name}: the executed part is in {partial}")
    partial.unlink()
    return cleaned(executed, name)


def cleaned(notebook: NotebookNode, name: str) -> NotebookNode:
    """The notebook without traces of the run: folders, timings, random ids, standard error.

    The cell of injected values is hidden, since the page lists the values at its end.
    """
    for key in NOTEBOOK_ONLY:
        notebook.metadata.pop(key, None)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{name}-{number:03d}"
        for key in CELL_ONLY:
            cell.metadata.pop(key, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"] = [*cell.metadata["tags"], "remove-cell"]
            cell.source = "\n".join(line for line in cell.source.splitlines() if line.split(" =")[0] not in PATHS)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_stderr(output, name)]
    return notebook


def _is_stderr(output: NotebookNode, name: str) -> bool:
    """Whether an output is standard error; if so, print it for the person who builds the book."""
    found = output.output_type == "stream" and output.name == "stderr"
    if found:
        print(f"{name}: standard error: {output.text.strip()}", file=sys.stderr)
    return found


def _same_kind(value: object, default: object) -> bool:
    if isinstance(default, list):
        return isinstance(value, list) and all(_same_kind(item, default[0]) for item in value if default)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)


def write_atomically(notebook: NotebookNode, target: Path) -> None:
    """Write a notebook under a temporary name, then rename it: nobody reads a half-written notebook."""
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    nbformat.write(notebook, temporary)
    os.replace(temporary, target)


def main() -> None:
    """Command line; exit code 2 for an error that the user can fix, 1 if a notebook fails."""
    parser = argparse.ArgumentParser(description="Execute the notebooks of the book at a profile.")
    parser.add_argument("--profile", default="laptop", help="a profile in the package, or a YAML file")
    parser.add_argument("--out", type=Path, default=ROOT / "book" / "chapters", help="folder of the executed copies")
    parser.add_argument("--artifacts", default="artifacts", help="folder of the runs' artifacts")
    arguments = parser.parse_args()
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")  # tqdm misses widgets that a page cannot have
    try:
        execute_all(ROOT / "notebooks", arguments.profile, arguments.out, arguments.artifacts)
    except InputError as error:
        print(f"ddoq: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit("ddoq: interrupted; run the same command again to resume")


if __name__ == "__main__":
    main()
