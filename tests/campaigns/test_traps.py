"""A trap on every instruction that can trap, behind compiled code and in the interpreter, as the golden model traps."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from vac.fast.machine import FastMachine, Trace
from vac.golden.model import GoldenMachine
from vac.image.decode import decode
from vac.image.image import Image, Segment, Window
from vac.image.stack_effect import stack_effect
from vac.isa.alu import DIVIDING
from vac.isa.encoding import FieldKind
from vac.isa.instruction import Instruction, Unit
from vac.isa.limits import DATA_STACK_CELLS, RETURN_STACK_CELLS
from vac.isa.table import INSTRUCTIONS
from vac.isa.traps import Trap
from vac.jit.machine import JitMachine
from vac.machine.state import State
from vac.randomised.operands import random_cell, random_field
from vac.randomised.writer import CodeWriter

TRIES = 24
WINDOWS = (Window(), Window(1, 0, 64, 1), Window(1, 0, 64, 2), Window(1, 4, 61, 3))


def images(row: Instruction) -> Iterator[Image]:
    """The instruction with random operands, behind two that do nothing."""
    rng = Random(row.mnemonic)
    for _ in range(TRIES):
        writer = CodeWriter()
        writer.op("nop")
        writer.op("nop")
        values = [random_field(rng, field) for field in row.fields if field.kind is not FieldKind.SUBOPERATION]
        writer.emit(row, *values)
        writer.code += bytes([1] * 8)
        windows = tuple((index, rng.choice(WINDOWS)) for index in range(16))
        code = bytes(writer.code)
        segments = (Segment(0, 0, len(code), code), Segment(1, 0, 4096, rng.randbytes(4096)))
        yield Image(0, rng.choice((0, 3, 15, 16)), len(code), segments, windows)


def states(image: Image, row: Instruction, number: int) -> Iterator[State]:
    """Stacks that are empty, nearly empty, full, and such that the return stack is full."""
    rng = Random(f"{row.mnemonic} {number}")
    for depth in (0, 1, 2, DATA_STACK_CELLS):
        state = State.initial(image)
        state.sp = depth
        cells = [0, *(random_cell(rng) for _ in range(3))]
        state.cells = [rng.choice(cells) & 0xF00000FF for _ in state.cells]
        if depth == 2 and row.unit in (Unit.CALL, Unit.TABLE_CALL):
            state.rp = RETURN_STACK_CELLS
            state.fp = RETURN_STACK_CELLS - image.frame
            state.cells[DATA_STACK_CELLS + state.fp - 1] = 0
            for index in range(state.fp):
                state.cells[DATA_STACK_CELLS + index] = 0
        yield state


def can_trap(row: Instruction) -> set[Trap]:
    """What must be met at least."""
    found: set[Trap] = set()
    if row.unit in (Unit.LOAD, Unit.STORE):
        found |= {Trap.PERMISSION, Trap.BOUNDS}
    if row.function in DIVIDING and row.unit is Unit.ALU:
        found.add(Trap.DIVISION_BY_ZERO)
    if row.unit is Unit.CALL:
        found.add(Trap.RETURN_OVERFLOW)
    if row.unit is Unit.RETURN:
        found.add(Trap.RETURN_UNDERFLOW)
    writer = CodeWriter()
    writer.emit(row, *(0 for field in row.fields if field.kind is not FieldKind.SUBOPERATION))
    legal = decode(bytes(writer.code), 0)
    assert legal
    effect = stack_effect(legal)
    if effect.needs:
        found.add(Trap.STACK_UNDERFLOW)
    if effect.pushes > effect.pops:
        found.add(Trap.STACK_OVERFLOW)
    if effect.highest_local >= 0:
        found.add(Trap.FRAME)
    return found


@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
def test_traps(row: Instruction) -> None:
    met: set[Trap] = set()
    golden = GoldenMachine()
    engines = (FastMachine(Trace.BEAMS), JitMachine(Trace.BEAMS), JitMachine(Trace.NOTHING))
    for number, image in enumerate(images(row)):
        for each in (golden, *engines):
            each.load(image)
        for state in states(image, row, number):
            golden.set_state(state)
            expected_stop = golden.run(3)
            expected = golden.state()
            beams = golden.drain_beams()
            met.add(expected.trap)
            for machine in engines:
                machine.set_state(state)
                if isinstance(machine, JitMachine) and number < 2:
                    machine.compile_here()
                assert machine.run(3) == expected_stop
                wanted = golden.state()
                if machine.trace is Trace.NOTHING:
                    wanted.digest = None
                else:
                    assert machine.drain_beams() == beams
                assert not wanted.differences(machine.state())
    assert met >= can_trap(row), (row.mnemonic, met)
