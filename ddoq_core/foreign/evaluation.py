"""What `ddoq eval` prints: what was assumed, and the accuracy of each network with its interval."""

from collections.abc import Iterator

import numpy as np

from ..pipeline.evaluate import Evaluation
from ..results.records import Records


def evaluation_lines(evaluation: Evaluation) -> Iterator[str]:
    """The assumptions, then one line for each network; the interval is over test images, and students if several."""
    yield from evaluation.assumed
    records = Records.of(evaluation.rows)
    for cell, members in records.cells.items():
        top1, n = records.accuracy(cell), len(members)
        top5 = np.mean([evaluation.rows[i]["top5"] for i in members])
        over = f"{top1.n_test:,} test images" + (f" and {n} students" if n > 1 else "; one student")
        yield (
            f"{cell.method}, {cell.ipc} images per class, {cell.student}: top-1 {top1} %, top-5 {top5:.1f} % "
            f"(95 % interval over {over})"
        )
