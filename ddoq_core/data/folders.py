"""The folders and files of a tree of images that count: class folders, and the image files in them at any depth.

In: a folder. Out: what counts in it, in order, and a tally of what was left out. Files that systems and editors put
beside images are never read: hidden files, thumbnails, backup copies. Links to files and to class folders are followed;
links at greater depth are not, which avoids cycles.
"""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from ..errors import InputError

# Pictures that Pillow opens by itself: not its stubs (.h5, .grib), films (.mpg), or .eps, which needs another program.
SUFFIXES = {
    ".apng", ".avif", ".avifs", ".blp", ".bmp", ".bw", ".cur", ".dcx", ".dds", ".dib", ".fit", ".fits", ".flc", ".fli",
    ".ftc", ".ftu", ".gbr", ".gif", ".icb", ".icns", ".ico", ".im", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe",
    ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".msp", ".pbm", ".pcd", ".pcx", ".pfm", ".pgm", ".png", ".pnm", ".ppm",
    ".psd", ".pxr", ".qoi", ".ras", ".rgb", ".rgba", ".sgi", ".tga", ".tif", ".tiff", ".vda", ".vst", ".webp", ".xbm",
    ".xpm",
}  # fmt: skip
HIDDEN = "hidden or of the system"
SYSTEM = {
    "__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin",
    "system volume information", "lost+found",
}  # fmt: skip


class LeftOut(defaultdict):
    """The part of a tree that is not read: for each reason, the files and how often. Empty if everything is read."""

    def __init__(self) -> None:
        super().__init__(Counter)

    def __str__(self) -> str:
        """One line: the number for each reason, and the first file."""
        return "; ".join(f"{found.total():,} {reason} (such as {next(iter(found))})" for reason, found in self.items())


def is_system(name: str) -> bool:
    """Whether a file or folder belongs to a system or an editor: hidden, a lock, a backup copy."""
    return name.startswith((".", "~$")) or name.endswith("~") or name.lower() in SYSTEM


def is_image(name: str) -> bool:
    """Whether the suffix is that of an image."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def class_folders(folder: Path, left_out: LeftOut) -> list[str]:
    """Names of the class folders, sorted; InputError if two differ only in their Unicode form."""
    names: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if is_system(path.name):
            if path.is_dir():
                left_out[HIDDEN][str(path)] += 1
        elif not path.is_dir():
            left_out["outside any class folder"][str(path)] += 1
        elif path.is_symlink() and folder.resolve().is_relative_to(path.resolve()):
            left_out["linked to a folder that holds it"][str(path)] += 1
        elif (twin := names.setdefault(unified(path.name), path.name)) != path.name:
            raise InputError(
                f"{folder} has two folders that look alike, {twin!a} and {path.name!a}: one name in two Unicode forms; "
                f"put their images into one"
            )
    return sorted(names.values())


def has_folders(folder: Path) -> bool:
    """Whether a folder holds others than a system's. No file is asked for more: a flat val/ has 50,000."""
    return any(_is(entry.is_dir) and not is_system(entry.name) for entry in _entries(str(folder)))


def images_in(folder: Path, left_out: LeftOut) -> list[Path]:
    """Images of a folder, at any depth, in order; InputError if a folder cannot be read. Opens no file."""
    found: list[str] = []
    waiting = [str(folder)]
    while waiting:
        place = waiting.pop()
        for entry in _entries(place):
            is_folder = _is(entry.is_dir)
            if is_folder and (is_system(entry.name) or entry.is_symlink()):
                left_out[HIDDEN if is_system(entry.name) else "linked below a class folder"][entry.path] += 1
            elif is_folder:
                waiting.append(entry.path)
            elif not (reason := _reason(entry)):
                found.append(entry.path)
            elif is_image(entry.name) or not is_system(entry.name):
                left_out[reason][entry.path] += 1
    return [Path(path) for path in sorted(found, key=lambda path: path.split(os.sep))]


def _entries(folder: str) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"folder {folder} cannot be read ({error.strerror}); check its permissions") from error


def _reason(entry: os.DirEntry) -> str:
    """Why a file is not read; '' if it is."""
    if is_system(entry.name):
        return HIDDEN
    if not is_image(entry.name):
        return f"of the suffix {os.path.splitext(entry.name)[1].lower()!r}, which is of no image"
    return "" if _is(entry.is_file) else "no file, or a link that leads nowhere"


def _is(kind: Callable[[], bool]) -> bool:
    """Whether an entry is of a kind; a link to itself is of none."""
    try:
        return kind()
    except OSError:
        return False


def unified(name: str) -> str:
    """A name in one Unicode form: file systems store an accent with its letter, or after it."""
    return unicodedata.normalize("NFC", name)


def look_alike(name: str, others: Iterable[str]) -> str:
    """The other name that differs only in case, spaces, underscores or invisible characters; '' if there is none."""

    def shape(text: str) -> str:
        signs = unicodedata.normalize("NFKC", text).casefold()
        return "".join(c for c in signs if not c.isspace() and c != "_" and unicodedata.category(c) != "Cf")

    return next((other for other in others if shape(other) == shape(name)), "")


def holding(folder: Path) -> str:
    """The content of a folder, as part of a message about something missing there."""
    names = sorted(p.name for p in folder.iterdir() if not is_system(p.name)) if folder.is_dir() else []
    return f"it holds {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}" if names else "it is empty"
