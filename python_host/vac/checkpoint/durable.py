"""Files that are there whole or not at all, also after the computer has failed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

PART_SUFFIX = ".part"


def write_durably(path: Path, content: bytes) -> None:
    """Writes under a temporary name, makes it safe, and renames. Raises OSError; the path is as it was then."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}{PART_SUFFIX}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError:
        with suppress(OSError):  # a read-only file system has no temporary file either
            temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder safe."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
