"""The manifest of an artifact: its files with their sizes and checksums, and their origin.

An artifact may come from elsewhere, so its manifest is not trusted. A name that leads out of the folder, by `..`, from
the root or through a link, is neither read nor removed, and a manifest with other parameters is ignored.
"""

import hashlib
import json
from pathlib import Path

OUTSIDE = ("run.json", "manifest.json")  # files that are not part of an artifact's identity


def sha256_of(path: Path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def files_of(folder: Path) -> list[tuple[str, Path]]:
    """Files that belong to the identity of an artifact, with their names in it, sorted."""
    found = [(str(p.relative_to(folder)), p) for p in sorted(folder.rglob("*")) if p.is_file()]
    return [(name, path) for name, path in found if name not in OUTSIDE]


def content_of(folder: Path) -> str:
    """The content of a finished artifact: SHA-256 of the names and checksums in its manifest."""
    files = json.loads((folder / "manifest.json").read_text())["files"]
    named = json.dumps({name: entry["sha256"] for name, entry in files.items()}, sort_keys=True)
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def stamps(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and date of every file of a folder; they change with a file, and the file need not be read."""
    found = ((p, p.stat()) for p in sorted(folder.rglob("*")) if p.is_file())
    return tuple((str(p.relative_to(folder)), s.st_size, s.st_mtime_ns) for p, s in found)


def damaged(folder: Path, identity: dict) -> list[str]:
    """Files that differ from the manifest, each with the reason; empty if none does. The identity must match."""
    try:
        manifest = _json(folder / "manifest.json")
        files = {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest.pop("files").items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ["manifest.json: unreadable"]
    if manifest != json.loads(json.dumps(identity)):
        return ["manifest.json: of another artifact"]
    faults = {name: _fault(folder, name, *entry) for name, entry in files.items()}
    faults["run.json"] = _unreadable(folder / "run.json")
    return [f"{name}: {fault}" for name, fault in faults.items() if fault]


def _unreadable(path: Path) -> str:
    try:
        return "" if isinstance(_json(path), dict) else "unreadable"
    except (OSError, ValueError, RecursionError):
        return "unreadable"


def _json(path: Path) -> object:
    """Content of a regular file; reading a pipe with its name would block."""
    if not path.is_file():
        raise FileNotFoundError(path)
    return json.loads(path.read_text())


def _fault(folder: Path, name: str, size: int, sha256: str) -> str:
    """What is wrong with a file of a manifest, or ''; reads nothing outside the folder."""
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            return "outside its folder"
        if not path.is_file():
            return "missing"
        return "" if path.stat().st_size == size and sha256_of(path) == sha256 else "checksum differs"
    except (OSError, ValueError, RuntimeError):  # not a file name, or a link to itself
        return "unreadable"


def sifted(partial: Path, identity: dict) -> bool:
    """Whether an unfinished artifact is complete and lacks only its name.

    If it has a manifest, it was once finished. Then files that do not match are deleted, and the manifest last.
    """
    manifest = partial / "manifest.json"
    if not manifest.exists():
        return False
    bad = {fault.rsplit(": ", 1)[0] for fault in damaged(partial, identity)}
    listed = set() if "manifest.json" in bad else set(json.loads(manifest.read_text())["files"])
    for path in sorted(partial.rglob("*")):
        name = str(path.relative_to(partial))
        if (path.is_file() or path.is_symlink()) and name not in (listed - bad).union(OUTSIDE):
            path.unlink()
    if bad:
        manifest.unlink()
    return not bad
