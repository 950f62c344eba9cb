"""A run that is killed at any instant, and given again, costs nothing. Twenty kills: `python -m tests.faults.kill`."""

import pytest

from .kill import kill_and_repeat


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes_and_redoes_nothing_finished(tmp_path):
    tally = kill_and_repeat(tmp_path, kills=3, seed=1)
    assert len(tally.kills) == 3 and tally.kept and tally.survived, list(tally.lines())
