"""Voronoi cells in the plane, and quantization algorithms at work on them: figures and animations.

In: samples in the plane and a codebook, or an `AlgorithmTrace`. Out: a figure, or HTML that plays without
the network.
"""

import base64
import hashlib
import html
import io
import re
from dataclasses import dataclass

import numpy as np
from IPython.display import HTML
from jaxtyping import Float
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy import ndarray
from PIL import Image
from scipy.spatial import Voronoi
from torch import Tensor

from ddoq_core.quantization.clvq import clvq, power_steps
from ddoq_core.quantization.lloyd import lloyd
from ddoq_core.quantization.voronoi import Iterate, Quantizer, quantize

from ..style import BLUE, INK, MUTED, VERMILION, figure_style, label, subplots

FRAME_COLOURS = 64  # colours in a frame of an animation
SAMPLES_DRAWN = 500  # samples shown in figures; all are quantized
ICONS = {  # icons of matplotlib's player, and characters that every font has
    "minus": "−",
    "fast-backward": "⇤",
    "step-backward": "←",
    "play fa-flip-horizontal": "◀",
    "pause": "‖",
    "play": "▶",
    "step-forward": "→",
    "fast-forward": "⇥",
    "plus": "+",
}


@dataclass(frozen=True)
class AlgorithmTrace:
    """Some moments of an algorithm, from the start to the end."""

    algorithm: str
    unit: str  # name of a step
    samples: Float[Tensor, "n 2"]
    steps: tuple[int, ...]
    moments: tuple[Quantizer, ...]  # exact cells and distortion at each step
    result: Quantizer  # what the algorithm returned


def trace_lloyd(samples: Float[Tensor, "n 2"], codebook: Float[Tensor, "K 2"], n_frames: int) -> AlgorithmTrace:
    """Lloyd's algorithm (Algorithm 2) at `n_frames` iterations, most of them early, where most changes."""
    kept: list[Iterate] = []
    result = lloyd(samples, codebook, callback=kept.append)  # Lloyd makes new points at every iteration
    return _trace("Lloyd", "iteration", samples, [kept[i] for i in _spread(len(kept) - 1, n_frames)], result)


def trace_clvq(samples: Float[Tensor, "n 2"], codebook: Float[Tensor, "K 2"], n_frames: int) -> AlgorithmTrace:
    """CLVQ (Algorithm 1), one pass with `power_steps`, at `n_frames` samples, most of them early."""
    wanted = set(_spread(len(samples), n_frames))
    kept = [Iterate(0, codebook, np.nan)]

    def keep(it: Iterate) -> None:
        if it.step in wanted:
            kept.append(Iterate(it.step, it.points.clone(), it.distortion))

    result = clvq(samples, codebook, steps=power_steps(len(codebook)), callback=keep)
    return _trace("CLVQ", "sample", samples, kept, result)


def cell_polygons(points: Float[ndarray, "K 2"], box: tuple[float, float, float, float]) -> list[Float[ndarray, "v 2"]]:
    """Voronoi cell of each point, clipped to a box (left, right, bottom, top) that contains the points.

    The points are mirrored in the four sides of the box, which makes these sides boundaries of cells.
    """
    left, right, bottom, top = box
    mirrored = [points]
    for axis, wall in ((0, left), (0, right), (1, bottom), (1, top)):
        image = points.copy()
        image[:, axis] = 2 * wall - image[:, axis]
        mirrored.append(image)
    diagram = Voronoi(np.concatenate(mirrored))
    return [diagram.vertices[diagram.regions[diagram.point_region[i]]] for i in range(len(points))]


@figure_style()
def codebook_figure(samples: Float[Tensor, "n 2"], quantizer: Quantizer) -> Figure:
    """The points of a codebook and their cells, among the samples."""
    figure, axes = subplots(height=3.8)
    _draw_cells(axes, samples, quantizer, deepest=0)
    return figure


@figure_style()
def cells_figure(samples: Float[Tensor, "n 2"], quantizer: Quantizer) -> Figure:
    """Definition 1: the cells of a codebook, each shaded by its mass and labelled with its mass in per cent."""
    figure, axes = subplots(height=4.6)
    _draw_cells(axes, samples, quantizer)
    for point, mass in zip(quantizer.points.tolist(), quantizer.weights.tolist(), strict=True):
        label(axes, *point, f"{100 * mass:.0f} %", xytext=(0, 10), ha="center", fontweight="bold")
    return figure


@figure_style()
def moments_figure(trace: AlgorithmTrace) -> Figure:
    """Start, an early moment and end of an algorithm side by side: the printed form of the animation."""
    figure, axes = subplots(1, 3, height=2.2)
    for ax, i in zip(axes, (0, len(trace.steps) // 3, -1), strict=True):
        _draw_cells(ax, trace.samples, trace.moments[i])
        ax.set_title(f"{trace.unit} {trace.steps[i]:,}: G = {trace.moments[i].distortion:.3f}")
    return figure


@figure_style()
def distortion_figure(*traces: AlgorithmTrace) -> Figure:
    """Distortion of each trace against the number of samples it has used; an iteration of Lloyd uses all samples."""
    figure, axes = subplots(height=3.2)
    for trace, colour, marker in zip(traces, (BLUE, VERMILION), "os", strict=False):
        seen = np.array(trace.steps) * (len(trace.samples) if trace.unit == "iteration" else 1)
        G = [moment.distortion for moment in trace.moments]
        axes.plot(np.maximum(seen, 1), G, color=colour, marker=marker, drawstyle="steps-post")
        label(axes, seen[-1], G[-1], f"{trace.algorithm}: {G[-1]:.3f}", colour, xytext=(0, -12), ha="right")
    axes.set(xscale="log", xlabel="samples used (the start is drawn at 1)", ylabel="distortion G")
    axes.set_ylim(bottom=0)
    return figure


def animate(trace: AlgorithmTrace, alt: str, *, dpi: int = 70) -> HTML:
    """An animation of the algorithm: cells on the left, distortion on the right. It plays without a network.

    Args:
        alt: alt text of the animation: what a reader learns from it.
    """
    with figure_style():
        figure, axes = subplots(1, 2, height=3.2, width_ratios=[3, 2])
        figure.set_dpi(dpi)
        frames = FuncAnimation(figure, lambda i: _draw_moment(axes, trace, i), frames=len(trace.steps))
        player = frames.to_jshtml(fps=4, default_mode="once")
    return HTML(_offline(_light(player), alt))


def _trace(algorithm: str, unit: str, samples: Tensor, kept: list[Iterate], result: Quantizer) -> AlgorithmTrace:
    moments = tuple(quantize(samples, it.points.to(samples.dtype)) for it in kept)
    return AlgorithmTrace(algorithm, unit, samples, tuple(it.step for it in kept), moments, result)


def _spread(last: int, n: int) -> list[int]:
    """About n whole numbers from 0 to `last`, growing geometrically."""
    return sorted({0, last, *np.geomspace(1, max(last, 1), n - 1).round().astype(int).tolist()} & set(range(last + 1)))


def _draw_moment(axes: ndarray, trace: AlgorithmTrace, i: int) -> None:
    cells, curve = axes
    for ax in axes:
        ax.clear()
    moment = trace.moments[i]
    _draw_cells(cells, trace.samples, moment)
    cells.set_title(f"{trace.algorithm}, {trace.unit} {trace.steps[i]:,}")
    G = [m.distortion for m in trace.moments]
    curve.plot(range(len(G)), G, color="#BBBBBB")
    curve.plot(range(i + 1), G[: i + 1], color=BLUE)
    curve.plot(i, G[i], "o", color=BLUE)
    curve.set(xlabel="frame", ylim=(0, 1.08 * max(G)), title=f"distortion G = {moment.distortion:.3f}")


def _draw_cells(axes: Axes, samples: Float[Tensor, "n 2"], quantizer: Quantizer, deepest: float = 0.55) -> None:
    """Cells shaded by mass up to the opacity `deepest`, samples behind, points on top."""
    box = _box(samples)
    points, masses = quantizer.points.double().numpy(), quantizer.weights.numpy()
    shades = deepest * masses / max(masses.max(), 1e-12)
    cells = PolyCollection(cell_polygons(points, box), edgecolors=INK, linewidths=0.8)
    cells.set_facecolor([to_rgba(BLUE, shade) for shade in shades])
    axes.add_collection(cells)
    axes.plot(*samples[:SAMPLES_DRAWN].T.numpy(), ".", color=MUTED, markersize=1.5, zorder=2)
    axes.plot(*points.T, "o", color=VERMILION, markeredgecolor="white", markersize=5, zorder=3)
    axes.set(xlim=box[:2], ylim=box[2:], aspect="equal", xticks=[], yticks=[])
    axes.grid(False)


def _box(samples: Float[Tensor, "n 2"]) -> tuple[float, float, float, float]:
    (left, bottom), (right, top) = samples.min(0).values.tolist(), samples.max(0).values.tolist()
    margin = 0.03 * max(right - left, top - bottom)
    return left - margin, right + margin, bottom - margin, top + margin


def _light(player: str) -> str:
    """The player with `FRAME_COLOURS` colours per frame: a third of the bytes, without a visible difference."""

    def lighter(frame: re.Match) -> str:
        image = Image.open(io.BytesIO(base64.b64decode(frame[1].replace("\\\n", "")))).convert("RGB")
        buffer = io.BytesIO()
        image.quantize(FRAME_COLOURS).save(buffer, "png", optimize=True)
        return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"

    return re.sub(r'data:image/png;base64,([^"]+)', lighter, player)


def _offline(player: str, alt: str) -> str:
    """Matplotlib's player with alt text and without the icon font from a CDN; equal frames give equal players."""
    player = re.sub(r'<link rel="stylesheet"\s+href="https://[^"]*font-awesome[^"]*">', "", player)
    for icon, sign in ICONS.items():
        player = player.replace(f'<i class="fa fa-{icon}"></i>', sign)
    player = player.replace('<img id="', f'<img alt="{html.escape(alt)}" id="')
    player = player.replace('type="range"', 'type="range" aria-label="frame"')
    player = player.replace('<form title="Repetition mode" aria-label="Repetition mode"', "<form")  # no landmark
    drawn = re.search(r"_anim_img([0-9a-f]{32})", player).group(1)  # matplotlib's id is random
    return player.replace(drawn, hashlib.sha256(player.replace(drawn, "").encode()).hexdigest()[:12])
