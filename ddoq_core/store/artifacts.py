"""Artifacts on disk: made once, named by content, verified by checksum, resumed after any interruption.

An artifact is a folder `<root>/<step>/<label>-<key>/`. Its key is the SHA-256 of the step's parameters, the content of
its inputs and the source of the modules that make it. So if an input is made again with the same bytes, later steps are
not. Every file except `run.json` belongs to the content; `manifest.json` lists them with checksums. `run.json` holds
what may differ between two identical runs.
"""

import functools
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..errors import disk_errors
from ..processes import report_line, world
from .locks import held
from .manifest import content_of, damaged, files_of, sha256_of, sifted, stamps
from .source import source_key

DATE = "%Y-%m-%d %H:%M:%S UTC"  # format in run.json
KEY_VERSION = 2  # of the rule above
_SOUND: dict[Path, tuple[str, tuple, str]] = {}  # artifacts that this process verified: identity, stamps, content


@dataclass(frozen=True)
class Artifact:
    """A finished, verified result of one step."""

    path: Path
    step: str
    key: str  # identifies the step with its parameters, inputs and source
    content: str  # SHA-256 of its files' names and checksums: its identity as an input

    @property
    def label(self) -> str:
        """The beginning of its folder's name, without the key."""
        return self.path.name.removesuffix(self.key).rstrip("-")

    @property
    def manifest(self) -> dict:
        """Parameters, contents of the inputs and the checksum of every file."""
        return json.loads((self.path / "manifest.json").read_text())

    @property
    def run(self) -> dict:
        """Seconds, date, device, versions and input keys of the run that made it; not part of its identity."""
        return json.loads((self.path / "run.json").read_text())

    def json(self, name: str) -> dict | list:
        return json.loads((self.path / name).read_text())

    def jsonl(self, name: str) -> list[dict]:
        return [json.loads(line) for line in (self.path / name).read_text().splitlines()]


@dataclass(frozen=True)
class Workspace:
    """The folder in which an artifact is made. A finished `chunk` survives an interruption and is not redone."""

    path: Path
    discarded: list[str] = field(default_factory=list)  # files to leave out of the artifact

    def chunk(self, name: str, write: Callable[[Path], object]) -> Path:
        """Make file `name` atomically with `write(temporary path)`, unless an earlier run finished it."""
        final = self.path / name
        if not final.exists():
            self.replace(name, write)
        return final

    def replace(self, name: str, write: Callable[[Path], object]) -> Path:
        """Like `chunk`, but always write (for checkpoints); InputError if the disk refuses."""
        final = self.path / name
        temporary = final.with_name(f".{os.getpid()}.{final.name}")
        with disk_errors(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                write(temporary)
                with open(temporary, "r+b") as file:
                    os.fsync(file.fileno())  # writes the content before the file gets its name, even in a power cut
                os.replace(temporary, final)
            finally:
                temporary.unlink(missing_ok=True)
        return final

    def json(self, name: str, content: dict | list) -> Path:
        """Write `content` as JSON with sorted keys, so that equal content means equal bytes."""
        return self.replace(name, lambda p: p.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n"))

    def jsonl(self, name: str, rows: Iterable[dict]) -> Path:
        return self.replace(name, lambda p: p.write_text("".join(json.dumps(r, sort_keys=True) + "\n" for r in rows)))

    def discard(self, name: str) -> None:
        """Leave out a helper file of the artifact (a checkpoint); it is deleted when the artifact is finished."""
        self.discarded.append(name)


def _nothing(work: Workspace) -> None:
    """Does nothing, for a step without `build` or `share`."""


@dataclass(frozen=True)
class Store:
    """Folder of artifacts."""

    root: Path
    say: Callable[[str], None] = report_line

    def make(
        self, step: str, build: Callable[[Workspace], None] = _nothing, *, parameters: dict,
        inputs: Iterable[Artifact | str] = (), modules: Iterable[str] = (), label: str = "", plan: dict | None = None,
        share: Callable[[Workspace], None] = _nothing,
    ) -> Artifact:  # fmt: skip
        """Return the finished artifact of this step and these inputs; build it, or its missing parts, if needed.

        Wait if another run is making the same artifact.

        Args:
            build: writes the files with the methods of its workspace, which may already hold some of them.
            parameters: JSON values that determine the result.
            inputs: artifacts (or keys of other things, such as a data set) that the result depends on.
            modules: dotted names of the modules whose source, with their imports from this package, makes it.
            label: human-readable beginning of the folder's name.
            plan: threads, device; recorded, with the number of processes, only in `run.json`.
            share: called before `build` in every process of the run; each process writes its own chunks.
        Raises:
            InputError: the folder cannot be written, or the disk is full.
        """
        inputs = list(inputs)
        identity = {
            "version": KEY_VERSION,
            "step": step,
            "parameters": parameters,
            "inputs": [i.content if isinstance(i, Artifact) else i for i in inputs],
            "source": source_key(tuple(modules)),
        }
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        final = self.root / step / (f"{label}-{key}" if label else key)
        everyone, work = world(), Workspace(final.with_name(final.name + ".partial"))
        content = everyone.broadcast(lambda: _sound_content(final, identity))
        if content:
            return Artifact(final, step, key, content)

        def rest(began: float) -> None:
            with disk_errors(work.path):
                build(work)
                made_from = [i.key if isinstance(i, Artifact) else i for i in inputs]
                self._finish(work, identity, time.monotonic() - began, plan or {}, made_from)
                os.replace(work.path, final)
                _remember(final, identity)

        with disk_errors(work.path), held(self.root, f"{step}-{key}", str(final), wait=True):
            if everyone.broadcast(lambda: self._open(final, work.path, identity)):
                began = time.monotonic()
                with everyone.own_errors(), disk_errors(work.path):
                    share(work)
                everyone.wait()
                everyone.broadcast(lambda: rest(began))
        return Artifact(final, step, key, everyone.broadcast(lambda: _sound_content(final, identity)))

    def _open(self, final: Path, partial: Path, identity: dict) -> bool:
        """Whether anything must be made; if so, `partial` is prepared."""
        with disk_errors(partial):
            if final.exists():
                faults = damaged(final, identity)
                if not faults:
                    return False
                self.say(f"ddoq: {final.parent.name} artifact {final} is damaged ({faults[0]}); making it again")
                shutil.rmtree(partial, ignore_errors=True)
                os.replace(final, partial)
            partial.mkdir(parents=True, exist_ok=True)
            for temporary in filter(Path.is_file, [*partial.rglob(".*")]):
                temporary.unlink()
            whole = sifted(partial, identity)
            if whole:
                os.replace(partial, final)
        return not whole

    @staticmethod
    def _finish(work: Workspace, identity: dict, seconds: float, plan: dict, made_from: list[str]) -> None:
        """Write the manifest, then delete checkpoints, so that a kill at any moment loses no work."""
        kept = [(name, path) for name, path in files_of(work.path) if name not in work.discarded]
        files = {name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)} for name, path in kept}
        plan |= {"processes": world().size}
        work.json("run.json", machine_facts() | {"seconds": round(seconds, 3), "plan": plan, "inputs": made_from})
        work.json("manifest.json", identity | {"files": files})
        for name in work.discarded:
            (work.path / name).unlink(missing_ok=True)


def _sound_content(folder: Path, identity: dict) -> str:
    """Content of a finished artifact whose files match its manifest; '' if there is none.

    A process reads the bytes of an artifact once; after that it compares only the sizes and dates of its files.
    """
    if not folder.exists():
        return ""
    known = _SOUND.get(folder)
    if known and known[:2] == (json.dumps(identity, sort_keys=True), stamps(folder)):
        return known[2]
    return "" if damaged(folder, identity) else _remember(folder, identity)


def _remember(folder: Path, identity: dict) -> str:
    """Record that an artifact is undamaged in its present state; returns its content."""
    content = content_of(folder)
    _SOUND[folder] = (json.dumps(identity, sort_keys=True), stamps(folder), content)
    return content


def machine_facts() -> dict:
    """The environment of this process: recorded with results, never part of their identity."""
    import torch

    cpu = f"CPU {platform.machine()}, {os.cpu_count()} cores"
    return {
        "date": time.strftime(DATE, time.gmtime()),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else cpu,
        "threads": torch.get_num_threads(),
        "commit": _commit(),
        "versions": {"python": platform.python_version()}
        | {name: _version(name) for name in ("ddoq_core", "torch", "diffusers", "numpy", "scikit-learn")},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@functools.cache
def _commit() -> str:
    """Commit of the checkout that contains this package, or '' if it is installed elsewhere."""
    import subprocess

    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
