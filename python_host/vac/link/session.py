"""Requests to a board over any byte transport, each executed exactly once."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from vac.isa.beam import BEAM_BYTES, Beam
from vac.isa.link import (
    BEAM_WORDS,
    BEAMS_A_FRAME,
    HELLO_MAGIC,
    PAYLOAD_WORDS,
    PROTOCOL_VERSION,
    RESPONSE,
    SEGMENT_COUNT_SHIFT,
    SEGMENT_WORDS,
    LinkStatus,
    Request,
)

from .frame import Frame, FrameDecoder, encode_frame

T = TypeVar("T")


class LinkError(Exception):
    """The board does not answer, refuses, or speaks another protocol."""


class Transport(Protocol):
    """A byte stream in both directions."""

    def write(self, data: bytes) -> None: ...

    def read(self) -> bytes:
        """What has arrived, waiting a moment where nothing has; empty where that moment passed."""
        ...


@dataclass(frozen=True, slots=True)
class ShippedBeam:
    """A beam and its tick modulo 2**32."""

    beam: Beam
    tick: int


def _chunks(words: Sequence[T], size: int) -> Iterator[tuple[int, Sequence[T]]]:
    for start in range(0, len(words), size):
        yield start, words[start : start + size]


class LinkSession:
    """A session with one board. Opens with HELLO.

    Raises LinkError from every method where the board does not answer `attempts` times, or refuses.
    Attributes: retries: requests that were sent again. status: `LinkStatus` of the last response.
    """

    def __init__(self, transport: Transport, attempts: int = 8) -> None:
        self._transport = transport
        self._attempts = attempts
        self._decoder = FrameDecoder()
        self._number = random.randrange(256)
        self.retries = 0
        self.status = LinkStatus(0)
        magic, version, *_ = (*self._exchange(Request.HELLO).payload, 0, 0)
        if (magic, version) != (HELLO_MAGIC, PROTOCOL_VERSION):
            raise LinkError(
                f"the board answers with {magic:#010x}, protocol {version}; this host speaks protocol "
                f"{PROTOCOL_VERSION}: write the bitstream of this version to the board"
            )

    def write(self, address: int, words: Iterable[int]) -> None:
        """Writes 32-bit words at rising host-port addresses. The core must be stopped."""
        for start, chunk in _chunks(list(words), PAYLOAD_WORDS - 1):
            self._exchange(Request.WRITE, (address + start | len(chunk) << SEGMENT_COUNT_SHIFT, *chunk))

    def write_each(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Writes one word at each (address, word), in order. The core must be stopped."""
        for _, chunk in _chunks(list(pairs), PAYLOAD_WORDS // 2):
            self._exchange(
                Request.WRITE, [part for address, word in chunk for part in (address | 1 << SEGMENT_COUNT_SHIFT, word)]
            )

    def read(self, address: int, count: int) -> list[int]:
        """`count` words from rising host-port addresses. The core must be stopped."""
        words: list[int] = []
        while len(words) < count:
            wanted = min(count - len(words), PAYLOAD_WORDS, SEGMENT_WORDS)
            response = self._exchange(Request.READ, (address + len(words) | wanted << SEGMENT_COUNT_SHIFT,))
            if len(response.payload) != wanted:
                raise LinkError(f"{len(response.payload)} words came where {wanted} were asked for")
            words += response.payload
        return words

    def start(self) -> None:
        """Lets the core run on."""
        self._exchange(Request.START)

    def halt(self) -> None:
        """Asks the core to stop; `poll` tells when it has."""
        self._exchange(Request.HALT)

    def poll(self) -> LinkStatus:
        self._exchange(Request.POLL)
        return self.status

    def beams(self, most: int = BEAMS_A_FRAME) -> list[ShippedBeam]:
        """Takes up to `most` of the beams that are waiting."""
        taken: list[ShippedBeam] = []
        while len(taken) < most:
            credit = min(most - len(taken), BEAMS_A_FRAME)
            payload = self._exchange(Request.BEAMS, (credit,)).payload
            for _, words in _chunks(payload, BEAM_WORDS):
                record = b"".join(word.to_bytes(4, "little") for word in words[:-1])
                assert len(record) == BEAM_BYTES
                taken.append(ShippedBeam(Beam.unpack(record), words[-1]))
            if len(payload) < credit * BEAM_WORDS:
                break
        return taken

    def _exchange(self, request: Request, payload: Sequence[int] = ()) -> Frame:
        self._number = (self._number + 1) & 0xFF
        frame = encode_frame(request, self._number, payload)
        for attempt in range(self._attempts):
            self.retries += attempt > 0
            self._transport.write(frame)
            response = self._await(request)
            if response:
                self.status = LinkStatus(response.status)
                if LinkStatus.REFUSED in self.status:
                    raise LinkError(f"the board refused {request.name}; it takes it only while the core is stopped")
                return response
        raise LinkError(
            f"no answer to {request.name} after {self._attempts} attempts; check the cable, the port and its rate, and "
            "that the board is configured"
        )

    def _await(self, request: Request) -> Frame | None:
        while received := self._transport.read():
            for frame in self._decoder.feed(received):
                if (frame.kind, frame.number) == (request | RESPONSE, self._number):
                    return frame
        return None
