"""Trees of images as they come from other systems: what counts, what is left out, and what is said of it."""

import errno
import os
import unicodedata

import pytest
from PIL import Image

from ddoq_core.config.profile import Profile
from ddoq_core.cost.sizes import Images
from ddoq_core.data.folders import SUFFIXES, LeftOut, images_in
from ddoq_core.data.image_files import check_image
from ddoq_core.data.loaders import load_dataset
from ddoq_core.errors import InputError

STUBS = {".bufr", ".grib", ".h5", ".hdf", ".mpeg", ".mpg", ".emf", ".wmf", ".iim"}  # Pillow knows them, and reads none
PROGRAMS = {".eps", ".ps"}  # Pillow starts Ghostscript for them
ACCENT = "\N{LATIN SMALL LETTER E WITH ACUTE}cureuil"


def picture(path, shade: int, size: int = 20, **how) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (shade, 90, 40)).save(path, **how)


@pytest.fixture
def tree(tmp_path):
    """Two classes, ant and bee, of four training images and two test images, all different."""
    root = tmp_path / "tree"
    for c, name in enumerate(("ant", "bee")):
        for part, n in (("train", 4), ("val", 2)):
            for i in range(n):
                picture(root / part / name / f"{i}.png", 100 * c + 10 * i + 5 * (part == "val"))
    return root


def profile(tree, **knobs) -> Profile:
    fixed = {"dataset": "imagefolder", "data_root": str(tree), "image_size": 8, "validation_fraction": 0.0}
    return Profile(**fixed | knobs)


def test_a_plain_tree_is_read_without_a_word(tree, capsys):
    found = load_dataset(profile(tree))
    assert found.train.ids == [f"train/{c}/{i}.png" for c in ("ant", "bee") for i in range(4)]
    assert capsys.readouterr().err == ""


def test_the_content_of_a_plain_tree_is_the_one_that_older_records_name(tmp_path):
    for part, c, i in [("train", c, i) for c in (0, 1) for i in range(3)] + [("val", 0, 0), ("val", 1, 0)]:
        picture(tmp_path / part / ("ant", "bee")[c] / f"{i}.ppm", 100 * c + 10 * i + 5 * (part == "val"), size=4)
    assert load_dataset(profile(tmp_path)).content == "d457fce4094b8483"


# what systems and editors leave behind

SHADOWS = [
    "{part}/ant/._0.png",
    "{part}/ant/.0.png.swp",
    "{part}/ant/Thumbs.db",
    "{part}/ant/desktop.ini",
    "{part}/ant/.ipynb_checkpoints/0-checkpoint.png",
    "{part}/ant/more/.cache/0.png",
    "{part}/ant/@eaDir/0.png",
    "{part}/ant/~$0.png",
    "{part}/__MACOSX/ant/._0.png",
    "{part}/.Trashes/0.png",
    "{part}/$RECYCLE.BIN/0.png",
    "{part}/.DS_Store",
    "__MACOSX/{part}/ant/._0.png",
]


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("name", SHADOWS)
def test_hidden_and_system_files_are_neither_images_nor_classes(tree, part, name):
    expected = load_dataset(profile(tree))
    path = tree / name.format(part=part)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0\5\x16\7 of a system")
    found = load_dataset(profile(tree))
    assert (found.key, found.class_ids, found.train.ids) == (expected.key, ["ant", "bee"], expected.train.ids)
    assert found.test.ids == expected.test.ids
    assert Images.of(profile(tree)).n == 8


def test_a_flat_val_stays_flat_beside_folders_of_a_system(tree, tmp_path):
    lines = []
    for c, wnid in (("ant", "n01440764"), ("bee", "n02012849")):
        (tree / "train" / c).rename(tree / "train" / wnid)
        for i in range(2):
            (tree / "val" / c / f"{i}.png").rename(tree / "val" / f"{c}{i}.png")
            lines.append(f"{c}{i}.png {wnid}\n")
        (tree / "val" / c).rmdir()
    (tmp_path / "labels.txt").write_text("".join(lines))
    (tree / "val" / "__MACOSX").mkdir()
    (tree / "val" / "._ant0.png").write_bytes(b"\0")
    found = load_dataset(profile(tree, val_mapping=str(tmp_path / "labels.txt")))
    assert found.test.ids == ["val/ant0.png", "val/ant1.png", "val/bee0.png", "val/bee1.png"]
    assert found.test.labels.tolist() == [0, 0, 1, 1]


def test_images_of_a_mapping_that_val_lacks_are_counted(tree, tmp_path, capsys):
    for c, wnid in (("ant", "n01440764"), ("bee", "n02012849")):
        (tree / "train" / c).rename(tree / "train" / wnid)
        (tree / "val" / c / "0.png").rename(tree / "val" / f"{c}.png")
        (tree / "val" / c / "1.png").unlink()
        (tree / "val" / c).rmdir()
    (tmp_path / "labels.txt").write_text("ant.png n01440764\nbee.png n02012849\ncat.png n02012849\n")
    assert len(load_dataset(profile(tree, val_mapping=str(tmp_path / "labels.txt"))).test) == 2
    assert "1 of the 3 images that" in capsys.readouterr().err


def test_an_empty_file_is_named_as_empty_or_left_out(tree, capsys):
    (tree / "train" / "bee" / "2.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"train/bee/2.png cannot be read \(the file is empty\); .*skip_unreadable"):
        load_dataset(profile(tree))
    assert load_dataset(profile(tree, skip_unreadable=True)).unreadable == ["train/bee/2.png"]
    assert "1 of 12 images cannot be read and are left out: train/bee/2.png" in capsys.readouterr().err


def test_links_in_circles_make_no_class_and_no_image_twice(tree, capsys):
    expected = load_dataset(profile(tree))
    (tree / "train" / "loop").symlink_to(tree / "train")
    (tree / "train" / "up").symlink_to("..")
    (tree / "train" / "itself").symlink_to("itself")
    (tree / "train" / "ant" / "loop").symlink_to("..")
    (tree / "train" / "bee" / "there.png").symlink_to("back.png")
    (tree / "train" / "bee" / "back.png").symlink_to("there.png")
    found = load_dataset(profile(tree))
    assert found.key == expected.key and found.class_ids == ["ant", "bee"]
    said = capsys.readouterr().err
    for line in (
        "2 linked to a folder that holds it",
        "1 linked below a class folder",
        "2 no file, or a link that leads nowhere",
    ):
        assert line in said
    assert said.count("\n") == 1


def test_a_folder_that_may_not_be_read_is_named(tree, monkeypatch):
    (tree / "train" / "ant" / "shut").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("shut"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read every folder
    with pytest.raises(InputError, match=r"folder .*shut cannot be read \(Permission denied\)"):
        load_dataset(profile(tree))


# suffixes


def test_what_pillow_opens_is_read_but_for_films_stubs_and_what_takes_a_program():
    Image.init()
    opens = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    assert opens - SUFFIXES == (STUBS | PROGRAMS) & opens
    assert not SUFFIXES & (STUBS | PROGRAMS)


@pytest.mark.parametrize("suffix", [".jfif", ".JPE", ".Jp2", ".tga", ".avif", ".mpo", ".pbm", ".ico"])
def test_a_photograph_is_read_under_any_suffix_that_pillow_opens(tree, suffix):
    picture(tree / "train" / "ant" / f"photo{suffix}", 77, **({"format": "JPEG"} if suffix in (".JPE", ".mpo") else {}))
    found = load_dataset(profile(tree))
    row = found.train.ids.index(f"train/ant/photo{suffix}")
    assert len(found.train) == 9 and found.train.labels[row] == 0
    if suffix not in (".pbm", ".ico"):  # of black and white; of several sizes
        assert (found.train.images([row])[0].mean((1, 2)) * 255 - 77)[0].abs() < 4


def test_what_is_left_out_is_counted_and_said_in_one_line(tree, capsys):
    for name in ("a.heic", "b.heic", "notes.txt", "README"):
        (tree / "train" / "ant" / name).write_text("x")
    (tree / "train" / "labels.csv").write_text("x")
    (tree / "val" / "bee" / "._0.png").write_text("x")
    assert len(load_dataset(profile(tree)).train) == 8
    said = capsys.readouterr().err
    assert f"ddoq: left out of {tree}: " in said and said.count("\n") == 1
    assert f"1 outside any class folder (such as {tree}/train/labels.csv)" in said
    for count, suffix in ((2, ".heic"), (1, ".txt"), (1, "")):
        assert f"{count} of the suffix {suffix!r}, which is of no image (such as {tree}/train/ant/" in said
    assert f"1 hidden or of the system (such as {tree}/val/bee/._0.png)" in said


def test_a_class_without_an_image_says_what_it_holds_instead(tree):
    for i in range(4):
        (tree / "train" / "bee" / f"{i}.png").rename(tree / "train" / "bee" / f"{i}.heic")
    with pytest.raises(InputError, match=r"bee holds no image \(it holds 0.heic, 1.heic, 2.heic, 3.heic\)"):
        load_dataset(profile(tree))


def test_an_image_may_lie_at_any_depth_and_the_order_is_that_of_the_paths(tree):
    picture(tree / "train" / "ant" / "b" / "c" / "0.png", 1)
    picture(tree / "train" / "ant" / "b.png", 2)
    found = [str(p.relative_to(tree / "train" / "ant")) for p in images_in(tree / "train" / "ant", LeftOut())]
    assert found == ["0.png", "1.png", "2.png", "3.png", "b/c/0.png", "b.png"]


# names


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_class_is_found_in_val_in_whatever_unicode_form_it_is_written(tree, forms):
    names = [unicodedata.normalize(form, ACCENT) for form in forms]
    (tree / "train" / "bee").rename(tree / "train" / names[0])
    (tree / "val" / "bee").rename(tree / "val" / names[1])
    found = load_dataset(profile(tree))
    label = found.class_ids.index(names[0])
    assert found.test.labels.tolist().count(label) == 2 and len(found.test) == 4


def test_two_folders_of_one_name_in_two_unicode_forms_are_refused(tree):
    picture(tree / "train" / unicodedata.normalize("NFC", ACCENT) / "0.png", 1)
    picture(tree / "train" / unicodedata.normalize("NFD", ACCENT) / "0.png", 2)
    with pytest.raises(InputError, match=r"look alike, .*e\\u0301cureuil.*\\xe9cureuil"):
        load_dataset(profile(tree))


@pytest.mark.parametrize("twin", ["Bee", "bee ", "b\N{ZERO WIDTH SPACE}ee", "\N{FULLWIDTH LATIN SMALL LETTER B}ee"])
def test_names_that_look_alike_and_are_not_one_are_told_apart_in_the_error(tree, twin):
    (tree / "val" / "bee").rename(tree / "val" / twin)
    with pytest.raises(InputError) as caught:
        load_dataset(profile(tree))
    line = str(caught.value)
    assert "but not in" in line and f"which has 'bee' instead of {twin!a}: they look alike" in line


def test_the_names_in_a_mapping_are_found_in_whatever_unicode_form(tree, tmp_path):
    for c, wnid in (("ant", "n01440764"), ("bee", "n02012849")):
        (tree / "train" / c).rename(tree / "train" / wnid)
        (tree / "val" / c / "0.png").rename(tree / "val" / unicodedata.normalize("NFD", f"{c}{ACCENT}.png"))
        (tree / "val" / c / "1.png").unlink()
        (tree / "val" / c).rmdir()
    text = unicodedata.normalize("NFC", f"ant{ACCENT}.png n01440764\nbee{ACCENT}.png n02012849\n")
    (tmp_path / "labels.txt").write_text(text, "utf-8")
    assert load_dataset(profile(tree, val_mapping=str(tmp_path / "labels.txt"))).test.labels.tolist() == [0, 1]


# copies


def test_a_picture_that_is_there_twice_is_counted_by_where(tree, capsys):
    copy = (tree / "train" / "ant" / "0.png").read_bytes()
    (tree / "train" / "bee" / "copy.png").write_bytes(copy)
    (tree / "val" / "bee" / "leak.png").write_bytes((tree / "train" / "bee" / "1.png").read_bytes())
    for name in ("again.png", "and again.png"):
        (tree / "train" / "ant" / name).write_bytes((tree / "train" / "ant" / "2.png").read_bytes())
    load_dataset(profile(tree))
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "pictures that are there more than once" in said
    assert "1 in more than one class (such as train/ant/0.png = train/bee/copy.png)" in said
    assert "1 in train and in val (such as train/bee/1.png = val/bee/leak.png)" in said
    assert "1 twice in a class (such as train/ant/2.png = train/ant/again.png = train/ant/and again.png)" in said


def test_files_that_cannot_be_read_are_no_copies_of_each_other(tree, capsys):
    for c in ("ant", "bee"):
        (tree / "train" / c / "3.png").write_bytes(b"noise")
    load_dataset(profile(tree, skip_unreadable=True))
    assert "more than once" not in capsys.readouterr().err


def test_no_file_is_read_a_second_time_to_find_copies(tree, monkeypatch):
    from ddoq_core.data import image_files

    looked = []
    monkeypatch.setattr(image_files, "check_image", lambda path: looked.append(path) or check_image(path))
    load_dataset(profile(tree))
    assert len(looked) == len(set(looked)) == 12
