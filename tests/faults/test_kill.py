"""A run that is killed at any instant, and given again, costs nothing. Twenty kills: `python -m tests.faults.kill`."""

import pytest

from .kill import Kill, Tally, compare, files_of, kill_and_repeat, mark


@pytest.fixture
def killed(copy):
    """A finished run, and a kill before which all of it had been there."""
    artifacts = copy()
    files = files_of(artifacts)
    return artifacts, Kill("train", {name: mark(path) for name, path in files.items()}, frozenset())


def rewritten(path) -> None:
    """The same bytes, written once more."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def test_the_tally_counts_what_was_kept(killed, expected):
    artifacts, kill = killed
    tally = Tally()
    compare(tally, artifacts, expected, [kill])
    assert tally.survived and tally.kept == len(kill.finished) and tally.bytes > 10**6


def test_the_tally_tells_a_file_that_differs_is_missing_or_too_many(copy, expected):
    artifacts = copy()
    picture = next(artifacts.glob("synthesize/*/*/*.png"))
    for harm in (lambda: picture.write_bytes(b"other"), picture.unlink, lambda: (artifacts / "new").touch()):
        harm()
        tally = Tally()
        compare(tally, artifacts, expected, [])
        assert not tally.survived and tally.differing[0].startswith(artifacts.name)


@pytest.mark.parametrize(
    "name", ["synthesize/*/*/*.png", "train/*/student.safetensors", "rded/*/metadata.jsonl", "runs/*/results.jsonl"]
)
def test_the_tally_tells_what_was_made_again_though_it_was_finished(killed, expected, name):
    artifacts, kill = killed
    path = sorted(artifacts.glob(name))[0]
    rewritten(path)
    tally, made_again = Tally(), str(path.relative_to(artifacts))
    compare(tally, artifacts, expected, [kill])
    assert not tally.differing and tally.redone == [made_again]
    summary = not name.endswith(".png")  # of an artifact that was not finished, it may be written again
    tally = Tally()
    compare(tally, artifacts, expected, [Kill(kill.step, kill.finished, frozenset({made_again}))])
    assert tally.survived == summary and tally.again.total() == summary


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes_and_redoes_nothing_finished(tmp_path):
    tally = kill_and_repeat(tmp_path, kills=3, seed=1)
    assert len(tally.kills) == 3 and tally.kept and tally.survived, list(tally.lines())
