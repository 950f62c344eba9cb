"""The processes of a run: one, or several that `torchrun` or `accelerate launch` started together.

Work is cut into fixed chunks, of which every process takes each `size`-th, so that no byte depends on how many there
are. What is not shared, the main process does while the others wait. All come to the same calls in the same order; what
they tell each other is whether to go on, the gradients of a student, and its predictions.
"""

import contextlib
import ctypes
import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from tqdm import tqdm

from .errors import InputError

if TYPE_CHECKING:  # the command line starts without it
    from torch import Tensor

LONGEST_WAIT = timedelta(days=20)  # of the others, while one trains the prior or the teacher
LEFT = "another process of this run has ended; what is finished is kept: give the same command again"
T = TypeVar("T")


class OwnError(InputError):
    """An error that this process tells the user, since it alone may have met it. All others the main process tells."""


@dataclass(frozen=True)
class Processes:
    """This process among those of its run."""

    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether it is the one that does what is not shared, and speaks."""
        return self.rank == 0

    def my_share(self, chunks: Sequence[T]) -> Sequence[T]:
        """The chunks of this process, every `size`-th."""
        return chunks[self.rank :: self.size]

    def together(self, parts: list[list[T]]) -> list[T]:
        """All chunks in their order, from those that every process had as `my_share`."""
        n = sum(map(len, parts))
        return [parts[i % self.size][i // self.size] for i in range(n)]

    def broadcast(self, of_main: Callable[[], T]) -> T:
        """What `of_main`, called in the main process only, returns or raises as an InputError, in all of them."""
        if self.size == 1:
            return of_main()
        answer, error = None, ""
        try:
            answer = of_main() if self.main else None
        except InputError as caught:
            error = str(caught)
        (answer, error), *_ = self.gathered((answer, error))
        if error:
            raise InputError(error)
        return answer

    @contextlib.contextmanager
    def own_errors(self) -> Iterator[None]:
        """What every process does by itself, on its own chunks: an InputError in it is raised as an OwnError."""
        try:
            yield
        except InputError as error:
            raise OwnError(str(error)) from error

    def wait(self) -> None:
        """Until all processes have come here."""
        self.gathered(None)

    def gathered(self, mine: T) -> list[T]:
        """What every process has, in their order, in all of them."""
        if self.size == 1:
            return [mine]
        import torch.distributed as dist

        found = [None] * self.size
        dist.all_gather_object(found, mine)
        return found

    def follow_main(self, tensors: Iterable["Tensor"]) -> None:
        """Give these tensors, in all processes, the values that they have in the main one."""
        if self.size > 1:
            import torch.distributed as dist

            for tensor in tensors:
                dist.broadcast(tensor, 0)


ALONE = Processes()


@functools.cache
def world() -> Processes:
    """This process; the first call joins the others, if a launcher has started several."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "RANK" not in os.environ:
        return ALONE
    import torch
    import torch.distributed as dist

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group(timeout=LONGEST_WAIT)
    signal.signal(signal.SIGTERM, _ended)
    return Processes(dist.get_rank(), size)


@contextlib.contextmanager
def among_peers() -> Iterator[None]:
    """Whatever a run does: a connection that another process has closed is raised as an OwnError."""
    try:
        yield
    except RuntimeError as error:
        import torch.distributed as dist

        if world().size == 1 or not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise OwnError(LEFT) from error
    finally:
        if world().size > 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # this process ends anyway, and has said why
            import torch.distributed as dist

            dist.destroy_process_group()


def bar(items: Iterable[T], **how: object) -> Iterable[T]:
    """`items` under a progress bar at a terminal, of the main process."""
    return tqdm(items, disable=_shows_nothing(), **how)


def renewed_line() -> tqdm:
    """A line at a terminal, of the main process, whose text is set anew as often as needed; it stays when closed."""
    return tqdm(bar_format="{desc}", disable=_shows_nothing())


def _shows_nothing() -> bool | None:
    """True in every process but the main one, in its workers too; None leaves it to the terminal."""
    return None if world().main and multiprocessing.parent_process() is None else True


def report_line(text: str) -> None:
    """Say something to the person at the terminal, once, without disturbing a result on standard output or a bar."""
    if world().main:
        with tqdm.external_write_mode():
            print(text, file=sys.stderr, flush=True)


def die_with_parent(parent: int) -> None:
    """This process ends with the one that started it, however that ends; otherwise two could write one artifact."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)


def _ended(number: int, frame: object) -> None:
    """The launcher ends this process because another has ended, or at the user's wish: at once, whatever it does."""
    print(f"ddoq: {LEFT}", file=sys.stderr, flush=True)
    os._exit(128 + number)
