"""Weights that a distilled folder of others comes with: which image has which, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch

from ddoq_core.errors import InputError

from ..theirs import IMAGE, IPC, N, grey, refused, said, write_metadata


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
        ("0.5 nan\n" * 11, "weights must be numbers"),
        ("0.5 -1\n" * 11, "weights must be numbers"),
        ("0 0\n" * 11, "not all 0"),
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
        ({"count": [1, 1] * 10 + [0, 0]}, "one above 0 in every class"),
        ({"weight": [1, "much"] * N}, "weights must be numbers"),
        ({"count": [1, None] * N}, "for only some images"),
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
    refused(read, root, "metadata.jsonl does not describe the images of its folder")


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
    refused(read, root, "metadata.jsonl", "counts must be whole numbers")


@pytest.mark.parametrize(
    "value", [True, "1", 10**400, 1e300, -1.0, float("nan"), float("inf"), [], {}], ids=lambda v: str(v)[:8]
)
def test_a_weight_that_is_no_number_or_too_large_a_one_is_refused(folder, read, value):
    root = folder("ours")
    write_metadata(root, weight=[1.0, value] * N)
    refused(read, root, "metadata.jsonl", "weights must be numbers")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "-1e-9", "1e39", "1e999", "9" * 500])
def test_a_number_of_sample_weights_that_is_none_or_too_large_is_refused(folder, read, number):
    root = folder("ours")
    (root / "sample_weights.txt").write_text(f"0.5 {number}\n" * N)
    refused(read, root, "sample_weights.txt", "weights must be numbers")


def test_the_largest_and_smallest_weights_come_out_as_finite_ones_of_mean_1(folder, read):
    root = folder("ours")
    (root / "sample_weights.txt").write_text("3.4e38 1e-45\n" * N)
    torch.testing.assert_close(read(root).distilled.weights("given"), torch.tensor([2.0, 0.0] * N))


@pytest.mark.parametrize("label", [1, -1, 10**400])
def test_a_label_of_another_class_is_refused(folder, read, label):
    root = folder("ours")
    write_metadata(root, label=[0, label] + [c for c in range(1, N) for _ in range(IPC)])
    refused(read, root, "metadata.jsonl", "00000/class00000_id00001.png label", "that of class 0")
