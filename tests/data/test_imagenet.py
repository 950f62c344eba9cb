"""ImageNet: every wnid has a name and a prompt of its own; subsets and a flat val/ are read as users have them."""

import hashlib
import io
import re
import struct
import tomllib
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision.models import ResNet18_Weights

import ddoq_core
from ddoq_core.config.files import find_profile
from ddoq_core.config.profile import NOTEBOOKS, Profile, read_profile
from ddoq_core.data import image_folder
from ddoq_core.data.imagenet import (
    CLASSES,
    SUBSETS,
    image_key,
    imagenet_classes,
    listed_classes,
    name_and_prompt,
    read_val_mapping,
)
from ddoq_core.data.loaders import load_dataset
from ddoq_core.errors import InputError
from ddoq_core.runs.run import Run
from ddoq_core.store.artifacts import Store

BIRD, MACHINE = "n02012849", "n03126707"
TIGHTS, SWIMSUIT = "n03710637", "n03710721"
BURNING_GLASS, SHADES = "n04355933", "n04356056"
ROCKET, PROJECTILE = "n03773504", "n04008634"
TORCHVISION = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]  # names only, in the order of the wnids


# the list of classes


def test_there_are_a_thousand_wnids_in_order_each_with_a_name_and_a_prompt_of_its_own():
    classes = list(imagenet_classes().values())
    wnids = [c.wnid for c in classes]
    assert len(classes) == 1000 and wnids == sorted(set(wnids)) == list(imagenet_classes())
    assert all(re.fullmatch(r"n\d{8}", w) for w in wnids)
    assert [c.index for c in classes] == list(range(1000))
    assert len({c.name for c in classes}) == len({c.prompt for c in classes}) == 1000
    assert all(c.name == c.name.strip() and c.prompt == c.prompt.strip() for c in classes)


def test_every_class_has_the_place_that_torchvision_gives_it():
    """torchvision calls every class by one of the words of its prompt, but for three that it tells apart by hand."""
    differ = {c.wnid: name for c, name in zip(imagenet_classes().values(), TORCHVISION, strict=True)}
    for wnid, c in imagenet_classes().items():
        if differ[wnid] in c.prompt.split(", "):
            del differ[wnid]
    assert differ == {BIRD: "crane bird", SWIMSUIT: "maillot tank suit"}
    assert TORCHVISION[imagenet_classes()[MACHINE].index] == "crane"


def test_names_are_the_first_words_of_the_prompts_but_for_those_that_would_be_equal():
    other = {w: c.name for w, c in imagenet_classes().items() if c.name != c.prompt.split(", ")[0]}
    assert other == {BIRD: "crane bird", MACHINE: "crane machine", SWIMSUIT: "tank suit"}


def test_wnids_and_prompts_are_the_ones_that_timm_has():
    info = pytest.importorskip("timm.data").ImageNetInfo("imagenet-1k")
    assert info.label_names() == list(imagenet_classes())
    differ = {w for w, c in imagenet_classes().items() if info.label_name_to_description(w, detailed=False) != c.prompt}
    assert differ == {BIRD, MACHINE}


@pytest.mark.parametrize(
    ("index", "wnid", "name", "prompt"),
    [
        (134, BIRD, "crane bird", "crane, bird"),  # D4M's list has "crane,machine" here
        (517, MACHINE, "crane machine", "crane, machine"),  # and "crane, bird" here
        (638, TIGHTS, "maillot", "maillot"),
        (639, SWIMSUIT, "tank suit", "maillot, tank suit"),
        (836, BURNING_GLASS, "sunglass", "sunglass"),
        (837, SHADES, "sunglasses", "sunglasses, dark glasses, shades"),
        (657, ROCKET, "missile", "missile"),
        (744, PROJECTILE, "projectile", "projectile, missile"),
        (0, "n01440764", "tench", "tench, Tinca tinca"),
        (609, "n03594945", "jeep", "jeep, landrover"),
        (999, "n15075141", "toilet tissue", "toilet tissue, toilet paper, bathroom tissue"),
    ],
)
def test_classes_that_are_easily_confused_are_told_apart(index, wnid, name, prompt):
    found = imagenet_classes()[wnid]
    assert (found.index, found.name, found.prompt) == (index, name, prompt)


def test_a_folder_that_is_no_wnid_keeps_its_own_name():
    assert name_and_prompt("bee_eater") == ("bee eater", "bee eater")
    assert name_and_prompt("n00000000") == ("n00000000", "n00000000")
    assert name_and_prompt("n02105641") == ("Old English sheepdog", "Old English sheepdog, bobtail")


def test_the_list_is_part_of_the_package_and_carries_the_license_of_its_words():
    project = tomllib.loads((Path(ddoq_core.__file__).parents[1] / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["ddoq_core"]
    package = Path(ddoq_core.__file__).parent
    assert CLASSES in [path for pattern in patterns for path in package.glob(pattern)]
    head = " ".join(line.removeprefix("# ") for line in CLASSES.read_text().splitlines() if line.startswith("#"))
    assert "WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved." in head


# subsets


def test_imagenette_and_imagewoof_are_ten_classes_each():
    names = {s: {imagenet_classes()[w].name for w in listed_classes(s)} for s in SUBSETS}
    assert names["imagenette"] == {
        "tench", "English springer", "cassette player", "chain saw", "church", "French horn", "garbage truck",
        "gas pump", "golf ball", "parachute",
    }  # fmt: skip
    assert names["imagewoof"] == {
        "Shih-Tzu", "Rhodesian ridgeback", "beagle", "English foxhound", "Border terrier", "Australian terrier",
        "golden retriever", "Old English sheepdog", "Samoyed", "dingo",
    }  # fmt: skip


def test_a_list_is_read_from_a_file_with_comments_and_names_and_comes_out_sorted(tmp_path):
    path = tmp_path / "imagenet100.txt"
    path.write_text("# my hundred\nn02105641\n\nn01440764 tench, Tinca tinca\nn02012849\tcrane\n")
    assert listed_classes(str(path)) == ["n01440764", BIRD, "n02105641"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("n01440764\ntench\n", r"line 2 of .*list.txt \('tench'\) does not begin with a wnid such as n01440764"),
        ("n0144076\n", r"line 1 .* does not begin with a wnid"),
        ("n01440764\nn02105641\nn01440764\n", r"line 3 of .* repeats n01440764"),
        ("# nothing\n", r"list.txt names no class"),
        (b"\xff\xfe\x00", r"class_list = .*list.txt cannot be read as text"),
    ],
)
def test_a_bad_list_is_one_line_that_names_the_place_and_the_mend(tmp_path, content, words):
    path = tmp_path / "list.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=words) as caught:
        listed_classes(str(path))
    assert "\n" not in str(caught.value)


def test_a_list_that_is_neither_a_name_nor_a_file_is_an_error():
    with pytest.raises(InputError, match=r"imagenete is neither a file nor the name .*imagenette, imagewoof"):
        listed_classes("imagenete")


# the labels of a flat val/

LABELS = ["n01751748", "n09193705", "n02105855"]  # of ImageNet's first three validation images
BY_NAME = {f"ILSVRC2012_val_{i:08d}": wnid for i, wnid in enumerate(LABELS, 1)}
KAGGLE = "ImageId,PredictionString\n" + "".join(f"{k},{w} 10 20 30 40 {w} 1 2 3 4 \n" for k, w in BY_NAME.items())


def _synsets(ids: list[int], wnids: list[str]) -> np.ndarray:
    """What meta.mat holds: a struct array with these fields, and others."""
    rows = [(i, w, "words", "gloss", 0) for i, w in zip(ids, wnids, strict=True)]
    fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children"]
    return np.array(rows, dtype=[(f, object) for f in fields])


@pytest.mark.parametrize(
    "content",
    [
        KAGGLE,
        "\ufeff" + KAGGLE.replace("\n", "\r\n"),
        "".join(f"{k}.JPEG {w}\n" for k, w in BY_NAME.items()),
        "".join(f"val/{k}.JPEG\t{w} jeep, landrover\n" for k, w in BY_NAME.items()),
        "# mine\n\n" + "".join(f'"{k}.JPEG", "{w}"\n' for k, w in BY_NAME.items()),
        "\n".join(LABELS),
    ],
    ids=["kaggle", "kaggle-windows", "spaces", "tabs", "quoted", "numbered"],
)
def test_a_mapping_is_known_by_what_is_in_it(tmp_path, content):
    path = tmp_path / "mapping"
    path.write_bytes(content.encode())
    assert read_val_mapping(path) == BY_NAME


def test_the_numbers_of_the_development_kit_are_read_by_its_meta_mat(tmp_path):
    path = tmp_path / "ILSVRC2012_validation_ground_truth.txt"
    path.write_text("490\n361\n171\n")
    with pytest.raises(InputError, match=r"ground_truth.txt holds numbers, which need the meta.mat of the same"):
        read_val_mapping(path)
    savemat(tmp_path / "meta.mat", {"synsets": _synsets([171, 361, 490, 1], [*reversed(LABELS), "n01440764"])})
    assert read_val_mapping(path) == BY_NAME
    path.write_text("490\n1001\n")
    with pytest.raises(InputError, match=r"meta.mat does not fit ILSVRC2012_validation_ground_truth.txt \(KeyError"):
        read_val_mapping(path)
    (tmp_path / "meta.mat").write_text("no MATLAB file")
    with pytest.raises(InputError, match=r"meta.mat does not fit .*take both from one development kit"):
        read_val_mapping(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a.jpg n01440764\nb.jpg 65\n", r"line 2 of .* \('b.jpg 65'\) is not an image and its wnid"),
        ("n01440764 tench, Tinca tinca\nn01443537 goldfish\n", r"line 1 of .* is not an image and its wnid"),
        ("a.jpg n01440764\nval/a.JPEG n01443537\n", r"gives a two classes, n01440764 and n01443537"),
        (b"\x89PNG\xff", r"val_mapping = .* cannot be read as text"),
    ],
)
def test_a_bad_mapping_is_one_line_that_names_the_place(tmp_path, content, words):
    path = tmp_path / "mapping.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=words) as caught:
        read_val_mapping(path)
    assert "\n" not in str(caught.value)


def test_a_mapping_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no file val_mapping = .*nowhere.csv"):
        read_val_mapping(tmp_path / "nowhere.csv")


def test_an_image_is_called_by_its_name_without_folder_and_suffix():
    assert image_key("val/ILSVRC2012_val_00000001.JPEG") == image_key("ILSVRC2012_val_00000001")
    assert image_key("photo.2024") == "photo.2024"


# trees of images

CLASS_IDS = ["n01440764", BIRD, MACHINE, "n03888257"]


def _save(path: Path, colour: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 24), (colour, 90, 40)).save(path)


@pytest.fixture
def tree(tmp_path) -> Path:
    """ImageNet as it comes: four classes of three training images, a flat val/ of eight, Kaggle's labels beside."""
    root = tmp_path / "imagenet"
    for c, wnid in enumerate(CLASS_IDS):
        for i in range(3):
            _save(root / "train" / wnid / f"{wnid}_{i}.JPEG", 50 * c + i)
    lines = ["ImageId,PredictionString"]
    for i in range(1, 9):
        name, wnid = f"ILSVRC2012_val_{i:08d}", CLASS_IDS[-i % 4]
        _save(root / "val" / f"{name}.JPEG", 100 + i)
        lines.append(f"{name},{wnid} 1 2 3 4")
    (tmp_path / "LOC_val_solution.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    return root


def _profile(tree: Path, mapping: str = "LOC_val_solution.csv", **knobs) -> Profile:
    mapping = str(tree.parent / mapping) if mapping else ""
    fixed = {"dataset": "imagefolder", "data_root": str(tree), "image_size": 8, "validation_fraction": 0.0}
    return Profile(**fixed | {"val_mapping": mapping} | knobs)


def _state(folder: Path) -> list:
    found = sorted(folder.rglob("*"))
    return [
        (str(p), p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).digest() if p.is_file() else "") for p in found
    ]


def test_a_flat_val_is_read_by_its_mapping_and_nothing_of_the_users_is_touched(tree, tmp_path):
    before = _state(tree)
    found = load_dataset(_profile(tree), Store(tmp_path / "store"))
    assert _state(tree) == before
    assert found.class_ids == CLASS_IDS
    assert found.class_names == ["tench", "crane bird", "crane machine", "parachute"]
    assert found.prompts == ["tench, Tinca tinca", "crane, bird", "crane, machine", "parachute, chute"]
    assert found.test.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert found.test.ids == [f"val/ILSVRC2012_val_{i:08d}.JPEG" for i in (4, 8, 3, 7, 2, 6, 1, 5)]
    assert found.test.images([0]).shape == (1, 3, 8, 8)


def test_a_flat_val_and_class_folders_give_the_same_test_images_and_labels(tree, tmp_path):
    flat = load_dataset(_profile(tree))
    train, test = flat.train.images(range(12)), flat.test.images(range(8))
    for i in range(1, 9):
        path = tree / "val" / f"ILSVRC2012_val_{i:08d}.JPEG"
        (tree / "val" / CLASS_IDS[-i % 4]).mkdir(exist_ok=True)
        path.rename(tree / "val" / CLASS_IDS[-i % 4] / path.name)
    sorted_in = load_dataset(_profile(tree, mapping=""))
    assert torch.equal(flat.test.labels, sorted_in.test.labels)
    assert torch.equal(train, sorted_in.train.images(range(12))) and torch.equal(test, sorted_in.test.images(range(8)))
    with pytest.raises(InputError, match=r"val_mapping is for a val/ with all images in one folder"):
        load_dataset(_profile(tree))


def test_of_a_large_flat_val_no_file_is_asked_for_anything_again(tree, tmp_path, monkeypatch, noting):
    monkeypatch.setattr(image_folder, "MANY", 3)
    store = Store(tmp_path / "artifacts")
    first = load_dataset(_profile(tree), store)
    with noting() as asked:
        assert load_dataset(_profile(tree), store).key == first.key
    assert not [path for path in asked if path.endswith(".JPEG")]


def test_the_key_follows_the_labels_of_a_flat_val(tree, tmp_path):
    key = load_dataset(_profile(tree)).key
    text = (tmp_path / "LOC_val_solution.csv").read_text()
    (tmp_path / "same.txt").write_text(text.replace(" 1 2 3 4", ""))
    assert load_dataset(_profile(tree, mapping="same.txt")).key == key
    other = text.replace(f"00000001,{CLASS_IDS[-1]}", f"00000001,{CLASS_IDS[0]}")
    assert other != text
    (tmp_path / "other.txt").write_text(other)
    assert load_dataset(_profile(tree, mapping="other.txt")).key != key


def test_a_list_takes_its_classes_and_leaves_the_others_unread(tree, tmp_path):
    (tmp_path / "two.txt").write_text(f"n03888257\n{BIRD}\n")
    (tree / "train" / MACHINE / "broken.jpg").write_bytes(b"noise")
    found = load_dataset(_profile(tree, class_list=str(tmp_path / "two.txt")))
    assert found.class_ids == [BIRD, "n03888257"] and found.class_names == ["crane bird", "parachute"]
    assert found.train.labels.tolist() == [0, 0, 0, 1, 1, 1] and found.test.labels.tolist() == [0, 0, 1, 1]


def test_imagenette_is_found_among_other_classes(tmp_path):
    for part in ("train", "val"):
        for wnid in [*listed_classes("imagenette"), *listed_classes("imagewoof")]:
            _save(tmp_path / part / wnid / "0.png", 7)
    profile = Profile.load("imagenette").replace(data_root=str(tmp_path), device="cpu", precision="float32")
    found = load_dataset(profile)
    assert found.class_ids == listed_classes("imagenette") and found.image_size == 224
    assert load_dataset(profile.replace(class_list="imagewoof")).class_ids == listed_classes("imagewoof")


@pytest.mark.parametrize("name", ["imagenet", "imagenet_dit", "imagenette"])
def test_every_value_of_a_profile_says_where_it_comes_from(name):
    text = find_profile(name).read_text()
    values = re.findall(r"^(\w+): .*?  # (paper|D4M|RDED|SRe2L|MTT|TESLA|ours|yours)\b", text, flags=re.MULTILINE)
    assert [name for name, _ in values] == [n for n in read_profile(find_profile(name)) if n != NOTEBOOKS]
    listed = re.search(r"# Without effect here, and left out: ([^.]*)\.", text)[1]
    without_effect = re.split(r",[\s#]+", listed)
    shared = {name for name, knob in Profile.knobs().items() if not knob.metadata["methods"]}
    assert shared - {name for name, _ in values} == shared.intersection(without_effect)


# bad input


def test_a_flat_val_without_its_mapping_is_an_error_that_says_which_file_is_meant(tree):
    with pytest.raises(
        InputError, match=r"val holds images and no class folder; set val_mapping to .*LOC_val_solution"
    ):
        load_dataset(_profile(tree, mapping=""))


def test_an_image_that_the_mapping_leaves_out_is_named(tree):
    _save(tree / "val" / "ILSVRC2012_val_00000009.JPEG", 1)
    _save(tree / "val" / "ILSVRC2012_val_00000010.JPEG", 1)
    with pytest.raises(InputError, match=r"gives no class to .*val_00000009.JPEG \(and 1 more\)"):
        load_dataset(_profile(tree))


def test_a_class_of_val_that_train_lacks_is_an_error_unless_a_list_leaves_it_out(tree, tmp_path):
    for path in (tree / "train" / MACHINE).iterdir():
        path.unlink()
    (tree / "train" / MACHINE).rmdir()
    with pytest.raises(InputError, match=rf"class {MACHINE} is in .*val but not in .*train"):
        load_dataset(_profile(tree))
    (tmp_path / "two.txt").write_text(f"n03888257\n{BIRD}\n")
    assert len(load_dataset(_profile(tree, class_list=str(tmp_path / "two.txt"))).test) == 4


def test_a_val_without_any_image_of_the_chosen_classes_is_an_error(tree, tmp_path):
    (tmp_path / "one.txt").write_text(BIRD)
    for i in (3, 7):
        (tree / "val" / f"ILSVRC2012_val_{i:08d}.JPEG").unlink()
    with pytest.raises(InputError, match=r"val holds no readable image of these classes"):
        load_dataset(_profile(tree, class_list=str(tmp_path / "one.txt")))


def test_a_listed_class_without_a_folder_is_named(tree):
    with pytest.raises(
        InputError,
        match=r"class_list = imagenette has class n02102040 \(English springer\) \(and 7 more\), but .*train",
    ):
        load_dataset(_profile(tree, class_list="imagenette"))


def test_a_class_without_images_is_named(tree):
    for path in (tree / "train" / BIRD).iterdir():
        path.unlink()
    with pytest.raises(InputError, match=rf"class folder .*{BIRD} holds no image"):
        load_dataset(_profile(tree))


def test_a_class_with_fewer_images_than_ipc_is_named_with_its_wnid(tree, tmp_path, save_random_prior):
    save_random_prior(tmp_path / "prior", channels=3)
    run = Run(
        _profile(
            tree, image_size=16, ipc=[3, 4], targets=["soft"], prior="dit", prior_path=str(tmp_path / "prior"),
            threads=1, artifacts=str(tmp_path / "artifacts"),
        )
    )  # fmt: skip
    words = r'ipc = 4, but class 0 \("tench", n01440764\) has 3 training images; lower ipc'
    with pytest.raises(InputError, match=words):
        run.prototypes()


def _truncated_jpeg() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()[:1200]


@pytest.mark.parametrize("content", [_truncated_jpeg(), b"<html>404</html>", b""], ids=["truncated", "html", "empty"])
@pytest.mark.parametrize("place", [f"train/{BIRD}/{BIRD}_1.JPEG", "val/ILSVRC2012_val_00000002.JPEG"])
def test_a_file_that_cannot_be_read_is_named_or_left_out(tree, content, place):
    (tree / place).write_bytes(content)
    with pytest.raises(InputError, match=rf"{place} cannot be read .*skip_unreadable=true"):
        load_dataset(_profile(tree))
    found = load_dataset(_profile(tree, skip_unreadable=True))
    assert found.unreadable == [place] and place not in found.train.ids + found.test.ids
    assert len(found.train) + len(found.test) == 19


def _png16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, grey [h, w] or colour [h, w, 3], which Pillow reads but does not write."""
    h, w = values.shape[:2]
    kind = 2 if values.ndim == 3 else 0
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def part(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", w, h, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(raw)) + part(b"IEND", b"")


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)], ids=["grey", "colour"])
def test_a_png_of_sixteen_bits_is_scaled_to_eight(tree, shape):
    values = np.linspace(0, 65535, np.prod(shape)).reshape(shape).astype(np.uint16)
    (tree / "train" / CLASS_IDS[0] / "a.png").write_bytes(_png16(values))
    found = load_dataset(_profile(tree))
    row = found.train.ids.index(f"train/{CLASS_IDS[0]}/a.png")
    expected = torch.tensor(values / 65535).float().reshape(8, 8, -1).permute(2, 0, 1).expand(3, 8, 8)
    assert (found.train.images([row])[0] - expected).abs().max() <= 1 / 255
