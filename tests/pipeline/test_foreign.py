"""Distilled folders of others: which folder is which class, which image has which weight, and what is refused."""

import dataclasses
import itertools
import json
import os
import shutil

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from ddoq_core.errors import InputError
from ddoq_core.pipeline.foreign import read_foreign
from ddoq_core.pipeline.splits import Split
from ddoq_core.store import sha256_of

N, IPC, SIZE = 11, 2, 16  # classes: enough for 10 to come before 2
WNIDS = [f"n{i:08d}" for i in range(100, 100 + N)]
LAYOUTS = {  # of class c, image k
    "ours": "{c:05d}/class{c:05d}_id{k:05d}.png",
    "D4M": "{c}/{c}-image{k}0.png",
    "SRe2L": "new{c:03d}/class{c:03d}_id{k:03d}.jpg",
    "wnids": "{wnid}/{wnid}_{k}.png",
    "names": "bird_{c}/{k}.png",
}


@pytest.fixture
def birds(squares):
    """Eleven classes of grey images in memory, known by wnids."""
    return dataclasses.replace(squares, class_ids=WNIDS, class_names=[f"bird {i}" for i in range(N)], prompts=WNIDS)


@pytest.fixture
def folder(tmp_path):
    """`folder(layout)` writes IPC images of each class, each of one grey that says which it is."""

    def write(layout: str, size: tuple[int, int] = (SIZE, SIZE), ipc: int = IPC, n: int = N):
        root = tmp_path / "theirs"
        for c, k in itertools.product(range(n), range(ipc)):
            path = root / LAYOUTS[layout].format(c=c, k=k, wnid=WNIDS[c])
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size, (grey(c, k),) * 3).save(path, quality=95)
        return root

    return write


def grey(c: int, k: int) -> int:
    return 20 * c + k + 3


@pytest.fixture
def read(store, birds, tiny):
    """`read(folder)`: the folder as a set of those eleven classes."""
    return lambda root, **knobs: read_foreign(store, root, birds, tiny.but(**knobs))


def said(foreign, topic: str) -> str:
    return next(line for line in foreign.assumed if line.startswith(topic))


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
    with pytest.raises(InputError, match="n99999999 is no class"):
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


# ---- weights


def write_metadata(root, **columns) -> None:
    files = sorted(str(p.relative_to(root)) for p in root.rglob("*.png"))
    rows = [{"file_name": f} | {name: values[i] for name, values in columns.items()} for i, f in enumerate(files)]
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_without_a_word_of_weights_they_are_uniform(folder, read):
    found = read(folder("D4M"))
    assert found.weights == "uniform" and said(found, "weights: uniform; neither")
    assert found.distilled.weights(found.weights).equal(torch.ones(N * IPC))


def test_counts_are_weighed_as_the_profile_says(folder, read):
    root = folder("ours")
    write_metadata(root, count=[3, 1] * N)
    found = read(root)
    assert found.weights == "sqrt" and "counts of metadata.jsonl" in said(found, "weights")
    expected = torch.tensor([1.5, 0.5] * N).sqrt()  # eq. 33
    torch.testing.assert_close(found.distilled.weights(found.weights), expected)
    assert read(root, weights="proportional").weights == "proportional"
    assert read(root, weights="uniform").weights == "uniform"
    write_metadata(root, count=[2, 2] * N)
    assert "equal" in said(read(root), "weights")


def test_a_line_of_sample_weights_is_a_class_and_a_number_an_image_in_the_order_of_its_id(folder, read):
    root = folder("SRe2L", ipc=12)
    table = torch.arange(1.0, 1 + N * 12).reshape(N, 12)
    table = table / table.sum(1, keepdim=True)  # as WMDD writes them: a line adds up to 1
    np.savetxt(root / "sample_weights.txt", table.numpy(), fmt="%f")
    found = read(root)
    assert found.weights == "given" and "sample_weights.txt, divided by their mean" in said(found, "weights")
    torch.testing.assert_close(found.distilled.weights("given"), 12 * table.flatten(), atol=1e-4, rtol=0)


def test_weights_of_unpadded_images_follow_their_numbers(folder, read):
    root = folder("names", ipc=12)
    np.savetxt(root / "sample_weights.txt", np.tile(np.arange(1, 13), (N, 1)), fmt="%f")
    found = read(root).distilled
    pairs = zip(found.pixels()[:12, 0, 0, 0].tolist(), found.weights("given")[:12].tolist(), strict=True)
    assert [level for level, _ in sorted(pairs, key=lambda pair: pair[1])] == [grey(0, k) for k in range(12)]


def test_weights_in_the_metadata_without_counts_are_taken_and_go_before_sample_weights(folder, read):
    root = folder("ours")
    write_metadata(root, weight=[1.0, 3.0] * N)
    np.savetxt(root / "sample_weights.txt", np.full((N, IPC), 0.5))
    found = read(root)
    assert found.distilled.weights(found.weights).tolist() == [0.5, 1.5] * N
    assert "metadata.jsonl" in said(found, "weights")


def test_sample_weights_of_ours_are_read_back(folder, read, store):
    root = folder("ours")
    write_metadata(root, count=[3, 1] * N)
    again = root.with_name("again")
    shutil.copytree(read(root).distilled.artifact.path, again)
    for name in ("metadata.jsonl", "manifest.json"):
        (again / name).unlink()
    w = torch.tensor([1.5, 0.5] * N).sqrt()
    torch.testing.assert_close(read(again).distilled.weights("given"), w / w.mean(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5 0.5\n" * 10, "10 lines of 2 numbers, but there are 11 classes of 2 images"),
        ("0.5 0.5 0.5\n" * 11, "11 lines of 3 numbers"),
        ("0.5 0.5\n" * 10 + "1\n", "11 lines of 1 or 2 numbers"),
        ("0.5 half\n" * 11, "is not a line of numbers for each class"),
        ("0.5 nan\n" * 11, "a weight is a number"),
        ("0.5 -1\n" * 11, "a weight is a number"),
        ("0 0\n" * 11, "not all are 0"),
        ("", "0 lines of no numbers"),
    ],
)
def test_sample_weights_that_do_not_fit_are_one_line(folder, read, text, message):
    root = folder("ours")
    (root / "sample_weights.txt").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read(root)
    assert "sample_weights.txt" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"count": [1, -1] * N}, "whole number"),
        ({"count": [1, 0.5] * N}, "whole number"),
        ({"count": [1, 1] * 10 + [0, 0]}, "not 0 for all of a class"),
        ({"weight": [1, "much"] * N}, "a weight is a number"),
        ({"count": [1, None] * N}, "of some images only"),
        ({"label": [0, 0] * N}, "00001/class00001_id00000.png label 0, but its folder is that of class 1"),
        ({"sha256": ["0" * 64] * 2 * N}, "its checksum differs"),
    ],
)
def test_metadata_that_do_not_fit_are_one_line(folder, read, columns, message):
    root = folder("ours")
    write_metadata(root, **columns)
    with pytest.raises(InputError, match=message) as error:
        read(root)
    assert "metadata.jsonl" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("line", ['{"file_name": "../secret.png"}\n', '{"name": 1}\n', "[1, 2]\n", "no json\n"])
def test_metadata_about_other_files_are_refused(folder, read, line):
    root = folder("ours")
    write_metadata(root, count=[1, 1] * N)
    with (root / "metadata.jsonl").open("a") as file:
        file.write(line)
    with pytest.raises(InputError, match=r"metadata.jsonl"):
        read(root)


# ---- a folder that means ill


def refused(read, root, *words: str) -> None:
    """Reading the folder is an InputError of one line, not too long, with these words."""
    with pytest.raises(InputError) as error:
        read(root)
    line = str(error.value)
    assert line.isprintable() and len(line) < 600 and all(word in line for word in words), line


IMAGE = "00003/class00003_id00001.png"


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


FORGED = {  # for the file_name of one row
    "up": "../secret.png",
    "up and back": f"00003/../{IMAGE}",
    "root": "/etc/passwd",
    "twice": "00000/class00000_id00000.png",
    "number": 3,
    "list": [IMAGE],
    "object": {"file_name": IMAGE},
    "none": None,
    "null byte": "\0",
    "lines": "a\nb\x1b[2J",
    "long": "x" * 10**6,
}


@pytest.mark.parametrize("name", FORGED.values(), ids=FORGED)
def test_a_row_that_names_no_image_of_the_folder_is_refused_and_no_action(folder, read, name):
    root = folder("ours")
    write_metadata(root, count=[1, 1] * N)
    path = root / "metadata.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[7]["file_name"] = name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    refused(read, root, "metadata.jsonl is not about the images of its folder")


NO_ROWS = ["null", "[1, 2]", '"file_name"', "{", "[" * 100_000, '{"file_name": ' * 10_000, "9" * 5000, "\0", "\xff"]


@pytest.mark.parametrize("line", NO_ROWS, ids=lambda line: repr(line[:8]))
def test_a_line_that_is_no_row_is_refused(folder, read, line):
    root = folder("ours")
    (root / "metadata.jsonl").write_bytes(line.encode("latin-1") + b"\n")
    refused(read, root, "metadata.jsonl is not one JSON object with a file_name on each line")


@pytest.mark.parametrize("value", [True, "12", 2**70, 10**400, -1, 1.5, float("nan"), [], {}], ids=lambda v: str(v)[:8])
def test_a_count_that_is_no_whole_number_is_refused(folder, read, value):
    root = folder("ours")
    write_metadata(root, count=[1, value] * N)
    refused(read, root, "metadata.jsonl", "a count is a whole number")


@pytest.mark.parametrize(
    "value", [True, "1", 10**400, 1e300, -1.0, float("nan"), float("inf"), [], {}], ids=lambda v: str(v)[:8]
)
def test_a_weight_that_is_no_number_or_too_large_a_one_is_refused(folder, read, value):
    root = folder("ours")
    write_metadata(root, weight=[1.0, value] * N)
    refused(read, root, "metadata.jsonl", "a weight is a number")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "-1e-9", "1e39", "1e999", "9" * 500])
def test_a_number_of_sample_weights_that_is_none_or_too_large_is_refused(folder, read, number):
    root = folder("ours")
    (root / "sample_weights.txt").write_text(f"0.5 {number}\n" * N)
    refused(read, root, "sample_weights.txt", "a weight is a number")


def test_the_largest_and_smallest_weights_come_out_as_finite_ones_of_mean_1(folder, read):
    root = folder("ours")
    (root / "sample_weights.txt").write_text("3.4e38 1e-45\n" * N)
    torch.testing.assert_close(read(root).distilled.weights("given"), torch.tensor([2.0, 0.0] * N))


@pytest.mark.parametrize("label", [1, -1, 10**400])
def test_a_label_of_another_class_is_refused(folder, read, label):
    root = folder("ours")
    write_metadata(root, label=[0, label] + [c for c in range(1, N) for _ in range(IPC)])
    refused(read, root, "metadata.jsonl", "00000/class00000_id00001.png label", "that of class 0")


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
