"""The `board` engine against the golden model: the core behind its link, with and without labels, short of frames."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest

from vac.assembler.assemble import assemble, assemble_file
from vac.campaigns.lockstep import Lockstep
from vac.devices.console import Console
from vac.golden.model import GoldenMachine
from vac.host.session import Host
from vac.isa.state_map import LABEL_RAM_BASE, REGISTER_BASE, STACK_RAM_BASE, HostRegister
from vac.isa.traps import Trap
from vac.link.board import Board
from vac.link.monitor_script import monitor_script
from vac.link.session import LinkSession
from vac.machine.protocol import Answer, Leaf, MachineError, OutOfFrames, StopReason
from vac.machine.state import State, Status
from vac.randomised.program import random_program
from vac.randomised.restless import restless_image
from vac_hdl.config import CoreConfig
from vac_sim.line_faults import FaultyLine

from .stream_model import StreamModel

pytestmark = pytest.mark.rtl

PLAIN = CoreConfig(frame_bits=3, tlb_bits=2, window_way_bits=0, label_bits=0, has_retire_port=False, in_words=False)
COMPACT = CoreConfig(
    core="compact", frame_bits=3, tlb_bits=2, label_bits=0, beam_fifo=8, has_retire_port=False, in_words=False
)
LABELLED = CoreConfig(frame_bits=4, tlb_bits=3, has_retire_port=False, in_words=False)
FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
ECHO = """
.memory 4096
again:  lit CONSOLE; lit 1; lit 64; sys SYS_READ    # not aligned
        set0
        bz l0, end
        in CLOCK; emit
        lit CONSOLE; lit 1; get0; sys SYS_WRITE
        emit
        jmp again
end:    k0; in CONSOLE_DATA; halt
"""


def board(config: CoreConfig = LABELLED, keeps_beams: bool = True) -> Board:
    return Board(LinkSession(StreamModel(config)), keeps_beams)


def test_it_says_what_it_is() -> None:
    identity = board(PLAIN).identity
    assert (identity.isa_version, identity.frames, identity.tlb_entries, identity.label_bits) == (1, 8, 4, 0)
    assert board(LABELLED).identity.label_bits == 16


@pytest.mark.parametrize("config", [PLAIN, COMPACT, LABELLED], ids=["plain", "compact", "labelled"])
def test_label_words(config: CoreConfig) -> None:
    """They are read and written where the build has labels; otherwise they are zero, and stay so."""
    session = LinkSession(StreamModel(config))
    for address in (REGISTER_BASE, LABEL_RAM_BASE, STACK_RAM_BASE):
        session.write([(address + HostRegister.RP, [0x155])])
        session.write([(address + HostRegister.FP, [0x2AA])])
    kept = 0xFFFFFFFF if config.label_bits else 0
    assert session.read(LABEL_RAM_BASE + HostRegister.RP, 2) == [0x155 & kept, 0x2AA & kept]
    assert session.read(STACK_RAM_BASE + HostRegister.RP, 2) == [0x155, 0x2AA]
    assert session.read(LABEL_RAM_BASE + HostRegister.IDENTITY, 1) == [0]
    assert session.read(REGISTER_BASE + HostRegister.IDENTITY, 1) != [0]


@pytest.mark.parametrize("seed", range(8))
def test_lockstep_with_golden_through_evictions_and_hand_overs(seed: int) -> None:
    """Random programs under a random host: labels, self-modification, every event, slices, moves between engines."""
    coverage = Lockstep(restless_image(seed, has_labels=seed % 3 != 0), seed, GoldenMachine, board, True).run(1500)
    assert coverage.ticks > 0


@pytest.mark.parametrize("seed", range(8))
def test_programs_short_of_frames(seed: int) -> None:
    """The host makes room again and again; a program with more leaves than frames ends as it does on golden."""
    program = random_program(seed + 40, 30)
    config = LABELLED if program.image.has_labels else PLAIN
    golden, machine = GoldenMachine(), board(config)
    for engine in (golden, machine):
        program.host(engine).run(20_000)
    assert not machine.state().differences(golden.state())
    assert machine.drain_beams() == golden.drain_beams()


@pytest.mark.parametrize("slice_ticks", [1, 7, 1 << 30])
def test_devices_answer_over_the_link(slice_ticks: int) -> None:
    text = b"bytes that come from outside, and go back" * 3
    results = []
    for machine in (GoldenMachine(), board(PLAIN)):
        output = bytearray()
        host = Host(machine, assemble(ECHO), console=Console(text, output.extend))
        tick = 0
        while host.run(tick := tick + slice_ticks).reason is StopReason.TICK:
            assert machine.state().tick == tick
        assert bytes(output) == text
        results.append((machine.state(), machine.drain_beams(), host.input_log.to_text()))
    golden, linked = results
    assert not linked[0].differences(golden[0])
    assert linked[1:] == golden[1:]


def test_the_monitor_loads_and_runs_a_program_over_the_link() -> None:
    """Twice over a byte stream: the program goes through the monitor's console, and that through the link."""
    text = b"through the monitor"
    typed = monitor_script(assemble_file(FIRMWARE / "demos" / "crc32_file.vasm")) + text
    output = bytearray()
    machine = board(keeps_beams=False)
    host = Host(machine, assemble_file(FIRMWARE / "monitor" / "monitor.vasm"), console=Console(typed, output.extend))
    assert host.run(1 << 20).reason is StopReason.HALTED
    assert output.endswith(b"> loaded\n> done\n> %08x\n" % zlib.crc32(text))


def test_devices_answer_over_a_bad_line() -> None:
    text = b"every byte once" * 4
    line = FaultyLine(StreamModel(PLAIN), random.Random(3), 0.2, pull=0.002)
    session = LinkSession(line, attempts=400)
    machine, golden, outputs = Board(session), GoldenMachine(), (bytearray(), bytearray())
    for engine, output in zip((machine, golden), outputs, strict=True):
        Host(engine, assemble(ECHO), console=Console(text, output.extend)).run(1 << 20)
    assert outputs[0] == outputs[1] == text
    assert not machine.state().differences(golden.state())
    assert machine.drain_beams() == golden.drain_beams()
    assert session.retries > 10


def test_a_denial_traps() -> None:
    machine = board()
    host = Host(machine, assemble("k1; in 0x40; halt"))
    assert host.run(100).reason is StopReason.TRAPPED
    assert machine.state().trap is Trap.DENIED
    assert machine.run(1 << 20).reason is StopReason.TRAPPED


def test_an_answer_takes_effect_though_nothing_runs_on() -> None:
    machine, golden = board(), GoldenMachine()
    for engine in (machine, golden):
        engine.load(assemble("in 0; emit; halt"))
        assert engine.run(100).reason is StopReason.EVENT
        engine.answer(Answer(value=0x12345678))
    assert machine.drain_beams() == golden.drain_beams() != b""
    assert machine.state().data_stack == [0x12345678]
    assert not machine.state().differences(golden.state())
    with pytest.raises(MachineError, match="no event waits"):
        machine.answer(Answer())


def test_clean_leaves_are_not_read_back() -> None:
    """Their bytes are known here: evicting costs no transfer of 4 KiB over the line."""
    transport = StreamModel(LABELLED)
    moved = 0
    plain_read = transport.read

    def counted() -> bytes:
        nonlocal moved
        data = plain_read()
        moved += len(data)
        return data

    transport.read = counted
    machine = Board(LinkSession(transport))
    machine.load(assemble(".memory 8192\nlit 7; st32a s, 0; ld32a s, 4096; halt"))
    machine.install(1, 0, Leaf(b"a" * 4096))
    machine.install(1, 1, Leaf(b"b" * 4096))
    assert machine.run(100).reason is StopReason.HALTED
    before = moved
    assert machine.evict(1, 1) == Leaf(b"b" * 4096)
    assert moved == before
    assert machine.evict(1, 0) == Leaf(b"\7\0\0\0" + b"a" * 4092)
    assert moved - before > 4096


def test_requests_that_make_no_sense() -> None:
    machine = board(PLAIN)
    with pytest.raises(MachineError, match="4096 bytes, not 3"):
        machine.install(1, 0, Leaf(b"abc"))
    with pytest.raises(MachineError, match="leaf 9 of slot 1 is not resident"):
        machine.evict(1, 9)
    with pytest.raises(MachineError, match="has labels, and this build of the core has none"):
        machine.set_state(State(has_labels=True))
    with pytest.raises(MachineError, match="no digest"):
        machine.set_state(State(digest=None))
    for number in range(8):
        machine.install(1, number, Leaf(bytes(4096)))
    with pytest.raises(OutOfFrames, match="all 8 frames"):
        machine.install(1, 8, Leaf(bytes(4096)))
    machine.install(1, 3, Leaf(b"c" * 4096))
    assert machine.leaves() == [(1, number) for number in range(8)]
    with pytest.raises(MachineError, match="beams were not kept"):
        board(PLAIN, keeps_beams=False).drain_beams()


def test_a_new_host_takes_over_a_running_core() -> None:
    transport = StreamModel(LABELLED)
    first = Board(LinkSession(transport))
    first.load(assemble("forever: k1; emit; jmp forever"))
    first.flush()
    first._session.run([(0x308, [0xFFFFFFFF])])  # the host is gone, the core runs on, held back by its beams
    second = Board(LinkSession(transport))
    state = second.state()
    assert state.tick > 0 and state.status is Status.RUNNING
    second.load(assemble("k4; halt"))
    assert second.run(10).reason is StopReason.HALTED
    assert len(second.drain_beams()) == 32


def test_a_leafs_labels_come_back_with_what_is_loaded() -> None:
    source = """.labels
    k1; k2; join; set0                      # local 0 carries label 1
    k8; get0; st32 s, s                     # which its leaf takes on
    k8; ld32 s, s; k4; ld32 s, s
    halt"""
    results = []
    for machine in (GoldenMachine(), board()):
        machine.load(assemble(source))
        machine.run(7)
        leaf = machine.evict(1, 0)
        assert leaf.labels == 1
        assert machine.run(1000).reason is StopReason.PAGE_MISS
        machine.install(1, 0, Leaf(leaf.data, leaf.labels | 4))
        assert machine.run(1000).reason is StopReason.HALTED
        results.append(machine.state())
    assert results[1].labels[:2] == [5, 5]
    assert not results[1].differences(results[0])
