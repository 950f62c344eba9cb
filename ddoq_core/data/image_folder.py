"""A folder of images as a data set: train/CLASS/*.jpg for training and validation, val/ for the test.

val/ holds class folders too, or, as in ImageNet's archive, all images together, with their classes in a file. Every
image is decoded once before anything is made from it, so that broken files are found at the start. The data set's key
is the content of its files, wherever they are. One line each reports what is left out, and duplicates. The user's files
are never moved or written to.
"""

import hashlib
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import torch

from ..config.profile import Profile
from ..errors import InputError
from ..processes import bar, report_line, world
from ..store.artifacts import Store, Workspace
from .dataset import Dataset, Split, content_key, cut, data_root
from .folders import LeftOut, class_folders, has_folders, holding, images_in, look_alike, unified
from .image_files import check_images
from .imagenet import IMAGENET_MEAN, IMAGENET_STD, image_key, listed_classes, name_and_prompt, read_val_mapping
from .imbalance import population

CHUNK = 10_000  # files between two checkpoints; an interrupted check resumes at the last one
MANY = 50_000  # files; a larger tree is recognised by the dates of its folders, not of its files


def image_folder(profile: Profile, store: Store | None) -> Dataset:
    """A tree train/CLASS/*.jpg with val/CLASS/*.jpg, or with val/*.jpg and `val_mapping`; the test images are val's.

    `class_list` selects some of the classes. Folders named by wnids get ImageNet's names and prompts.
    """
    root, left_out = data_root(profile, "train/ and val/"), LeftOut()
    class_ids = _chosen(root / "train", profile.class_list, left_out)
    files = {
        "train": [_files(root / "train" / c, left_out) for c in class_ids],
        "val": _test_files(root / "val", class_ids, profile, left_out),
    }
    _say(f"left out of {root}: {left_out}" if left_out else "")
    rows = checked_files(root, [f for part in files.values() for of_class in part for f in of_class], store)
    bad = {row["file"]: row["problem"] for row in rows if row["problem"]}
    if bad and not profile.skip_unreadable:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise InputError(f"{next(iter(bad.values()))}{more}")
    if bad:
        names = ", ".join(sorted(bad)[:5]) + (", ..." if len(bad) > 5 else "")
        _say(f"{len(bad)} of {len(rows)} images cannot be read and are left out: {names}")
    _say(copies(rows, [(part, c) for part in files for c, of_class in enumerate(files[part]) for _ in of_class]))
    train, test = (_folder_split(root, files[part], set(bad), profile.picture_size) for part in ("train", "val"))
    sizes = torch.bincount(train.labels, minlength=len(class_ids)).tolist()
    for index, name in enumerate(class_ids):
        if not sizes[index]:
            raise InputError(
                f"class {index} ({name}) has no readable image in {root / 'train'}; add some or remove the folder"
            )
    if not len(test):
        raise InputError(f"{root / 'val'} holds no readable image of these classes; students need them for the test")
    train = train.subset(population(train.labels, profile))
    kept, held_out = cut(train.labels, profile.validation_fraction, profile.seed, "validation")
    names, prompts = (list(column) for column in zip(*map(name_and_prompt, class_ids), strict=True))
    content = [[r["file"], r["sha256"], bool(r["problem"])] for r in rows]
    table = [class_ids, names, prompts, test.labels.tolist()]
    fingerprint = hashlib.sha256(json.dumps([content, table]).encode()).hexdigest()
    scored = (replace(split, crop=profile.test_crop) for split in (train.subset(held_out), test))
    return Dataset(
        profile.dataset, train.subset(kept), *scored,
        class_ids=class_ids, class_names=names, prompts=prompts, image_size=profile.picture_size, channels=3,
        mean=IMAGENET_MEAN, std=IMAGENET_STD, key="", content=content_key(profile, fingerprint), unreadable=sorted(bad),
    )  # fmt: skip


def _say(line: str) -> None:
    """Print it once, not in every worker; nothing for an empty line."""
    if line and multiprocessing.parent_process() is None:
        report_line(f"ddoq: {line}")


def _chosen(folder: Path, class_list: str, left_out: LeftOut) -> list[str]:
    """Names of the class folders, in order: all, or those of the list, which must all exist."""
    found = _class_folders(folder, left_out)
    if not class_list:
        return found
    listed = listed_classes(class_list)
    missing = [c for c in listed if c not in set(found)]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(
            f"class_list = {class_list} has class {missing[0]} ({name_and_prompt(missing[0])[0]}){more}, "
            f"but {folder} has no such folder; add it or correct the list"
        )
    return listed


def _class_folders(folder: Path, left_out: LeftOut) -> list[str]:
    if not folder.is_dir():
        raise _not_laid_out(f"no folder {folder}")
    names = class_folders(folder, left_out)
    if not names:
        raise _not_laid_out(f"no class folder in {folder}")
    return names


def _not_laid_out(problem: str) -> InputError:
    return InputError(f"{problem}; an imagefolder holds train/CLASS/ and val/CLASS/ with images")


def _files(folder: Path, left_out: LeftOut) -> list[Path]:
    found = images_in(folder, left_out)
    if not found:
        raise InputError(f"class folder {folder} holds no image ({holding(folder)}); add some or remove the folder")
    return found


def _test_files(folder: Path, class_ids: list[str], profile: Profile, left_out: LeftOut) -> list[list[Path]]:
    """Files of val/ for every class, by folder or by the mapping; other classes are an error, unless a list selects."""
    flat = _loose_images(folder, left_out)
    if profile.val_mapping:
        found = _mapped(folder, flat, Path(profile.val_mapping))
    elif flat:
        raise InputError(
            f"{folder} holds images and no class folder; set val_mapping to the file of their classes, such as "
            f"LOC_val_solution.csv or ILSVRC2012_validation_ground_truth.txt"
        )
    else:
        found = {c: images_in(folder / c, left_out) for c in _chosen(folder, profile.class_list, left_out)}
    of_train = {unified(c): c for c in class_ids}
    found = {of_train.get(unified(c), c): files for c, files in found.items()}
    unknown = sorted(set(found) - set(class_ids))
    if unknown and not profile.class_list:
        twin = look_alike(unknown[0], class_ids)
        why = f", which has {twin!a} instead of {unknown[0]!a}: they look alike" if twin else ""
        raise InputError(
            f"class {unknown[0]} is in {folder} but not in {folder.with_name('train')}{why}; both must have the same "
            f"classes"
        )
    return [found.get(c, []) for c in class_ids]


def _loose_images(folder: Path, left_out: LeftOut) -> list[Path]:
    """Images of a folder without class folders; none if it has class folders."""
    if not folder.is_dir():
        raise _not_laid_out(f"no folder {folder}")
    return [] if has_folders(folder) else images_in(folder, left_out)


def _mapped(folder: Path, files: list[Path], mapping: Path) -> dict[str, list[Path]]:
    """Images of a flat folder by their classes in a mapping file."""
    if not files:
        raise InputError(
            f"val_mapping is for a val/ with all images in one folder, but {folder} is not one; "
            f"leave val_mapping empty if it holds class folders"
        )
    wnids = read_val_mapping(mapping)
    nameless = [p for p in files if image_key(p.name) not in wnids]
    if nameless:
        more = f" (and {len(nameless) - 1} more)" if len(nameless) > 1 else ""
        raise InputError(f"{mapping} gives no class to {nameless[0]}{more}; add the line or remove the image")
    found: dict[str, list[Path]] = {}
    for path in files:
        found.setdefault(wnids[image_key(path.name)], []).append(path)
    absent = len(wnids) - len({image_key(path.name) for path in files})
    if absent:
        _say(f"{absent:,} of the {len(wnids):,} images that {mapping} names are not in {folder}; the others are read")
    return found


def copies(rows: list[dict], places: list[tuple[str, int]]) -> str:
    """A report of duplicate pictures, by the checksums of `checked_files`; '' if there are none.

    Args:
        places: part and class of each row.
    """
    first: dict[str, int] = {}
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        if not row["problem"] and (before := first.setdefault(row["sha256"], i)) != i:
            groups.setdefault(row["sha256"], [before]).append(i)
    kinds: dict[str, list[list[int]]] = {
        "in more than one class": [],
        "in train and in val": [],
        "twice in a class": [],
    }
    for group in groups.values():
        there = {places[i] for i in group}
        numbers = len({c for _, c in there}) > 1, len({part for part, _ in there}) > 1, len(there) < len(group)
        for found, is_so in zip(kinds.values(), numbers, strict=True):
            found += [group] if is_so else []
    said = [
        f"{len(found):,} {kind} (such as {' = '.join(rows[i]['file'] for i in found[0][:3])})"
        for kind, found in kinds.items()
        if found
    ]
    return f"pictures that are there more than once: {'; '.join(said)}; scores are off by them" if said else ""


def checked_files(root: Path, files: list[Path], store: Store | None) -> list[dict]:
    """One row per file: path in the tree, checksum, why it is unreadable ('' if it is not); a store decodes it once.

    A file that could not be read is checked again each time. Otherwise a tree is recognised by size and date of every
    file; a tree of more than MANY files by the dates of its folders, which change when a file is added, removed or
    replaced. In such a tree a file that is overwritten in place goes unnoticed.
    """

    def rows(part: list[Path]) -> list[dict]:
        found = zip(part, check_images(part), strict=True)
        return [{"file": _name(p, root), "sha256": c.sha256, "problem": c.problem} for p, c in found]

    if store is None:
        return rows(files)
    parts = {f"files{start:08d}.jsonl": files[start : start + CHUNK] for start in range(0, len(files), CHUNK)}

    def share(work: Workspace) -> None:
        for name, part in bar(world().my_share(list(parts.items())), desc="check images"):
            work.chunk(name, lambda path, part=part: path.write_text("".join(f"{json.dumps(r)}\n" for r in rows(part))))

    made = store.make(
        "scan", share=share, parameters={"tree": _known_by(files)}, modules=("ddoq_core.data.image_files",),
        label=root.name,
    )  # fmt: skip
    found = [row for name in parts for row in made.jsonl(name)]
    bad = [i for i, row in enumerate(found) if row["problem"]]
    for i, row in zip(bad, rows([files[i] for i in bad]) if bad else [], strict=True):
        found[i] = row
    return found


def _name(path: Path, root: Path) -> str:
    """Path in the tree; for a million files pathlib would need half a minute."""
    return str(path).removeprefix(f"{root}{os.sep}")


def _known_by(files: list[Path]) -> str:
    """What identifies a check of these files."""
    if len(files) <= MANY:
        known = [[str(p), s.st_size, s.st_mtime_ns] for p in files for s in [p.stat()]]
    else:
        folders = dict.fromkeys(os.path.dirname(p) for p in files)
        known = [list(map(str, files)), [os.stat(folder).st_mtime_ns for folder in folders]]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _folder_split(root: Path, files: list[list[Path]], left_out: set[str], size: int) -> Split:
    named = [(_name(p, root), p, c) for c, of_class in enumerate(files) for p in of_class]
    kept = [row for row in named if row[0] not in left_out]
    labels = torch.tensor([c for _, _, c in kept], dtype=torch.int64)
    return Split(labels, [name for name, _, _ in kept], [p for _, p, _ in kept], size)
