"""The processes of a run: one, or several started together by `torchrun` or `accelerate launch`.

Work is cut into fixed chunks, and each process takes every `size`-th chunk, so no byte depends on the number of
processes. Work that is not shared is done by the main process while the others wait. All processes make the same calls
in the same order. They exchange whether to continue, the gradients of a student, and its predictions.
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

LONGEST_WAIT = timedelta(days=20)  # for the others, while one trains the prior or the teacher
LEFT = "another process of this run ended; finished work is kept: run the same command again"
T = TypeVar("T")


class OwnError(InputError):
    """An error that this process prints, since it alone may have it. The main process prints all other errors."""


@dataclass(frozen=True)
class Processes:
    """This process among those of its run."""

    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether this process does the unshared work and prints messages."""
        return self.rank == 0

    def my_share(self, chunks: Sequence[T]) -> Sequence[T]:
        """The chunks of this process: every `size`-th."""
        return chunks[self.rank :: self.size]

    def together(self, parts: list[list[T]]) -> list[T]:
        """All chunks in order, from the `my_share` of every process."""
        n = sum(map(len, parts))
        return [parts[i % self.size][i // self.size] for i in range(n)]

    def broadcast(self, of_main: Callable[[], T]) -> T:
        """The result of `of_main`, or its InputError, in all processes; only the main process calls it."""
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
        """A context for work on this process's own chunks: an InputError in it becomes an OwnError."""
        try:
            yield
        except InputError as error:
            raise OwnError(str(error)) from error

    def wait(self) -> None:
        """Wait until all processes have made this call."""
        self.gathered(None)

    def gathered(self, mine: T) -> list[T]:
        """The values of all processes, in their order, in all of them."""
        if self.size == 1:
            return [mine]
        import torch.distributed as dist

        found = [None] * self.size
        dist.all_gather_object(found, mine)
        return found

    def follow_main(self, tensors: Iterable["Tensor"]) -> None:
        """Set these tensors, in all processes, to their values in the main process."""
        if self.size > 1:
            import torch.distributed as dist

            for tensor in tensors:
                dist.broadcast(tensor, 0)


ALONE = Processes()


@functools.cache
def world() -> Processes:
    """This process; the first call connects to the others, if a launcher started several."""
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
    """A context for a whole run: a connection closed by another process becomes an OwnError."""
    try:
        yield
    except RuntimeError as error:
        import torch.distributed as dist

        if world().size == 1 or not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise OwnError(LEFT) from error
    finally:
        if world().size > 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # this process is ending, and has printed why
            import torch.distributed as dist

            dist.destroy_process_group()


def bar(items: Iterable[T], **how: object) -> Iterable[T]:
    """`items` with a progress bar, in the main process on a terminal."""
    return tqdm(items, disable=_shows_nothing(), **how)


def renewed_line() -> tqdm:
    """A line on a terminal, in the main process, whose text can be set again and again; it stays when closed."""
    return tqdm(bar_format="{desc}", disable=_shows_nothing())


def _shows_nothing() -> bool | None:
    """True in every process but the main one, also in its workers; None lets the terminal decide."""
    return None if world().main and multiprocessing.parent_process() is None else True


def report_line(text: str) -> None:
    """Print a message once, on standard error, without disturbing a result on standard output or a bar."""
    if world().main:
        with tqdm.external_write_mode():
            print(text, file=sys.stderr, flush=True)


def die_with_parent(parent: int) -> None:
    """End this process when its parent ends, however it ends; otherwise two processes could write one artifact."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)


def _ended(number: int, frame: object) -> None:
    """Exit at once: the launcher ends this process because another one ended, or because the user wants it."""
    print(f"ddoq: {LEFT}", file=sys.stderr, flush=True)
    os._exit(128 + number)
