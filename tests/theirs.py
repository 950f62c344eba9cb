"""Distilled folders as others leave them, for the tests that read them."""

import json

import pytest

from ddoq_core.errors import InputError

N, IPC, SIZE = 11, 2, 16  # classes: enough for 10 to come before 2
WNIDS = [f"n{i:08d}" for i in range(100, 100 + N)]
LAYOUTS = {  # of class c, image k
    "ours": "{c:05d}/class{c:05d}_id{k:05d}.png",
    "D4M": "{c}/{c}-image{k}0.png",
    "SRe2L": "new{c:03d}/class{c:03d}_id{k:03d}.jpg",
    "wnids": "{wnid}/{wnid}_{k}.png",
    "names": "bird_{c}/{k}.png",
}
IMAGE = "00003/class00003_id00001.png"


def grey(c: int, k: int) -> int:
    return 20 * c + k + 3


def said(foreign, topic: str) -> str:
    return next(line for line in foreign.assumed if line.startswith(topic))


def write_metadata(root, **columns) -> None:
    files = sorted(str(p.relative_to(root)) for p in root.rglob("*.png"))
    rows = [{"file_name": f} | {name: values[i] for name, values in columns.items()} for i, f in enumerate(files)]
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def refused(read, root, *words: str) -> None:
    """Reading the folder is an InputError of one line, not too long, with these words."""
    with pytest.raises(InputError) as error:
        read(root)
    line = str(error.value)
    assert line.isprintable() and len(line) < 600 and all(word in line for word in words), line
