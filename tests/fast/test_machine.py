"""The fast engine against the golden model on worked examples, and its own errors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vac.assembler.assemble import assemble
from vac.fast.machine import FastMachine, Trace
from vac.golden.model import GoldenMachine
from vac.image.image import Image, Segment, Window
from vac.isa.alu import AluFunction
from vac.isa.instruction import Instruction, Source, Unit
from vac.isa.limits import LEAF_BYTES
from vac.isa.table import INSTRUCTIONS
from vac.isa.traps import Trap
from vac.machine.protocol import Answer, Leaf, MachineError, PageMiss, StopReason
from vac.machine.state import Status

CORNERS = (0, 1, 2, 7, 31, 32, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF)


def _pair() -> tuple[GoldenMachine, FastMachine]:
    return GoldenMachine(), FastMachine()


def _assert_equal_runs(image: Image, *limits: int) -> None:
    """Equal at each of these ticks, and when going to the last one without a stop: short runs are stepped exactly."""
    for schedule in (limits, limits[-1:]):
        golden, traced, plain = GoldenMachine(), FastMachine(), FastMachine(Trace.NOTHING)
        for machine in (golden, traced, plain):
            machine.load(image)
        for limit in schedule:
            stop = golden.run(limit)
            assert traced.run(limit) == stop
            assert plain.run(limit) == stop
            expected = golden.state()
            assert expected.differences(traced.state()) == []
            expected.digest = None
            assert expected.differences(plain.state()) == []
            assert golden.drain_beams() == traced.drain_beams()
        for key in golden.leaves():
            assert golden.read_leaf(*key) == traced.read_leaf(*key) == plain.read_leaf(*key)


@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
def test_example_of_each_row(row: Instruction) -> None:
    _assert_equal_runs(assemble(f"{row.example.source}\nhalt\n"), 1, 2, 3, 5, 8, 1000)


@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
def test_example_of_each_row_without_a_stack(row: Instruction) -> None:
    """The bare instruction, in a frame without locals and with nothing on the stack, mostly traps."""
    bare = Image(0, 0, 8, (Segment(0, 0, 8, row.opcode.to_bytes(1, "little") + bytes([0xFF, 0xFF, 0xFF, 0xFF])),))
    _assert_equal_runs(bare, 3, 300)


STACK_ROWS = [row for row in INSTRUCTIONS if row.unit is Unit.ALU and row.a is row.b is Source.POP]


@pytest.mark.parametrize("row", STACK_ROWS, ids=lambda row: row.mnemonic)
def test_arithmetic_on_corner_values(row: Instruction) -> None:
    divides = row.function in (AluFunction.DIVU, AluFunction.DIVS, AluFunction.REMU, AluFunction.REMS)
    lines = [f"lit {a}; lit {b}; {row.mnemonic}; set0" for a in CORNERS for b in CORNERS if b or not divides]
    _assert_equal_runs(assemble("\n".join(lines) + "\nhalt\n"), 100_000)


def test_folds_in_long_calm_runs() -> None:
    """A stretch of calm epochs folds as if one by one, at any tick."""
    image = assemble("again: rd 2; rd 3; drop; drop; li l0, 60\nloop: djnz l0, loop; jmp again\n")
    _assert_equal_runs(image, 255, 256, 257, 511, 512, 5000, 5001, 20_000)


def test_page_miss_leaves_no_trace() -> None:
    image = assemble("li l0, 16; li l1, 7; st32 l0, l1; ld32 s, l0; halt\n")
    golden, fast = _pair()
    golden.load(image)
    fast.load(image)
    aside = {key: fast.evict(*key) for key in fast.leaves()}
    golden.run(100)
    misses = 0
    while (stop := fast.run(100)).reason is StopReason.PAGE_MISS:
        assert stop.miss
        key = (stop.miss.slot, stop.miss.number)
        fast.install(*key, aside.pop(key))
        misses += 1
    assert misses == 2
    assert golden.state().differences(fast.state()) == []
    assert golden.drain_beams() == fast.drain_beams()


def test_program_that_rewrites_its_next_instruction() -> None:
    """The store changes the constant pushed right behind it, inside one straight run of instructions."""
    image = assemble("li l1, 0x29; lit32 0x20000000; lit32 target; add; set2; st8 l2, l1\ntarget: k1; nop; halt\n")
    windowed = replace(image, windows=((2, Window(0, 0, image.code_length, 3)),))
    _assert_equal_runs(windowed, *range(1, 10), 1000)
    machine = FastMachine()
    machine.load(windowed)
    machine.run(100)
    assert machine.state().data_stack == [2]


@pytest.mark.parametrize("byte", [0, 1])
def test_loop_that_rewrites_its_own_middle(byte: int) -> None:
    """The rewritten instruction stands in a run that has been executed before; opcode or operand changes."""
    source = f"""
            lit32 0x20000000; lit32 target; add; set2; li l3, {(0x4E, 5)[byte]}
    again:  k1; nop; k2; nop
    target: lit8 1
            nop; set4; add3 l5, l5, l4; addi l6, l6, 1; st8o l2, l3, {byte}; bltui l6, again, 4
            halt
    """
    image = assemble(source)
    windowed = replace(image, windows=((2, Window(0, 0, image.code_length, 3)),))
    _assert_equal_runs(windowed, *range(1, 70), 1000)
    machine = FastMachine()
    machine.load(windowed)
    machine.run(1000)
    state = machine.state()
    assert state.cells[64 + 5] == (1 + 3 * 3 if byte == 0 else 1 + 3 * 5)


@pytest.mark.parametrize("trace", Trace)
def test_evicted_code_is_missed(trace: Trace) -> None:
    machine = FastMachine(trace)
    machine.load(assemble("again: nop; nop; jmp again\n"))
    assert machine.run(10).reason is StopReason.TICK
    leaf = machine.evict(0, 0)
    stop = machine.run(20)
    assert stop.reason is StopReason.PAGE_MISS
    assert stop.miss == PageMiss(0, 0)
    assert machine.state().tick == 10
    machine.install(0, 0, leaf)
    assert machine.run(20).reason is StopReason.TICK


def test_installed_code_replaces_what_was_decoded() -> None:
    golden, fast = _pair()
    image = assemble("again: k1; drop; nop; jmp again\n")
    other = assemble("again: k2; emit; nop; jmp again\n").leaves()[0, 0]
    for machine in (golden, fast):
        machine.load(image)
        machine.run(10)
        machine.install(0, 0, Leaf(other))
        machine.run(30)
    assert golden.state().differences(fast.state()) == []
    assert golden.drain_beams() == fast.drain_beams()


def test_answer_that_writes_code() -> None:
    golden, fast = _pair()
    image = assemble("again: k1; drop; in 0; drop; jmp again\n")
    for machine in (golden, fast):
        machine.load(image)
        for _ in range(3):
            machine.run(100)
            machine.answer(Answer(5, writes=((0, 0, b"\x29"),)))
        machine.run(10)
    assert golden.state().differences(fast.state()) == []
    assert golden.drain_beams() == fast.drain_beams()


def test_pointer_that_is_loaded_over() -> None:
    """Where destination and pointer are the same local it ends as the pointer, also for the next instruction."""
    _assert_equal_runs(
        assemble(
            "li l0, 16; lit32 77; st32 l0, s; ld32p l0, l0; add3 l1, l0, l0; li l0, 16; ld32p s, l0; inc 1; halt\n"
        ),
        *range(1, 12), 1000,
    )  # fmt: skip


def test_results_that_are_handed_on() -> None:
    """Every way in which an instruction can use the result of the one before, in both operands and from the stack."""
    lines = ["li l0, 9; li l1, 4; k8; k4; k2; k1"]
    for first in (
        "add3 l0, l0, l1",
        "sub3 s, l0, l1",
        "addi l1, l1, 3",
        "addi s, l0, 3",
        "get1",
        "dup",
        "swap",
        "over",
    ):
        for second in (
            "sub3 l2, l0, l1", "sub3 l2, l1, l0", "sub3 l2, l0, l0", "sub3 l2, s, l0", "sub3 l2, l0, s",
            "sub3 l2, s, s", "sub3 s, s, l1", "sub3 s, l1, s", "sub", "drop", "nip", "set3", "rsubi l2, s, 5", "dup",
            "over", "swap", "neg",
        ):  # fmt: skip
            lines.append(f"{first}; {second}; k8; k4; k2")
    source = "\n".join(f"{line}; call clear, 0" if index % 8 == 7 else line for index, line in enumerate(lines))
    image = assemble(f"{source}\nhalt\nclear: ret\n")
    golden, fast = _pair()
    for machine in (golden, fast):
        machine.load(image)
        while machine.run(machine.state().tick + 20).reason is StopReason.TICK:
            state = machine.state()
            state.sp = min(state.sp, 20)
            machine.set_state(state)
    assert golden.state().differences(fast.state()) == []
    assert golden.state().status is Status.HALTED
    assert golden.drain_beams() == fast.drain_beams()


def test_plain_machine_knows_no_digest_and_no_beams() -> None:
    machine = FastMachine(Trace.NOTHING)
    machine.load(assemble("k1; halt\n"))
    machine.run(10)
    assert machine.state().digest is None
    with pytest.raises(MachineError, match="keeps no beams"):
        machine.drain_beams()


def test_beams_of_a_long_run_and_without_a_copy() -> None:
    """More beams than the first buffer holds, in one run and by an answer that meets a full buffer."""
    image = assemble("li l0, 1000\nloop: in 0; drop; liw l1, 20000\ninner: djnz l1, inner; djnz l0, loop; halt\n")
    golden, fast, viewed = GoldenMachine(), FastMachine(), FastMachine()
    parts: list[bytes] = []
    for machine in (golden, fast, viewed):
        machine.load(image)
        for limit in (16384, 70_000):
            while machine.run(limit).reason is StopReason.EVENT:
                machine.answer(Answer(7))
            if machine is viewed:
                viewed.drain_beams_into(lambda view: parts.append(bytes(view)))
    expected = golden.drain_beams()
    assert len(expected) == 16 * 70_000
    assert fast.drain_beams() == b"".join(parts) == expected
    assert fast.drain_beams() == b""


def test_beams_stay_when_their_consumer_fails() -> None:
    machine = FastMachine()
    machine.load(assemble("k1; halt\n"))
    machine.run(10)

    def fail(view: memoryview) -> None:
        raise OSError(f"disk full at {len(view)}")

    with pytest.raises(OSError, match="disk full at 32"):
        machine.drain_beams_into(fail)
    assert len(machine.drain_beams()) == 32


def test_digest_without_beams() -> None:
    image = assemble("li l0, 1000\nloop: djnz l0, loop; halt\n")
    golden, digesting = GoldenMachine(), FastMachine(Trace.DIGEST)
    for machine in (golden, digesting):
        machine.load(image)
        machine.run(100_000)
    assert golden.state().digest == digesting.state().digest


def test_digest_stays_unknown_after_a_plain_stretch() -> None:
    image = assemble("li l0, 100\nloop: djnz l0, loop; halt\n")
    plain, traced, golden = FastMachine(Trace.NOTHING), FastMachine(), GoldenMachine()
    plain.load(image)
    plain.run(50)
    for machine in (traced, golden):
        machine.set_state(plain.state())
        for key in plain.leaves():
            machine.install(*key, plain.read_leaf(*key))
        machine.run(80)
        assert machine.state().digest is None
        assert machine.state().tick == 80


def test_dirty_leaves_are_those_stored_to() -> None:
    machine = FastMachine()
    image = assemble("li l0, 16; li l1, 7\nagain: st32 l0, l1; jmp again\n")
    machine.load(image)
    assert machine.dirty_leaves() == machine.leaves()
    machine.mark_clean()
    machine.run(2)
    assert machine.dirty_leaves() == []
    machine.run(10)
    assert machine.dirty_leaves() == [(image.windows[0][1].slot, 0)]
    machine.mark_clean()
    machine.run(20)
    assert machine.dirty_leaves() == [(image.windows[0][1].slot, 0)]


def test_answer_that_traps_and_answer_without_event() -> None:
    machine = FastMachine()
    machine.load(assemble("in 0; halt\n"))
    with pytest.raises(MachineError, match="no event"):
        machine.answer(Answer())
    assert machine.run(5).reason is StopReason.EVENT
    machine.answer(Answer(trap=Trap.DENIED))
    assert machine.state().trap is Trap.DENIED
    assert machine.run(5).reason is StopReason.TRAPPED


def test_answer_with_a_write_to_a_missing_leaf() -> None:
    machine = FastMachine()
    machine.load(assemble("in 0; halt\n"))
    machine.run(5)
    with pytest.raises(MachineError, match="not resident"):
        machine.answer(Answer(writes=((9, 0, b"x"),)))
    with pytest.raises(MachineError, match="no event"):
        machine.answer(Answer())


@pytest.mark.parametrize(
    "change",
    [
        {"sp": 65}, {"rp": 193}, {"fp": 3, "rp": 2}, {"code_length": 1 << 25}, {"pc": -1}, {"tick": 1 << 64},
        {"cells": [0] * 3}, {"fp": 1, "rp": 5, "cells": [0xFF000000] * 256}, {"windows": [Window(0, 2, 4, 1)] * 17},
    ],
    ids=str,
)  # fmt: skip
def test_impossible_state_is_refused(change: dict[str, object]) -> None:
    machine = FastMachine()
    machine.load(assemble("halt\n"))
    state = machine.state()
    for name, value in change.items():
        setattr(state, name, value)
    with pytest.raises(MachineError, match="no run can lead to"):
        machine.set_state(state)
    assert machine.run(10).reason is StopReason.HALTED


def test_memory_errors() -> None:
    machine = FastMachine()
    with pytest.raises(MachineError, match="4096 bytes"):
        machine.install(0, 0, Leaf(b"short"))
    with pytest.raises(MachineError, match="cannot exist"):
        machine.install(256, 0, Leaf(bytes(LEAF_BYTES)))
    with pytest.raises(MachineError, match="not resident"):
        machine.evict(3, 3)
    with pytest.raises(MachineError, match="not resident"):
        machine.read_leaf(-1, 0)


def test_leaf_far_up_in_a_slot() -> None:
    """A slot reaches up to 4 GiB; only what is touched costs memory."""
    machine = FastMachine()
    last = (1 << 20) - 1
    machine.install(7, last, Leaf(b"\x55" * LEAF_BYTES, 3))
    assert machine.leaves() == [(7, last)]
    assert machine.evict(7, last) == Leaf(b"\x55" * LEAF_BYTES, 3)


def test_changed_leaves_are_read_at_once() -> None:
    image = assemble(".memory 12288\nst32a l0, 0\nst32a l0, 8192\nhalt\n.frame 1\n")
    machine = FastMachine()
    machine.load(image)
    machine.install(7, 3, Leaf(bytes([9]) * 4096, 0x1234))
    assert machine.read_dirty() == [(key, machine.read_leaf(*key)) for key in machine.leaves()]
    machine.mark_clean()
    assert machine.read_dirty() == []
    machine.run(2)
    slot = image.windows[0][1].slot
    assert [key for key, _ in machine.read_dirty()] == [(slot, 0), (slot, 2)]
