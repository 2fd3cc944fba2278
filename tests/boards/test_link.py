"""The link end to end: the SoC of a board as Verilog, behind its serial line, driven by the host's own driver."""

import os
import random
import threading

import pytest
from amaranth.back import verilog

from vac.assembler.assemble import assemble
from vac.golden.model import GoldenMachine
from vac.isa.beam import BEAM_BYTES, Beam
from vac.isa.link import FLAG, PAYLOAD_WORDS, Request
from vac.isa.state_map import FRAME_RAM_BASE, HostRegister, StopCode
from vac.isa.traps import Trap
from vac.link.board import Board
from vac.link.frame import FrameDecoder, encode_frame
from vac.link.serial_port import SerialPort
from vac.link.session import LinkError, LinkSession
from vac.machine.protocol import StopReason
from vac_hdl.config import CoreConfig
from vac_hdl.frame_ram import BlockFrameRam
from vac_hdl.soc import Soc, SocTop

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
    config = CoreConfig(frame_bits=4, label_bits=0, has_retire_port=False)
    top = SocTop(Soc(config, BlockFrameRam, DIVISOR))
    return build_serial_model({"soc.v": verilog.convert(top, name="soc", emit_src=False)})


def _golden(image):
    golden = GoldenMachine()
    golden.load(image)
    stop = golden.run(TICKS)
    assert stop.reason is StopReason.HALTED
    beams = golden.drain_beams()
    records = [Beam.unpack(beams[at : at + BEAM_BYTES]) for at in range(0, len(beams), BEAM_BYTES)]
    return golden, records


def run_and_compare(transport) -> LinkSession:
    """Runs PROGRAM on a board and on the golden model, and compares all that the link shows."""
    image = assemble(PROGRAM)
    golden, records = _golden(image)
    state = golden.state()
    session = LinkSession(transport, attempts=40)
    board = Board(session)
    board.load(image)
    stop = board.run(TICKS)
    assert (stop.code, stop.trap) == (StopCode.HALTED, Trap.NONE)
    assert board.beams == records
    registers = board.registers()
    assert registers[HostRegister.TICK_LOW] == state.tick == len(records)
    assert registers[HostRegister.PC] == state.pc
    assert registers[HostRegister.DIGEST_LOW] | registers[HostRegister.DIGEST_HIGH] << 32 == state.digest
    assert registers[HostRegister.COHERENCE] == state.sqi.coherence
    assert board.cells()[: state.sp] == state.data_stack
    for slot, number in golden.leaves():
        assert board.read_leaf(slot, number) == golden.read_leaf(slot, number).data
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


@pytest.mark.rtl
def test_repeated_request_is_not_executed_twice(library):
    model = SerialModel(library)
    session = LinkSession(model)
    Board(session).load(assemble(PROGRAM))
    session.write(0x300 + HostRegister.BUDGET, [3])
    session.start()
    decoder = FrameDecoder()

    def ask_for_beam(number: int) -> tuple[int, ...]:
        model.write(encode_frame(Request.BEAMS, number, (1,)))
        while True:
            received = model.read()
            assert received
            for frame in decoder.feed(received):
                return frame.payload

    number = session._number + 1 & 0xFF
    assert [ask_for_beam(number)[-1] for _ in range(3)] == [0, 0, 0]
    assert ask_for_beam(number + 1 & 0xFF)[-1] == 1
    assert ask_for_beam(number + 2 & 0xFF)[-1] == 2
    assert ask_for_beam(number + 3 & 0xFF) == ()


@pytest.mark.rtl
def test_memory_words_of_all_lengths_and_all_byte_values(library):
    session = LinkSession(SerialModel(library))
    rng = random.Random(1)
    words = [int.from_bytes(bytes((4 * i + j) & 0xFF for j in range(4)), "little") for i in range(64)]
    words += [rng.getrandbits(32) for _ in range(2 * PAYLOAD_WORDS)]
    session.write(FRAME_RAM_BASE + 7, words)
    assert session.read(FRAME_RAM_BASE + 7, len(words)) == words


@pytest.mark.rtl
def test_refusals(library):
    model = SerialModel(library)
    session = LinkSession(model)
    board = Board(session)
    board.load(assemble(".frame 1\nforever: jmp forever\n"))
    session.write(0x300 + HostRegister.BEAM_CONTROL, [0])
    session.write(0x300 + HostRegister.BUDGET, [0xFFFFFFFF])
    session.start()
    with pytest.raises(LinkError, match="refused READ"):
        session.read(0x300, 1)
    with pytest.raises(LinkError, match="refused START"):
        session.start()
    board.halt()
    assert board.register(HostRegister.PC) == 0
    with pytest.raises(LinkError, match="refused WRITE"):
        session._exchange(Request.WRITE, (0x300 | 9 << 24, 1))  # fewer words than the segment names
    with pytest.raises(LinkError, match="refused READ"):
        session._exchange(Request.READ, (255 << 24,))  # more words than a response holds


def test_silent_board_is_an_error():
    class Silent:
        def write(self, data: bytes) -> None:
            pass

        def read(self) -> bytes:
            return b""

    with pytest.raises(LinkError, match="no answer to HELLO after 3 attempts"):
        LinkSession(Silent(), attempts=3)


def test_decoder_finds_frames_in_noise():
    frames = [encode_frame(1, number, [FLAG, 0x7D7E7D7E, number]) for number in range(4)]
    decoder = FrameDecoder()
    stream = b"noise" + frames[0] + b"\x7e\x7e" + frames[1] + frames[2][:-3] + frames[3]
    found = [frame for at in range(len(stream)) for frame in decoder.feed(stream[at : at + 1])]
    assert [frame.number for frame in found] == [0, 1, 3]
    assert found[0].payload == (FLAG, 0x7D7E7D7E, 0)
    assert decoder.dropped == 2


def test_payload_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="254"):
        encode_frame(1, 0, [0] * (PAYLOAD_WORDS + 1))


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
        while chunk := port.read():
            back += chunk
        assert back == everything
    os.close(master)
    os.close(slave)


def test_serial_port_errors(tmp_path):
    with pytest.raises(LinkError, match="cannot open"):
        SerialPort(str(tmp_path / "none"))
    (tmp_path / "file").write_text("")
    with pytest.raises(LinkError, match="no serial device"):
        SerialPort(str(tmp_path / "file"))
    with pytest.raises(LinkError, match="does not know 12345 baud"):
        SerialPort(str(tmp_path / "file"), 12345)
