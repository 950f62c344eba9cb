"""Data sets: one contract, a keyed split, files of every kind read rightly, and one clear line when they cannot be."""

import gzip
import os
import shutil
import time

import numpy as np
import pytest
import torch
from PIL import Image

from ddoq_core.config.profile import Profile
from ddoq_core.data import image_folder as image_folder_module
from ddoq_core.data.loaders import load_dataset
from ddoq_core.errors import InputError
from ddoq_core.randomness import numpy_rng
from ddoq_core.store.artifacts import Store

from . import start_up


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


def test_a_teacher_that_sees_more_has_its_own_size_and_the_key_of_a_run_without_is_as_it_was(digits):
    both = load_dataset(Profile(teacher_size=48))
    assert both.image_size == 48 and both.test.images([0]).shape[-1] == 48 and both.key != digits.key
    small = both.for_students(Profile(teacher_size=48))
    assert small.image_size == 32 and small.test.images([0]).shape[-1] == 32 and small.key != both.key
    assert digits.for_students(Profile()) is digits
    assert Profile().keyed("teacher_size", "teacher_normalisation", "autoencoder_path", "locality") == {}
    with pytest.raises(InputError, match="teacher_size = 16, but students see pictures of 32 pixels"):
        load_dataset(Profile(teacher_size=16))


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


def _mnist(root) -> Profile:
    return Profile(dataset="mnist", data_root=str(root))


BYTES = np.arange(10)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train-labels-idx1-ubyte", _idx(np.arange(39) % 10), r"39 labels for 40 images"),
        ("train-labels-idx1-ubyte", _idx(np.arange(41) % 10), r"41 labels for 40 images"),
        ("t10k-labels-idx1-ubyte", _idx(np.arange(40) % 10), r"t10k-labels-idx1-ubyte.*: 40 labels for 20 images"),
        ("train-labels-idx1-ubyte", _idx(np.arange(40) % 11), r"image 10 has label 10, but the classes are 0 to 9"),
        ("train-labels-idx1-ubyte", _idx(np.zeros((40, 28, 28))), r"labels-idx1-ubyte.* is damaged .*00 00 08 03"),
        ("train-images-idx3-ubyte", _idx(BYTES), r"images-idx3-ubyte.* is damaged .*00 00 08 01"),
        ("train-labels-idx1-ubyte", bytes([0, 0, 13, 1]) + _idx(BYTES)[4:], r"is damaged .*begins with 00 00 0d 01"),
        ("train-labels-idx1-ubyte", _idx(np.arange(40) % 10)[:-1], r"39 values, but its header says 40"),
        ("train-labels-idx1-ubyte", _idx(np.arange(40) % 10) * 2, r"88 values, but its header says 40"),
        ("train-labels-idx1-ubyte", b"\0\0\x08\x01\xff\xff\xff\xff", r"0 values, but its header says 4294967295"),
        ("train-labels-idx1-ubyte", b"<html>404</html>", r"labels-idx1-ubyte.* is damaged .*begins with 3c 68"),
        ("train-labels-idx1-ubyte", b"", r"labels-idx1-ubyte.* is damaged .*begins with nothing"),
        ("t10k-images-idx3-ubyte", _idx(np.zeros((20, 32, 32))), r"are 28 x 28 for training, 32 x 32 for the test"),
        ("t10k-images-idx3-ubyte", _idx(np.zeros((0, 28, 28))), r"20 labels for 0 images"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
@pytest.mark.parametrize("zipped", [False, True])
def test_images_and_labels_that_do_not_belong_together_are_refused(tmp_path, name, content, words, zipped):
    _write_idx(tmp_path / "data", zipped=zipped)
    path = tmp_path / "data" / (f"{name}.gz" if zipped else name)
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(InputError, match=words) as caught:
        load_dataset(_mnist(tmp_path / "data"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:20] + b"\xff" * 8 + b[28:], lambda b: b + b])
def test_a_packed_file_that_is_cut_off_broken_or_doubled_is_named(tmp_path, damage):
    _write_idx(tmp_path / "data", zipped=True)
    path = tmp_path / "data" / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte.gz is damaged \("):
        load_dataset(_mnist(tmp_path / "data"))


def _repack(folder, place) -> None:
    """`place(name, content)` gives the file of an IDX file, in the folder, and its bytes."""
    for path in sorted(folder.glob("*-ubyte")):
        content = path.read_bytes()
        path.unlink()
        name, content = place(path.name, content)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    "place",
    [
        lambda name, b: (name.replace("-idx", ".idx"), b),
        lambda name, b: (name.replace("-idx", ".idx") + ".gz", gzip.compress(b)),
        lambda name, b: (f"{name}/{name}", b),
        lambda name, b: (f"{name.replace('-idx', '.idx')}/{name}", b),
        lambda name, b: (f"{name}/{name.replace('-idx', '.idx')}", b),
        lambda name, b: (f"{name}.gz/{name}", b),
        lambda name, b: (f"{name}.gz", b),  # unpacked by a browser, which left the name
        lambda name, b: (f"{name}.gz", gzip.compress(gzip.compress(b))),
    ],
    ids=[
        "dot",
        "dot, packed",
        "folder",
        "dotted folder",
        "dot in a folder",
        "folder .gz",
        "not packed",
        "twice packed",
    ],
)
def test_idx_files_are_read_as_kaggle_and_browsers_leave_them(tmp_path, place):
    _write_idx(tmp_path / "data", zipped=False)
    expected = load_dataset(_mnist(tmp_path / "data"))
    _repack(tmp_path / "data", place)
    assert load_dataset(_mnist(tmp_path / "data")).key == expected.key


def test_what_is_there_instead_of_idx_files_is_named(tmp_path):
    (tmp_path / "archive.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"no train-images-idx3-ubyte .*\(it holds archive.zip\); unpack"):
        load_dataset(_mnist(tmp_path))


def test_the_content_of_digits_is_the_one_that_older_records_name(tmp_path, digits):
    assert digits.content == "c62ab5bbe1fe3cf9"
    for part, n in (("train", 40), ("t10k", 20)):
        images = (np.arange(n * 784) % 251).reshape(n, 28, 28)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(_idx(images))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(_idx(np.arange(n) % 10))
    assert load_dataset(_mnist(tmp_path)).content == "571d80160f409942"


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist", "cifar10", "cifar100", "imagefolder"])
def test_a_data_root_that_is_missing_or_not_set_is_an_error(dataset, tmp_path):
    with pytest.raises(InputError, match=rf"dataset {dataset} needs data_root"):
        load_dataset(Profile(dataset=dataset))
    with pytest.raises(InputError, match=r"no folder .*nowhere"):
        load_dataset(Profile(dataset=dataset, data_root=str(tmp_path / "nowhere")))


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


def test_only_what_students_are_scored_on_is_cropped_as_published_and_the_key_says_so(tree):
    noise = numpy_rng(0, "noise").integers(0, 256, (24, 20, 3)).astype(np.uint8)
    for part in ("train", "val"):
        Image.fromarray(noise).save(tree / part / "bee_eater" / "0.png")
    plain, cropped = (load_dataset(_profile(tree, test_crop=crop)) for crop in (0.0, 0.875))
    assert plain.content != cropped.content
    for part, differs in (("train", False), ("test", True)):
        one, two = (getattr(data, part).images([0]) for data in (plain, cropped))
        assert torch.equal(one, two) != differs
    assert cropped.test.crop == cropped.test.subset(torch.tensor([0])).crop == 0.875 and cropped.train.crop == 0


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
    from ddoq_core.data import image_folder

    check = image_folder.check_images
    monkeypatch.setattr(image_folder, "check_images", lambda files: looked.append(len(files)) or check(files))
    key = load_dataset(_profile(tree), store).key
    assert load_dataset(_profile(tree), store).key == key and looked == [21]
    os.utime(tree / "val" / "jeep" / "0.png", (1, 1))
    assert load_dataset(_profile(tree), store).key == key and looked == [21, 21]


def test_a_check_that_was_interrupted_goes_on_where_it_was(tree, tmp_path, monkeypatch):
    from ddoq_core.data import image_folder

    store, looked, check = Store(tmp_path / "store"), [], image_folder.check_images

    def check_until_interrupted(files):
        looked.append(len(files))
        if len(looked) == 3:
            raise KeyboardInterrupt
        return check(files)

    monkeypatch.setattr(image_folder, "CHUNK", 5)
    monkeypatch.setattr(image_folder, "check_images", check_until_interrupted)
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


def test_of_a_large_tree_no_file_is_asked_for_its_date_again(tree, tmp_path, monkeypatch, noting):
    """Folders are: a file that comes, goes or is replaced changes the date of its own."""
    monkeypatch.setattr(image_folder_module, "MANY", 3)
    store = Store(tmp_path / "artifacts")
    first = load_dataset(_profile(tree), store)
    monkeypatch.setattr(image_folder_module, "check_images", lambda paths: pytest.fail("decoded") if paths else [])
    with noting() as asked:
        assert load_dataset(_profile(tree), store).key == first.key
    assert asked and not [path for path in asked if path.startswith(str(tree)) and path.endswith((".png", ".jpg"))]


def test_a_file_that_was_replaced_in_a_large_tree_is_seen(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder_module, "MANY", 3)
    store = Store(tmp_path / "artifacts")
    first = load_dataset(_profile(tree), store)
    old = next(p for p in sorted((tree / "train").rglob("*")) if p.is_file())
    Image.new("RGB", (20, 20), (1, 2, 3)).save(tmp_path / old.name)
    (tmp_path / old.name).replace(old)
    assert load_dataset(_profile(tree), store).key != first.key


def test_a_file_that_could_not_be_read_is_looked_at_again_when_it_was_mended_in_its_place(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder_module, "MANY", 3)
    store = Store(tmp_path / "artifacts")
    broken = next(p for p in sorted((tree / "train").rglob("*")) if p.is_file())
    whole = broken.read_bytes()
    broken.write_bytes(b"no picture")
    with pytest.raises(InputError, match="cannot be read"):
        load_dataset(_profile(tree), store)
    broken.write_bytes(whole)
    assert load_dataset(_profile(tree), store).key == load_dataset(_profile(tree)).key


@pytest.mark.slow
def test_a_tree_of_100000_files_is_checked_once_and_found_again_soon(tmp_path):
    """Of the processor's time, since other programs take the clock's; `start_up.py` prints both."""
    tree, store, spent = start_up.synthetic_tree(tmp_path), Store(tmp_path / "artifacts"), []
    for _ in range(2):
        began = time.process_time()
        assert len(load_dataset(_profile(tree), store).test) == 1000
        spent.append(time.process_time() - began)
    assert spent[1] < spent[0] / 2, f"{spent[1]:.1f} s after {spent[0]:.1f} s"


def test_the_script_of_start_up_prints_a_line_for_each_command(monkeypatch, capsys):
    monkeypatch.setattr(start_up, "OF_CLASS", {"train": 3, "val": 1})
    start_up.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["first command", "later command", "later command"]
    assert all("400 files" in line and "s by the clock" in line for line in lines)
