"""Files that are there whole or not at all, also after the computer has failed."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import EINVAL
from pathlib import Path

PART_SUFFIX = ".part"
"""Of temporary files. A killed process can leave one; nothing reads it."""


def is_special(path: Path) -> bool:
    """Whether this is there and neither a file nor a folder: a device, a pipe. Replacing such a thing would end it."""
    return path.exists() and not path.is_file() and not path.is_dir()


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file through a temporary name, so that nobody sees half of it; into a device or pipe, as it is.

    It may be lost with the computer: see `write_durably`. Raises OSError.
    """
    if is_special(path):
        path.write_bytes(content)
        return
    temporary = path.with_name(path.name + PART_SUFFIX)
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_durably(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Writes a file so that, whatever happens, either what was there before or all of `content` has its name.

    When it returns the content is on the disk. mode: permissions of the file, limited by the umask. Raises OSError,
    also for a device or pipe: there is nothing durable about them.
    """
    if is_special(path):
        raise OSError(EINVAL, "not a file that could be replaced", str(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PART_SUFFIX}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
        sync(path.parent)
    except BaseException:
        with suppress(OSError):  # a read-only file system has no temporary file either
            temporary.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """What is in this file, or the names in this folder, last from now on. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
