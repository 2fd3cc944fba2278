"""Compiled code against the golden model: every instruction, the kernels, and the ways in and out."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vac.assembler.assemble import assemble, assemble_file
from vac.fast.machine import Trace
from vac.golden.model import GoldenMachine
from vac.image.image import Image
from vac.isa.instruction import Instruction, Unit
from vac.isa.limits import LEAF_BYTES
from vac.isa.table import INSTRUCTIONS
from vac.isa.traps import Trap
from vac.jit.machine import EAGER, JitMachine
from vac.machine.protocol import Leaf, Machine, StopReason
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


STRIDES = """
.memory 8192
.frame 7
.local runs, pointer, stride, limit, value, start, phases
        li      start, 0
        li      stride, 4
        li      limit, 64
        li      runs, 40        # long enough to be compiled
        li      phases, 2
again:
        addi    start, start, 0 # written, so that no value is compiled in
        addi    stride, stride, 0
        addi    limit, limit, 0
        addi    pointer, start, 0
strike:
        {access}
        add3    pointer, {order}
        {behind}
        bltu    pointer, limit, strike
        djnz    runs, again
        djnz    phases, second
        halt
second:
        liw     value, 4096     # where the test has put them
        ld32p   start, value
        ld32p   stride, value
        ld32p   limit, value
        li      runs, 3
        jmp     again
"""
PLACES = st.one_of(
    st.integers(0, 8300),
    st.integers(0, 2047).map(lambda word: 4 * word),
    st.integers(8180, 8200),
    st.sampled_from((0xFFF, 0x1000, 0x0FFFFFFF, 0x10000000, 0x10000004, 0xFFFFFFFF)),
)
ACCESSES = (
    "st8 pointer, value",
    "st16 pointer, value",
    "st32 pointer, value",
    "ld8u value, pointer",
    "ld32 value, pointer",
)


@settings(max_examples=200, deadline=None)
@given(
    start=PLACES,
    stride=st.one_of(st.integers(0, 40), st.sampled_from((256, 4096, 0x0FFFFFFF, 0x10000000, 0x7FFFFFFF, 0xFFFFFFFC))),
    limit=PLACES,
    access=st.sampled_from(ACCESSES),
    behind=st.one_of(st.none(), st.sampled_from(ACCESSES)),
    is_swapped=st.booleans(),
    trace=st.sampled_from(TRACES),
)
def test_a_pointer_that_moves_by_a_local_up_to_a_limit(
    start: int, stride: int, limit: int, access: str, behind: str | None, is_swapped: bool, trace: Trace
) -> None:
    """Such loops are compiled without a check of each access: where they leave the window, wrap or never end, all the
    same has to happen."""
    source = STRIDES.format(
        access=access,
        behind=behind or "nop",
        order="stride, pointer" if is_swapped else "pointer, stride",
    )
    machine, reference = JitMachine(trace, policy=EAGER), GoldenMachine()
    for each in (machine, reference):
        each.load(assemble(source))
        each.install(1, 1, Leaf(pack("<III", start, stride, limit).ljust(LEAF_BYTES, b"\0")))
    for until in (100, 1001, 3000, 9000):
        stop, expected = machine.run(until), reference.run(until)
        assert stop.reason is expected.reason
        equal(machine, reference)


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
