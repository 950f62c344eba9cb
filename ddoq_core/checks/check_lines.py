"""The results of a check as facts: the value, its healthy range, and where to look if the value is outside it.

In: one row per class, from `check`. Out: a `Fact` by name for each measured quantity, and the lines that a run prints.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.stats

from ..store.artifacts import Artifact
from .check import CLASSES, MEASURED

WORST = 10  # classes to name
DISTANCES = ("W2_codebook", "W2_uniform", "W2_pictures")


@dataclass(frozen=True)
class Fact:
    """One measured quantity, and its healthy range."""

    title: str
    value: float | None  # None: not finite
    text: str  # the printed value, with its n
    healthy: str
    ok: bool | None  # None: no sound rule exists; compare with `healthy`
    look: str = ""  # where to look if it is not healthy
    detail: dict = field(default_factory=dict)


def summary(rows: list[dict], blank: list[str], teacher_top1: float) -> dict[str, Fact]:
    """The facts by name, from the rows of all classes, the names of blank pictures and the teacher's accuracy in %."""
    measured = [row for row in rows if "ratio" in row]
    return (
        {"reconstruction": _reconstruction_fact(measured), "recognised": _recognised_fact(rows, teacher_top1)}
        | {"blank": _blank_fact(rows, blank), "distortion": _distortion_fact(measured, len(rows))}
        | _transport_facts(measured, len(rows))
    )


def _reconstruction_fact(measured: list[dict]) -> Fact:
    n = sum(row["n_reconstructed"] for row in measured)
    weights = [row["n_reconstructed"] / n for row in measured]
    flat = float(np.dot(weights, [row["flat"] for row in measured]))
    errors = [row["reconstruction"] for row in measured]
    value = None if None in errors else float(np.dot(weights, errors))
    return Fact(
        "reconstruction error", value, f"{_shown(value)} (mean square on [-1, 1], {n:,} images)",
        f"far below {flat:.3g}, the error of one flat colour for each picture", value is not None and value < flat,
        "the prior: prior_path, vae_epochs, and precision, as half precision can overflow", {"n": n, "flat": flat},
    )  # fmt: skip


def _recognised_fact(rows: list[dict], teacher_top1: float) -> Fact:
    n, chance = sum(row["n_pictures"] for row in rows), 100 / len(rows)
    value = float(np.mean([row["recognised"] for row in rows]))
    least = min(2 * chance, (100 + chance) / 2)  # with one or two classes, twice chance is 100 % or more
    worst = sorted(rows, key=lambda row: (row["recognised"], row["class"]))[:WORST]
    wanted = f"at least {least:.3g} %, {'twice' if least == 2 * chance else 'well above'} chance"
    healthy, ok = f"{wanted}; good pictures come near the {teacher_top1:.1f} % of real test images", value >= least
    if teacher_top1 < least:
        healthy, ok = f"unknown: the teacher itself recognises only {teacher_top1:.1f} % of real test images", None
    return Fact(
        "recognised", value, f"{value:.1f} % of {n:,} pictures", healthy, ok,
        "the pictures of the classes least recognised, their prompts, strength and guidance_scale, and the teacher",
        {"n": n, "worst": [{k: row[k] for k in ("class", "name", "directory", "recognised")} for row in worst]},
    )  # fmt: skip


def _blank_fact(rows: list[dict], names: list[str]) -> Fact:
    n = sum(row["n_pictures"] for row in rows)
    shown = f": {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}" if names else ""
    return Fact(
        "blank", len(names), f"{len(names):,} of {n:,} pictures{shown}", "none", not names,
        "these pictures, and precision, as half precision can overflow in the decoder", {"n": n, "names": names},
    )  # fmt: skip


def _distortion_fact(measured: list[dict], n_classes: int) -> Fact:
    mean = _mean([row["ratio"] for row in measured])
    worst = max(measured, key=lambda row: row["ratio"])
    return Fact(
        "distortion", mean["value"], f"{_with_half_width(mean)} of that of random training latents"
        f" ({_of_classes(len(measured), n_classes)})", "below 1 in every class", worst["ratio"] < 1,
        f"class \"{worst['name']}\", where it is {worst['ratio']:.2f}: its images, n_restarts or n_passes",
        mean | {"n_classes": n_classes, "largest": worst["ratio"], "class": worst["class"]},
    )  # fmt: skip


def _transport_facts(measured: list[dict], n_classes: int) -> dict[str, Fact]:
    """W_2 of the three measures; only the order of the first two is a theorem."""
    means = {name: _mean([row[name] for row in measured]) for name in DISTANCES}
    random = float(np.mean([math.sqrt(row["random_distortion"]) for row in measured]))
    ordered = all(row["W2_uniform"] >= row["W2_codebook"] * (1 - 1e-4) for row in measured)
    text = {name: _with_half_width(mean) for name, mean in means.items()}
    few = any(row["n_transported"] < row["n_latents"] for row in measured)
    n_latents = max(row["n_transported"] for row in measured)
    text["W2_pictures"] += f" ({_of_classes(len(measured), n_classes)}{f', {n_latents} latents each' if few else ''})"
    lost = means["W2_pictures"]["n"] < len(measured)
    said = {
        "W2_codebook": (
            "W_2 of the codebook", f"below {random:.3g}, that of K random training latents; falls as ipc grows",
            all(row["ratio"] < 1 for row in measured), "the line on the distortion, since this is its root",
        ),
        "W2_uniform": (
            "W_2 of it with equal weights", "not below the codebook's (Proposition 2); the larger the difference, the "
            "more the weights matter", ordered, "the prototypes, since the two values cannot both be distances",
        ),
        "W2_pictures": (
            "W_2 of the pictures", f"above the codebook's, near {random:.3g}, that of K random training latents",
            False if lost else None, "the pictures whose latents are not finite, and precision",
        ),
    }  # fmt: skip
    detail = {"n_classes": n_classes, "n_latents": n_latents, "random": random}
    return {
        name: Fact(title, means[name]["value"], text[name], healthy, ok, look, means[name] | detail)
        for name, (title, healthy, ok, look) in said.items()
    }


def _mean(values: Sequence[float | None]) -> dict:
    """Mean over classes and half its 95 % interval; None for a value that does not exist."""
    found = [value for value in values if value is not None]
    if len(found) < 2:
        return {"value": found[0] if found else None, "half_width": None, "n": len(found)}
    half = scipy.stats.t(len(found) - 1).ppf(0.975) * scipy.stats.sem(found)
    return {"value": float(np.mean(found)), "half_width": float(half), "n": len(found)}


def _with_half_width(mean: dict) -> str:
    return _shown(mean["value"]) + ("" if mean["half_width"] is None else f" ± {mean['half_width']:.2g}")


def _shown(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"


def _of_classes(n: int, n_classes: int) -> str:
    return f"{n:,} classes" if n == n_classes else f"{n:,} of {n_classes:,} classes"


def facts_of(checked: Artifact) -> dict[str, Fact]:
    """The facts of a check by name, in the order in which they are printed."""
    return summary(checked.jsonl(CLASSES), **checked.json(MEASURED))


def brief_lines(checked: Artifact, told: set[str]) -> list[str]:
    """The lines that a run prints about a set before it trains on it.

    For the first distillation they are all values in a line, and the worst classes. A fact that is not healthy has a
    line for any distillation, but only once.

    Args:
        told: names of the facts already reported as not healthy; those of this set are added.
    """
    made, facts = checked.manifest["parameters"], facts_of(checked)
    values = "; ".join(f"{fact.title} {fact.text}" for fact in facts.values())
    lines = [f"check of ipc {made['ipc']}, seed {made['distill_seed']}: {values}", _worst_line(list(facts.values()))]
    lines = lines if made["distill_seed"] == 0 else []
    for name, fact in facts.items():
        if fact.ok is False and name not in told:
            lines.append(f"NOT HEALTHY: {fact.title} {fact.text}, but healthy is {fact.healthy}; look at {fact.look}")
            told.add(name)
    return [f"ddoq: {line}" for line in lines]


def fact_lines(checked: Artifact) -> list[str]:
    """One line per fact, with its healthy range, and a line with the worst classes."""
    lines, facts, verdicts = [], [*facts_of(checked).values()], {True: "ok     ", False: "LOOK   ", None: "compare"}
    for fact in facts:
        mend = f"; look at {fact.look}" if fact.ok is False else ""
        lines.append(f"{verdicts[fact.ok]} {fact.title} {fact.text}; healthy: {fact.healthy}{mend}")
    return [*lines, f"        {_worst_line(facts)}"]


def _worst_line(facts: list[Fact]) -> str:
    worst = next(fact.detail["worst"] for fact in facts if "worst" in fact.detail)
    named = ", ".join(f"{row['name']} {row['recognised']:.0f} %" for row in worst if row["recognised"] < 100)
    return f"least recognised: {named or 'none, every picture of every class is'}"
