"""What is asked of files, for tests of trees that are too large to be asked file by file."""

import contextlib
import os
from collections.abc import Callable

import pytest


@pytest.fixture
def noting(monkeypatch) -> Callable[[], contextlib.AbstractContextManager[list[str]]]:
    """`with noting() as asked`: the paths whose size or date is asked for inside the block."""

    @contextlib.contextmanager
    def block():
        asked, stat = [], os.stat

        def noted(path, *rest, **how):
            asked.append(str(path))
            return stat(path, *rest, **how)

        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", noted)
            yield asked

    return block
