"""The stack effect derived from the table is what the golden model does."""

from hypothesis import given
from hypothesis import strategies as st

from vac.golden.model import GoldenMachine
from vac.image.decode import decode
from vac.image.image import Image, Segment, Window
from vac.image.stack_effect import stack_effect
from vac.isa.encoding import FieldKind
from vac.isa.instruction import Instruction, Unit
from vac.isa.limits import DATA_STACK_CELLS
from vac.isa.table import INSTRUCTIONS
from vac.isa.traps import Trap
from vac.machine.protocol import Answer, StopReason

FRAME = 15


@st.composite
def words(draw: st.DrawFn) -> tuple[Instruction, bytes]:
    row = draw(st.sampled_from(INSTRUCTIONS))
    word = row.opcode
    for field in row.fields:
        if field.kind is FieldKind.SUBOPERATION:
            assert row.suboperation is not None
            value = row.suboperation
        elif field.kind is FieldKind.NUMBER:
            value = draw(st.integers(0, 6))
        elif field.kind is FieldKind.LOCAL:
            value = draw(st.integers(0, FRAME - 1))
        elif field.kind.is_operand_nibble:
            value = draw(st.sampled_from([0, 3, 14, 15]))
        else:
            value = draw(st.integers(field.minimum, field.maximum))
        word |= field.insert(value)
    return row, word.to_bytes(row.length, "little")


def machine_at(code: bytes, depth: int) -> GoldenMachine:
    """A machine about to execute `code`, with `depth` cells, memory behind window 0 and a function table."""
    table = bytes([16, 0, 0, 2])
    content = code.ljust(16, b"\x01") + table
    machine = GoldenMachine()
    segments = (Segment(0, 0, len(content), content), Segment(1, 0, 4096, b""))
    windows = tuple((index, Window(1, 0, 4096, 3)) for index in range(16))
    machine.load(Image(0, FRAME, len(content), segments, windows, table_base=16, table_entries=1))
    state = machine.state()
    state.sp = depth
    machine.set_state(state)
    return machine


def execute(machine: GoldenMachine) -> None:
    if machine.run(1).reason is StopReason.EVENT:
        machine.answer(Answer())


@given(words())
def test_pops_and_pushes_are_those_of_the_golden_model(case: tuple[Instruction, bytes]) -> None:
    instruction = decode(case[1], 0)
    if instruction is None or instruction.row.unit is Unit.RETURN:
        return
    effect = stack_effect(instruction)
    machine = machine_at(case[1], 20)
    execute(machine)
    state = machine.state()
    if state.trap is Trap.NONE:
        assert state.sp == 20 + effect.net
    assert state.trap not in (Trap.STACK_UNDERFLOW, Trap.STACK_OVERFLOW, Trap.FRAME)


@given(words())
def test_one_cell_less_than_needed_underflows(case: tuple[Instruction, bytes]) -> None:
    instruction = decode(case[1], 0)
    if instruction is None:
        return
    effect = stack_effect(instruction)
    exact = machine_at(case[1], effect.needs)
    execute(exact)
    assert exact.state().trap is not Trap.STACK_UNDERFLOW
    if effect.needs:
        short = machine_at(case[1], effect.needs - 1)
        execute(short)
        assert short.state().trap is Trap.STACK_UNDERFLOW


@given(words())
def test_a_full_stack_overflows_where_the_effect_grows_it(case: tuple[Instruction, bytes]) -> None:
    instruction = decode(case[1], 0)
    if instruction is None:
        return
    machine = machine_at(case[1], DATA_STACK_CELLS)
    execute(machine)
    assert (machine.state().trap is Trap.STACK_OVERFLOW) == (stack_effect(instruction).net > 0)


@given(words())
def test_a_frame_that_lacks_the_highest_local_traps(case: tuple[Instruction, bytes]) -> None:
    instruction = decode(case[1], 0)
    if instruction is None:
        return
    highest = stack_effect(instruction).highest_local
    for frame in {max(highest, 0), highest + 1}:
        machine = machine_at(case[1], 20)
        state = machine.state()
        state.rp = frame
        machine.set_state(state)
        execute(machine)
        assert (machine.state().trap is Trap.FRAME) == (highest >= frame)
