"""Requests to a board over any byte transport, each executed exactly once."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

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

from ..machine.host_port import Segment
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
    """The 16 bytes of a beam, and its tick modulo 2**32."""

    record: bytes
    tick: int


def _chunks(words: Sequence[T], size: int) -> Iterator[tuple[int, Sequence[T]]]:
    for start in range(0, len(words), size):
        yield start, words[start : start + size]


def pack_segments(segments: Iterable[Segment]) -> Iterator[list[int]]:
    """Payloads that write these segments in order, each as full as it can be. An empty one where there is nothing."""
    payload: list[int] = []
    for address, words in segments:
        at = 0
        while at < len(words):
            room = PAYLOAD_WORDS - len(payload) - 1
            if room < 1:
                yield payload
                payload = []
                continue
            part = words[at : at + min(room, SEGMENT_WORDS)]
            payload += [address + at | len(part) << SEGMENT_COUNT_SHIFT, *part]
            at += len(part)
    yield payload


class LinkSession:
    """A session with one board, opened with HELLO.

    attempts: how often a request is sent before the board counts as silent; can be changed later. rng: chooses the
    session and its first number. longest_wait: silent reads after which a request is sent again at the latest; the
    first time it is after one, then after twice as many each time, so that a board that is slow has less to do.
    Raises LinkError from every method where the board does not answer, refuses, or is no longer in this session
    because it was configured again or another host took it.
    Attributes: requests: executed so far. retries: requests that were sent again. status: `LinkStatus` of the last
    response.
    """

    def __init__(
        self, transport: Transport, attempts: int = 8, rng: random.Random | None = None, *, longest_wait: int = 1
    ) -> None:
        rng = rng or random.Random()
        self._transport = transport
        self.attempts = attempts
        self._longest_wait = longest_wait
        self._decoder = FrameDecoder()
        self._number = rng.randrange(256)
        self.requests = 0
        self.retries = 0
        self.status = LinkStatus(0)
        self._session = 1 + rng.randrange(255)
        response = self._exchange(Request.HELLO, judges=False)
        if LinkStatus.NO_SESSION in self.status:  # the board has this session already: another one, then
            self._session = 1 + self._session % 255
            response = self._exchange(Request.HELLO, judges=False)
        magic, version, *_ = (*response.payload, 0, 0)
        if (magic, version) != (HELLO_MAGIC, PROTOCOL_VERSION):
            raise LinkError(
                f"the board answers with {magic:#010x}, protocol {version}; this host speaks protocol "
                f"{PROTOCOL_VERSION}: write the bitstream of this version to the board"
            )

    def write(self, segments: Iterable[Segment]) -> None:
        """Writes words at rising host-port addresses, segment after segment. The core must be stopped."""
        for payload in pack_segments(segments):
            if payload:
                self._exchange(Request.WRITE, payload)

    def run(self, segments: Iterable[Segment] = ()) -> None:
        """Writes as `write` does, then lets the core run on."""
        *before, last = pack_segments(segments)
        for payload in before:
            self._exchange(Request.WRITE, payload)
        self._exchange(Request.RUN, last)

    def read(self, address: int, count: int) -> list[int]:
        """`count` words from rising host-port addresses. The core must be stopped."""
        words: list[int] = []
        while len(words) < count:
            wanted = min(count - len(words), PAYLOAD_WORDS)
            words += self.read_spans([(address + len(words), wanted)])
        return words

    def read_spans(self, spans: Sequence[tuple[int, int]]) -> list[int]:
        """The words of several (address, count) in one request: PAYLOAD_WORDS at most, one after the other."""
        payload = [address | count << SEGMENT_COUNT_SHIFT for address, count in spans]
        response = self._exchange(Request.READ, payload)
        wanted = sum(count for _, count in spans)
        if len(response.payload) != wanted:
            raise LinkError(f"{len(response.payload)} words came where {wanted} were asked for")
        return list(response.payload)

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
            if len(payload) > credit * BEAM_WORDS or len(payload) % BEAM_WORDS:
                raise LinkError(f"{len(payload)} words came where up to {credit} beams of {BEAM_WORDS} were asked for")
            for _, words in _chunks(payload, BEAM_WORDS):
                record = b"".join(word.to_bytes(4, "little") for word in words[:-1])
                taken.append(ShippedBeam(record, words[-1]))
            if len(payload) < credit * BEAM_WORDS:
                break
        return taken

    def drop_beams(self) -> None:
        """Takes the beams that are waiting, for nobody."""
        while LinkStatus.BEAMS_WAIT in self.status:
            self.beams()

    def _exchange(self, request: Request, payload: Sequence[int] = (), judges: bool = True) -> Frame:
        self._number = (self._number + 1) & 0xFF
        frame = encode_frame(request, self._number, self._session, payload)
        for attempt in range(self.attempts):
            self.retries += attempt > 0
            self._transport.write(frame)
            response = self._await(request, min(1 << attempt, self._longest_wait))
            if response:
                self.status = LinkStatus(response.status)
                self.requests += 1
                if judges:
                    self._judge(request)
                return response
        raise LinkError(
            f"no answer to {request.name} after {self.attempts} attempts; check the cable, the port and its rate, and "
            "that the board is configured"
        )

    def _judge(self, request: Request) -> None:
        if LinkStatus.NO_SESSION in self.status:
            raise LinkError(
                "the board is no longer in this session: it was configured again, or another host took it; begin again"
            )
        if LinkStatus.REFUSED in self.status:
            raise LinkError(f"the board refused {request.name}; it takes it only while the core is stopped")

    def _await(self, request: Request, silences: int) -> Frame | None:
        """The response; None after so many reads that brought nothing."""
        expected = (request | RESPONSE, self._number, self._session)
        while silences:
            received = self._transport.read()
            silences -= not received
            for frame in self._decoder.feed(received):
                if (frame.kind, frame.number, frame.session) == expected:
                    return frame
        return None
