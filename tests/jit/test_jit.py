"""Compiled code against the golden model: every instruction, the kernels, and the ways in and out."""

from __future__ import annotations

from pathlib import Path

import pytest

from vac.assembler.assemble import assemble, assemble_file
from vac.fast.machine import Trace
from vac.golden.model import GoldenMachine
from vac.image.image import Image
from vac.isa.instruction import Instruction, Unit
from vac.isa.table import INSTRUCTIONS
from vac.isa.traps import Trap
from vac.jit.machine import EAGER, JitMachine
from vac.machine.protocol import Machine, StopReason
from vac.machine.state import State

KERNELS = sorted((Path(__file__).parents[2] / "firmware" / "kernels").glob("*.vasm"))
FOR_EVER = 1 << 40
TRACES = (Trace.NOTHING, Trace.BEAMS)


def equal(machine: JitMachine, reference: Machine) -> None:
    expected: State = reference.state()
    if machine.trace is Trace.NOTHING:
        expected.digest = None
    else:
        assert machine.drain_beams() == reference.drain_beams()
    assert not expected.differences(machine.state())
    assert {key: machine.read_leaf(*key) for key in machine.leaves()} == {
        key: reference.read_leaf(*key) for key in reference.leaves()
    }


def example_image(row: Instruction) -> Image:
    return assemble(f".memory 4096\n.frame 15\n{row.example.source.replace('; ', chr(10))}\nhalt\n")


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.value)
@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
def test_every_instruction(row: Instruction, trace: Trace) -> None:
    image = example_image(row)
    machine, reference = JitMachine(trace), GoldenMachine()
    for each in (machine, reference):
        each.load(image)
    machine.compile_here()
    if row.is_privileged_event:
        assert machine.run(FOR_EVER) == reference.run(FOR_EVER)
    else:
        assert machine.run(FOR_EVER).reason is reference.run(FOR_EVER).reason is StopReason.HALTED
    equal(machine, reference)
    assert machine.compiled_ticks or row.unit in (Unit.HALT, Unit.TABLE_CALL, Unit.TABLE_JUMP, Unit.DEVICE_IN)


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.value)
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda path: path.stem)
def test_kernels_run_in_compiled_code(kernel: Path, trace: Trace) -> None:
    image = assemble_file(kernel)
    machine, reference = JitMachine(trace), GoldenMachine()
    for each in (machine, reference):
        each.load(image)
    for until in (20_000, 50_001, 70_000):
        machine.run(until)
        reference.run(until)
        equal(machine, reference)
    assert machine.compiled_ticks > 10_000


CALLS = """
.frame 2
        li      l0, 300
again:
        lit     7
        call    fib, 1
        set1
        djnz    l0, again
        halt
fib:
        set0
        bltui   l0, small, 2
        addi    s, l0, -1
        call    fib, 1
        addi    s, l0, -2
        call    fib, 1
        add
        ret
small:
        get0
        ret
"""


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.value)
def test_recursion(trace: Trace) -> None:
    image = assemble(CALLS)
    machine, reference = JitMachine(trace, policy=EAGER), GoldenMachine()
    for each in (machine, reference):
        each.load(image)
    for until in (100, 1000, 1003, 9999, 30_000, FOR_EVER):
        machine.run(until)
        reference.run(until)
        equal(machine, reference)
    assert machine.compiled_ticks > 20_000


TWO_WINDOWS = """
.memory 8192
.frame 6
        lit32   4096
        lit     64
        wnar    3, 0
        liw     l0, 3000
        lit32   0x30000000
        set3
        li      l1, 0
again:
        andi    l2, l0, {mask}
        xor3    l1, l1, l3
        add3    l4, l1, l2
        st32    l4, l0
        ld32    l5, l4
        djnz    l0, again
        halt
"""


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.value)
@pytest.mark.parametrize("mask", [60, 124])
def test_a_pointer_that_changes_its_window_in_every_round(mask: int, trace: Trace) -> None:
    """With the wider mask it leaves the small window, behind which there is memory of the other one."""
    image = assemble(TWO_WINDOWS.format(mask=mask))
    machine, reference = JitMachine(trace, policy=EAGER), GoldenMachine()
    for each in (machine, reference):
        each.load(image)
    for until in (1000, 1003, FOR_EVER):
        stop, expected = machine.run(until), reference.run(until)
        assert stop.reason is expected.reason
        equal(machine, reference)
    assert reference.state().trap is (Trap.BOUNDS if mask == 124 else Trap.NONE)
    assert machine.compiled_ticks > 100
