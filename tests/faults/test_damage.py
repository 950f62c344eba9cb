"""A file of a finished run that is cut off, flipped in one bit, or gone, is found in every step and made again."""

import os
import random
from pathlib import Path

import pytest

from ddoq_core.runs.run import Run

from .small import STEPS, identity, profile


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


HARMS = {"cut off": cut, "a bit flipped": flip_a_bit, "missing": os.remove}


def test_every_step_is_tried(finished):
    assert {p.name for p in finished.glob("[!.]*")} == {*STEPS, "runs"}


@pytest.mark.parametrize("step", STEPS)
def test_a_damaged_file_is_found_said_and_made_again_to_the_same_bytes(step, copy, data, expected, capsys):
    artifacts, draw = copy(), random.Random(step)
    files = [p for p in sorted((artifacts / step).rglob("*")) if p.is_file() and p.name != "run.json"]
    for harm in HARMS.values():
        path = draw.choice(files)
        harm(path)
        STEPS[step](Run(profile(data, artifacts)))
        said = capsys.readouterr().err
        assert "is damaged" in said and "making it again" in said and path.relative_to(artifacts).parts[1] in said
        assert identity(artifacts) == expected
