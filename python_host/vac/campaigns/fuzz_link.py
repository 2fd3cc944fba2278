"""What is fuzzed of the link: frames in a stream of bytes, and a board that answers anything."""

from __future__ import annotations

from contextlib import suppress

from ..isa.limits import ISA_VERSION
from ..isa.link import (
    BEAM_WORDS,
    HELLO_MAGIC,
    PAYLOAD_WORDS,
    PROTOCOL_VERSION,
    RESPONSE,
    SEGMENT_COUNT_SHIFT,
    LinkStatus,
    Request,
)
from ..isa.state_map import StopCode
from ..isa.table import BY_MNEMONIC
from ..link.board import Board
from ..link.frame import Frame, FrameDecoder, encode_frame
from ..link.session import LinkError, LinkSession
from ..machine.protocol import Answer, MachineError
from .fuzz_readers import Target

_TICKS = 1000


class AnyAnswers:
    """A transport whose board takes its answers from these bytes: of each a status, how many words, and the words. What
    is read gets as many words as it asks for, zeros behind those given, unless the count has its top bit set. The board
    is silent when the bytes are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._requests = FrameDecoder()
        self._responses = bytearray()

    def write(self, data: bytes) -> None:
        for frame in self._requests.feed(data):
            answer = self._greeting() if frame.kind == Request.HELLO else self._next(frame)
            if answer:
                status, words = answer
                self._responses += encode_frame(frame.kind | RESPONSE, frame.number, frame.session, words, status)

    def read(self) -> bytes:
        received, self._responses = bytes(self._responses), bytearray()
        return received

    def _greeting(self) -> tuple[int, list[int]]:
        return 0, [HELLO_MAGIC, PROTOCOL_VERSION]

    def _next(self, request: Frame) -> tuple[int, list[int]] | None:
        if len(self._data) < 2:
            return None
        status, count = self._data[0], self._data[1] & 0x7F
        content = self._data[2 : 2 + 4 * count]
        words = [int.from_bytes(content[at : at + 4], "little") for at in range(0, len(content), 4)]
        if request.kind == Request.READ and not self._data[1] & 0x80:
            asked = sum(segment >> SEGMENT_COUNT_SHIFT for segment in request.payload)
            words = (words + [0] * asked)[: min(asked, PAYLOAD_WORDS)]
        self._data = self._data[2 + 4 * count :]
        return status, words


def read_frames(data: bytes) -> None:
    """Frames found, and written again."""
    decoder = FrameDecoder()
    for frame in decoder.feed(data):
        again = encode_frame(frame.kind, frame.number, frame.session, frame.payload, frame.status)
        assert FrameDecoder().feed(again) == [frame]


def ask_board(data: bytes) -> None:
    """All that a host asks of a board."""
    with suppress(LinkError, MachineError):
        board = Board(LinkSession(AnyAnswers(data), attempts=1))
        stop = board.run(_TICKS)
        board.drain_beams()
        if stop.event:
            board.answer(Answer(1))
            board.run(2 * _TICKS)
        board.state()


def _frames() -> list[bytes]:
    return [
        encode_frame(Request.READ | RESPONSE, 3, 1, [0x7E7D7E7D, 5]),
        encode_frame(Request.POLL | RESPONSE, 4, 1, [], 1) + encode_frame(Request.BEAMS | RESPONSE, 5, 1, range(10)),
    ]


def _answers() -> list[bytes]:
    def answer(status: int, *words: int) -> bytes:
        return bytes([status, len(words)]) + b"".join(word.to_bytes(4, "little") for word in words)

    stopped = int(LinkStatus.STOPPED)
    beams = stopped | int(LinkStatus.BEAMS_WAIT)
    start = answer(stopped) + answer(stopped, ISA_VERSION | 3 << 8 | 2 << 16) + answer(stopped) + answer(stopped, 7, 0)

    def run(code: StopCode, number: int = 0, slot: int = 0) -> bytes:
        ran = answer(0) + answer(beams, *range(BEAM_WORDS)) + answer(stopped)
        return ran + answer(stopped, 5, 8, 0, 9, code, slot, number, 0)

    out, system_call = BY_MNEMONIC["out"].opcode, BY_MNEMONIC["sys"].opcode
    state = answer(stopped, 1, 2, 3) * 8
    return [
        start + run(StopCode.PAGE, number=3, slot=1) + state,
        start + run(StopCode.HALTED) + state,
        start + run(StopCode.EVENT, number=out) + answer(stopped, 65) + run(StopCode.HALTED) + state,
        start + run(StopCode.EVENT, number=system_call, slot=1) + answer(stopped, 1, 2) + run(StopCode.HALTED) + state,
    ]


TARGETS: dict[str, Target] = {
    "link_frames": Target(read_frames, _frames),
    "board": Target(ask_board, _answers),
}
