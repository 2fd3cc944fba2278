"""How much of a run's files counts. Append-only; each entry has a checksum, and the newest whole one is right.

An entry is little-endian: segment number u32, records in that segment u32, lengths in bytes of `details`, `names` and
`joins` u64 each, CRC-32 of the segment's records since the entry before (of the segment's start where that was of
another segment) u32, CRC-32 of the entry so far u32.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from .file_access import write_at

_ENTRY = struct.Struct("<IIQQQI")
_CRC = struct.Struct("<I")
ENTRY_BYTES = _ENTRY.size + _CRC.size


@dataclass(frozen=True, slots=True)
class Commit:
    """segment: number of the newest segment. records: in it. details, names, joins: lengths of these files in bytes.
    crc: of the records that came with this entry."""

    segment: int = 0
    records: int = 0
    details: int = 0
    names: int = 0
    joins: int = 0
    crc: int = 0

    def pack(self) -> bytes:
        body = _ENTRY.pack(self.segment, self.records, self.details, self.names, self.joins, self.crc)
        return body + _CRC.pack(zlib.crc32(body))


def read_commits(path: Path) -> list[Commit]:
    """Whole entries, oldest first; what follows the first that is not whole was never acknowledged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    commits: list[Commit] = []
    for start in range(0, len(content) - ENTRY_BYTES + 1, ENTRY_BYTES):
        body = content[start : start + _ENTRY.size]
        if _CRC.unpack_from(content, start + _ENTRY.size)[0] != zlib.crc32(body):
            break
        commits.append(Commit(*_ENTRY.unpack(body)))
    return commits


def append_commits(handle: int, count: int, commits: list[Commit]) -> None:
    """Writes entries behind the first `count` and makes them last. Raises OSError."""
    write_at(handle, b"".join(commit.pack() for commit in commits), count * ENTRY_BYTES)
    os.fsync(handle)
