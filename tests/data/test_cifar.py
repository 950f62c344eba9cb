"""CIFAR: read in torchvision's layout, checked before it is read, and never run."""

import gzip
import hashlib
import io
import pickle
import shutil
import tarfile

import numpy as np
import pytest
import torchvision

from ddoq_core.config.profile import Profile
from ddoq_core.data import cifar
from ddoq_core.data.loaders import load_dataset
from ddoq_core.errors import InputError


def _write_cifar(root, monkeypatch) -> None:
    source = torchvision.datasets.CIFAR10
    folder = root / source.base_folder
    folder.mkdir(parents=True)
    rng, lists = np.random.default_rng(0), {"train_list": [], "test_list": []}
    for which, name in (("train_list", "data_batch_1"), ("test_list", "test_batch")):
        batch = {"data": rng.integers(0, 256, (20, 3072), dtype=np.uint8), "labels": list(range(10)) * 2}
        (folder / name).write_bytes(pickle.dumps(batch))
        lists[which].append([name, None])
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": NAMES}))
    for which, entries in lists.items():
        monkeypatch.setattr(source, which, entries)
    monkeypatch.setattr(source, "meta", {"filename": "batches.meta", "key": "label_names", "md5": None})


NAMES = [f"thing_{i}" for i in range(10)]


def _profile(root) -> Profile:
    return Profile(dataset="cifar10", data_root=str(root))


def test_cifar_is_read_in_torchvisions_layout(tmp_path, monkeypatch):
    _write_cifar(tmp_path, monkeypatch)
    found = load_dataset(_profile(tmp_path))
    assert found.train.images([0]).shape == (1, 3, 32, 32)
    assert (len(found.train), len(found.test), found.channels) == (20, 20, 3)
    assert found.prompts[3] == "a photo of a thing 3"


def test_cifar_files_with_a_wrong_checksum_are_never_opened(tmp_path):
    folder = tmp_path / torchvision.datasets.CIFAR10.base_folder
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps("anything"))
    with pytest.raises(InputError, match=r"no valid copy of cifar-10-batches-py"):
        load_dataset(Profile(dataset="cifar10", data_root=str(tmp_path)))


class _Evil:
    """What an unpickled file could run."""

    def __reduce__(self):
        return (print, ("ran",))


def test_a_cifar_file_that_would_run_code_is_refused_whatever_its_checksum(tmp_path, monkeypatch, capsys):
    _write_cifar(tmp_path, monkeypatch)
    path = tmp_path / torchvision.datasets.CIFAR10.base_folder / "test_batch"
    path.write_bytes(pickle.dumps({"data": _Evil(), "labels": []}))
    with pytest.raises(InputError, match=r"test_batch is damaged \(it asks for builtins.print\)"):
        load_dataset(Profile(dataset="cifar10", data_root=str(tmp_path)))
    assert "ran" not in capsys.readouterr().out


def test_a_batch_that_python_2_pickled_is_read():
    """The bytes of an array are a Python 2 string there, and the module of arrays is numpy.core."""
    values = bytes(range(200, 206))
    dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x02K\x03t"
    array += dtype + b"\x89U\x06" + values + b"tb"
    content = b"\x80\x02}(U\x04data" + array + b"U\x06labels](K\x01K\x02eu."
    found = cifar._read(content, "batch")
    assert found["data"].tolist() == [[200, 201, 202], [203, 204, 205]] and found["labels"] == [1, 2]


BASE = torchvision.datasets.CIFAR10.base_folder


@pytest.mark.parametrize(
    "labels",
    [
        list(range(10)) + list(range(9)),
        [*range(10), *range(9), 10],
        [*range(10), *range(9), -1],
        [],
        ["a"] * 20,
        None,
    ],
)
def test_a_batch_whose_labels_do_not_belong_to_its_images_is_named(tmp_path, monkeypatch, labels):
    _write_cifar(tmp_path, monkeypatch)
    path = tmp_path / BASE / "test_batch"
    batch = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps({"data": batch["data"]} | ({"labels": labels} if labels is not None else {})))
    with pytest.raises(InputError, match=r"test_batch.*download (it|them|both) again"):
        load_dataset(_profile(tmp_path))


def _pack(root, content=lambda packed: packed, name=torchvision.datasets.CIFAR10.filename) -> None:
    """The folder becomes the archive that it was published as."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.add(root / BASE, BASE)
    shutil.rmtree(root / BASE)
    (root / name).write_bytes(content(gzip.compress(file.getvalue())))


@pytest.mark.parametrize("packed", [True, False])
def test_an_archive_that_is_not_unpacked_is_read_as_it_is(tmp_path, monkeypatch, packed):
    _write_cifar(tmp_path, monkeypatch)
    expected = load_dataset(_profile(tmp_path))
    if packed:
        _pack(tmp_path)
    else:  # as some browsers leave it
        _pack(tmp_path, gzip.decompress, "cifar-10-python.tar")
    found = load_dataset(_profile(tmp_path))
    assert found.key == expected.key and found.class_names == expected.class_names
    assert [p.suffix for p in tmp_path.iterdir()] == [".gz" if packed else ".tar"]  # nothing is written beside


@pytest.mark.parametrize("content", [lambda b: b[:-2000], lambda b: b"<html>404", lambda b: b"", lambda b: b[:9] * 2])
def test_an_archive_that_is_cut_off_or_none_is_named(tmp_path, monkeypatch, content):
    _write_cifar(tmp_path, monkeypatch)
    _pack(tmp_path, content)
    with pytest.raises(InputError, match=r"no valid copy .*cifar-10-python.tar.gz is damaged") as caught:
        load_dataset(_profile(tmp_path))
    assert "\n" not in str(caught.value)


def test_an_archive_without_one_of_the_files_is_named(tmp_path, monkeypatch):
    _write_cifar(tmp_path, monkeypatch)
    (tmp_path / BASE / "test_batch").unlink()
    _pack(tmp_path)
    with pytest.raises(InputError, match=r"cifar-10-python.tar.gz is damaged \(.*test_batch"):
        load_dataset(_profile(tmp_path))


def test_a_file_of_the_archive_must_be_the_published_one_too(tmp_path, monkeypatch):
    _write_cifar(tmp_path, monkeypatch)
    right = hashlib.md5((tmp_path / BASE / "test_batch").read_bytes()).hexdigest()
    _pack(tmp_path)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "test_list", [["test_batch", right]])
    load_dataset(_profile(tmp_path))
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "test_list", [["test_batch", "0" * 32]])
    with pytest.raises(InputError, match=r"test_batch of .*tar.gz is not as it was published"):
        load_dataset(_profile(tmp_path))


def test_a_folder_that_lacks_a_file_gives_way_to_a_sound_archive_beside_it(tmp_path, monkeypatch):
    _write_cifar(tmp_path, monkeypatch)
    expected = load_dataset(_profile(tmp_path)).key
    shutil.copytree(tmp_path / BASE, tmp_path / "kept")
    _pack(tmp_path)
    (tmp_path / "kept").rename(tmp_path / BASE)
    (tmp_path / BASE / "test_batch").unlink()
    assert load_dataset(_profile(tmp_path)).key == expected
    (tmp_path / torchvision.datasets.CIFAR10.filename).unlink()
    with pytest.raises(InputError, match=r"no valid copy .*cifar-10-batches-py has no test_batch"):
        load_dataset(_profile(tmp_path))


@pytest.mark.parametrize("place", [BASE, f"cifar-10-python/{BASE}"])
def test_the_folder_may_be_data_root_itself_or_lie_in_one_called_as_the_archive(tmp_path, monkeypatch, place):
    _write_cifar(tmp_path / "there", monkeypatch)
    expected = load_dataset(_profile(tmp_path / "there")).key
    (tmp_path / "root" / place).parent.mkdir(parents=True)
    (tmp_path / "there" / BASE).rename(tmp_path / "root" / place)
    root = tmp_path / "root"
    assert load_dataset(_profile(root / BASE if place == BASE else root)).key == expected


def test_what_is_there_instead_is_named(tmp_path):
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"no valid copy .*it holds cifar-10-binary.tar.gz; correct data_root"):
        load_dataset(_profile(tmp_path))


def test_the_content_is_the_one_that_older_records_name(tmp_path, monkeypatch):
    _write_cifar(tmp_path, monkeypatch)
    for name in ("data_batch_1", "test_batch"):
        data = (np.arange(20 * 3072) % 251).astype(np.uint8).reshape(20, 3072)
        (tmp_path / BASE / name).write_bytes(pickle.dumps({"data": data, "labels": list(range(10)) * 2}))
    assert load_dataset(_profile(tmp_path)).content == "5d076270e59dd342"
