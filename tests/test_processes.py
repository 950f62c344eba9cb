"""The processes of a run: every chunk falls to one of them, and what they make is put together in order."""

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddoq_core.errors import InputError
from ddoq_core.processes import ALONE, OwnError, Processes, bar, world


@given(st.integers(0, 30), st.integers(1, 8))
def test_every_chunk_falls_to_one_process_and_the_order_is_found_again(n, size):
    parts = [Processes(rank, size).my_share(range(n)) for rank in range(size)]
    assert sorted(c for part in parts for c in part) == list(range(n))
    assert Processes(0, size).together(list(map(list, parts))) == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_without_a_launcher_there_is_one_process_and_it_is_the_main_one():
    assert world() is ALONE
    assert ALONE.main
    assert ALONE.gathered("a") == ["a"]
    assert ALONE.broadcast(lambda: 3) == 3
    assert list(bar(range(3))) == [0, 1, 2]


def test_a_world_size_without_a_rank_is_no_launcher(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.delenv("RANK", raising=False)
    assert world.__wrapped__() is ALONE


class MainOfTwo(Processes):
    """The main process of two, the other being played by a list."""

    def gathered(self, mine):
        self.heard.append(mine)
        return [mine, (None, None)]

    heard: ClassVar[list] = []


def test_an_error_of_the_main_process_is_told_to_all_and_raised_in_it():
    def fails():
        raise InputError("no such folder; mend data_root")

    with pytest.raises(InputError, match="no such folder"):
        MainOfTwo(0, 2).broadcast(fails)
    assert MainOfTwo.heard == [(None, "no such folder; mend data_root")]


def test_an_error_on_a_process_own_chunks_is_its_own_to_tell():
    with pytest.raises(OwnError, match="image a is broken"), Processes(1, 2).own_errors():
        raise InputError("image a is broken")
