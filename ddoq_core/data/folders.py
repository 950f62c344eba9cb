"""Which folders and files of a tree of images count: class folders, and the image files in them at any depth.

In: a folder. Out: what counts in it, in order, and a tally of what was left out. What systems and editors put beside
images is never read: hidden files, thumbnails, copies. Links to files and to class folders are followed; links deeper
down are not, so that no circle of links is walked.
"""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError

# Pictures that Pillow opens by itself. Its stubs (.h5, .grib), films (.mpg), and .eps, which takes a program, are none.
SUFFIXES = {
    ".apng", ".avif", ".avifs", ".blp", ".bmp", ".bw", ".cur", ".dcx", ".dds", ".dib", ".fit", ".fits", ".flc", ".fli",
    ".ftc", ".ftu", ".gbr", ".gif", ".icb", ".icns", ".ico", ".im", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe",
    ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".msp", ".pbm", ".pcd", ".pcx", ".pfm", ".pgm", ".png", ".pnm", ".ppm",
    ".psd", ".pxr", ".qoi", ".ras", ".rgb", ".rgba", ".sgi", ".tga", ".tif", ".tiff", ".vda", ".vst", ".webp", ".xbm",
    ".xpm",
}  # fmt: skip
SYSTEM = {
    "__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin",
    "system volume information", "lost+found",
}  # fmt: skip
EXAMPLES = 3  # of what was left out, for each reason


class LeftOut:
    """What of a tree is not read: how many of what, by the reason."""

    def __init__(self) -> None:
        self.tally: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def add(self, reason: str, what: str | Path) -> None:
        self.tally[reason][str(what)] += 1

    def update(self, other: "LeftOut") -> None:
        for reason, found in other.tally.items():
            self.tally[reason].update(found)

    def __str__(self) -> str:
        """One line, empty if nothing was left out."""
        parts = []
        for reason, found in self.tally.items():
            some = ", ".join(f"{n} {what}" if n > 1 else what for what, n in found.most_common(EXAMPLES))
            parts.append(f"{found.total():,} {reason} ({some}{', ...' if len(found) > EXAMPLES else ''})")
        return "; ".join(parts)


def is_system(name: str) -> bool:
    """Whether a file or folder is of a system or an editor: hidden, a lock, a copy that was saved."""
    return name.startswith((".", "~$")) or name.endswith("~") or name.lower() in SYSTEM


def is_image(name: str) -> bool:
    """Whether the suffix is that of an image."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def class_folders(folder: Path, left_out: LeftOut) -> list[str]:
    """Names of the class folders, sorted.

    Raises:
        InputError: there is no such folder, or two names are one but for the form of their Unicode.
    """
    names: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            if not is_system(path.name):
                left_out.add("outside any class folder", path)
        elif is_system(path.name):
            left_out.add("hidden or of the system", path.name)
        elif path.is_symlink() and folder.resolve().is_relative_to(path.resolve()):
            left_out.add("linked to a folder that holds it", path)
        elif (twin := names.setdefault(unified(path.name), path.name)) != path.name:
            raise InputError(
                f"{folder} has two folders that look alike, {twin!a} and {path.name!a}: one name in two "
                f"Unicode forms; put their images into one"
            )
    return sorted(names.values())


def images_in(folder: Path, left_out: LeftOut) -> list[Path]:
    """Images of a folder, at any depth, in order.

    Raises:
        InputError: a folder cannot be read.
    """
    found = []
    for place, folders, files in os.walk(folder, onerror=_refuse):
        for name in folders:
            if is_system(name):
                left_out.add("hidden or of the system", name)
            elif os.path.islink(os.path.join(place, name)):
                left_out.add("linked folders in a class folder", os.path.join(place, name))
        folders[:] = [name for name in folders if not is_system(name)]
        found += [Path(place, name) for name in files if _counts(place, name, left_out)]
    return sorted(found)


def _counts(place: str, name: str, left_out: LeftOut) -> bool:
    path = os.path.join(place, name)
    if is_system(name):
        if is_image(name):
            left_out.add("hidden or of the system", path)
    elif not is_image(name):
        left_out.add("no images by their suffix", os.path.splitext(name)[1].lower() or name)
    elif not os.path.isfile(path):
        left_out.add("no files, or links that lead nowhere", path)
    else:
        return True
    return False


def _refuse(error: OSError) -> None:
    raise InputError(f"folder {error.filename} cannot be read ({error.strerror}); may you read it?") from error


def unified(name: str) -> str:
    """A name in one form of Unicode: file systems keep an accent with its letter, or after it."""
    return unicodedata.normalize("NFC", name)


def look_alike(name: str, others: Iterable[str]) -> str:
    """That of the other names which differs in case, spaces, underscores or invisible signs alone; '' if none does."""

    def shape(text: str) -> str:
        signs = unicodedata.normalize("NFKC", text).casefold()
        return "".join(c for c in signs if not c.isspace() and c != "_" and unicodedata.category(c) != "Cf")

    return next((other for other in others if shape(other) == shape(name)), "")


def holding(folder: Path) -> str:
    """What is in a folder, as part of a line that says what is missing there."""
    names = sorted(p.name for p in folder.iterdir() if not is_system(p.name)) if folder.is_dir() else []
    return f"it holds {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}" if names else "it is empty"
