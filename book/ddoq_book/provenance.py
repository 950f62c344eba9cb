"""What made a page: profile, parameters, device, versions, date, and the seconds of the page and of its artifacts."""

import re
import time
from collections.abc import Iterable

from IPython.display import Markdown, display

from ddoq_core.config.profile import Profile
from ddoq_core.store.artifacts import Artifact, machine_facts

from .data_named import data_title

PATHS = {name for name, knob in Profile.knobs().items() if knob.metadata["path"]}  # of one machine: no reader has them
KEY = re.compile("-?[0-9a-f]{16}")
BEGAN = time.monotonic()  # a page imports this in its first lines


def provenance(profile: Profile, artifacts: Iterable[Artifact] = (), rows: Iterable[dict] = ()) -> None:
    """Display, as the end of a page, everything that made it.

    Args:
        artifacts: what the page shows; each is listed with the seconds it took when it was made.
        rows: results whose students the page shows; their training seconds are summed.
    """
    display(Markdown(provenance_text(profile, list(artifacts), list(rows), time.monotonic() - BEGAN)))


def provenance_text(profile: Profile, artifacts: list[Artifact], rows: list[dict], seconds: float) -> str:
    """The block as Markdown: a table of what, and a table of artifacts when there are any."""
    here = machine_facts()
    changed = {
        name: value
        for name, value in profile.subset(*Profile.knobs()).items()
        if value != getattr(Profile(), name) and name not in {*PATHS, "profile"}
    }
    lines = [
        ("profile", f"`{profile.profile}`"),
        ("differs from laptop in", ", ".join(f"`{n}={v}`" for n, v in changed.items()) or "nothing"),
        ("device", here["device"]),
        ("versions", ", ".join(f"{name} {version}" for name, version in here["versions"].items())),
        ("date", here["date"]),
        ("this page took", f"{seconds:.0f} s"),
    ]
    if rows:
        students = {row["key"]: row["seconds"] for row in rows}  # two rows may share a student
        lines.append(("its students took", f"{sum(students.values()):.0f} s of training, {len(students)} students"))
    text = "**What made this page**\n\n| what | value |\n|---|---|\n" + "".join(
        f"| {name} | {value} |\n" for name, value in lines
    )
    if artifacts:
        text += "\n| artifact | key | seconds | made |\n|---|---|---|---|\n"
        text += "".join(f"| {_name(a)} | `{a.key}` | {_seconds(a)} |\n" for a in dict.fromkeys(artifacts))
    return text


def records_text(rows: list[dict]) -> str:
    """What made the rows of a long run, as a Markdown table: when, where, by which code, how long the students took."""
    if not rows:
        return "Nothing has been recorded yet: `ddoq record` does it.\n"
    students = {(row["key"], row["device"]): row for row in rows}.values()
    dates = sorted(row["date"][:10] for row in students)
    versions = {f"{name} {v}" for row in students for name, v in row["versions"].items()}
    lines = [
        ("students", f"{len(students)}, in {len(rows)} rows"),
        ("trained for", f"{sum(row['seconds'] for row in students) / 3600:.1f} hours of one thread"),
        ("dates", " to ".join(dict.fromkeys([dates[0], dates[-1]]))),
        ("device", "; ".join(sorted({row["device"] for row in students}))),
        ("data", data_title(rows)),
        ("commit", ", ".join(f"`{c}`" for c in sorted({row["commit"] for row in students}))),
        ("versions", ", ".join(sorted(versions))),
        ("profile", ", ".join(sorted({f"`{row['profile']}`" for row in rows}))),
    ]
    head = "**What made these records**\n\n| what | value |\n|---|---|\n"
    return head + "".join(f"| {name} | {value} |\n" for name, value in lines)


def _name(artifact: Artifact) -> str:
    if not artifact.path.name.endswith(artifact.key):
        return artifact.step
    return f"{artifact.step} {KEY.sub('', artifact.path.name)}"


def _seconds(artifact: Artifact) -> str:
    if not (artifact.path / "run.json").exists():  # a prior of the user's own
        return "– | given"
    run = artifact.run
    return f"{run['seconds']:.0f} | {run['date']}"
