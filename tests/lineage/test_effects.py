"""Row by row: what the effects say that an instruction touches is what the golden model is seen to touch, and what they
say a result is made of is what changes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from tests.lineage.forward_slicer import ForwardSlicer, Watched

from vac.golden.model import GoldenMachine
from vac.history.tracing import BEAM_DTYPE
from vac.host.input_log import Entry
from vac.image.decode import Decoded
from vac.image.image import Window
from vac.isa.alu import FUNCTIONS, IGNORES_A, IGNORES_B
from vac.isa.encoding import FieldKind
from vac.isa.instruction import Instruction, Unit
from vac.isa.limits import CELL_MASK, CODE_SLOT, STACK_OPERAND, TABLE_WINDOW
from vac.isa.table import INSTRUCTIONS
from vac.lineage.effect_table import EffectTable
from vac.lineage.effects import Role, Space, effects_of
from vac.lineage.places import MEMORY, WINDOW, byte_of
from vac.lineage.span import Setting, Span
from vac.machine.protocol import Answer, EventKind, Leaf, StopReason
from vac.machine.state import State

_PC = 40
_CODE_LENGTH = 256


def _word(row: Instruction, draw: Random) -> int:
    word = row.opcode
    for field in row.fields:
        value = draw.randint(field.minimum, field.maximum)
        if field.kind is FieldKind.SUBOPERATION:
            value = row.suboperation or 0
        elif field.kind.is_operand_nibble:
            value = draw.choice((STACK_OPERAND, draw.randrange(STACK_OPERAND)))
        elif field.kind is FieldKind.LOCAL:
            value = draw.randrange(20)
        elif field.kind is FieldKind.FRAME:
            value = draw.randrange(100)
        elif field.kind is FieldKind.NUMBER and row.mnemonic in ("rd", "sys"):
            value = draw.randrange(7)
        elif field.kind is FieldKind.SCALED:
            value = draw.randrange(min(field.maximum, 60))
        word |= field.insert(value)
    return word


def _state(draw: Random) -> State:
    """A state in which most instructions retire: cells are pointers, small numbers or anything."""
    state = State(pc=_PC, tick=0, sp=draw.randrange(8, 40), fp=draw.randrange(30, 60), code_length=_CODE_LENGTH)
    state.rp = state.fp + 20
    for index in range(len(state.cells)):
        pointer = draw.randrange(16) << 28 | 4 * draw.randrange(64)
        state.cells[index] = draw.choice((pointer, 4 * draw.randrange(16), draw.randrange(5), draw.getrandbits(32)))
    state.cells[64 + state.fp - 1] = draw.randrange(20) << 24 | 7
    state.windows = [Window(index % 5 + 1, 16 * index, 1 << 16, 3) for index in range(16)]
    state.windows.append(Window(CODE_SLOT, 100, 64, 1))
    assert len(state.windows) == TABLE_WINDOW + 1
    return state


def _run(machine: GoldenMachine, state: State, code: bytes, value: int, memory: bytes) -> bool:
    """One instruction; whether it retired."""
    machine.set_state(state)
    if isinstance(machine, ForwardSlicer):
        machine._state.cells = Watched(machine._state.cells)
        machine._state.windows = Watched(machine._state.windows)
    machine._memory = {}
    machine.install(CODE_SLOT, 0, Leaf(code.ljust(4096, b"\0")))
    while True:
        stop = machine.run(1)
        if stop.miss:
            machine.install(stop.miss.slot, stop.miss.number, Leaf(memory))
        elif stop.event:
            machine.answer(Answer(value))
        else:
            return stop.reason in (StopReason.TICK, StopReason.HALTED) and machine._state.tick == 1


def _content(machine: GoldenMachine, span: Span, row: int) -> object:
    """What is now at the place that a row wrote."""
    if span.is_store[row]:
        slot, offset = int(span.byte[row]) >> 32 & 0xFF, int(span.byte[row]) & 0xFFFFFFFF
        leaf = machine._memory.get((slot, offset >> 12))
        return leaf and bytes(leaf.data[offset % 4096 : offset % 4096 + int(span.bytes[row])])
    place = int(span.place[row])
    return list.__getitem__(machine._state.windows, place - WINDOW) if place >= WINDOW else machine._state.cells[place]


@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: f"{row.opcode:02x}-{row.mnemonic}")
def test_effects_are_what_the_golden_model_does(row: Instruction) -> None:
    draw, watched, other = Random(row.mnemonic), ForwardSlicer(), GoldenMachine()
    seen, told = set[tuple[int, int]](), set[tuple[int, int]]()
    retired = 0
    for _ in range(400):
        word, state, value = _word(row, draw), _state(draw), draw.getrandbits(32)
        if row.unit is Unit.SYSTEM_CALL:
            state.cells[state.sp - 1] = draw.randrange(200)  # a length: each byte is looked at
        code = bytearray(draw.randbytes(_CODE_LENGTH))
        code[_PC : _PC + row.length] = word.to_bytes(5, "little")[: row.length]
        memory = draw.randbytes(4096)
        if not _run(watched, state, bytes(code), value, memory):
            continue
        retired += 1
        span = _span(watched, state, bytes(code))
        _assert_touches(watched, span)
        _probe(row, span, state, (bytes(code), value, memory), watched, other, draw, seen, told)
        if retired == 40:
            break
    assert retired >= 10
    # Everything that is said to go in has changed the result at least once.
    assert seen == told


def _span(machine: ForwardSlicer, state: State, code: bytes) -> Span:
    beams = np.frombuffer(machine.drain_beams(), BEAM_DTYPE)
    number = int(beams["aux"][0])
    kind = {0x48: EventKind.DEVICE_IN, 0x49: EventKind.DEVICE_OUT, 0x4A: EventKind.SYSTEM_CALL}.get(code[_PC])
    log = [(0, Entry(0, kind, number, Answer()))] if kind else []
    span = Span(0, beams, Setting(state, code, log), EffectTable())
    span.resolve()
    return span


def _assert_touches(machine: ForwardSlicer, span: Span) -> None:
    touched = machine.touched
    read = span.source[(span.source >= 0) & (span.source < MEMORY)].tolist()
    written = span.place[span.place >= 0].tolist()
    assert {place for place in read if place < WINDOW} == set(touched["read"])
    assert {place - WINDOW for place in read if place >= WINDOW} == set(touched["windows read"])
    assert {place for place in written if place < WINDOW} == set(touched["written"])
    assert {place - WINDOW for place in written if place >= WINDOW} == set(touched["windows written"])
    loaded = {int(byte) + each for byte in span.piece_byte for each in range(1 << span.granule_bits)}
    assert loaded == {byte_of(*place) for place in touched["loaded"]}
    stored = {int(span.byte[row]) + each for row in np.flatnonzero(span.is_store) for each in range(span.bytes[row])}
    assert stored == {byte_of(*place) for place in touched["stored"]}


def _probe(
    row: Instruction, span: Span, state: State, given: tuple[bytes, int, bytes], watched: ForwardSlicer,
    other: GoldenMachine, draw: Random, seen: set[tuple[int, int]], told: set[tuple[int, int]],
) -> None:  # fmt: skip
    """Changes one cell that is read at a time and looks which results change with it."""
    results = [each for each in range(span.rows) if span.place[each] >= 0 or span.is_store[each]]
    constant, word = row.field(FieldKind.SIGNED), int.from_bytes(given[0][_PC : _PC + row.length], "little")
    cells = sorted({int(place) for place in span.source if 0 <= place < WINDOW})
    for each in results:
        for origin in np.flatnonzero(span.origin_row == each).tolist():
            is_join = row.unit in (Unit.JOIN, Unit.SYSTEM_CALL)  # the number of a join, and the host, hide the operands
            if 0 <= span.source[origin] < WINDOW and not is_join:
                told.add((each, origin))
    for cell in cells:
        changed = replace(state, cells=list(state.cells))
        choices = [state.cells[cell] ^ 1 << draw.randrange(32), draw.getrandbits(32), state.cells[draw.choice(cells)]]
        choices += [0] if constant is None else [constant.extract(word) & CELL_MASK]
        changed.cells[cell] = draw.choice(choices)
        if changed.cells[cell] == state.cells[cell]:
            continue
        is_same_course = _run(other, changed, *given)
        for each in results:
            origins = np.flatnonzero((span.origin_row == each) & (span.source == cell)).tolist()
            is_changed = not is_same_course or _content(other, span, each) != _content(watched, span, each)
            roles = {Role(int(span.role[origin])) for origin in origins}
            if not origins and is_same_course:
                assert not is_changed, f"{row.mnemonic}: {cell} changes what it is not said to go into"
            if origins and is_changed and roles != {Role.REQUEST}:
                for origin in origins:
                    seen.add((each, origin))


def test_functions_that_ignore_an_operand() -> None:
    corners = (0, 1, 2, 7, 31, 0x7F, 0x80, 0x8000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x12345678)
    for function, compute in FUNCTIONS.items():

        def result(a: int, b: int, compute: Callable[[int, int], int] = compute) -> int | None:
            try:
                return compute(a, b)
            except ZeroDivisionError:
                return None

        assert (function in IGNORES_A) == all(len({result(a, b) for a in corners}) == 1 for b in corners)
        assert (function in IGNORES_B) == all(len({result(a, b) for b in corners}) == 1 for a in corners)


def test_every_space_is_used() -> None:
    """The columns know of no place that no instruction has."""
    draw, found = Random(1), set[Space]()
    for row in INSTRUCTIONS:
        for flow in effects_of(Decoded(0, row, _word(row, draw))).flows:
            found |= {flow.target.space, *(origin.place.space for origin in flow.origins)}
    assert found == set(Space) - {Space.BYTES}
