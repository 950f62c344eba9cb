"""The costs in the prose of chapter 33, as glue texts, and the rows of a run, which is finished first if necessary.

In: the results of `ddoq_core.cost`. Out: texts by name.
"""

from ddoq_core.cost.sizes import Device
from ddoq_core.cost.tables import PaperStep, RunCost, bytes_form, duration, flops_form
from ddoq_core.errors import InputError
from ddoq_core.results.intervals import Mean
from ddoq_core.results.table import written
from ddoq_core.runs.run import Run

from .measured import MeasuredRun

# steps of every run; the page names their speeds
SHARED_STEPS = ("prior", "teacher", "encode", "cluster", "synthesize", "relabel", "train")
SHORT = {"1 Latent clustering": "encode", "2 Synthesis": "synthesis", "3 Soft label": "label", "4 Training": "train"}


def rows_of_run(run: Run) -> list[dict]:
    """Rows of a run's results.jsonl; finishes the run first if necessary."""
    try:
        return run.finished_rows()
    except InputError:
        return run.results()


def told_texts(found: RunCost) -> dict[str, str]:
    """The estimated cost of a run, and the shares of its operations in percent."""
    distilling = ("encode", "cluster", "synthesize", "generate", "relabel")
    shares = {"prior": ("prior",), "real": ("teacher",), "distilling": distilling, "students": ("train",)}
    return {
        "told_time": duration(found.seconds),
        "told_flops": flops_form(found.total("flops")),
        "told_disk": bytes_form(found.total("writes")),
    } | {f"share_{name}": f"{100 * found.share(*steps):.0f}" for name, steps in shares.items()}


def implied_texts(steps: list[PaperStep]) -> dict[str, str]:
    """Shares of the A6000's peak that the paper's hours imply, in percent, also of its float32 peak."""
    texts = {}
    for step in steps:
        name = f"implied_{SHORT[step.title]}_{step.ipc}"
        texts |= {name: f"{100 * step.implied:.0f}", f"{name}_float32": f"{100 * step.implied_float32:.0f}"}
    return texts


def measured_texts(found: MeasuredRun, device: Device) -> dict[str, str]:
    """Measured cost of a run and its estimate for a device: shares in percent, GFLOP/s at the largest IPC."""
    whole, told = found.seconds(), found.told(device)
    return {
        "measured_time": duration(whole),
        "measured_clock": duration(found.by_clock),
        "measured_told": duration(told),
        "measured_factor": f"{max(whole / told, told / whole):.1f}",
        "measured_n": f"{found.n}",
        "measured_students_share": f"{100 * found.seconds('train') / whole:.0f}",
        "measured_prior_share": f"{100 * found.seconds('prior') / whole:.0f}",
    } | {
        f"speed_{step}": written(largest_speed(found, step), _gigaflops)
        for step in dict.fromkeys([*SHARED_STEPS, *(part.cost.step for part in found.parts)])
    }


def largest_speed(found: MeasuredRun, step: str) -> Mean | None:
    """Operations per second of a step's kind of artifact with the most operations; None if none was measured."""
    parts = [part for part in found.parts if part.cost.step == step]
    return max(parts, key=lambda part: part.cost.flops).mean_speed if parts else None


def _gigaflops(speed: Mean) -> str:
    half = f" ± {speed.half / 1e9:.2g}" if speed.n > 2 else ""
    return f"{speed.value / 1e9:.3g}{half} (n = {speed.n})"
