"""Data sets: one contract, a keyed split, files of every kind read rightly, and one clear line when they cannot be."""

import gzip
import os
import pickle
import shutil

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from ddoq_core.errors import InputError
from ddoq_core.pipeline import cifar
from ddoq_core.pipeline.datasets import load_dataset
from ddoq_core.pipeline.images import check_images, read_image
from ddoq_core.profile import Profile
from ddoq_core.store import Store


@pytest.fixture(scope="module")
def digits():
    return load_dataset(Profile())


def test_mnist5k_is_cut_in_3500_500_and_1000_with_equal_classes(digits):
    for split, per_class in ((digits.train, 350), (digits.validation, 50), (digits.test, 100)):
        assert split.labels.bincount().tolist() == [per_class] * 10


def test_the_parts_share_no_image_and_leave_none_out(digits):
    ids = digits.train.ids + digits.validation.ids + digits.test.ids
    assert len(ids) == len(set(ids)) == 5000


def test_digits_are_framed_by_two_black_pixels_and_lie_in_0_1(digits):
    images = digits.train.images(range(50))
    assert images.shape == (50, 1, 32, 32)
    assert images.min() == 0 and images.max() == 1
    assert images[..., :2, :].sum() == images[..., -2:].sum() == 0


def test_normalised_training_images_have_mean_zero_and_unit_deviation(digits):
    images = digits.normalise(digits.train.images(range(len(digits.train))))
    assert abs(images.mean()) < 1e-3 and abs(images.std() - 1) < 1e-3


def test_the_split_follows_the_seed_and_so_does_the_key(digits):
    same, other = load_dataset(Profile()), load_dataset(Profile(seed=1))
    assert same.test.ids == digits.test.ids and same.key == digits.key
    assert other.test.ids != digits.test.ids and other.key != digits.key


def test_another_image_size_is_resampled():
    assert load_dataset(Profile(image_size=16)).test.images([0]).shape == (1, 1, 16, 16)


def _idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    return header + values.astype(np.uint8).tobytes()


def _write_idx(folder, *, zipped: bool) -> np.ndarray:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for part, n in (("train", 40), ("t10k", 20)):
        images, labels = rng.integers(0, 256, (n, 28, 28)), np.arange(n) % 10
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            path = folder / f"{part}-{kind}-ubyte"
            if zipped:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(_idx(values)))
            else:
                path.write_bytes(_idx(values))
    return images


@pytest.mark.parametrize(("folder", "zipped"), [("", True), ("FashionMNIST/raw", False), ("raw", True)])
def test_idx_files_are_read_plain_and_zipped_beside_or_in_torchvisions_folders(tmp_path, folder, zipped):
    last = _write_idx(tmp_path / "data" / folder, zipped=zipped)
    found = load_dataset(Profile(dataset="fashion_mnist", data_root=str(tmp_path / "data")))
    assert (len(found.train), len(found.validation), len(found.test)) == (40, 0, 20)  # 12.5 % of 4 rounds to none
    assert torch.equal((found.test.images([7])[0, 0, 2:-2, 2:-2] * 255).round().byte(), torch.tensor(last[7]).byte())
    assert found.class_names[9] == "ankle boot"


def test_a_missing_or_damaged_idx_file_is_named(tmp_path):
    _write_idx(tmp_path / "data", zipped=False)
    profile = Profile(dataset="mnist", data_root=str(tmp_path / "data"))
    (tmp_path / "data" / "t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0")
    with pytest.raises(InputError, match=r"t10k-labels-idx1-ubyte is damaged"):
        load_dataset(profile)
    (tmp_path / "data" / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match=r"no train-labels-idx1-ubyte or train-labels-idx1-ubyte.gz"):
        load_dataset(profile)


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


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist", "cifar10", "cifar100", "imagefolder"])
def test_a_data_root_that_is_missing_or_not_set_is_an_error(dataset, tmp_path):
    with pytest.raises(InputError, match=rf"dataset {dataset} needs data_root"):
        load_dataset(Profile(dataset=dataset))
    with pytest.raises(InputError, match=r"no folder .*nowhere"):
        load_dataset(Profile(dataset=dataset, data_root=str(tmp_path / "nowhere")))


# image files


def _saved(tmp_path, image: Image.Image, name: str, **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


RED = (200, 40, 30)


@pytest.mark.parametrize(
    ("mode", "name", "expected"),
    [
        ("L", "grey.png", (77, 77, 77)),
        ("RGB", "colour.png", RED),
        ("P", "palette.png", RED),
        ("CMYK", "print.jpg", RED),
        ("1", "bits.png", (255, 255, 255)),
    ],
)
def test_a_flat_image_of_any_mode_is_read_as_its_colour(tmp_path, mode, name, expected):
    flat = {"L": 77, "RGB": RED, "1": 1}
    image = Image.new(mode, (20, 30), flat[mode]) if mode in flat else Image.new("RGB", (20, 30), RED).convert(mode)
    found = read_image(_saved(tmp_path, image, name, **({"quality": 95} if name.endswith("jpg") else {})), 8)
    assert (found.float().mean((1, 2)) - torch.tensor(expected)).abs().max() < 4


def test_sixteen_bit_grey_is_scaled_not_cut_off(tmp_path):
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    for name in ("deep.png", "deep.tif"):
        found = read_image(_saved(tmp_path, Image.fromarray(ramp), name), 64)
        assert (found[0].float() - torch.tensor(ramp / 257.0)).abs().max() <= 0.51


def test_transparency_shows_white(tmp_path):
    image = Image.new("RGBA", (10, 10), (*RED, 0))
    image.paste((*RED, 255), (0, 0, 5, 10))
    found = read_image(_saved(tmp_path, image, "glass.png"), 10)
    assert found[:, 5, 2].tolist() == list(RED) and found[:, 5, 7].tolist() == [255, 255, 255]


def test_a_photograph_is_turned_as_its_exif_says(tmp_path):
    image = Image.new("RGB", (40, 20))
    image.paste((255, 255, 255), (0, 0, 20, 20))  # bright at the left as stored, at the top when turned
    exif = Image.Exif()
    exif[0x0112] = 6
    found = read_image(_saved(tmp_path, image, "turned.jpg", exif=exif, quality=95), 20)
    assert found[:, 2].float().mean() > 250 and found[:, -3].float().mean() < 5


def test_the_shorter_side_is_resized_and_the_centre_cut_out(tmp_path):
    image = Image.new("RGB", (90, 30))
    image.paste((255, 0, 0), (30, 0, 60, 30))
    found = read_image(_saved(tmp_path, image, "wide.png"), 16)
    assert found[0, :, 1:-1].min() > 240 and found[1].max() == 0


def test_a_decompression_bomb_is_an_input_error(tmp_path, monkeypatch):
    path = _saved(tmp_path, Image.new("L", (64, 64)), "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with pytest.raises(InputError, match=r"bomb.png is too large"):
        read_image(path, 8)


def test_every_bomb_among_images_read_side_by_side_is_found(tmp_path, monkeypatch):
    paths = [_saved(tmp_path, Image.new("L", (8, 8 if i % 2 else 64)), f"{i:03d}.png") for i in range(80)]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # 512 are between the limit and twice the limit
    problems = [found.problem for found in check_images(paths)]
    assert [("too large" in problem) for problem in problems] == [i % 2 == 0 for i in range(80)]


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken.png cannot be read"):
        read_image(path, 8)


def test_a_cut_off_file_is_unreadable(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = _saved(tmp_path, Image.fromarray(noise), "half.jpg")
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match=r"half.jpg cannot be read"):
        read_image(path, 8)


# folders of images


@pytest.fixture
def tree(tmp_path):
    """train/ with 8 and 9 images, val/ with 2 of each."""
    for part, sizes in (("train", (8, 9)), ("val", (2, 2))):
        for name, n in zip(("jeep", "bee_eater"), sizes, strict=True):
            folder = tmp_path / "tree" / part / name
            folder.mkdir(parents=True)
            for i in range(n):
                Image.new("RGB", (20, 20 + i), (20 * i, 0, 0)).save(folder / f"{i}.png")
    return tmp_path / "tree"


def _profile(tree, **knobs) -> Profile:
    return Profile(dataset="imagefolder", data_root=str(tree), image_size=8, **knobs)


def test_classes_are_in_the_order_of_their_folders_and_val_is_the_test(tree):
    found = load_dataset(_profile(tree))
    assert found.class_ids == ["bee_eater", "jeep"] and found.class_names == ["bee eater", "jeep"]
    assert (len(found.train), len(found.validation), len(found.test)) == (15, 2, 4)
    assert found.test.ids[0] == "val/bee_eater/0.png" and found.test.labels.tolist() == [0, 0, 1, 1]
    assert found.train.images(torch.tensor([0, 3])).shape == (2, 3, 8, 8)


def test_your_own_data_may_be_links_to_pictures_and_class_folders_elsewhere(tree, tmp_path):
    expected, elsewhere = load_dataset(_profile(tree)), tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("train/jeep", "train/bee_eater/3.png"):
        target = (tree / name).rename(elsewhere / name.replace("/", "-"))
        (tree / name).symlink_to(target)
    found = load_dataset(_profile(tree))
    assert found.key == expected.key and found.train.ids == expected.train.ids


def test_the_key_names_the_content_not_the_place(tree, tmp_path):
    key = load_dataset(_profile(tree)).key
    shutil.copytree(tree, tmp_path / "elsewhere")
    assert load_dataset(_profile(tmp_path / "elsewhere")).key == key
    Image.new("RGB", (20, 20), "blue").save(tree / "train" / "jeep" / "0.png")
    assert load_dataset(_profile(tree)).key != key


def test_an_unreadable_image_is_named_or_left_out_and_listed(tree, capsys):
    (tree / "train" / "jeep" / "3.png").write_bytes(b"noise")
    with pytest.raises(InputError, match=r"train/jeep/3.png cannot be read .*skip_unreadable"):
        load_dataset(_profile(tree))
    found = load_dataset(_profile(tree, skip_unreadable=True))
    assert found.unreadable == ["train/jeep/3.png"]
    assert "1 of 21 images cannot be read and are left out: train/jeep/3.png" in capsys.readouterr().err
    assert "train/jeep/3.png" not in found.train.ids and len(found.train) + len(found.validation) == 16


def test_a_class_of_which_no_image_can_be_read_is_an_error(tree):
    for path in (tree / "train" / "jeep").iterdir():
        path.write_bytes(b"noise")
    with pytest.raises(InputError, match=r"class 1 \(jeep\) has no readable image"):
        load_dataset(_profile(tree, skip_unreadable=True))


def test_files_are_decoded_once_for_a_store_and_again_when_one_changes(tree, tmp_path, monkeypatch):
    store, looked = Store(tmp_path / "store"), []
    from ddoq_core.pipeline import imagefolder

    check = imagefolder.check_images
    monkeypatch.setattr(imagefolder, "check_images", lambda files: looked.append(len(files)) or check(files))
    key = load_dataset(_profile(tree), store).key
    assert load_dataset(_profile(tree), store).key == key and looked == [21]
    os.utime(tree / "val" / "jeep" / "0.png", (1, 1))
    assert load_dataset(_profile(tree), store).key == key and looked == [21, 21]


def test_a_check_that_was_interrupted_goes_on_where_it_was(tree, tmp_path, monkeypatch):
    from ddoq_core.pipeline import imagefolder

    store, looked, check = Store(tmp_path / "store"), [], imagefolder.check_images

    def check_until_interrupted(files):
        looked.append(len(files))
        if len(looked) == 3:
            raise KeyboardInterrupt
        return check(files)

    monkeypatch.setattr(imagefolder, "CHUNK", 5)
    monkeypatch.setattr(imagefolder, "check_images", check_until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_dataset(_profile(tree), store)
    assert load_dataset(_profile(tree), store).key == load_dataset(_profile(tree)).key
    assert looked == [5, 5, 5, 5, 5, 1, 21]  # the third is looked at again; the last load has no store to remember it


def test_missing_folders_and_classes_are_errors(tree):
    (tree / "val" / "jepe").mkdir()
    with pytest.raises(InputError, match=r"class jepe is in .*val but not in .*train"):
        load_dataset(_profile(tree))
    (tree / "val" / "jepe").rmdir()
    (tree / "train" / "zebra").mkdir()
    with pytest.raises(InputError, match=r"class folder .*zebra holds no image"):
        load_dataset(_profile(tree))
    shutil.rmtree(tree / "train")
    with pytest.raises(InputError, match=r"no folder .*train; an imagefolder holds"):
        load_dataset(_profile(tree))
