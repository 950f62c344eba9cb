"""Distilled folders of others: which folder is which class, what is copied, and what is refused."""

import dataclasses
import json
import os
import shutil
import unicodedata

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from ddoq_core.data.dataset import Split
from ddoq_core.errors import InputError
from ddoq_core.foreign.folder import read_foreign
from ddoq_core.store.manifest import sha256_of

from ..theirs import IMAGE, IPC, LAYOUTS, SIZE, WNIDS, N, grey, refused, said, write_metadata

# ---- which folder is which class


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_each_image_the_label_of_its_class(folder, read, layout):
    found = read(folder(layout)).distilled
    expected = torch.tensor([grey(c, k) for c in range(N) for k in range(IPC)])
    assert found.labels.tolist() == [c for c in range(N) for _ in range(IPC)] and found.ipc == IPC
    levels = found.pixels()
    assert levels.shape == (N * IPC, 1, SIZE, SIZE)
    assert (levels.int() - expected[:, None, None, None]).abs().max() <= (layout == "SRe2L")


def test_folders_without_zeros_are_sorted_as_numbers_where_imagefolder_sorts_them_as_text(folder, read):
    root = folder("D4M")
    trap = torchvision.datasets.ImageFolder(root)
    assert trap.class_to_idx["10"] == 2 and trap.class_to_idx["2"] == 3
    found = read(root)
    assert "0 to 10; sorted as text, 9 of them would get another class" in said(found, "class order")
    images = torchvision.datasets.ImageFolder(found.distilled.artifact.path)
    assert [np.asarray(picture)[0, 0, 0] for picture, _ in images] == [grey(c, k) for c in range(N) for k in range(IPC)]


def test_what_decided_the_order_is_said(folder, read):
    assert "own names" in said(read(folder("wnids")), "class order")
    shutil.rmtree(folder("wnids"))
    assert "00000 to 00010; sorted as text, their order is the same" in said(read(folder("ours")), "class order")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: shutil.rmtree(root / "00010"), "it holds 10, 00000 to 00009"),
        (lambda root: (root / "00011").mkdir(), "it holds 12, 00000 to 00011"),
        (lambda root: (root / "00003").rename(root / "logs"), "it holds 11, 00000 to logs"),
        (lambda root: (root / "00000").rename(root / "00011"), "it holds 11, 00001 to 00011"),
        (lambda root: [shutil.rmtree(p) for p in root.iterdir()], "holds no class folder"),
        (lambda root: [p.unlink() for p in (root / "00003").iterdir()], "00003 holds no image"),
        (lambda root: next((root / "00003").iterdir()).unlink(), "00003 holds 1 images, but 00000 holds 2"),
        (lambda root: (root / "00003" / "class00003_id00001.png").write_bytes(b"\x89PNG no"), "_id00001.png"),
    ],
)
def test_a_folder_that_is_no_distilled_set_of_these_classes_is_one_line_that_names_it(folder, read, change, message):
    root = folder("ours")
    change(root)
    with pytest.raises(InputError, match=message) as error:
        read(root)
    assert "\n" not in str(error.value) and "skip_unreadable" not in str(error.value)


def test_a_class_missing_or_too_many_by_name_is_named(folder, read):
    root = folder("wnids")
    (root / WNIDS[4]).rename(root / "n99999999")
    with pytest.raises(InputError, match="n99999999 is not a class"):
        read(root)
    shutil.rmtree(root / "n99999999")
    with pytest.raises(InputError, match=f"class {WNIDS[4]} has none"):
        read(root)


def test_a_set_that_was_distilled_from_other_classes_is_refused_by_its_manifest(folder, read, birds):
    root = folder("ours")
    table = birds.classes
    (root / "manifest.json").write_text(json.dumps({"parameters": {"classes": table}}))
    read(root)
    table[3] = table[3] | {"name": "cat"}
    (root / "manifest.json").write_text(json.dumps({"parameters": {"classes": table}}))
    with pytest.raises(InputError, match=rf"class 3 of .* is {WNIDS[3]} \(cat\), but {WNIDS[3]} \(bird 3\) in squares"):
        read(root)
    (root / "manifest.json").write_text('{"name": "of another tool"}')
    read(root)


# ---- sizes


@pytest.mark.parametrize(
    ("size", "line"),
    [
        ((16, 16), "2 of each of 11 classes, 16 x 16 pixels, grey"),
        ((40, 40), "40 x 40 pixels, brought to 16 x 16"),
        ((40, 20), "40 x 20 pixels, brought to 16 x 16 as the data set's own images are (resize = center-crop)"),
    ],
)
def test_images_of_another_size_are_brought_to_the_data_sets_and_it_is_said(folder, read, size, line):
    found = read(folder("ours", size))
    assert line in said(found, "images") and found.distilled.pixels().shape[-2:] == (SIZE, SIZE)


def test_digits_of_28_pixels_get_the_border_that_the_data_set_has(store, folder, birds, tiny):
    found = read_foreign(store, folder("ours", (28, 28)), dataclasses.replace(birds, image_size=32), tiny)
    pixels = found.distilled.pixels()
    assert (pixels[..., :2, :] == 0).all() and (pixels[5, 0, 2:-2, 2:-2] == grey(2, 1)).all()


def test_images_of_a_data_set_of_files_come_in_colour(store, folder, birds, tiny):
    files = Split(birds.test.labels, birds.test.ids, [], SIZE)
    found = read_foreign(store, folder("ours"), dataclasses.replace(birds, channels=3, test=files), tiny)
    assert found.distilled.pixels().shape == (N * IPC, 3, SIZE, SIZE)


# ---- a folder that means ill


@pytest.mark.parametrize("name", [IMAGE, "00003", "metadata.jsonl", "sample_weights.txt", "manifest.json"])
def test_a_link_that_leads_out_of_the_folder_is_refused_by_name(folder, read, tmp_path, name):
    root, outside = folder("ours"), tmp_path / "yours"
    write_metadata(root, count=[1, 1] * N)
    for file in ("sample_weights.txt", "manifest.json"):
        (root / file).write_text("")
    outside.mkdir()
    shutil.move(root / name, outside / "there")
    (root / name).symlink_to(outside / "there")
    refused(read, root, name, "is a link that leads out of")
    assert not list((tmp_path / "artifacts").glob("foreign/*"))


def test_links_inside_the_folder_and_a_link_to_it_are_read_as_what_they_lead_to(folder, read, tmp_path):
    root = folder("ours")
    expected = read(root).distilled.pixels()
    (root / "all").mkdir()
    shutil.move(root / IMAGE, root / "all" / "of class 3.png")
    (root / "all").rename(root / ".all")
    (root / IMAGE).symlink_to("../.all/of class 3.png")
    (tmp_path / "link").symlink_to(root)
    assert read(tmp_path / "link").distilled.pixels().equal(expected)


def test_a_folder_that_is_linked_inside_a_class_is_not_looked_into(folder, read, tmp_path):
    root, outside = folder("ours"), tmp_path / "yours"
    outside.mkdir()
    Image.new("RGB", (SIZE, SIZE)).save(outside / "1.png")
    (root / "00003" / "more").symlink_to(outside)
    assert read(root).distilled.ipc == IPC


@pytest.mark.parametrize("name", [IMAGE, "metadata.jsonl", "sample_weights.txt", "manifest.json"])
def test_a_pipe_or_a_link_to_itself_is_no_file_and_nobody_waits_for_it(folder, read, name):
    root = folder("ours")
    for put in (os.mkfifo, lambda path: path.symlink_to(path.name)):
        (root / name).unlink(missing_ok=True)
        put(root / name)
        if name == IMAGE:
            refused(read, root, "00003 holds 1 images, but 00000 holds 2")
        else:
            assert read(root).weights == "uniform"


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"\x89PNG\r\n\x1a\n" + b"\0" * 64, b"GIF89a"], ids=repr)
def test_an_image_that_is_none_is_refused_by_name(folder, read, content):
    root = folder("ours")
    (root / IMAGE).write_bytes(content)
    refused(read, root, IMAGE, "cannot be read")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_of_more_pixels_than_pillow_takes_for_safe_is_refused_by_name(folder, read, monkeypatch):
    root = folder("ours")
    Image.new("RGB", (40, 40)).save(root / IMAGE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    refused(read, root, IMAGE, "is too large", "repair or replace it")


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ([], "class 0 of .* is none"),
        ([{"directory": "a\nb\x1b[2J" + "x" * 10**6, "name": None}], "class 0 of .* is a"),
        ([{"directory": ["n1"], "name": {}}], "class 0 of .* is "),
    ],
)
def test_a_manifest_that_names_other_classes_is_refused_in_one_line(folder, read, classes, words):
    root = folder("ours")
    (root / "manifest.json").write_text(json.dumps({"parameters": {"classes": classes}}))
    with pytest.raises(InputError, match=words):
        read(root)
    refused(read, root)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "9" * 5000, "[]", '{"parameters": [1]}', '{"parameters": {"classes": 7}}'],
    ids=lambda text: repr(text[:30]),
)
def test_a_manifest_of_another_tool_or_of_no_sense_counts_for_nothing(folder, read, text):
    root = folder("ours")
    expected = read(root).distilled.artifact.key
    (root / "manifest.json").write_text(text)
    assert read(root).distilled.artifact.key == expected


def test_digits_of_other_scripts_in_the_names_of_images_are_letters(folder, read):
    root = folder("ours")
    for name, new in (("id00000", "1٣2"), ("id00001", "1a2")):
        (root / f"00003/class00003_{name}.png").rename(root / f"00003/{new}.png")
    assert len(read(root).distilled) == N * IPC


# ---- the copy


def test_the_copy_is_keyed_by_the_content_and_nothing_in_the_folder_is_written(folder, read):
    root = folder("D4M")
    before = {p: (p.stat().st_mtime_ns, sha256_of(p)) for p in root.rglob("*.png")}
    first = read(root).distilled.artifact
    assert read(root.rename(root.with_name("moved"))).distilled.artifact.key == first.key
    moved = {p.relative_to(root.with_name("moved")) for p in root.with_name("moved").rglob("*") if p.is_file()}
    assert moved == {p.relative_to(root) for p in before}
    Image.new("RGB", (SIZE, SIZE)).save(root.with_name("moved") / "3" / "3-image00.png")
    assert read(root.with_name("moved")).distilled.artifact.key != first.key


def test_a_row_of_the_copy_names_the_file_that_it_was(folder, read):
    rows = read(folder("D4M")).distilled.metadata
    assert rows[-1]["source"] == "10/10-image10.png" and rows[-1]["file_name"] == "00010/class00010_id00001.png"


# ---- what other systems make of a folder


def test_what_systems_leave_behind_is_no_class_and_no_image(folder, read):
    expected = read(folder("ours")).distilled.artifact.key
    root = folder("ours")
    for name in ("00003/._a.png", "00003/.cache/a.png", "__MACOSX/00003/._a.png", "00003/Thumbs.db", ".git/a.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"\0")
    (root / "loop").symlink_to(root)
    (root / "00003" / "a.heic").write_bytes(b"\0")
    found = read(root)
    assert found.distilled.artifact.key == expected
    line = said(found, "left out")
    assert "1 of the suffix '.heic', which is of no image" in line and "1 linked to a folder that holds it" in line


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_match_in_whatever_unicode_form_they_are_written(store, folder, birds, tiny, forms):
    theirs, ours = (unicodedata.normalize(form, "\N{LATIN SMALL LETTER E WITH ACUTE}cureuil") for form in forms)
    root = folder("wnids")
    (root / WNIDS[3]).rename(root / theirs)
    ids = [*WNIDS[:3], ours, *WNIDS[4:]]
    dataset = dataclasses.replace(birds, class_ids=ids)
    classes = [row | {"directory": theirs} if row["directory"] == ours else row for row in dataset.classes]
    (root / "manifest.json").write_text(json.dumps({"parameters": {"classes": classes}}))
    write_metadata(root, count=[1] * (N * IPC))
    text = (root / "metadata.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    changed = [row | {"file_name": unicodedata.normalize(forms[1], row["file_name"])} for row in rows]
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    found = read_foreign(store, root, dataset, tiny)
    assert found.distilled.labels.tolist() == [c for c in range(N) for _ in range(IPC)]
    assert found.distilled.pixels()[3 * IPC, 0, 0, 0] == grey(3, 0)


def test_a_picture_that_two_classes_have_is_said(folder, read):
    root = folder("ours")
    shutil.copy(root / "00000" / "class00000_id00000.png", root / "00003" / "class00003_id00001.png")
    assert "1 in more than one class (such as 00000/class00000_id00000.png = 00003/" in said(read(root), "pictures")
