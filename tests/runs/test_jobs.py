"""Students side by side: what is said when the process of one is gone."""

import multiprocessing
import os
import signal

import pytest

from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.runs import jobs
from ddoq_core.runs.jobs import Job, Student, train_all


def killed(job: Job) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_ends_the_run_with_a_line_and_a_hint(monkeypatch):
    context = multiprocessing.get_context("fork")  # so that workers know `killed`
    monkeypatch.setattr(jobs.multiprocessing, "get_context", lambda how: context)
    monkeypatch.setattr(jobs, "train_student", killed)
    students = [Job(Profile(), Student("full", None, "convnet-2", "hard", 0, seed)) for seed in range(3)]
    with pytest.raises(InputError, match=r"memory; .* is kept: lower workers \(here 2\)") as caught:
        train_all([students], 2)
    assert "\n" not in str(caught.value)
