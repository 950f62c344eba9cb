"""Locks: no two runs make the same thing at the same time. A lock ends with the process that holds it."""

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import InputError, disk_errors
from ..processes import report_line, world

LOCKS = ".locks"  # folder among the artifacts


@contextlib.contextmanager
def held(root: Path, name: str, what: str, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock in the folder of artifacts; among the processes of a run, the main one holds it.

    Args:
        root: folder of the artifacts.
        what: the thing made under the lock, for messages.
        wait: wait for another run that holds the lock, instead of failing.
    Raises:
        InputError: another run holds it (the message names its process), or the disk is full or not writable.
    """
    lock, owner = FileLock(root / LOCKS / f"{name}.lock"), root / LOCKS / f"{name}.owner"
    try:
        world().broadcast(lambda: _take(lock, owner, what, wait))
        yield
    finally:
        if lock.is_locked:
            owner.unlink(missing_ok=True)
            lock.release()


def _take(lock: FileLock, owner: Path, what: str, wait: bool) -> None:
    with disk_errors(owner):
        owner.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            holder = owner.read_text() if owner.exists() else "another process"
            if not wait:
                raise InputError(f"{what} is being made by {holder}; wait for that run, or end it") from None
            report_line(f"ddoq: {what} is being made by {holder}; waiting for it")
            lock.acquire()
        owner.write_text(f"process {os.getpid()} on {platform.node()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}")
