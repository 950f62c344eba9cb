"""A full small run killed at random instants, and given again: `python -m tests.faults.kill --kills 20 --seed 0`.

A script with a tally; a slow test does a few of its kills. The instants are drawn over an uninterrupted run, half of
them evenly in its time, and half of a step drawn first, so that a short step is hit too. They are dealt to runs of at
most five kills; a kill is `kill -9` of the process, at its instant as told by the files that are there. After it the
same command is given again, until it ends. The seed fixes the draws; the times are those of the uninterrupted run.

Checked are all bytes, and that nothing finished is made again: a file that had its name when the process was killed is
the same file in the end (inode, time of its last write). What may be written again or go, in an artifact that was
unfinished at the kill, is what `Workspace.replace` writes: checkpoints, and what sums a step up over its chunks.
"""

import argparse
import collections
import itertools
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .small import command, identity, pictures

KILLS_OF_A_RUN = 5
POLL = 0.005  # seconds between two looks at what is there
# what an unfinished step writes once more: a summary of its chunks, a network (its training goes on from a checkpoint),
# the rows of a run (after every student)
WRITTEN_AGAIN = re.compile(
    r".*/(run|manifest|classes|config|metrics|check|learned|result|sizes|blank)\.json"
    r"|.*/(metadata|clusters|classes|images|distances|results)\.jsonl|.*/sample_weights\.txt|.*\.pt"
    r"|.*/(model|student)\.safetensors|prior/.*/(model_index\.json|(vae|transformer|scheduler)/.*)"
)


@dataclass(frozen=True)
class Instant:
    """Some seconds after one file has its name, while the process makes the artifact of the next."""

    after: str
    before: str
    seconds: float


@dataclass(frozen=True)
class Kill:
    """What there was when a process was killed."""

    step: str  # that it was making; '' between two
    finished: dict[str, tuple[int, int]]  # inode and time of the last write of every file with its final name
    unfinished: frozenset[str]  # of these, files of artifacts that were not finished


@dataclass
class Tally:
    """Kills, and what they cost: nothing."""

    kills: list[Kill] = field(default_factory=list)
    runs: int = 0
    files: int = 0  # compared with those of the uninterrupted run
    bytes: int = 0
    differing: list[str] = field(default_factory=list)
    kept: int = 0  # finished at a kill, and the same file at the end of the run
    again: collections.Counter[str] = field(default_factory=collections.Counter)  # written again, as they may be
    redone: list[str] = field(default_factory=list)  # written again, as they may not be

    @property
    def survived(self) -> bool:
        """Whether every run ended with the bytes of the uninterrupted one, and nothing finished was made again."""
        return not self.differing and not self.redone

    def lines(self) -> Iterator[str]:
        """What the script prints."""
        steps = collections.Counter(kill.step or "between two steps" for kill in self.kills)
        yield f"kills: {len(self.kills)}, over {self.runs} runs; in " + ", ".join(f"{s} {n}" for s, n in steps.items())
        yield f"runs that ended byte-identical: {self.runs - len(self.differing)} of {self.runs}" + _first(
            self.differing
        )
        yield f"compared: {self.files} files, {self.bytes:,} bytes"
        yield f"finished at a kill, and untouched since: {self.kept}"
        yield f"finished at a kill, but made again: {len(self.redone)}{_first(self.redone)}"
        written = ", ".join(f"{name} {n}" for name, n in sorted(self.again.items()))
        yield f"written again, as what sums up an unfinished step is: {self.again.total()}{written and f' ({written})'}"


def _first(found: list[str]) -> str:
    return f" ({', '.join(found[:5])})" if found else ""


def kill_and_repeat(folder: Path, kills: int, seed: int) -> Tally:
    """Do it all in an empty folder; every line that the tally is made of is printed as it happens."""
    data, whole, tally = pictures(folder / "data"), folder / "whole", Tally()
    began = time.monotonic()
    _ended(_started(data, whole))
    expected = identity(whole)
    print(f"uninterrupted: {len(expected)} files in {time.monotonic() - began:.0f} s; seed {seed}", flush=True)
    instants, n_runs = _instants(whole, kills, random.Random(seed)), -(-kills // KILLS_OF_A_RUN)
    for number in range(n_runs):
        artifacts = folder / f"run{number}"
        of_run = [kill for i in instants[number::n_runs] if (kill := _killed(data, artifacts, i))]
        _ended(_started(data, artifacts))
        compare(tally, artifacts, expected, of_run)
        tally.kills += of_run
    return tally


def _started(data: Path, artifacts: Path) -> subprocess.Popen:
    words = [sys.executable, "-m", "ddoq_core", *command(data, artifacts)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _ended(process: subprocess.Popen) -> None:
    said = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(f"a run that was not killed ended with {process.returncode}: {said}")


def _instants(artifacts: Path, n: int, rng: random.Random) -> list[Instant]:
    """Instants of a run, in their order: every other drawn evenly in time, the others evenly among its steps."""
    times = sorted((path.stat().st_mtime_ns / 1e9, name) for name, path in files_of(artifacts).items())
    gaps = list(itertools.pairwise(times))
    steps = sorted({before.split("/")[0] for _, (_, before) in gaps})
    drawn = []
    for i in range(n):
        step = rng.choice(steps)
        lengths = [b[0] - a[0] if i % 2 else b[1].startswith(f"{step}/") for a, b in gaps]
        ((t, after), (later, before)) = rng.choices(gaps, lengths)[0]
        part = rng.uniform(0, later - t)
        drawn.append((t + part, Instant(after, before, part)))
    return [instant for _, instant in sorted(drawn, key=lambda pair: pair[0])]


def _killed(data: Path, artifacts: Path, instant: Instant) -> Kill | None:
    """Give the command and kill it at the instant; None if it ends before."""
    process, since = _started(data, artifacts), None
    with process:
        while process.poll() is None:
            if since is None and _reached(artifacts, instant, process.pid):
                since = time.monotonic()
            if since is not None and time.monotonic() - since >= instant.seconds:
                process.send_signal(signal.SIGKILL)
                process.wait()
                break
            time.sleep(POLL)
    if process.returncode != -signal.SIGKILL:
        print(f"not killed: it ended with {process.returncode} before {instant}", flush=True)
        return None
    files = files_of(artifacts)
    kill = Kill(
        step=next((step for step in _locked(artifacts, process.pid) if step != "smoke"), ""),
        finished={name: mark(path) for name, path in files.items()},
        unfinished=frozenset(n for n, path in files.items() if path != artifacts / n or n.startswith("runs/")),
    )
    print(f"killed in {kill.step or 'no step'}, {len(files)} files finished; {instant}", flush=True)
    return kill


def files_of(artifacts: Path) -> dict[str, Path]:
    """Files that have their final name, those of unfinished artifacts by the names that they will have."""
    found = [p for p in artifacts.rglob("*") if p.is_file() and not p.name.startswith(".")]
    return {re.sub(r"\.partial/", "/", str(p.relative_to(artifacts))): p for p in found if p.parent.name != ".locks"}


def mark(path: Path) -> tuple[int, int]:
    """What no other file has, and no later state of this one."""
    return path.stat().st_ino, path.stat().st_mtime_ns


def _reached(artifacts: Path, instant: Instant, pid: int) -> bool:
    """Whether `after` is there and the process is at what makes `before`, or has made it."""
    if not _there(artifacts, instant.after):
        return False
    key = instant.before.split("/")[1].rsplit("-", 1)[-1]
    owners = (artifacts / ".locks").glob(f"*{key}.owner")
    return _there(artifacts, instant.before) or any(f"process {pid} " in _text(owner) for owner in owners)


def _there(artifacts: Path, name: str) -> bool:
    step, folder, file = name.split("/", 2)
    return any((artifacts / step / f / file).exists() for f in (folder, f"{folder}.partial"))


def _locked(artifacts: Path, pid: int) -> list[str]:
    owners = sorted((artifacts / ".locks").glob("*.owner"))
    return [owner.stem.rsplit("-", 1)[0] for owner in owners if f"process {pid} " in _text(owner)]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def compare(tally: Tally, artifacts: Path, expected: dict[str, str], kills: list[Kill]) -> None:
    """Add a run that has ended after its kills."""
    made, files = identity(artifacts), files_of(artifacts)
    different = sorted(n for n in {*made, *expected} if made.get(n) != expected.get(n))
    tally.runs += 1
    tally.files += len(made)
    tally.bytes += sum(files[name].stat().st_size for name in made)
    tally.differing += [f"{artifacts.name}: {', '.join(different[:5])}"] if different else []
    for kill in kills:
        for name, then in kill.finished.items():
            if name in files and mark(files[name]) == then:
                tally.kept += 1
            elif name in kill.unfinished and (name not in files or WRITTEN_AGAIN.fullmatch(name)):
                tally.again[name.rsplit("/", 1)[-1]] += 1
            else:
                tally.redone.append(name)


def main() -> None:
    """Print the tally; exit code 1 if a kill cost something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_and_repeat(Path(folder), given.kills, given.seed)
    print(*tally.lines(), sep="\n")
    sys.exit(not tally.survived)


if __name__ == "__main__":
    main()
