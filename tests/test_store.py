"""Artifacts: made once, found again, verified, resumed; identity means bytes."""

import errno
import os
import shutil
import subprocess

import pytest
import torch
from safetensors.torch import save_file

from ddoq_core.errors import InputError
from ddoq_core.store import Store


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path, said) -> Store:
    return Store(tmp_path / "artifacts", said.append)


class Builder:
    """A step of three chunks that counts what it makes and can be made to die after some of them."""

    def __init__(self, dies_after: int = 99):
        self.made: list[str] = []
        self.dies_after = dies_after

    def __call__(self, work):
        for i in range(3):
            work.chunk(f"part/{i}.txt", lambda path, i=i: self.write(path, i))

    def write(self, path, i):
        if len(self.made) == self.dies_after:
            path.write_text("half a chu")
            raise KeyboardInterrupt
        self.made.append(f"{i}")
        path.write_text(f"chunk {i}")


def make(store, build, **parameters):
    return store.make("step", build, parameters=parameters, label="demo")


def content(folder):
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != "run.json"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_a_finished_artifact_is_not_made_again(store):
    build = Builder()
    assert make(store, build) == make(store, build)
    assert build.made == ["0", "1", "2"]


def test_other_parameters_or_inputs_make_another_artifact(store):
    first = make(store, Builder(), K=1)
    other = make(store, Builder(), K=2)
    fed = store.make("step", Builder(), parameters={"K": 1}, inputs=[other], label="demo")
    assert len({first.key, other.key, fed.key}) == 3


@pytest.mark.parametrize("dies_after", [0, 1, 2])
def test_an_interrupted_step_resumes_to_the_same_bytes_and_redoes_no_finished_chunk(store, tmp_path, dies_after):
    whole = make(Store(tmp_path / "uninterrupted"), Builder())
    dying = Builder(dies_after)
    with pytest.raises(KeyboardInterrupt):
        make(store, dying)
    again = Builder()
    resumed = make(store, again)
    assert dying.made + again.made == ["0", "1", "2"]
    assert content(resumed.path) == content(whole.path)


def test_what_a_killed_process_left_half_written_is_not_part_of_the_artifact(store):
    artifact = make(store, Builder())
    leftover = artifact.path.with_name(artifact.path.name + ".partial")
    os.replace(artifact.path, leftover)
    (leftover / "part" / ".123.0.txt").write_text("half")
    assert set(make(store, Builder()).manifest["files"]) == {"part/0.txt", "part/1.txt", "part/2.txt"}


def damage(path):
    path.write_text("c" + path.read_text()[:-1])


def truncate(path):
    os.truncate(path, 3)


@pytest.mark.parametrize("harm", [damage, os.remove, truncate])
def test_a_damaged_file_is_found_named_and_alone_redone(store, said, harm):
    artifact = make(store, Builder())
    before = content(artifact.path)
    harm(artifact.path / "part" / "1.txt")
    again = Builder()
    assert content(make(store, again).path) == before
    assert again.made == ["1"]
    assert len(said) == 1 and "part/1.txt" in said[0] and "redone" in said[0]


def test_a_damaged_manifest_redoes_the_whole_artifact(store, said):
    artifact = make(store, Builder())
    (artifact.path / "manifest.json").write_text('{"files": ')
    again = Builder()
    make(store, again)
    assert again.made == ["0", "1", "2"] and "manifest.json" in said[0]


def test_run_json_is_not_part_of_the_identity(store):
    artifact = make(store, Builder())
    assert {"date", "device", "seconds", "versions"} <= set(artifact.run)
    (artifact.path / "run.json").write_text("{}")
    again = Builder()
    make(store, again)
    assert not again.made


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no space left"), (errno.EACCES, "cannot write"), (errno.EROFS, "cannot write")],
)
def test_a_full_or_unwritable_disk_is_one_clear_line_and_loses_nothing(store, number, words):
    def build(work):
        work.chunk("first.txt", lambda p: p.write_text("kept"))
        raise OSError(number, os.strerror(number), "second.txt")

    with pytest.raises(InputError, match=words) as caught:
        store.make("step", build, parameters={})
    assert "\n" not in str(caught.value) and "artifacts" in str(caught.value)
    (kept,) = store.root.rglob("first.txt")
    assert kept.read_text() == "kept" and ".partial" in str(kept)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MiB, and what makes it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root on Linux")
    yield folder, lambda: subprocess.run(["mount", "-o", "remount,size=16M", str(folder)], check=True)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a failed torch.save may hold its file open


LARGE = torch.zeros(2**19)  # 2 MiB
WRITERS = {
    "torch": lambda path: torch.save(LARGE, path),
    "safetensors": lambda path: save_file({"x": LARGE}, path),
    "text": lambda path: path.write_text("x" * 2**21),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_step_on_a_really_full_disk_says_so_and_goes_on_when_there_is_space(small_disk, said, write):
    folder, enlarge = small_disk
    store, small = Store(folder / "artifacts", said.append), Builder()

    def build(work):
        small(work)
        work.chunk("large", write)

    with pytest.raises(InputError, match=r"no space left on the disk of .*disk/artifacts/step"):
        store.make("step", build, parameters={})
    assert not list(folder.rglob("*large*"))
    enlarge()
    assert (store.make("step", build, parameters={}).path / "large").stat().st_size >= 2**21
    assert small.made == ["0", "1", "2"]


def test_a_file_where_the_folder_should_be_is_one_clear_line(tmp_path):
    (tmp_path / "artifacts").write_text("not a folder")
    with pytest.raises(InputError, match="cannot write"):
        make(Store(tmp_path / "artifacts"), Builder())
