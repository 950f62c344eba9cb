"""Any distilled folder as a distilled set of this package: the class of each folder, the weight of each image.

In: a folder of class folders. Out: the same images in the canonical layout and at the data set's size, which later
steps treat like a set of this package; and every assumption as a line of text. The folder is not changed, and nothing
outside it is read: links that lead out of it are an error, since a downloaded folder may contain some.
"""

import collections
import hashlib
import itertools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from ..config.profile import Profile
from ..data.dataset import Dataset
from ..data.folders import LeftOut, class_folders, images_in, unified
from ..data.image_files import read_image
from ..data.image_folder import checked_files, copies
from ..data.in_memory import fitted
from ..errors import InputError
from ..pipeline.distilled import DistilledDataset, write_image, write_metadata
from ..processes import bar
from ..store.artifacts import Store, Workspace
from .weights import ForeignWeights, brief, read_weights

NUMBERED = re.compile(r"[A-Za-z_-]*([0-9]+)")  # 7, 00007, new007, class_7: some letters and the class's index
SIZES = "sizes.json"  # number of images for each width and height


@dataclass(frozen=True)
class ForeignSet:
    """A distilled set from elsewhere: the set, the weights of its images, and the assumptions."""

    distilled: DistilledDataset
    weights: str | float
    assumed: list[str]
    soft: bool = False  # whether it came with soft labels


def read_foreign(store: Store, folder: Path, dataset: Dataset, profile: Profile) -> ForeignSet:
    """Read a folder with K images for each class of the data set, from any source, as a distilled set.

    Raises:
        InputError: classes that differ from the data set's; an empty class, or one of another size; an unreadable
            image; weights that do not fit the images; a link that leads out of the folder.
    """
    _stay_inside(folder, [*folder.iterdir()])
    left_out = LeftOut()
    names, order = class_order(folder, dataset, left_out)
    of_classes = [_images(folder / name, left_out) for name in names]
    files = [*itertools.chain(*of_classes)]
    _stay_inside(folder, files)
    ipc = _same_number(folder, names, of_classes)
    rows = checked_files(folder, files, store)
    for row in rows:
        if row["problem"]:
            raise InputError(f"{row['problem'].partition('; ')[0]}; repair or replace it")
    known = read_weights(folder, rows, len(names))
    distilled = _imported(store, folder, rows, known, dataset, profile)
    scheme, weighted = known.scheme(profile.weights)
    images = [f"images: {ipc} of each of {len(names)} classes, {_sizes(distilled, dataset, profile)}"]
    said = [*images, f"class order: {order}", f"weights: {weighted}"]
    said += [f"left out: {left_out}"] if left_out else []
    twice = copies(rows, [("", i // ipc) for i in range(len(rows))])
    return ForeignSet(distilled, scheme, [*said, *filter(None, [twice])])


def _stay_inside(folder: Path, paths: list[Path]) -> None:
    root = folder.resolve()
    for path in paths:
        if not Path(os.path.realpath(path)).is_relative_to(root):  # also for a link to itself
            raise InputError(f"{path} is a link that leads out of {folder}; if you trust it, replace it with a copy")


def class_order(folder: Path, dataset: Dataset, left_out: LeftOut) -> tuple[list[str], str]:
    """Names of the class folders, in the order of the data set's classes, and how the order was found.

    They are the data set's own folder names or the names of its classes, or they end in the index of the class. Indices
    are sorted as numbers; as text, 10 would come before 2 (as in ImageFolder's order of D4M's unpadded folders).

    Raises:
        InputError: they are none of these, or one is missing; the folder's manifest names other classes.
    """
    found = class_folders(folder, left_out)
    _check_table(folder, dataset)
    called = {unified(name): name for name in found}
    names = [name.replace(" ", "_") for name in dataset.class_names]
    for known, what in ((dataset.class_ids, "data set's own names"), (names, "names of its classes")):
        if sorted(map(unified, known)) == sorted(called):
            return [called[unified(name)] for name in known], f"by name; the folders have the {what}"
    numbers = {int(match[1]): name for name in found if (match := NUMBERED.fullmatch(name))}
    if len(numbers) != len(found) or sorted(numbers) != list(range(dataset.n_classes)):
        raise _other_classes(folder, found, dataset)
    ordered = [numbers[i] for i in range(dataset.n_classes)]
    moved = sum(a != b for a, b in zip(ordered, found, strict=True))
    text = f"{moved} of them would get another class" if moved else "their order is the same"
    return ordered, f"by the number in the folder's name, {ordered[0]} to {ordered[-1]}; sorted as text, {text}"


def _check_table(folder: Path, dataset: Dataset) -> None:
    """Check that the manifest of a set from this package names the classes of the data set."""
    if not (folder / "manifest.json").is_file():
        return
    try:
        table = json.loads((folder / "manifest.json").read_text())["parameters"]["classes"]
        theirs = [(str(row["directory"]), str(row["name"])) for row in table]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return  # not a set from this package
    ours = zip(dataset.class_ids, dataset.class_names, strict=True)
    for index, pair in enumerate(itertools.zip_longest(theirs, ours)):
        if pair[0] is None or pair[1] is None or [*map(unified, pair[0])] != [*map(unified, pair[1])]:
            a, b = (brief(f"{one[0]} ({one[1]})") if one else "none" for one in pair)
            raise InputError(
                f"class {index} of {folder} is {a}, but {b} in {dataset.name}; give the set's own data set"
            )


def _other_classes(folder: Path, found: list[str], dataset: Dataset) -> InputError:
    """The error for class folders that do not match the classes, with the first extra or missing one."""
    ids = dataset.class_ids
    wanted = f"{len(ids)} classes of {dataset.name} ({ids[0]} to {ids[-1]}, or 0 to {len(ids) - 1})"
    missing, strange = sorted(set(ids) - set(found)), sorted(set(found) - set(ids))
    if not found:
        return InputError(f"{folder} holds no class folder; it needs one for each of the {wanted}")
    what = f"it holds {len(found)}, {found[0]} to {found[-1]}"
    if len(strange) < len(found):  # some folders have class names
        what = f"{strange[0]} is not a class" if strange else f"class {missing[0]} has none"
    return InputError(f"the folders of {folder} are not those of the {wanted}: {what}; give the set's own data set")


def _images(folder: Path, left_out: LeftOut) -> list[Path]:
    """Images of a class, at any depth, in the order of the numbers in their names."""
    files = images_in(folder, left_out)
    if not files:
        raise InputError(f"class folder {folder} holds no image; a distilled set needs images of every class")
    return sorted(files, key=_numbers)


def _numbers(path: Path) -> list[str | int]:
    """The name split at its numbers, so that every second part is a number."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split("([0-9]+)", str(path)))]


def _same_number(folder: Path, names: list[str], files: list[list[Path]]) -> int:
    for name, of_class in zip(names, files, strict=True):
        if len(of_class) != len(files[0]):
            raise InputError(
                f"class folder {folder / name} holds {len(of_class)} images, but {names[0]} holds {len(files[0])}; "
                f"a distilled set needs the same number in every class"
            )
    return len(files[0])


def _imported(
    store: Store, folder: Path, rows: list[dict], known: ForeignWeights, dataset: Dataset, profile: Profile
) -> DistilledDataset:
    """The images in the canonical layout, keyed by their content; an interrupted copy resumes."""
    sources, ipc = [row["file"] for row in rows], len(rows) // dataset.n_classes

    def build(work: Workspace) -> None:
        sizes: collections.Counter[str] = collections.Counter()
        for i, source in enumerate(bar(sources, desc="images")):
            with Image.open(folder / source) as image:
                sizes["{} x {}".format(*image.size)] += 1
            label, item = divmod(i, ipc)
            write_image(work, label, item, _fitting(folder / source, dataset, profile.resize).float() / 255)
        write_metadata(work, dataset, known.counts, seed=None, sources=sources, weights=known.weights)
        work.json(SIZES, sizes)

    weights = [known.counts.tolist(), None if known.weights is None else known.weights.tolist()]
    content = json.dumps([[[row["file"], row["sha256"]] for row in rows], weights])
    label = re.sub(r"[^\w.-]", "_", folder.resolve().name, flags=re.ASCII)[:40]
    parameters = {
        "content": hashlib.sha256(content.encode()).hexdigest(),
        "classes": dataset.classes,
        "shape": [dataset.channels, dataset.image_size],
        "in_memory": _in_memory(dataset),
    }
    parameters |= profile.keyed("resize")
    return DistilledDataset(store.make("foreign", build, parameters=parameters, modules=(__name__,), label=label))


def _in_memory(dataset: Dataset) -> bool:
    return isinstance(dataset.test.pixels, Tensor)


def _fitting(path: Path, dataset: Dataset, resize: str) -> UInt8[Tensor, "C S S"]:
    """An image made like the data set's own: files are read at its size; in-memory images are resized, maybe grey."""
    if not _in_memory(dataset):
        return read_image(path, dataset.image_size, resize)
    with Image.open(path) as image:
        side = min(image.size)
    pixels = read_image(path, side, resize)
    if dataset.channels == 1:
        pixels = torch.from_numpy(np.array(Image.fromarray(pixels.permute(1, 2, 0).numpy()).convert("L")))[None]
    return fitted(pixels[None], dataset.image_size)[0]


def _sizes(distilled: DistilledDataset, dataset: Dataset, profile: Profile) -> str:
    """Original sizes of the images, and how they were resized."""
    sizes = [tuple(map(int, text.split(" x "))) for text in distilled.artifact.json(SIZES)]
    width, height = min(sizes)
    text = f"{width} x {height} pixels" if len(sizes) == 1 else f"{len(sizes)} sizes from {width} x {height} pixels"
    if sizes != [(dataset.image_size, dataset.image_size)]:
        text += f", brought to {dataset.image_size} x {dataset.image_size} as the data set's own images are"
    if any(w != h for w, h in sizes):
        text += f" (resize = {profile.resize})"
    return text + (", grey" if dataset.channels == 1 else "")
