"""Locks: a second run is refused or waits, and one that has died leaves nothing behind."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ddoq_core.errors import InputError
from ddoq_core.store.locks import LOCKS, held

HOLDER = """
import sys, time, pathlib
from ddoq_core.store.locks import held
with held(pathlib.Path(sys.argv[1]), "a", "the run A"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def owner(tmp_path):
    """File that says who holds lock `a`."""
    return tmp_path / LOCKS / "a.owner"


@pytest.fixture
def holder(tmp_path):
    """`holder(seconds)` starts another process that holds the lock for so long."""
    started = []

    def start(seconds: float) -> subprocess.Popen:
        started.append(
            subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path), str(seconds)], stdout=subprocess.PIPE)
        )
        assert started[-1].stdout.readline() == b"held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_what_another_run_makes_is_refused_and_that_run_is_named(holder, tmp_path):
    other = holder(60)
    with (
        pytest.raises(InputError, match=f"the run A is being made by process {other.pid} on .*; wait for that run"),
        held(tmp_path, "a", "the run A"),
    ):
        pass


def test_a_lock_that_a_killed_process_left_is_taken_over(holder, tmp_path, owner):
    other = holder(60)
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    with held(tmp_path, "a", "the run A"):
        assert str(os.getpid()) in owner.read_text()


def test_one_that_waits_goes_on_when_the_other_is_done(holder, tmp_path, capsys):
    other, began = holder(1.5), time.monotonic()
    with held(tmp_path, "a", "the artifact", wait=True):
        assert time.monotonic() - began > 1
    assert f"the artifact is being made by process {other.pid}" in capsys.readouterr().err


def test_a_lock_that_was_given_back_is_free(tmp_path, owner):
    for _ in range(2):
        with held(tmp_path, "a", "the run A"):
            pass
    assert not owner.exists()


def test_a_lock_whose_owner_cannot_be_written_down_is_one_clear_line_and_stays_free(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched, pytest.raises(InputError, match=r"no space left on the disk of .*a\.owner"):
        patched.setattr(Path, "write_text", full)
        with held(tmp_path, "a", "the run A"):
            pass
    with held(tmp_path, "a", "the run A"):
        pass
