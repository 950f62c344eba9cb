"""What a row of a long run tells of its images: how near they are to the real ones, what their weights are worth."""

from ..pipeline.run import Run
from ..pipeline.students import Student


def images_seen(run: Run, task: Student) -> dict:
    """Class by class: W_2 to the training latents by the counts (`w2`) and with equal weights, and the share of K
    that the counts are worth as equal ones, (sum v)^2 / (K sum v^2)."""
    if task.ipc is None:
        return {}
    which = (task.method, task.ipc, task.distill_seed)
    rows = run.closeness(*which).jsonl("distances.jsonl")
    v = run.distilled(*which).counts.double().reshape(-1, task.ipc)
    effective = (v.sum(1) ** 2 / (task.ipc * v.square().sum(1))).tolist()
    found = {name: [row[name] for row in rows] for name in ("w2", "w2_uniform")} | {"effective": effective}
    return {name: [round(value, 4) for value in values] for name, values in found.items()}
