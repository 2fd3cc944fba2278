"""Files of a segment: written as one, written at a place, mapped."""

from __future__ import annotations

import mmap
import os
from pathlib import Path


def write_file(path: Path, *parts: bytes | memoryview) -> None:
    """Writes a file under a temporary name, makes it last, and gives it its name."""
    temporary = path.with_name(path.name + ".part")
    try:
        with open(temporary, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_at(handle: int, content: bytes | memoryview, offset: int) -> None:
    """All of the content, at this place. Raises OSError; a part may then stand there."""
    view = memoryview(content).cast("B")
    done = 0
    while done < len(view):
        done += os.pwrite(handle, view[done:], offset + done)


def mapped(path: Path) -> memoryview:
    """A file's content, not read before it is looked at. Raises OSError."""
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
