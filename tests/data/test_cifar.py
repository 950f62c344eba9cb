"""CIFAR: read in torchvision's layout, checked before it is read, and never run."""

import pickle

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


def test_cifar_is_read_in_torchvisions_layout(tmp_path, monkeypatch):
    _write_cifar(tmp_path, monkeypatch)
    found = load_dataset(Profile(dataset="cifar10", data_root=str(tmp_path)))
    assert found.train.images([0]).shape == (1, 3, 32, 32)
    assert (len(found.train), len(found.test), found.channels) == (20, 20, 3)
    assert found.prompts[3] == "a photo of a thing 3"


def test_cifar_files_with_a_wrong_checksum_are_never_opened(tmp_path):
    folder = tmp_path / torchvision.datasets.CIFAR10.base_folder
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps("anything"))
    with pytest.raises(InputError, match=r"no sound copy of cifar-10-batches-py"):
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


def test_a_batch_that_python_2_pickled_is_read(tmp_path):
    """The bytes of an array are a Python 2 string there, and the module of arrays is numpy.core."""
    values = bytes(range(200, 206))
    dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x02K\x03t"
    array += dtype + b"\x89U\x06" + values + b"tb"
    path = tmp_path / "batch"
    path.write_bytes(b"\x80\x02}(U\x04data" + array + b"U\x06labels](K\x01K\x02eu.")
    found = cifar._read(path)
    assert found["data"].tolist() == [[200, 201, 202], [203, 204, 205]] and found["labels"] == [1, 2]
