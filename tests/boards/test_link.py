"""The link end to end: the SoC of a board as Verilog, behind its serial line, driven by the host's own driver."""

import os
import random
import threading

import pytest
from amaranth.back import verilog
from hypothesis import given
from hypothesis import strategies as st

from vac.assembler.assemble import assemble
from vac.golden.model import GoldenMachine
from vac.isa.link import (
    FLAG,
    HELLO_MAGIC,
    PAYLOAD_WORDS,
    PROTOCOL_VERSION,
    RESPONSE,
    SEGMENT_COUNT_SHIFT,
    LinkStatus,
    Request,
)
from vac.isa.state_map import FRAME_RAM_BASE, REGISTER_BASE, HostRegister
from vac.link.board import Board
from vac.link.frame import Frame, FrameDecoder, encode_frame
from vac.link.serial_port import READ_TIMEOUT_S, SerialPort, open_session
from vac.link.session import LinkError, LinkSession, pack_segments
from vac.machine.protocol import StopReason
from vac_hdl.config import CoreConfig
from vac_hdl.frame_ram import BlockFrameRam
from vac_hdl.soc import Soc, SocTop
from vac_sim.link_model import LinkModel

from .serial_model import DIVISOR, SerialModel, build_serial_model

PROGRAM = """
# Stores squares in memory, sums them back, divides, and calls.
.memory 8192
.frame 4
.local count, at, sum, value

        li      count, 20
        liw     at, 4056
        li      sum, 0
again:
        mul3    value, count, count
        st32p   at, value
        add3    sum, sum, value
        djnz    count, again
        get2
        emit
        get2
        li      value, 7
        get3
        divu
        halt
"""
TICKS = 2000


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    config = CoreConfig(frame_bits=4, label_bits=0, has_retire_port=False, in_words=False)
    top = SocTop(Soc(config, BlockFrameRam, DIVISOR))
    return build_serial_model({"soc.v": verilog.convert(top, name="soc", emit_src=False)})


def _golden(image):
    golden = GoldenMachine()
    golden.load(image)
    assert golden.run(TICKS).reason is StopReason.HALTED
    return golden, golden.drain_beams()


def run_and_compare(transport) -> LinkSession:
    """Runs PROGRAM on a board and on the golden model, and compares all that the link shows."""
    image = assemble(PROGRAM)
    golden, beams = _golden(image)
    session = LinkSession(transport, attempts=40)
    board = Board(session)
    board.load(image)
    assert board.run(TICKS).reason is StopReason.HALTED
    assert board.drain_beams() == beams
    assert not board.state().differences(golden.state())
    for slot, number in golden.leaves():
        assert board.read_leaf(slot, number) == golden.read_leaf(slot, number)
    return session


@pytest.mark.rtl
def test_program_over_the_serial_line_equals_golden(library):
    assert run_and_compare(SerialModel(library)).retries == 0


@pytest.mark.rtl
def test_damaged_bytes_are_retried_and_change_nothing(library):
    rng = random.Random(5)

    def damage(data: bytes, to_board: bool) -> bytes:
        changed = bytearray(data)
        if changed and rng.random() < (0.08 if to_board else 0.02):
            at = rng.randrange(len(changed))
            kind = rng.randrange(3)
            if kind == 0:
                changed[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                del changed[at]
            else:
                changed.insert(at, rng.choice((FLAG, 0x7D, 0)))
        return bytes(changed)

    assert run_and_compare(SerialModel(library, damage)).retries > 3


class _Raw:
    """Single frames to a board, and what it answers to each."""

    def __init__(self, transport) -> None:
        self._transport = transport
        self._decoder = FrameDecoder()

    def ask(self, kind: Request, number: int, session: int, payload=()) -> Frame | None:
        self._transport.write(encode_frame(kind, number & 0xFF, session, payload))
        while received := self._transport.read():
            for frame in self._decoder.feed(received):
                assert (frame.kind, frame.number, frame.session) == (kind | RESPONSE, number & 0xFF, session)
                return frame
        return None

    def status(self, kind: Request, number: int, session: int, payload=()) -> LinkStatus:
        frame = self.ask(kind, number, session, payload)
        assert frame
        return LinkStatus(frame.status) & (LinkStatus.NO_SESSION | LinkStatus.REFUSED)


BUDGET = REGISTER_BASE + HostRegister.BUDGET
TICK = REGISTER_BASE + HostRegister.TICK_LOW


def _write(address: int, word: int) -> tuple[int, int]:
    return address | 1 << SEGMENT_COUNT_SHIFT, word


@pytest.mark.rtl
@pytest.mark.parametrize("first", [0, 17, 254, 255])
def test_a_request_takes_effect_only_where_it_is_the_next(first):
    model = LinkModel()
    raw = _Raw(model)
    assert raw.status(Request.WRITE, first + 1, 5, _write(9, 1)) == LinkStatus.NO_SESSION  # there is none yet
    assert raw.status(Request.HELLO, first, 0) == LinkStatus.NO_SESSION
    hello = raw.ask(Request.HELLO, first, 5)
    assert hello and hello.payload == (HELLO_MAGIC, PROTOCOL_VERSION)
    assert raw.status(Request.WRITE, first + 2, 5, _write(9, 2)) == LinkStatus.NO_SESSION
    assert raw.status(Request.WRITE, first + 1, 6, _write(9, 3)) == LinkStatus.NO_SESSION
    assert model.log() == []
    assert raw.status(Request.WRITE, first + 1, 5, _write(9, 4)) == LinkStatus(0)
    assert model.log() == [9, 4]
    for _ in range(3):
        assert raw.status(Request.WRITE, first + 1, 5, _write(9, 4)) == LinkStatus(0)
    read = raw.ask(Request.READ, first + 2, 5, [9 | 1 << SEGMENT_COUNT_SHIFT])
    # Frames of earlier, out of turn: they change neither the core nor what can be repeated.
    for stale in (first, first + 1, first - 100, first + 100):
        assert raw.status(Request.WRITE, stale, 5, _write(9, 5)) == LinkStatus.NO_SESSION
    assert raw.status(Request.HELLO, first, 5) == LinkStatus.NO_SESSION
    assert read and read == raw.ask(Request.READ, first + 2, 5, [9 | 1 << SEGMENT_COUNT_SHIFT])
    assert read.payload == (4,)
    assert model.log() == []
    assert raw.status(Request.HELLO, 77, 200) == LinkStatus(0)  # another host
    assert raw.status(Request.POLL, first + 3, 5) == LinkStatus.NO_SESSION
    assert raw.status(Request.POLL, 78, 200) == LinkStatus(0)


@pytest.mark.rtl
def test_repeated_request_is_not_executed_twice(library):
    model = SerialModel(library)
    session = LinkSession(model)
    board = Board(session)
    board.load(assemble(PROGRAM))
    board.flush()
    session.run([(BUDGET, [3])])
    raw, number = _Raw(model), session._number + 1

    def tick_of_beam(at: int) -> int:
        frame = raw.ask(Request.BEAMS, number + at, session._session, (1,))
        assert frame
        return frame.payload[-1]

    assert [tick_of_beam(0) for _ in range(3)] == [0, 0, 0]
    assert tick_of_beam(1) == 1
    assert [tick_of_beam(2) for _ in range(2)] == [2, 2]
    last = raw.ask(Request.BEAMS, number + 3, session._session, (1,))
    assert last and last.payload == ()


@pytest.mark.rtl
def test_a_host_that_was_supplanted_is_told(library):
    model = SerialModel(library)
    first = LinkSession(model, rng=random.Random(1))
    second = LinkSession(model, rng=random.Random(2))
    assert first._session != second._session
    with pytest.raises(LinkError, match="another host took it"):
        first.poll()
    assert LinkStatus.STOPPED in second.poll()
    third = LinkSession(model, rng=random.Random(2))  # draws the session that the board has
    assert third._session == second._session + 1
    assert LinkStatus.STOPPED in third.poll()


@pytest.mark.rtl
def test_memory_words_of_all_lengths_and_all_byte_values(library):
    session = LinkSession(SerialModel(library))
    rng = random.Random(1)
    words = [int.from_bytes(bytes((4 * i + j) & 0xFF for j in range(4)), "little") for i in range(64)]
    words += [rng.getrandbits(32) for _ in range(2 * PAYLOAD_WORDS)]
    session.write([(FRAME_RAM_BASE + 7, words)])
    assert session.read(FRAME_RAM_BASE + 7, len(words)) == words


@pytest.mark.rtl
def test_refusals(library):
    session = LinkSession(SerialModel(library))
    board = Board(session, keeps_beams=False)
    board.load(assemble(".frame 1\nforever: jmp forever\n"))
    board.flush()
    session.run([(BUDGET, [0xFFFFFFFF])])
    with pytest.raises(LinkError, match="refused READ"):
        session.read(TICK, 1)
    with pytest.raises(LinkError, match="refused RUN"):
        session.run()
    Board.identify(session)
    assert session.read(REGISTER_BASE + HostRegister.PC, 1) == [0]
    with pytest.raises(LinkError, match="refused WRITE"):
        session._exchange(Request.WRITE, (TICK | 9 << SEGMENT_COUNT_SHIFT, 1))  # fewer words than the segment names
    with pytest.raises(LinkError, match="refused RUN"):
        session._exchange(Request.RUN, (TICK | 9 << SEGMENT_COUNT_SHIFT, 1))
    assert LinkStatus.STOPPED in session.poll()
    with pytest.raises(LinkError, match="refused READ"):
        session._exchange(Request.READ, (255 << SEGMENT_COUNT_SHIFT,))  # more words than a response holds


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.lists(st.integers(0, 0xFFFFFFFF), max_size=700)), max_size=6))
def test_packed_segments_write_the_same_words(segments):
    payloads = list(pack_segments(segments))
    assert all(len(payload) <= PAYLOAD_WORDS for payload in payloads)
    written = []
    for payload in payloads:
        while payload:
            address, count = payload[0] & (1 << SEGMENT_COUNT_SHIFT) - 1, payload[0] >> SEGMENT_COUNT_SHIFT
            written += [(address + at, word) for at, word in enumerate(payload[1 : 1 + count])]
            assert len(payload) > count > 0
            payload = payload[1 + count :]
    assert written == [(address + at, word) for address, words in segments for at, word in enumerate(words)]


class Silent:
    """A transport that answers one kind of request at most. seen: a letter for each write, and each read in vain."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.answers_to: Request | None = None
        self._answer = b""

    def write(self, data: bytes) -> None:
        self.seen.append("w")
        for frame in FrameDecoder().feed(data):
            if frame.kind == self.answers_to:
                words = (HELLO_MAGIC, PROTOCOL_VERSION)
                self._answer = encode_frame(frame.kind | RESPONSE, frame.number, frame.session, words)

    def read(self) -> bytes:
        answer, self._answer = self._answer, b""
        if not answer:
            self.seen.append("r")
        return answer

    def waited_s(self) -> float:
        return self.seen.count("r") * READ_TIMEOUT_S


def test_silent_board_is_an_error():
    line = Silent()
    with pytest.raises(LinkError, match="no answer to HELLO after 6 attempts"):
        LinkSession(line, attempts=6, longest_wait=4)
    assert "".join(line.seen) == "wrwrrwrrrrwrrrrwrrrrwrrrr"  # asked again after 1, 2, 4, 4 silent reads


def test_a_board_is_waited_for_a_while_at_first_and_for_long_once_it_has_answered():
    for patience, first, later in ((None, 1.5, 30.0), (0.1, 0.1, 0.1), (7.0, 7.0, 7.0)):
        board = Silent()
        with pytest.raises(LinkError, match="no answer to HELLO"):
            open_session(board, patience)
        assert first - 1e-9 <= board.waited_s() < first + 16 * READ_TIMEOUT_S
        board.answers_to = Request.HELLO
        session = open_session(board, patience)
        board.seen.clear()
        with pytest.raises(LinkError, match="no answer to POLL"):
            session.poll()
        assert later - 1e-9 <= board.waited_s() < later + 16 * READ_TIMEOUT_S


def test_decoder_finds_frames_in_noise():
    frames = [encode_frame(1, number, 9, [FLAG, 0x7D7E7D7E, number]) for number in range(4)]
    decoder = FrameDecoder()
    stream = b"noise" + frames[0] + b"\x7e\x7e" + frames[1] + frames[2][:-3] + frames[3]
    found = [frame for at in range(len(stream)) for frame in decoder.feed(stream[at : at + 1])]
    assert [frame.number for frame in found] == [0, 1, 3]
    assert found[0].payload == (FLAG, 0x7D7E7D7E, 0)
    assert decoder.dropped == 2


def test_payload_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="254"):
        encode_frame(1, 0, 9, [0] * (PAYLOAD_WORDS + 1))


def test_serial_port_is_transparent():
    master, slave = os.openpty()
    name = os.ttyname(slave)
    with SerialPort(name, 115200) as port:
        everything = bytes(range(256))
        reader = threading.Thread(target=lambda: port.write(everything))
        reader.start()
        received = b""
        while len(received) < 256:
            received += os.read(master, 256)
        reader.join()
        assert received == everything
        os.write(master, everything)
        back = b""
        while len(back) < 256:
            back += port.read()
        assert back == everything
    os.close(master)
    os.close(slave)


def test_a_device_that_went_away(tmp_path):
    """It is waited for; where it does not come back, that is an error; where it does, the line goes on."""
    link = tmp_path / "board"

    def plug_in() -> int:
        master, slave = os.openpty()
        link.symlink_to(os.ttyname(slave))
        return master

    master = plug_in()
    with SerialPort(str(link), patience_s=0.3) as port:
        link.unlink()
        os.close(master)
        with pytest.raises(LinkError, match="went away and did not come back"):
            port.read()
    master = plug_in()
    with SerialPort(str(link), patience_s=60) as port:
        link.unlink()
        os.close(master)
        threading.Timer(0.3, lambda: plugged.append(plug_in())).start()
        plugged: list[int] = []
        assert port.read() == b""
        os.write(plugged[0], b"again")
        assert port.read() == b"again"
        port.write(b"back")
        assert os.read(plugged[0], 10) == b"back"


def test_serial_port_errors(tmp_path):
    with pytest.raises(LinkError, match="cannot open"):
        SerialPort(str(tmp_path / "none"))
    (tmp_path / "file").write_text("")
    with pytest.raises(LinkError, match="no serial device"):
        SerialPort(str(tmp_path / "file"))
    with pytest.raises(LinkError, match="does not know 12345 baud"):
        SerialPort(str(tmp_path / "file"), 12345)
