"""A folder of images as a data set: train/CLASS/*.jpg for training and validation, val/CLASS/*.jpg for the test.

Every file is decoded once before anything is made from it, so that a broken one is known by name from the start;
the data set's key is the content of its files, wherever they lie.
"""

import hashlib
import json
import multiprocessing
from pathlib import Path

import torch

from ..errors import InputError
from ..profile import Profile
from ..store import Store, Workspace, report_line
from .images import SUFFIXES, check_images
from .splits import Dataset, Split, cut, data_root, split_key

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def image_folder(profile: Profile, store: Store | None) -> Dataset:
    """A tree train/CLASS/*.jpg, val/CLASS/*.jpg; the test images are those of val/."""
    root = data_root(profile, "train/ and val/")
    class_ids = _class_folders(root / "train")
    unknown = sorted(set(_class_folders(root / "val")) - set(class_ids))
    if unknown:
        raise InputError(f"class {unknown[0]} is in {root / 'val'} but not in {root / 'train'}; the two must agree")
    files = {part: [_files(root / part / c, needed=part == "train") for c in class_ids] for part in ("train", "val")}
    rows = _checked(root, [f for part in files.values() for of_class in part for f in of_class], store)
    bad = {row["file"]: row["problem"] for row in rows if row["problem"]}
    if bad and not profile.skip_unreadable:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise InputError(f"{next(iter(bad.values()))}{more}")
    if bad and multiprocessing.parent_process() is None:  # once, not by every worker
        names = ", ".join(sorted(bad)[:5]) + (", ..." if len(bad) > 5 else "")
        report_line(f"ddoq: {len(bad)} of {len(rows)} images cannot be read and are left out: {names}")
    train, test = (_folder_split(root, files[part], set(bad), profile.image_size) for part in ("train", "val"))
    for index, name in enumerate(class_ids):
        if not (train.labels == index).any():
            raise InputError(
                f"class {index} ({name}) has no readable image in {root / 'train'}; add some or remove the folder"
            )
    kept, held_out = cut(train.labels, profile.validation_fraction, profile.seed, "validation")
    names = [c.replace("_", " ") for c in class_ids]
    fingerprint = hashlib.sha256(
        json.dumps([[r["file"], r["sha256"], bool(r["problem"])] for r in rows]).encode()
    ).hexdigest()
    return Dataset(
        profile.dataset, train.subset(kept), train.subset(held_out), test,
        class_ids=class_ids, class_names=names, prompts=names, image_size=profile.image_size, channels=3,
        mean=IMAGENET_MEAN, std=IMAGENET_STD, key=split_key(profile, fingerprint), unreadable=sorted(bad),
    )  # fmt: skip


def _class_folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; an imagefolder holds train/CLASS/ and val/CLASS/ with images")
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not names:
        raise InputError(f"no class folder in {folder}; an imagefolder holds train/CLASS/ and val/CLASS/ with images")
    return names


def _files(folder: Path, *, needed: bool) -> list[Path]:
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if needed and not found:
        raise InputError(f"class folder {folder} holds no image; add some or remove the folder")
    return found


def _checked(root: Path, files: list[Path], store: Store | None) -> list[dict]:
    """One row per file: its path in the tree, the checksum of its bytes, why it cannot be read ('' when it can)."""

    def rows() -> list[dict]:
        found = zip(files, check_images(files), strict=True)
        return [{"file": str(p.relative_to(root)), "sha256": c.sha256, "problem": c.problem} for p, c in found]

    if store is None:
        return rows()
    stats = [[str(p), s.st_size, s.st_mtime_ns] for p in files for s in [p.stat()]]
    tree = hashlib.sha256(json.dumps(stats).encode()).hexdigest()

    def build(work: Workspace) -> None:
        work.jsonl("files.jsonl", rows())

    made = store.make("scan", build, parameters={"tree": tree}, modules=("ddoq_core.pipeline.images",), label=root.name)
    return made.jsonl("files.jsonl")


def _folder_split(root: Path, files: list[list[Path]], left_out: set[str], size: int) -> Split:
    kept = [(p, c) for c, of_class in enumerate(files) for p in of_class if str(p.relative_to(root)) not in left_out]
    labels = torch.tensor([c for _, c in kept], dtype=torch.int64)
    return Split(labels, [str(p.relative_to(root)) for p, _ in kept], [p for p, _ in kept], size)
