"""Measurements of real latents from `ddoq record latents`, for photographs and digits.

In: the files of that study. Out: tables, a figure, and texts for the prose.
"""

import json
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray
from torch import tensor

from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import Column, Table, written
from ddoq_core.theory.bounds import renoised_total_variation

from ..cell_masses import effective_share
from ..recorded import RESULTS
from ..studies.latents import FOLDER, measured_file
from ..style import CYCLE, figure_style, subplots

PROFILES = {"imagenette_cpu": "photographs", "table": "digits"}
MISSING = "Nothing is recorded yet; ddoq record latents does it."


def recorded_measures() -> dict[str, dict]:
    """The recorded measurements, by the name of their data."""
    files = {name: RESULTS / FOLDER / measured_file(profile) for profile, name in PROFILES.items()}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}


def fall(row: dict, where: str) -> float:
    """Percentage by which the counts lower W_2 against equal weights."""
    by_counts, equal = row[where]
    return 100 * (1 - by_counts / equal)


def distance_slope(curve: dict, where: str) -> float:
    """Slope of log W_2 = log G^(1/2) against log K; for large K it is -1 / d for a law of dimension d."""
    return float(np.polyfit(np.log(curve["K"]), np.log(curve[where]) / 2, 1)[0])


def shares(rows: list[dict]) -> Float[ndarray, " C"]:
    """Percentage of the variance of the teacher's logits that is within the cells."""
    return np.array([100 * r["within"] / (r["within"] + max(r["between"], 0.0)) for r in rows])


def latent_codebooks_table(found: Mapping[str, dict]) -> Table:
    """Codebooks with a block for each data set and a row for each K."""
    rows = []
    for name, measures in found.items():
        for ipc, of_class in measures["codebooks"].items():
            effective = np.array([effective_share(tensor(r["counts"])) for r in of_class])
            falls = (Mean.of(np.array([fall(r, where) for r in of_class])) for where in ("training", "held_out"))
            cv = np.sqrt(1 / effective - 1)
            rows.append((name, int(ipc), Mean.of(effective), Mean.of(cv), *falls, Mean.of(shares(of_class))))
    columns = ("Data", "K", Column("K effective / K", ".2f"), Column("cv of the masses", ".2f"))
    columns += (Column("W₂ falls by, %", ".1f"), Column("held out, %", ".1f"), Column("Within cells, %", ".0f"))
    notes = (
        "One pass of mini-batch k-means, one codebook of each class; means over classes and 95 % intervals. W₂ falls: "
        "from the codebook to its training latents, with its counts against equal weights; held out: to validation "
        "latents. Within cells: share of the variance of the teacher's logits.",
    )
    return Table.of_groups("Codebooks of real latents", columns, rows, notes if rows else (MISSING,))


def latent_dimensions_table(found: Mapping[str, dict]) -> Table:
    """Dimensions, with a row for each data set."""
    rows = []
    for name, m in found.items():
        slopes = [
            Mean.of(np.array([distance_slope(c, where) for c in m["curve"]])) for where in ("training", "held_out")
        ]
        rows.append((name, f"{np.mean(m['n']):,.0f}", m["d"], Mean.of(np.array(m["dimension"])), *slopes))
    columns = ("Data", "Latents of a class", Column("d", ","), Column("Intrinsic dimension", ".1f"))
    columns += (Column("Slope of log W₂", ".3f"), Column("Slope, held out", ".3f"))
    notes = (
        "Means over classes and 95 % intervals. Intrinsic dimension by maximum likelihood from the 20 nearest "
        "neighbours, which is too small for few points. Slope: of Lloyd's codebooks, against log K.",
    )
    return Table.of_rows("How many dimensions the latents have", columns, rows, notes if rows else (MISSING,))


def latent_bounds_table(found: Mapping[str, dict], signals: Mapping[float, float], ipc: int = 10) -> Table:
    """phi(1) a^2 / v G at each strength; above 1 it is no information. G is that of the codebooks with their counts."""
    rows = []
    for name, m in found.items():
        G = np.array([r["training"][0] ** 2 for r in m["codebooks"][str(ipc)]])
        for strength, a in signals.items():
            rows.append((name, strength, a, Mean.of(renoised_total_variation(a / (1 - a)) * G)))
    columns = ("Data", Column("Strength", "g"), Column("ᾱ", ".3f"), Column("Bound of the total variation", ".3g"))
    notes = (f"K = {ipc}, means over classes and 95 % intervals; a total variation is at most 1.",)
    return Table.of_groups("The theorem on re-noising, at real scale", columns, rows, notes if rows else (MISSING,))


@figure_style()
def curves_figure(found: Mapping[str, dict]) -> Figure:
    """Distortion over that of one point, against K; geometric means over classes."""
    figure, axes = subplots(height=3.0)
    for (name, m), colour in zip(found.items(), CYCLE, strict=False):
        for where, dash in (("training", "-"), ("held_out", "--")):
            relative = [np.array(c[where]) / c[where][0] for c in m["curve"]]
            n = min(map(len, relative))
            mean = np.exp(np.mean([np.log(r[:n]) for r in relative], axis=0))
            text = f"{name}, {where.replace('_', ' ')}"
            axes.loglog(m["curve"][0]["K"][:n], mean, dash, marker="o", color=colour, label=text)
    axes.set(xlabel="K", ylabel="distortion, of one point = 1")
    axes.legend(fontsize=8)
    return figure


def latent_texts(found: Mapping[str, dict]) -> dict[str, str]:
    """Texts for the prose; they say so if nothing is recorded."""
    texts = {}
    for name in PROFILES.values():
        m, missing = found.get(name), "(not recorded yet)"
        ten = m and m["codebooks"]["10"]
        values = {
            "dimension": m and written(Mean.of(np.array(m["dimension"])), ".1f"),
            "fall": m and written(Mean.of(np.array([fall(r, "training") for r in ten])), ".1f"),
            "fall_held_out": m and written(Mean.of(np.array([fall(r, "held_out") for r in ten])), ".1f"),
            "within": m and written(Mean.of(shares(ten)), ".0f"),
            "slope": m and written(Mean.of(np.array([distance_slope(c, "held_out") for c in m["curve"]])), ".3f"),
        }
        texts |= {f"{name}_{key}": value or missing for key, value in values.items()}
    return texts
