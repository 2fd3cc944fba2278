"""What an instruction reads and writes, derived from its row: for each thing that it writes, what that is made of.

`Source` and `Destination` of the row say where operands come from and where the result goes, `function` which operands
count, `unit` what else is touched. Nothing here names an instruction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ..image.decode import Decoded
from ..isa.alu import IGNORES_A, IGNORES_B
from ..isa.encoding import Field, FieldKind
from ..isa.instruction import Destination, Instruction, Source, Unit
from ..isa.limits import POINTER_DISPLACEMENT_BITS, STACK_OPERAND, TABLE_WINDOW
from ..isa.ports import SYSTEM_CALLS


class Role(IntEnum):
    """What a source is to the value that is made of it."""

    VALUE = 0
    """It is computed from it, or it is a copy."""
    ADDRESS = 1
    """It says which memory was meant: a pointer, an index, the window that the pointer names."""
    REQUEST = 2
    """It was handed to the host, which answered."""
    CONTROL = 3
    """It decided that the instruction was executed at all."""


class Space(IntEnum):
    """Where a place lies."""

    NOTHING = 0
    """Nowhere: the instruction uses up its sources (a branch, an output, a drop)."""
    DATA = 1
    """Cell of the data stack, counted from the depth before the instruction: -1 is the top."""
    LOCAL = 2
    """Local of the frame; -1 is its link."""
    LINK = 3
    """The link of the frame that the instruction opens."""
    WINDOW = 4
    """Window register."""
    POINTED_WINDOW = 5
    """The window register that operand A names."""
    MEMORY = 6
    """`size` bytes at the address in the beam, in the slot of the window that is read for it."""
    HOST = 7
    """The host's answer."""
    CORE = 8
    """A core register, as `rd` numbers them."""
    BYTES = 9
    """`size` bytes at `index`, which holds the slot from bit 32 up."""


class Made(IntEnum):
    """Where the value that was written can be had from."""

    NOT_KNOWN = 0
    BEAM = 1
    """It is the beam's."""
    STEPPED = 2
    """It is the source cell's and the access size."""
    MOVED = 3
    """It is the source cell's."""


@dataclass(frozen=True)
class Place:
    """index: in its space. size: bytes, of memory."""

    space: Space
    index: int = 0
    size: int = 0


@dataclass(frozen=True)
class Origin:
    place: Place
    role: Role = Role.VALUE


@dataclass(frozen=True)
class Flow:
    """One thing that an instruction writes, and what from."""

    target: Place
    origins: tuple[Origin, ...] = ()
    made: Made = Made.BEAM
    step: int = 0


@dataclass(frozen=True)
class Effects:
    """flows: at least one. growth: cells by which the data stack grows. link: how the frame moves: 1 where the beam's
    value is the link of a frame that opens, -1 where it is that of the one that closes."""

    flows: tuple[Flow, ...]
    growth: int = 0
    link: int = 0


NOWHERE = Place(Space.NOTHING)


def effects_of(instruction: Decoded) -> Effects:
    """What a legal instruction does when it retires. What the host's answer grants and writes is no part of it."""
    return _Derivation(instruction).effects()


class _Derivation:
    def __init__(self, instruction: Decoded) -> None:
        self._row: Instruction = instruction.row
        self._word = instruction.word
        self._fields: dict[FieldKind, Field] = instruction.row.fields_by_kind
        self._depth = 0
        """Cells that pops have taken so far, as a negative number."""
        row = self._row
        # B is popped first, so it is the upper one.
        self._b = self._operand(row.b, self._fields.get(FieldKind.SOURCE_B))
        self._a = self._operand(row.a, row.source_a_field)
        self._arguments: tuple[Place, ...] = ()
        if row.unit is Unit.SYSTEM_CALL:
            count = len(SYSTEM_CALLS[self._value(FieldKind.NUMBER)].arguments)
            self._arguments = tuple(Place(Space.DATA, index - count) for index in range(count))
            self._depth = -count
        self._target = self._result()

    def _value(self, kind: FieldKind) -> int:
        return self._fields[kind].extract(self._word)

    def _local_number(self) -> int:
        return self._value(FieldKind.LOCAL) if FieldKind.LOCAL in self._fields else self._row.constant

    def _operand(self, source: Source, field: Field | None) -> Place | None:
        """Where an operand comes from, None where it is no cell."""
        nibble = field.extract(self._word) if source is Source.NIBBLE and field else None
        if source is Source.POP or nibble == STACK_OPERAND:
            self._depth -= 1
            return Place(Space.DATA, self._depth)
        if nibble is not None:
            return Place(Space.LOCAL, nibble)
        if source is Source.LOCAL:
            return Place(Space.LOCAL, self._local_number())
        if source is Source.PEEK or source is Source.PEEK_SECOND:
            return Place(Space.DATA, -1 if source is Source.PEEK else -2)
        return None

    def _result(self) -> Place | None:
        row = self._row
        if row.destination is Destination.LOCAL:
            return Place(Space.LOCAL, self._local_number())
        if row.destination is Destination.PUSH:
            return Place(Space.DATA, self._depth)
        kind = {Destination.NIBBLE: FieldKind.DESTINATION, Destination.POINTER: FieldKind.POINTER}.get(row.destination)
        if kind is None:
            return None
        nibble = self._value(kind)
        return Place(Space.DATA, self._depth) if nibble == STACK_OPERAND else Place(Space.LOCAL, nibble)

    def effects(self) -> Effects:
        row, target = self._row, self._target
        growth = self._depth + (target is not None and target.space is Space.DATA)
        link = {Unit.CALL: 1, Unit.TABLE_CALL: 1, Unit.RETURN: -1}.get(row.unit, 0)
        return Effects(self._flows() or (Flow(NOWHERE),), growth, link)

    def _flows(self) -> tuple[Flow, ...]:
        row, target = self._row, self._target
        if row.unit in (Unit.LOAD, Unit.STORE):
            return self._access()
        if row.unit in (Unit.CALL, Unit.TABLE_CALL, Unit.TABLE_JUMP):
            return self._transfer()
        if row.unit is Unit.RETURN:
            return (Flow(NOWHERE, (Origin(Place(Space.LOCAL, -1)),)),)
        if row.unit is Unit.SWAP:
            top, second = Place(Space.DATA, -1), Place(Space.DATA, -2)
            return Flow(top, (Origin(second),)), Flow(second, (Origin(top),), Made.MOVED)
        flows: list[Flow] = []
        written = self._window()
        if written:
            flows.append(written)
        elif target:
            flows.append(Flow(target, self._result_origins()))
        used = {origin.place for flow in flows for origin in flow.origins}
        rest = tuple(Origin(cell) for cell in (self._a, self._b) if cell and cell not in used)
        if rest or row.unit is Unit.BRANCH:
            operands = rest if row.unit is not Unit.BRANCH else self._operands()
            flows.append(Flow(NOWHERE, operands))
        return tuple(flows)

    def _operands(self, role: Role = Role.VALUE) -> tuple[Origin, ...]:
        return tuple(Origin(cell, role) for cell in (self._a, self._b) if cell)

    def _result_origins(self) -> tuple[Origin, ...]:
        """What the result is made of, memory apart."""
        row = self._row
        if row.is_privileged_event:
            requests = tuple(Origin(cell, Role.REQUEST) for cell in self._arguments)
            return (Origin(Place(Space.HOST)), *requests)
        if row.unit is Unit.READ_REGISTER:
            return (Origin(Place(Space.CORE, self._value(FieldKind.NUMBER))),)
        if row.unit is Unit.WINDOW_LENGTH:
            return (Origin(Place(Space.WINDOW, self._value(FieldKind.WINDOW))),)
        if row.unit in (Unit.ALU, Unit.BRANCH):
            counts = (row.function not in IGNORES_A, row.function not in IGNORES_B)
            cells = zip((self._a, self._b), counts, strict=True)
            return tuple(Origin(cell) for cell, does_count in cells if cell and does_count)
        return self._operands()

    def _window(self) -> Flow | None:
        """The window register that the instruction writes."""
        if self._row.unit not in (Unit.WINDOW_NARROW, Unit.WINDOW_RESTRICT):
            return None
        source = FieldKind.WINDOW_FROM if FieldKind.WINDOW_FROM in self._fields else FieldKind.WINDOW
        origins = (Origin(Place(Space.WINDOW, self._value(source))), *self._operands())
        return Flow(Place(Space.WINDOW, self._value(FieldKind.WINDOW)), origins, Made.NOT_KNOWN)

    def _access(self) -> tuple[Flow, ...]:
        row = self._row
        assert row.access
        size = row.access.size
        memory = Place(Space.MEMORY, 0, size)
        window = (
            Place(Space.POINTED_WINDOW) if self._a else Place(Space.WINDOW, row.constant >> POINTER_DISPLACEMENT_BITS)
        )
        addresses = [Origin(cell, Role.ADDRESS) for cell in (self._a, self._b if row.is_indexed else None) if cell]
        addresses.append(Origin(window, Role.ADDRESS))
        flows: list[Flow] = []
        if row.unit is Unit.LOAD:
            flows.append(Flow(self._target or NOWHERE, (Origin(memory), *addresses)))
        else:
            value = (Origin(self._b),) if self._b else ()
            flows.append(Flow(memory, (*value, *addresses)))
        if row.post_increments:
            assert self._a
            # Last, for where result and pointer are the same local, it ends as the pointer.
            flows.append(Flow(self._a, (Origin(self._a),), Made.STEPPED, size))
        return tuple(flows)

    def _transfer(self) -> tuple[Flow, ...]:
        """A call or a jump through the function table."""
        row = self._row
        opens = (Flow(Place(Space.LINK)),) if row.unit is not Unit.TABLE_JUMP else ()
        if row.unit is Unit.CALL:
            return opens
        entry = Origin(Place(Space.MEMORY, 0, 4))
        window = Origin(Place(Space.WINDOW, TABLE_WINDOW), Role.ADDRESS)
        return (*opens, Flow(NOWHERE, (entry, window, *self._operands(Role.ADDRESS))))
