"""What a GPU can prove in minutes: that it agrees with the CPU, and how fast it is. `tests/gpu/prove.sh` runs it.

Out: one JSON record, written anew after every part, so that what was found before an error or the end of the time is
kept. A part that cannot be run is named in it with its reason. The exit code is 1 if something does not agree or was
not run.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import torch

from ddoq_core.store.artifacts import machine_facts

from .agreement import CHECKS, Agreement, deterministic
from .speeds import FULL, SMALL, Sizes, of_networks, of_prior, peaks


@dataclass
class Proof:
    """The record while it is being made."""

    out: Path
    small: bool
    limit: float  # seconds, after which no further part is begun
    began: float = field(default_factory=time.monotonic)
    facts: dict = field(default_factory=machine_facts)
    peaks: dict[str, float] = field(default_factory=dict)
    agreements: list[dict] = field(default_factory=list)
    speeds: list[dict] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self, name: str, part: Callable[[], None]) -> None:
        """One part, whose error is written down, and the record after it."""
        spent = time.monotonic() - self.began
        if spent > self.limit:
            self.failures.append(f"{name}: not begun after {spent:.0f} of {self.limit:g} seconds")
        else:
            try:
                part()
            except Exception as error:  # of any kind: the other parts are worth their minutes
                self.failures.append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
        print(f"{time.monotonic() - self.began:6.1f} s  {name}", flush=True)
        self.write()

    def write(self) -> None:
        record = {name: self.facts[name] for name in ("device", "date", "versions")} | {"small": self.small}
        record |= {"seconds": round(time.monotonic() - self.began, 1), "peaks": self.peaks}
        record |= {"agreements": self.agreements, "speeds": self.speeds, "failures": self.failures}
        temporary = self.out.with_name(f".{self.out.name}")
        temporary.write_text(json.dumps(record, indent=1) + "\n")
        temporary.replace(self.out)

    def agree(self, check: Callable[[str], Iterator[Agreement]], device: str) -> None:
        with deterministic():
            for found in check(device):
                self.agreements.append(asdict(found))
                if not found.holds:
                    print(f"          {found.step}, {found.precision}: {found.difference:.3g} > {found.tolerance:g}")

    def measure(self, part: Callable[[], Iterator]) -> None:
        for speed in part():
            self.speeds.append(asdict(speed))
            print(f"          {speed.step}, {speed.precision}, {speed.batch} at once: "
                  f"{speed.images / speed.seconds:.3g} images/s, {speed.peak / 1e9:.2f} GB")  # fmt: skip


def prove(device: str, out: Path, *, small: bool, limit: float) -> Proof:
    """The whole proof on a device."""
    proof, sizes = Proof(out, small, limit), SMALL if small else FULL
    proof.run("peaks", lambda: proof.peaks.update(peaks(device, sizes)))
    for name, part in _timed(device, sizes).items():
        proof.run(name, partial(proof.measure, part))
    for name, check in CHECKS.items():
        proof.run(name, partial(proof.agree, check, device))
    return proof


def _timed(device: str, sizes: Sizes) -> dict[str, Callable[[], Iterator]]:
    halves = ("float16", "bfloat16") if sizes is SMALL else ("float16",)
    of_priors = {f"prior in {p}": partial(of_prior, device, sizes, p) for p in halves}
    return of_priors | {"networks": partial(of_networks, device, sizes)}


def main(arguments: list[str] | None = None) -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="file of the record")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="sizes of a trial")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds after which nothing more is begun")
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        print("prove: no CUDA device; give --device cpu --small for a trial", file=sys.stderr)
        return 2
    given.out.parent.mkdir(parents=True, exist_ok=True)
    proof = prove(given.device, given.out, small=given.small, limit=given.limit)
    wrong = [a for a in proof.agreements if not a["difference"] <= a["tolerance"]]
    print(f"{len(proof.agreements)} agreements, of which {len(wrong)} do not hold; {len(proof.speeds)} speeds; "
          f"{len(proof.failures)} parts not run; {given.out}")  # fmt: skip
    for failure in proof.failures:
        print(f"not run: {failure}")
    return 1 if wrong or proof.failures else 0


if __name__ == "__main__":
    sys.exit(main())
