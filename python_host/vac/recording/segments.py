"""Where a recorded run stood at the end of each segment, in a file that grows with it.

The file is the 8 bytes ``VACSEG`` 0 1, then records of 81 bytes: tick (u64), entries of the input log before it (u64),
digest of all beams (u64) and whether it is known (u8), hash of the log up to there (16 bytes), state root (32 bytes)
and the CRC-32 of all that, going on from the record before (u32), and four bytes of zeros. All numbers are
little-endian. A record that is cut short or whose CRC is wrong ends the file.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from .errors import RecordingError
from .input_log_file import CHAIN_BYTES

MAGIC = b"VACSEG\x00\x01"
_RECORD = struct.Struct(f"<QQQB{CHAIN_BYTES}s32s")
_RECORD_BYTES = _RECORD.size + 8


@dataclass(frozen=True)
class Segment:
    """The state at a tick, before its instruction. digest: None where the engine did not make beams."""

    tick: int
    position: int
    digest: int | None
    chain: bytes
    root: bytes

    def pack(self, crc: int) -> tuple[bytes, int]:
        body = _RECORD.pack(
            self.tick, self.position, self.digest or 0, self.digest is not None, self.chain, self.root
        )  # fmt: skip
        crc = zlib.crc32(body, crc)
        return body + crc.to_bytes(4, "little") + bytes(4), crc


def encode_segments(segments: list[Segment]) -> bytes:
    """A whole file."""
    content, crc = bytearray(MAGIC), 0
    for segment in segments:
        record, crc = segment.pack(crc)
        content += record
    return bytes(content)


def decode_segments(content: bytes) -> tuple[list[Segment], int, int]:
    """The segments of a file, how many of its bytes they take, and their CRC; the rest is a torn tail.

    Raises RecordingError for what is no such file.
    """
    if not content.startswith(MAGIC):
        if MAGIC.startswith(content):
            return [], 0, 0
        raise RecordingError("not a file of segments: the first eight bytes differ")
    found: list[Segment] = []
    position, crc = len(MAGIC), 0
    while position + _RECORD_BYTES <= len(content):
        body = content[position : position + _RECORD.size]
        tick, entries, digest, is_known, chain, root = _RECORD.unpack(body)
        segment = Segment(tick, entries, digest if is_known else None, chain, root)
        record, expected = segment.pack(crc)
        if record != content[position : position + _RECORD_BYTES]:
            break
        found.append(segment)
        position, crc = position + _RECORD_BYTES, expected
    return found, position, crc


class SegmentFile:
    """Segments that a run is recorded into. Opening cuts a torn tail, and all behind `last_position` entries of the
    log: segments that the log did not keep up with. Raises RecordingError."""

    def __init__(self, path: Path, last_position: int) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            with open(self._file, "rb", closefd=False) as reader:
                found, _, _ = decode_segments(reader.read())
            self.segments = [segment for segment in found if segment.position <= last_position]
            content = encode_segments(self.segments)
            _, self._end, self._crc = decode_segments(content)
            if not self.segments:
                os.pwrite(self._file, content, 0)
            os.ftruncate(self._file, self._end)
        except OSError as error:
            raise RecordingError(f"cannot open {path}: {error.strerror or error}") from error
        except RecordingError as error:
            raise RecordingError(f"{path}: {error}") from error

    def append(self, segment: Segment) -> None:
        record, crc = segment.pack(self._crc)
        try:
            if os.pwrite(self._file, record, self._end) != len(record):
                raise OSError(0, "it was written in part")
        except OSError as error:
            raise RecordingError(f"cannot write {self.path}: {error.strerror or error}") from error
        self._end, self._crc = self._end + len(record), crc
        self.segments.append(segment)

    def commit(self) -> None:
        """All segments are safe when this returns."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise RecordingError(f"cannot write {self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
