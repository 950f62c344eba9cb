"""Provenance of a page: profile, parameters, device, versions, date, and seconds of the page and its artifacts."""

import re
import time
from collections.abc import Iterable

from ddoq_core.config.profile import Profile
from ddoq_core.store.artifacts import Artifact, machine_facts

from .data_named import data_title

PATHS = {name for name, knob in Profile.knobs().items() if knob.metadata["path"]}  # these differ between machines
KEY = re.compile("-?[0-9a-f]{16}")
BEGAN = time.monotonic()  # a page imports this in its first lines


def provenance(profile: Profile, artifacts: Iterable[Artifact] = (), rows: Iterable[dict] = ()) -> None:
    """Display the provenance of a page at its end.

    Args:
        artifacts: artifacts that the page shows; each is listed with the seconds that it took.
        rows: results of the students that the page shows; their training seconds are summed.
    """
    from IPython.display import Markdown, display  # from the extra `book`, which the report of a run does not need

    display(Markdown(provenance_text(profile, list(artifacts), list(rows), time.monotonic() - BEGAN)))


def provenance_text(profile: Profile, artifacts: list[Artifact], rows: list[dict], seconds: float) -> str:
    """The block as Markdown: a table of facts, and a table of artifacts if there are any."""
    here = machine_facts()
    lines = [
        ("profile", f"`{profile.profile}`"),
        ("differs from laptop in", ", ".join(f"`{text}`" for text in changed_knobs(profile)) or "nothing"),
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


def changed_knobs(profile: Profile) -> list[str]:
    """`name=value` of every knob that differs from `laptop`, without paths."""
    values = profile.subset(*(name for name in Profile.knobs() if name not in {*PATHS, "profile"}))
    return [f"{name}={value}" for name, value in values.items() if value != getattr(Profile(), name)]


def records_text(rows: list[dict]) -> str:
    """`record_facts` as a Markdown table."""
    if not rows:
        return "Nothing has been recorded yet: `ddoq record` does it.\n"
    head = "**What made these records**\n\n| what | value |\n|---|---|\n"
    return head + "".join(f"| {name} | {value} |\n" for name, value in record_facts(rows))


def record_facts(rows: list[dict]) -> list[tuple[str, str]]:
    """Provenance of rows of results: date, machine, version of the code, and training time of the students."""
    students = {(row["key"], row["device"]): row for row in rows}.values()
    dates = sorted(row["date"][:10] for row in students)
    trained = sum(row["seconds"] for row in students)
    versions = {f"{name} {v}" for row in students for name, v in row["versions"].items()}
    return [
        ("students", f"{len(students)}, in {len(rows)} rows"),
        (
            "trained for",
            f"{trained / 3600:.1f} hours of one thread" if trained >= 3600 else f"{trained:.0f} s of one thread",
        ),
        ("dates", " to ".join(dict.fromkeys([dates[0], dates[-1]]))),
        ("device", "; ".join(sorted({row["device"] for row in students}))),
        ("data", data_title(rows)),
        ("commit", ", ".join(f"`{c}`" for c in sorted({row["commit"] for row in students}))),
        ("versions", ", ".join(sorted(versions))),
        ("profile", ", ".join(sorted({f"`{row['profile']}`" for row in rows}))),
    ]


def _name(artifact: Artifact) -> str:
    if not artifact.path.name.endswith(artifact.key):
        return artifact.step
    return f"{artifact.step} {KEY.sub('', artifact.path.name)}"


def _seconds(artifact: Artifact) -> str:
    if not (artifact.path / "run.json").exists():  # a prior of the user
        return "– | given"
    run = artifact.run
    return f"{run['seconds']:.0f} | {run['date']}"
