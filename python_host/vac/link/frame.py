"""Frames of the host link as bytes (see `vac.isa.link` for the format)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from vac.isa.link import ESCAPE, ESCAPE_MASK, FLAG, PAYLOAD_WORDS

_OVERHEAD_BYTES = 8
_MAXIMUM_BYTES = 4 * PAYLOAD_WORDS + _OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: header bytes, and payload words of 32 bits."""

    kind: int
    number: int
    status: int
    session: int
    payload: tuple[int, ...]


def encode_frame(kind: int, number: int, session: int, payload: Sequence[int] = (), status: int = 0) -> bytes:
    """Bytes of a frame with its flags. Raises ValueError where the payload has too many words."""
    if len(payload) > PAYLOAD_WORDS:
        raise ValueError(f"{len(payload)} words of payload; a frame holds {PAYLOAD_WORDS}")
    body = struct.pack(f"<BBBB{len(payload)}I", kind, number, status, session, *payload)
    body += struct.pack("<I", zlib.crc32(body))
    escaped = bytearray([FLAG])
    for byte in body:
        if byte in (FLAG, ESCAPE):
            escaped += bytes((ESCAPE, byte ^ ESCAPE_MASK))
        else:
            escaped.append(byte)
    escaped.append(FLAG)
    return bytes(escaped)


def _parse(body: bytes) -> Frame | None:
    if len(body) < _OVERHEAD_BYTES or len(body) % 4:
        return None
    if zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
        return None
    kind, number, status, session = body[:4]
    return Frame(kind, number, status, session, struct.unpack(f"<{len(body) // 4 - 2}I", body[4:-4]))


class FrameDecoder:
    """Finds frames in a byte stream.

    Attributes: dropped: stretches between flags that were no good frames.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._body = bytearray()
        self._escaped = False

    def feed(self, received: bytes) -> list[Frame]:
        """The good frames that end in `received`."""
        frames: list[Frame] = []
        for byte in received:
            if byte == FLAG:
                frame = None if self._escaped else _parse(bytes(self._body))
                if frame:
                    frames.append(frame)
                elif self._body:
                    self.dropped += 1
                self._body.clear()
                self._escaped = False
            elif byte == ESCAPE and not self._escaped:
                self._escaped = True
            elif len(self._body) <= _MAXIMUM_BYTES:
                self._body.append(byte ^ (ESCAPE_MASK if self._escaped else 0))
                self._escaped = False
        return frames
