"""Artifacts: made once, found again, verified, resumed; identity means bytes."""

import errno
import json
import os
import shutil
import subprocess
import time

import pytest
import torch
from safetensors.torch import save_file

from ddoq_core.errors import InputError
from ddoq_core.store.artifacts import Store
from ddoq_core.store.manifest import sha256_of


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


def test_an_input_that_is_made_again_with_the_same_bytes_changes_nothing_after_it(store):
    def after(first):
        build = Builder()
        made = store.make("after", build, parameters={}, inputs=[first], label="demo")
        return made, build.made

    one, another = make(store, Builder(), comment="a"), make(store, Builder(), comment="b")
    assert one.key != another.key and one.content == another.content
    (made, chunks), (again, no_chunks) = after(one), after(another)
    assert made == again and (len(chunks), no_chunks) == (3, [])
    other = store.make("step", lambda work: work.json("x.json", {}), parameters={}, label="demo")
    assert other.content != one.content and after(other)[1] == ["0", "1", "2"]


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
    assert len(said) == 1 and "part/1.txt" in said[0] and "making it again" in said[0]


def test_a_damaged_manifest_redoes_the_whole_artifact(store, said):
    artifact = make(store, Builder())
    (artifact.path / "manifest.json").write_text('{"files": ')
    again = Builder()
    make(store, again)
    assert again.made == ["0", "1", "2"] and "manifest.json" in said[0]


@pytest.mark.parametrize("name", ["manifest.json", "run.json"])
def test_a_pipe_in_the_place_of_a_record_is_not_waited_for(store, said, name):
    artifact = make(store, Builder())
    before = content(artifact.path)
    (artifact.path / name).unlink()
    os.mkfifo(artifact.path / name)
    assert content(make(store, Builder()).path) == before
    assert name in said[0] and (artifact.path / name).is_file()


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


def test_a_file_of_yours_that_may_not_be_read_is_not_said_to_be_unwritable(store, tmp_path, monkeypatch):
    picture = tmp_path / "picture.png"
    picture.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything

    def build(work):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(picture))

    with pytest.raises(InputError, match=r"cannot read .*picture.png \(Permission denied\); check its permissions"):
        make(store, build)


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


class WithCheckpoint(Builder):
    """A step that leaves a checkpoint behind until it is finished."""

    def __call__(self, work):
        work.replace("checkpoint.pt", lambda path: path.write_text("state"))
        super().__call__(work)
        work.discard("checkpoint.pt")


def test_an_artifact_that_lacks_only_its_name_is_given_it_and_nothing_is_redone(store, monkeypatch):
    build, again, replace = WithCheckpoint(), WithCheckpoint(), os.replace

    def die_before_the_last(source, target):
        if str(source).endswith(".partial"):
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "replace", die_before_the_last)
        make(store, build)
    assert set(content(make(store, again).path)) == {"part/0.txt", "part/1.txt", "part/2.txt", "manifest.json"}
    assert build.made == ["0", "1", "2"] and again.made == []


def test_a_checkpoint_stays_until_everything_else_is_written_down(store, monkeypatch):
    from ddoq_core.store import artifacts as module

    seen = []
    monkeypatch.setattr(module, "machine_facts", lambda: seen.extend(store.root.rglob("checkpoint.pt")) or {})
    artifact = make(store, WithCheckpoint())
    assert len(seen) == 1 and not list(artifact.path.rglob("checkpoint.pt"))


def test_a_damaged_artifact_stays_known_as_damaged_when_its_repair_is_killed(store, monkeypatch):
    artifact = make(store, Builder())
    before = content(artifact.path)
    damage(artifact.path / "part" / "1.txt")
    dying, again = Builder(dies_after=0), Builder()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("ddoq_core.store.artifacts.sifted", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        make(store, dying)
    assert content(make(store, again).path) == before and again.made == ["1"]


def test_a_file_that_nobody_vouches_for_is_not_taken_into_a_repaired_artifact(store):
    artifact = make(store, Builder())
    before = content(artifact.path)
    damage(artifact.path / "part" / "1.txt")
    (artifact.path / "part" / "3.txt").write_text("from elsewhere")
    assert content(make(store, Builder()).path) == before


def test_a_file_is_on_the_disk_before_it_has_its_name(store, monkeypatch):
    order, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: order.append("written") or fsync(file))
    monkeypatch.setattr(os, "replace", lambda *names: order.append("named") or replace(*names))
    make(store, Builder())
    assert order == ["written", "named"] * 5 + ["named"]  # three chunks, run.json, manifest.json; then the folder


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "\0"], ids=["empty", "cut", "list", "deep", "null"])
def test_a_damaged_run_json_is_found_too_though_it_is_no_part_of_the_identity(store, said, text):
    artifact = make(store, Builder())
    before, again = content(artifact.path), Builder()
    (artifact.path / "run.json").write_text(text)
    assert content(make(store, again).path) == before and not again.made
    assert make(store, again).run["seconds"] >= 0 and len(said) == 1 and "run.json" in said[0]


# an artifact that comes from elsewhere


def entry(path):
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def forge(artifact, change):
    """Rewrite its manifest by `change(manifest)`."""
    path = artifact.path / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("sound", [True, False], ids=["with its checksum", "with another checksum"])
@pytest.mark.parametrize("where", ["up", "root", "link", "folder link"])
def test_a_manifest_cannot_lead_out_of_its_folder(store, said, tmp_path, where, sound):
    artifact = make(store, Builder())
    before = content(artifact.path)
    outside = tmp_path / "yours" / "letter.txt"
    outside.parent.mkdir()
    outside.write_text("chunk 1")
    name = {
        "up": "../../../yours/letter.txt",
        "root": str(outside),
        "link": "link.txt",
        "folder link": "way/letter.txt",
    }
    if where == "link":
        (artifact.path / "link.txt").symlink_to(outside)
    elif where == "folder link":
        (artifact.path / "way").symlink_to(outside.parent)
    listed = entry(outside) if sound else {"bytes": 1, "sha256": "0" * 64}
    forge(artifact, lambda m: m["files"].update({name[where]: listed}))
    assert content(make(store, Builder()).path) == before
    assert len(said) == 1 and "outside its folder" in said[0] and name[where] in said[0]
    assert outside.read_text() == "chunk 1"


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(files=[]),
        lambda m: m.update(files={"part/0.txt": None}),
        lambda m: m.update(files={"part/0.txt": {"bytes": "x"}}),
        lambda m: m.update(files={"\0": {"bytes": 1, "sha256": ""}}),
        lambda m: m.update(files={"x" * 5000: {"bytes": 1, "sha256": ""}}),
        lambda m: m.update(parameters={"K": 7}),
        lambda m: m.update(more="a field of nobody's"),
    ],
    ids=["list", "no entry", "half an entry", "null byte", "long name", "other parameters", "another field"],
)
def test_a_manifest_of_other_parameters_or_of_no_sense_counts_for_nothing(store, said, change):
    artifact = make(store, Builder())
    before = content(artifact.path)
    forge(artifact, change)
    assert content(make(store, Builder()).path) == before and len(said) == 1


# clocks


def test_a_clock_that_goes_backwards_changes_nothing(store, monkeypatch):
    now = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    artifact, again = make(store, Builder()), Builder()
    assert 0 <= artifact.run["seconds"] < 60
    for age, path in enumerate(sorted(artifact.path.rglob("*"))):
        os.utime(path, (2 * 10**9 - age, 2 * 10**9 - age))  # from the future, and the later the older
    assert make(store, again) == artifact and not again.made
