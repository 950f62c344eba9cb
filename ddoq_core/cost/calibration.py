"""Measurements of a GPU in the record of `tests/gpu/prove.sh`, and cost estimates from its speeds.

In: a record, one JSON file. Out: agreements with the CPU, speeds, and a Device whose steps have the measured speeds.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from ..config.profile import Profile
from ..errors import InputError
from .sizes import Device

# a measured step, the knob with its precision in a run ("" for float32), and the steps of a run that resemble it:
# mostly they run the same networks
LIKE = (
    ("encode", "precision", ("encode", "cluster")),
    ("synthesize", "precision", ("synthesize", "generate")),
    ("relabel", "", ("relabel", "rded")),
    ("train", "training_precision", ("train",)),
    ("train", "", ("teacher", "prior", "sre2l", "cda", "tesla")),
)


@dataclass(frozen=True)
class Speed:
    """One measurement: a number of images of a step in a number of seconds."""

    step: str
    precision: str
    batch: int
    images: int
    seconds: float
    operations: float  # of one image
    peak: int  # largest memory in bytes

    @classmethod
    def of(
        cls, step: str, precision: str, batch: int, images: int, seconds: float, operations: float, peak: int
    ) -> "Speed":
        """A measurement, rounded as in a record."""
        return cls(step, precision, batch, images, float(f"{seconds:.4g}"), float(operations), peak)

    @property
    def rate(self) -> float:
        """Operations per second."""
        return self.operations * self.images / self.seconds


@dataclass(frozen=True)
class GpuRecord:
    """The content of a record."""

    device: str
    date: str
    small: bool  # whether its sizes are too small for a cost estimate
    versions: dict[str, str]
    seconds: float
    peaks: dict[str, float]  # operations per second of the fastest matrix product, by precision
    agreements: tuple[dict, ...]  # step, precision, difference, tolerance
    speeds: tuple[Speed, ...]
    failures: tuple[str, ...]  # what could not run, and why

    @property
    def disagreements(self) -> list[str]:
        """Steps whose difference from the CPU exceeds its tolerance."""
        return [f"{a['step']}, {a['precision']}" for a in self.agreements if not a["difference"] <= a["tolerance"]]

    def share(self, speed: Speed) -> float:
        """Share of the fastest matrix product of its precision that a step reached."""
        return speed.rate / self.peaks[speed.precision]


def read_record(path: Path) -> GpuRecord:
    """Read a record from its file.

    Raises:
        InputError: the file is missing, or is not a record.
    """
    try:
        content = json.loads(path.read_text())
        speeds = tuple(Speed(**speed) for speed in content.pop("speeds"))
        lists = {name: tuple(content.pop(name)) for name in ("agreements", "failures")}
        return GpuRecord(**content, **lists, speeds=speeds)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(
            f"{path} is not a record of tests/gpu/prove.sh ({reason}); give the file that it wrote"
        ) from error


def calibrated(path: Path, profile: Profile) -> Device:
    """The device of a record: the fastest measured speeds of each step in the precision that the profile gives it.

    A step without such a speed gets the lowest share of the peak.

    Raises:
        InputError: the file is not a record, has small sizes, or has no speeds in the profile's precisions.
    """
    found = read_record(path)
    if found.small or not found.speeds:
        kind = "small sizes" if found.small else "no speeds"
        raise InputError(f"{path} is a record of {kind}, so it gives no estimate; run tests/gpu/prove.sh on a GPU")
    speeds = {}
    for name, knob, steps in LIKE:
        precision = getattr(profile, knob) if knob else "float32"
        if measured := [s.rate for s in found.speeds if (s.step, s.precision) == (name, precision)]:
            speeds |= dict.fromkeys(steps, max(measured))
    if not speeds:
        raise InputError(f"{path} has no speed in the precisions of profile {profile.profile}; set precision=float16")
    return device_of_speeds(found.device, speeds, max(found.peaks.values()))


def device_of_speeds(name: str, speeds: dict[str, float], peak: float = 0.0, **seconds: float) -> Device:
    """A device with measured speeds; a step without one gets the lowest share of the peak.

    Args:
        speeds: operations per second, by step.
        peak: operations per second, if higher than all speeds.
        seconds: `artifact`, `start` and `workers` of Device.
    """
    peak = max(peak, *speeds.values())
    share = min(1.0, min(speeds.values()) / peak)
    return Device(name, peak / 1e12, share, speeds=tuple(sorted(speeds.items())), **seconds)
