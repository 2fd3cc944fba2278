"""Every way to trap, and that nothing of the trapping instruction happened."""

from collections.abc import Callable

import pytest

from vac.isa.beam import BEAM_BYTES
from vac.isa.limits import DATA_STACK_CELLS, RETURN_STACK_CELLS
from vac.isa.traps import Trap
from vac.machine.protocol import Answer, Machine, StopReason
from vac.machine.state import Status

FULL = "k1\n" * DATA_STACK_CELLS
READ_ONLY = "wand 0, 1"
TABLE = "halt\nf: ret\n.function f, 0"

CASES = [
    (Trap.CODE_BOUNDS, "jump beyond the code", "jmp 0x1234"),
    (Trap.CODE_BOUNDS, "jump backwards beyond address 0", "jmp 0xFFFFF0"),
    (Trap.CODE_BOUNDS, "run off the end", "nop"),
    (Trap.CODE_BOUNDS, "instruction cut short by the end", "nop\n.byte 0xA0, 1, 2, 3"),
    (Trap.ILLEGAL, "unassigned opcode", ".byte 0"),
    (Trap.ILLEGAL, "wave opcode", ".byte 0xE0, 0, 0"),
    (Trap.ILLEGAL, "unassigned sub-operation", "k1; k1\n.byte 0x61, 0xFF, 0xFF"),
    (Trap.ILLEGAL, "unknown core register", ".byte 0x47, 13"),
    (Trap.ILLEGAL, "unknown system call", "k1; k1; k1; k1\n.byte 0x4A, 7"),
    (Trap.ILLEGAL, "post-increment of the stack", "k0\n.byte 0x58, 0xFF"),
    (Trap.FRAME, "read beyond the frame", ".frame 2\nget 2"),
    (Trap.FRAME, "write beyond the frame", ".frame 2\nk1; set 2"),
    (Trap.FRAME, "operand nibble beyond the frame", ".frame 2\naddi s, l2, 1"),
    (Trap.FRAME, "destination nibble beyond the frame", ".frame 2\nli l2, 1"),
    (Trap.FRAME, "no locals in the callee", "call f, 0\nf: get0"),
    (Trap.STACK_UNDERFLOW, "pop of an empty stack", "drop"),
    (Trap.STACK_UNDERFLOW, "second operand missing", "k1; add"),
    (Trap.STACK_UNDERFLOW, "peek into an empty stack", "dup"),
    (Trap.STACK_UNDERFLOW, "peek under the top", "k1; over"),
    (Trap.STACK_UNDERFLOW, "swap of one cell", "k1; swap"),
    (Trap.STACK_UNDERFLOW, "operand nibble 15", "addi l0, s, 1"),
    (Trap.STACK_UNDERFLOW, "two operand nibbles, one cell", "k1; add3 l0, s, s"),
    (Trap.STACK_UNDERFLOW, "argument of a system call missing", "k0; k0; sys 0"),
    (Trap.STACK_UNDERFLOW, "nothing to put out", "out 0"),
    (Trap.STACK_OVERFLOW, "push", FULL + "k1"),
    (Trap.STACK_OVERFLOW, "duplicate", FULL + "dup"),
    (Trap.STACK_OVERFLOW, "destination nibble 15", FULL + "add3 s, l0, l1"),
    (Trap.STACK_OVERFLOW, "register read", FULL + "rd 0"),
    (Trap.STACK_OVERFLOW, "input has no room", FULL + "in 0"),
    (Trap.RETURN_UNDERFLOW, "return from the outermost frame", "ret"),
    (Trap.RETURN_OVERFLOW, "endless recursion", "f: call f, 3"),
    (Trap.RETURN_OVERFLOW, "frame larger than the stack", "call f, 255\nf: halt"),
    (Trap.RETURN_OVERFLOW, "frame one cell too large", f".frame 15\ncall f, {RETURN_STACK_CELLS - 15}\nf: halt"),
    (Trap.DIVISION_BY_ZERO, "divu", "k1; k0; divu"),
    (Trap.DIVISION_BY_ZERO, "divs", "k1; k0; divs"),
    (Trap.DIVISION_BY_ZERO, "remu", "k1; k0; remu"),
    (Trap.DIVISION_BY_ZERO, "rems", "k1; k0; rems"),
    (Trap.PERMISSION, "load through an empty window", "lit32 0x10000000; ld32 s, s"),
    (Trap.PERMISSION, "store through a read-only window", f"{READ_ONLY}; k0; k1; st32 s, s"),
    (Trap.PERMISSION, "load through a write-only window", "wand 0, 2; k0; ld8u s, s"),
    (Trap.PERMISSION, "narrow an empty window", "k0; k8; wnar 2, 1"),
    (Trap.PERMISSION, "table call without a table", "k0; callt"),
    (Trap.MISALIGNED, "cell", "k2; ld32 s, s"),
    (Trap.MISALIGNED, "half", "k1; k0; st16 s, s"),
    (Trap.MISALIGNED, "narrowing", "k2; k8; wnar 1, 0"),
    (Trap.BOUNDS, "first byte beyond", "lit 4096; ld8u s, s"),
    (Trap.BOUNDS, "first cell beyond", "lit 4096; k1; st32 s, s"),
    (Trap.BOUNDS, "beyond through a displacement", "lit 4092; ld32o s, s, 4"),
    (Trap.BOUNDS, "half of the access beyond a narrowed window", "k0; lit 6; wnar 1, 0; lit32 0x10000004; ld32 s, s"),
    (Trap.BOUNDS, "a displacement does not carry into the window number", "lit32 0x0FFFFFFC; ld32o s, s, 4"),
    (Trap.BOUNDS, "negative index", "k0; km1; ld8ux s, s, s"),
    (Trap.BOUNDS, "narrowing beyond its source", "lit 4092; k8; wnar 1, 0"),
    (Trap.BOUNDS, "narrowing whose end wraps", "lit 4; lit32 0xFFFFFFFC; wnar 1, 0"),
    (Trap.BOUNDS, "table call beyond the table", f"k1; callt; {TABLE}"),
    (Trap.BOUNDS, "table jump whose address would wrap", f"lit32 0x40000000; jmpt; {TABLE}"),
]
ORDER = [
    (Trap.ILLEGAL, Trap.STACK_UNDERFLOW, ".byte 0x58, 0xFF"),
    (Trap.FRAME, Trap.STACK_UNDERFLOW, ".frame 2\nadd3 s, s, l9"),
    (Trap.FRAME, Trap.STACK_UNDERFLOW, ".frame 2\nadd3 l9, s, s"),
    (Trap.FRAME, Trap.STACK_OVERFLOW, FULL + "call f, 0\nf: get0"),
    (Trap.FRAME, Trap.PERMISSION, ".frame 2\nlit32 0x10000000; ld32 l2, s"),
    (Trap.STACK_UNDERFLOW, Trap.DIVISION_BY_ZERO, "k0; divu"),
    (Trap.STACK_OVERFLOW, Trap.PERMISSION, "lit32 0x10000000; set0\n" + FULL + "ld32 s, l0"),
    (Trap.PERMISSION, Trap.MISALIGNED, "lit32 0x10000001; ld32 s, s"),
    (Trap.PERMISSION, Trap.BOUNDS, f"{READ_ONLY}; lit 8192; k0; st32 s, s"),
    (Trap.MISALIGNED, Trap.BOUNDS, "lit 8193; ld32 s, s"),
    (Trap.MISALIGNED, Trap.BOUNDS, "lit 8193; k8; wnar 1, 0"),
]  # fmt: skip
"""The trap that is reported, another reason there is as well, and the program."""


def expect_precise_trap(start: Callable[..., Machine], source: str, trap: Trap) -> None:
    machine, reference = start(source), start(source)
    assert machine.run(10_000).reason is StopReason.TRAPPED
    state = machine.state()
    assert (state.status, state.trap) == (Status.TRAPPED, trap)
    assert reference.run(state.tick).reason is StopReason.TICK
    expected = reference.state()
    expected.status, expected.trap = Status.TRAPPED, trap
    assert state.differences(expected) == []
    beams = machine.drain_beams()
    assert len(beams) == BEAM_BYTES * state.tick, "the trapping instruction leaves no beam"
    assert beams == reference.drain_beams()
    assert machine.leaves() == reference.leaves()
    for leaf in machine.leaves():
        assert machine.read_leaf(*leaf) == reference.read_leaf(*leaf)
    assert machine.run(10_000).reason is StopReason.TRAPPED, "a trapped machine stays where it is"


@pytest.mark.parametrize(("trap", "source"), [pytest.param(t, s, id=f"{t.name}: {name}") for t, name, s in CASES])
def test_trap_is_precise(trap: Trap, source: str, start: Callable[..., Machine]) -> None:
    expect_precise_trap(start, source, trap)


@pytest.mark.parametrize(
    ("trap", "other", "source"), [pytest.param(*c, id=f"{c[0].name} before {c[1].name}") for c in ORDER]
)
def test_the_first_reason_in_order_is_reported(
    trap: Trap, other: Trap, source: str, start: Callable[..., Machine]
) -> None:
    assert trap < other
    expect_precise_trap(start, source, trap)


@pytest.mark.parametrize("trap", [Trap.DENIED, Trap.QUOTA])
@pytest.mark.parametrize("source", ["in 0", "k1; out 0", "lit 5; sys 4"])
def test_the_host_can_trap_a_request(trap: Trap, source: str, start: Callable[..., Machine]) -> None:
    machine = start(source)
    assert machine.run(10).reason is StopReason.EVENT
    before = machine.state()
    machine.answer(Answer(trap=trap, value=3, writes=((1, 0, b"x"),)))
    before.status, before.trap = Status.TRAPPED, trap
    assert machine.state().differences(before) == []
    assert machine.run(10).reason is StopReason.TRAPPED
    assert len(machine.drain_beams()) == BEAM_BYTES * before.tick
    assert machine.read_leaf(1, 0).data == bytes(4096)


def test_every_trap_is_provoked_here() -> None:
    assert {case[0] for case in CASES} | {Trap.NONE, Trap.DENIED, Trap.QUOTA} == set(Trap)


def test_the_deepest_stacks_fit(start: Callable[..., Machine]) -> None:
    machine = start(f"{FULL}add3 l0, s, s; get0; call f, {RETURN_STACK_CELLS - 16}; halt\nf: halt")
    assert machine.run(1000).reason is StopReason.HALTED
    state = machine.state()
    assert (state.sp, state.rp, state.fp) == (DATA_STACK_CELLS - 1, RETURN_STACK_CELLS, 16)
