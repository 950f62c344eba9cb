"""Seconds until a command knows its images, on a synthetic tree of 100,000 files: `python tests/data/start_up.py`.

A script, not a test: it prints what this machine takes. Each line is a process of its own, as a command is; what it
imports is left out. Of the files of the tree no later command asks for size or date.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

CLASSES, OF_CLASS = 100, {"train": 990, "val": 10}
COMMAND = """
import sys, time
from pathlib import Path
from ddoq_core.config.profile import Profile
from ddoq_core.data.loaders import load_dataset
from ddoq_core.data.sets import imagefolder
from ddoq_core.store.artifacts import Store
profile = Profile.of({"dataset": "imagefolder", "data_root": sys.argv[1], "image_size": 8})
clock, spent = time.perf_counter(), time.process_time()
found = load_dataset(profile, Store(Path(sys.argv[2])))
n = sum(map(len, (found.train, found.validation, found.test)))
print(f"{n:,} files: {time.perf_counter() - clock:6.1f} s by the clock, {time.process_time() - spent:6.1f} s of work")
"""


def synthetic_tree(root: Path) -> Path:
    """A hundred classes of pictures of one pixel: what is read of a file hardly counts."""
    Image.new("RGB", (1, 1)).save(root / "one.gif")
    content = (root / "one.gif").read_bytes()
    for part, n in OF_CLASS.items():
        for c in range(CLASSES):
            folder = root / "tree" / part / f"class{c:03d}"
            folder.mkdir(parents=True)
            for i in range(n):
                (folder / f"{i:05d}.gif").write_bytes(content)
    return root / "tree"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = synthetic_tree(Path(folder))
        for name in ("first command", "later command", "later command"):
            words = [sys.executable, "-c", COMMAND, tree, Path(folder) / "artifacts"]
            done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
            print(f"{name}: {done.stdout}", end="", flush=True)


if __name__ == "__main__":
    main()
