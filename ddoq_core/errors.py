"""Errors that the user can fix: one line with the problem, its place and the fix; exit code 2 on the command line."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

FULL_DISK = (
    "No space left",
    "failed writing file",
    "unexpected pos",
)  # from safetensors and torch.save: not an OSError


class InputError(ValueError):
    """Bad input: an unknown parameter, an empty class, a missing or damaged file, a full disk."""


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn disk errors while `path` is made into an InputError that names the file, or `path` if it is unknown."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise readable(error) from error
    except Exception as error:
        if any(words in str(error) for words in FULL_DISK):
            raise readable(OSError(errno.ENOSPC, str(error), str(path))) from error
        raise


def readable(error: OSError) -> InputError:
    """A disk error as one line that names the file and the fix."""
    file = error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"no space left on the disk of {file}; free some, or set 'artifacts' to another folder")
    if os.path.isfile(file) and not os.access(file, os.R_OK):
        return InputError(f"cannot read {file} ({error.strerror}); check its permissions")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return InputError(f"cannot write to {file} ({error.strerror}); set 'artifacts' to a folder you own")
    return InputError(f"{error.strerror or error}: {file}")
