"""The progress of the students of a run: "student 12 of 57, about 14 min left".

On a terminal it is one line that changes; elsewhere, as in the log of a queue, it is a line per minute.
"""

import collections
import functools
import math
import time
from collections.abc import Callable, Iterable

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..processes import renewed_line, report_line
from ..store.artifacts import DATE
from .jobs import Student, task_of
from .plan import image_passes

EVERY = 60  # seconds between two lines without a terminal


class Progress:
    """Counts the finished students, and estimates from their seconds how long the others will take.

    Args:
        tasks: all students to wait for. For students with the same network, time is assumed to be proportional to the
            number of images that they see.
        say: receives the lines if there is no terminal.
    """

    def __init__(
        self, tasks: Iterable[Student], profile: Profile, dataset: Dataset, say: Callable[[str], None] = report_line
    ) -> None:
        self._passes = functools.partial(image_passes, profile=profile, dataset=dataset)
        self._left = {task: self._passes(task) for task in tasks}
        self._say, self._n = say, len(self._left)
        self._seen: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0.0])  # passes, seconds by network
        self._trained = 0.0  # seconds of the students trained since the start
        self._began, self._date, self._said = time.monotonic(), time.strftime(DATE, time.gmtime()), -math.inf
        self._line = renewed_line()

    def done(self, rows: Iterable[dict]) -> None:
        """Note the rows of a finished student; equal students share one training, and have a row each."""
        first, *_ = rows = list(rows)
        task, seconds = task_of(first), first["seconds"]
        for total, more in enumerate((self._passes(task), seconds)):
            self._seen[task.student][total] += more
        self._trained += seconds if first["date"] >= self._date else 0
        for row in rows:
            self._left.pop(task_of(row), None)
        self._tell()

    @property
    def seconds_left(self) -> float | None:
        """Wall time left, at the pace since the start; None before the first student is trained."""
        if not self._trained:
            return None
        known = [sum(column) for column in zip(*self._seen.values(), strict=True)]  # for networks not seen yet
        left = 0.0
        for task, passes in self._left.items():
            seen, seconds = self._seen.get(task.student, known)
            left += passes * seconds / seen
        return left * (time.monotonic() - self._began) / self._trained

    def _tell(self) -> None:
        left = f", {about(self.seconds_left)} left" if self._left and self.seconds_left is not None else ""
        text = f"student {self._n - len(self._left)} of {self._n}{left}"
        now = time.monotonic()
        if self._line.disable and (not self._left or now - self._said >= EVERY):
            self._said = now
            self._say(f"ddoq: {text}")
        self._line.set_description_str(text)
        if not self._left:
            self._line.close()


def about(seconds: float) -> str:
    """An estimated time, in the unit that reads best."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"about {seconds / size:.0f} {unit}"
    return f"about {seconds:.0f} s"
