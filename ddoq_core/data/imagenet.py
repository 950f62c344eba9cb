"""ImageNet as users have it: its classes by wnid, subsets by a list of wnids, the labels of a flat val/ folder.

In: names of class folders, a list, a mapping file. Out: names and prompts, the chosen classes, the class of each image.
"""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .folders import is_image, unified

CLASSES = Path(__file__).with_name("imagenet_classes.tsv")
WNID = r"n\d{8}"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the pixels, by channel
PAIR = re.compile(rf'"?(.+?)"?[\s,;]+"?({WNID})\b')  # an image and its class: name and wnid; ignores the rest
NUMBERED = "ILSVRC2012_val_{:08d}"  # ImageNet's names of its validation images, from 1
SUBSETS = {
    "imagenette": (
        "n01440764", "n02102040", "n02979186", "n03000684", "n03028079",
        "n03394916", "n03417042", "n03425413", "n03445777", "n03888257",
    ),
    "imagewoof": (
        "n02086240", "n02087394", "n02088364", "n02089973", "n02093754",
        "n02096294", "n02099601", "n02105641", "n02111889", "n02115641",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class ImageNetClass:
    """One of the 1,000 classes of ILSVRC 2012."""

    index: int  # in the order of the wnids, which is that of torchvision's logits and of DiT's label table
    wnid: str
    name: str
    prompt: str


@functools.cache
def imagenet_classes() -> dict[str, ImageNetClass]:
    """The 1,000 classes by wnid, in order."""
    rows = [line.split("\t") for line in CLASSES.read_text("utf-8").splitlines() if not line.startswith("#")]
    return {row[0]: ImageNetClass(index, *row) for index, row in enumerate(rows)}


def name_and_prompt(directory: str) -> tuple[str, str]:
    """Name and prompt of a class folder: those of ImageNet's class if it is a wnid, else the folder's own name."""
    known = imagenet_classes().get(directory)
    name = directory.replace("_", " ")
    return (known.name, known.prompt) if known else (name, name)


def listed_classes(class_list: str) -> list[str]:
    """Wnids of a subset, sorted: `imagenette`, `imagewoof`, or the first words of the lines of a text file.

    Blank lines, lines that begin with #, and anything after a wnid are ignored.

    Raises:
        InputError: an unknown file or name, a line without a wnid, a duplicate wnid.
    """
    if class_list in SUBSETS:
        return sorted(SUBSETS[class_list])
    path = Path(class_list)
    if not path.is_file():
        raise InputError(
            f"class_list = {class_list} is neither a file nor the name of a subset ({', '.join(SUBSETS)}); "
            f"give a text file with a wnid on each line"
        )
    wnids = []
    for number, line in enumerate(_lines(path, "class_list"), 1):
        if not line or line.startswith("#"):
            continue
        found = re.match(rf"({WNID})\b", line)
        if not found:
            raise InputError(
                f"line {number} of {path} ('{line[:40]}') does not begin with a wnid such as n01440764; fix it"
            )
        if found[1] in wnids:
            raise InputError(f"line {number} of {path} repeats {found[1]}; remove one of the two lines")
        wnids.append(found[1])
    if not wnids:
        raise InputError(f"{path} names no class; write a wnid such as n01440764 on each line")
    return sorted(wnids)


def read_val_mapping(path: Path) -> dict[str, str]:
    """Wnid of every image of a flat val/ folder, by `image_key` of the file.

    Three kinds of files are recognised by their content:

    - an image and its wnid on each line, with or without a header: Kaggle's `LOC_val_solution.csv`, or your own list;
    - a wnid on each line, for images in ImageNet's own numbering: `imagenet_2012_validation_synset_labels.txt`;
    - a number on each line, likewise: the development kit's `ILSVRC2012_validation_ground_truth.txt`, whose numbers are
      translated to wnids by its `meta.mat` in the same folder.

    Raises:
        InputError: a missing file, one of another kind, or two classes for one image.
    """
    if not path.is_file():
        raise InputError(f"no file val_mapping = {path}; give the file with the class of each image of a flat val/")
    lines = _lines(path, "val_mapping")
    if all(re.fullmatch(r"\d+", line) for line in lines):
        return _numbered(_devkit_wnids(path, lines))
    if all(re.fullmatch(WNID, line) for line in lines):
        return _numbered(lines)
    return _paired(path, lines)


def image_key(name: str) -> str:
    """The name of an image in a mapping: its file name without folder and suffix."""
    path = Path(unified(name))
    return path.stem if is_image(path.name) else path.name


def _lines(path: Path, knob: str) -> list[str]:
    try:
        return [line.strip() for line in path.read_text("utf-8-sig").strip().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{knob} = {path} cannot be read as text ({' '.join(str(error).split())[:80]})") from error


def _numbered(wnids: list[str]) -> dict[str, str]:
    return {NUMBERED.format(number): wnid for number, wnid in enumerate(wnids, 1)}


def _paired(path: Path, lines: list[str]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        found = PAIR.match(line)
        if found is None:
            if not line or line.startswith("#") or (number == 1 and not re.search(WNID, line)):  # 1: a header
                continue
            raise InputError(
                f"line {number} of {path} ('{line[:40]}') is not an image and its wnid; val_mapping takes "
                f"LOC_val_solution.csv, ILSVRC2012_validation_ground_truth.txt, or lines like 'image.jpg n01440764'"
            )
        key = image_key(found[1])
        if mapping.setdefault(key, found[2]) != found[2]:
            raise InputError(f"{path} gives {key} two classes, {mapping[key]} and {found[2]}; remove one of the lines")
    return mapping


def _devkit_wnids(path: Path, numbers: list[str]) -> list[str]:
    """Wnids of ILSVRC2012_IDs, by meta.mat of the development kit."""
    meta = path.with_name("meta.mat")
    if not meta.is_file():
        raise InputError(
            f"{path} holds numbers, which need the meta.mat of the same development kit; put it into the same folder"
        )
    from scipy.io import loadmat  # takes a moment to import, and few users need it

    try:
        synsets = loadmat(meta, squeeze_me=True)["synsets"]
        wnids = {int(i): str(w) for i, w in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)}
        return [wnids[int(number)] for number in numbers]
    except Exception as error:  # scipy raises errors of many kinds for a file that is not MATLAB's
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:80]
        raise InputError(f"{meta} does not fit {path.name} ({reason}); take both from one development kit") from error
