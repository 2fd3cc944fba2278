"""Files that grow beside the segments: JSON of events beside the beams, names, joins.

A detail is its length u32 and its CRC-32 u32, little-endian, then the JSON. A name is a line: CRC-32 in eight
hexadecimal digits, a space, `[kind, text]`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import orjson

from ..errors import StoreDamaged
from ..names import Kind, Name, Names

_DETAIL = struct.Struct("<II")


def pack_details(details: Sequence[bytes], start: int) -> tuple[bytes, npt.NDArray[np.uint64]]:
    """Content to write at `start`, and where in the file each detail begins."""
    frames = [_DETAIL.pack(len(detail), zlib.crc32(detail)) + detail for detail in details]
    ends = np.cumsum([len(frame) for frame in frames], dtype=np.uint64) + np.uint64(start)
    return b"".join(frames), np.concatenate((np.array([start], np.uint64), ends))[: len(frames)]


def unpack_detail(path: Path, content: memoryview, start: int) -> bytes:
    """The detail that begins at `start`. Raises StoreDamaged."""
    if start + _DETAIL.size <= len(content):
        size, crc = _DETAIL.unpack_from(content, start)
        detail = bytes(content[start + _DETAIL.size : start + _DETAIL.size + size])
        if len(detail) == size and zlib.crc32(detail) == crc:
            return detail
    raise StoreDamaged(f"{path}: what stands at {start} is damaged")


def pack_names(names: Sequence[Name]) -> bytes:
    lines: list[bytes] = []
    for kind, _, text in names:
        content = orjson.dumps([kind, text])
        lines.append(b"%08x %b\n" % (zlib.crc32(content), content))
    return b"".join(lines)


def unpack_names(path: Path, content: bytes) -> Names:
    """Raises StoreDamaged."""
    names = Names()
    for number, line in enumerate(content.splitlines(), start=1):
        crc, _, rest = line.partition(b" ")
        try:
            if int(crc, 16) != zlib.crc32(rest):
                raise ValueError("wrong checksum")
            kind, text = orjson.loads(rest)
            if kind not in get_args(Kind):
                raise ValueError(f"{kind!r} is no kind of name")
        except ValueError as error:
            raise StoreDamaged(f"{path}:{number}: {error}") from None
        names.add(kind, text)
    return names
