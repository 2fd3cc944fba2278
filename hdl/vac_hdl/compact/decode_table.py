"""The decode table: what the core knows of each instruction, generated from `vac.isa.table`.

A ROM in block RAM. Its first 256 entries are the opcodes. Where an opcode has sub-operations, or numbers that have to
exist, its entry only says in which group of 16 entries behind them they stand.
"""

from dataclasses import dataclass, field
from typing import Any

from amaranth.lib import data, enum

from vac.isa.alu import AluFunction
from vac.isa.encoding import FieldKind
from vac.isa.instruction import Destination, Instruction, Source, Unit
from vac.isa.ports import SYSTEM_CALLS, CoreRegister
from vac.isa.table import INSTRUCTIONS, SUBOPERATION_OPCODES

from .immediate import KINDS, NAMED_KINDS, field_kind, value_kind
from .micro_op import MICRO_ADDRESS_BITS, Function

GROUP_ENTRIES = 16
DECODE_ADDRESS_BITS = 9


class Place(enum.Enum, shape=4):
    """Where an operand or the result is."""

    NONE = 0
    NIBBLE_8 = 1
    """A local, or 15 for the stack."""
    NIBBLE_12 = 2
    NIBBLE_16 = 3
    LOCAL_BYTE = 4
    LOCAL_OPCODE = 5
    STACK = 6
    VALUE = 7
    """Operand B: the immediate."""
    ARGUMENTS = 8
    """Operand A: nothing is read, `detail` cells are popped."""
    POINTER_8 = 9
    """A local; 15 is illegal."""
    POINTER_12 = 10
    PEEK = 14
    PEEK_SECOND = 15


DECODE_LAYOUT = data.StructLayout(
    {
        "entry": MICRO_ADDRESS_BITS,
        "a": Place,
        "b": 3,
        "destination": 3,
        "function": Function,
        "immediate": (len(NAMED_KINDS) - 1).bit_length(),
        "detail": 3,
        "again": 1,
        "shifts": 1,
    }
)
"""entry: where the microprogram goes on once the operands are there. function: OF_INSTRUCTION stands for it. detail:
branch condition; access (size in bits 0-1, signed in bit 2); arguments of a system call; group of an entry that is
looked up again (bit 2: by the number at bit 8, else by the sub-operation); for a shift, 1 to the right. shifts: what
the routine begins with is 1 << B, to the right 1 << -B."""

_NIBBLES = {8: Place.NIBBLE_8, 12: Place.NIBBLE_12, 16: Place.NIBBLE_16}
_SIMPLE = {
    AluFunction.ADD: Function.ADD,
    AluFunction.SUB: Function.SUBTRACT,
    AluFunction.AND: Function.AND,
    AluFunction.OR: Function.OR,
    AluFunction.XOR: Function.XOR,
    AluFunction.REVERSE_SUB: Function.REVERSE_SUBTRACT,
    AluFunction.PASS_A: Function.PASS_A,
    AluFunction.PASS_B: Function.PASS_Y,
}
"""Functions that the core computes in one micro-op; the others have a routine of their name."""
_COMPARES = (AluFunction.EQ, AluFunction.NE, AluFunction.LTU, AluFunction.LTS)
_SHIFTS = (AluFunction.SHL, AluFunction.SHRU, AluFunction.SHRS)
_DETAILS = {AluFunction.NE: 1, AluFunction.LTU: 2, AluFunction.LTS: 3, AluFunction.SHRU: 1, AluFunction.SHRS: 1}


@dataclass
class DecodeEntry:
    """One entry; `routine` is the label of its micro-routine."""

    routine: str
    a: Place = Place.NONE
    b: Place = Place.NONE
    destination: Place = Place.NONE
    function: Function = Function.PASS_A
    immediate: int = 0
    detail: int = 0
    again: bool = False
    shifts: bool = False

    def word(self, addresses: dict[str, int]) -> int:
        values = {
            "entry": addresses[self.routine], "a": self.a.value, "b": self.b.value,
            "destination": self.destination.value, "function": self.function.value, "immediate": self.immediate,
            "detail": self.detail, "again": int(self.again), "shifts": int(self.shifts),
        }  # fmt: skip
        word = 0
        for name, value in values.items():
            if value >> DECODE_LAYOUT[name].width:
                raise ValueError(f"{name} {value} of {self.routine} does not fit the decode table")
            word |= value << DECODE_LAYOUT[name].offset
        return word


ILLEGAL = DecodeEntry("trap_illegal")


def kind_number(kind: Any) -> int:
    return KINDS.index(kind)


def offset_label(row: Instruction) -> str:
    """Suffix of the routines that differ by where the branch offset and the frame size stand."""
    parts = [field_kind(row, kind) for kind in (FieldKind.OFFSET, FieldKind.FRAME)]
    return "_".join(str(kind_number(kind)) for kind in parts if kind)


def _operand(row: Instruction, source: Source, low: int | None) -> Place:
    if source is Source.NIBBLE:
        assert low is not None
        if row.post_increments and low == row.fields_by_kind[FieldKind.POINTER].low:
            return {8: Place.POINTER_8, 12: Place.POINTER_12}[low]
        return _NIBBLES[low]
    if source is Source.LOCAL:
        return Place.LOCAL_BYTE if row.field(FieldKind.LOCAL) else Place.LOCAL_OPCODE
    return {
        Source.POP: Place.STACK,
        Source.PEEK: Place.PEEK,
        Source.PEEK_SECOND: Place.PEEK_SECOND,
        Source.IMMEDIATE: Place.VALUE,
    }.get(source, Place.NONE)


def _destination(row: Instruction) -> Place:
    kinds = {Destination.NIBBLE: FieldKind.DESTINATION, Destination.POINTER: FieldKind.POINTER}
    if row.destination in kinds:
        return _NIBBLES[row.fields_by_kind[kinds[row.destination]].low]
    if row.destination is Destination.LOCAL:
        return Place.LOCAL_BYTE if row.field(FieldKind.LOCAL) else Place.LOCAL_OPCODE
    return Place.STACK if row.destination is Destination.PUSH else Place.NONE


def _routine(row: Instruction) -> str:
    unit = row.unit
    if unit is Unit.ALU:
        if row.function in _SIMPLE:
            return "retire"
        return "compare" if row.function in _COMPARES else row.function.name.lower()
    if unit in (Unit.BRANCH, Unit.JUMP, Unit.CALL):
        return f"{unit.value}_{offset_label(row)}"
    if unit in (Unit.LOAD, Unit.STORE):
        assert row.access
        parts = ["access"]
        if row.post_increments:
            parts.append("pointer")
        elif row.is_indexed:
            parts.append(f"indexed_{row.access.size_log2}")
        elif row.field(FieldKind.SCALED):
            parts.append(f"displaced_{row.access.size_log2}")
        return "_".join(parts)
    if unit is Unit.NOP:
        return "retire"
    return unit.value.replace(" ", "_")


def entry_of(row: Instruction) -> DecodeEntry:
    """The entry of a row that needs no second look."""
    a_field, b_field = row.source_a_field, row.field(FieldKind.SOURCE_B)
    value = value_kind(row)
    entry = DecodeEntry(
        _routine(row),
        a=_operand(row, row.a, a_field.low if a_field else None),
        b=_operand(row, row.b, b_field.low if b_field else None),
        destination=_destination(row),
        immediate=NAMED_KINDS.index(value) if value else 0,
    )
    if row.b is Source.CONSTANT:
        entry.b = Place.VALUE
    if row.unit is Unit.ALU:
        entry.function = Function.COMPARE if row.function in _COMPARES else _SIMPLE.get(row.function, Function.PASS_A)
        entry.detail = _DETAILS.get(row.function, 0)
        entry.shifts = row.function in _SHIFTS
    elif row.unit is Unit.BRANCH:
        has_result = row.destination is not Destination.NONE
        if has_result and row.function is not AluFunction.SUB:
            raise ValueError(f"{row.mnemonic}: a branch with a result compares by subtracting")
        entry.function = Function.SUBTRACT if has_result else Function.COMPARE
        entry.detail = row.condition
    elif row.unit is Unit.SWAP:
        entry.a = entry.b = entry.destination = Place.STACK
    elif row.unit in (Unit.WINDOW_NARROW, Unit.TABLE_JUMP, Unit.TABLE_CALL):
        entry.detail = 2
    if row.access:
        entry.detail = row.access.size_log2 | row.access.is_signed << 2
    return entry


@dataclass
class DecodeTable:
    """Entries by address."""

    entries: dict[int, DecodeEntry] = field(default_factory=dict)
    groups: int = 0

    @staticmethod
    def build() -> "DecodeTable":
        table = DecodeTable()
        for row in INSTRUCTIONS:
            if row.opcode in SUBOPERATION_OPCODES:
                if row.opcode not in table.entries:
                    table._group(row.opcode, by_number=False)
                assert row.suboperation is not None
                table._sub(row.opcode, row.suboperation, entry_of(row))
            elif row.unit is Unit.READ_REGISTER:
                table._group(row.opcode, by_number=True)
                for register in CoreRegister:
                    entry = entry_of(row)
                    entry.routine = f"read_{register.name.lower()}"
                    table._sub(row.opcode, register, entry)
            elif row.unit is Unit.SYSTEM_CALL:
                table._group(row.opcode, by_number=True)
                for call in SYSTEM_CALLS:
                    entry = entry_of(row)
                    entry.a, entry.detail = Place.ARGUMENTS, len(call.arguments)
                    effects = ("_in" if call.takes_input else "") + ("_out" if call.lets_output else "")
                    entry.routine = f"event{effects}"
                    table._sub(row.opcode, call.number, entry)
            else:
                table.entries[row.opcode] = entry_of(row)
        return table

    def _group(self, opcode: int, by_number: bool) -> None:
        if self.groups == 4:
            raise ValueError("the decode table has room for four groups of sub-operations")
        self.entries[opcode] = DecodeEntry("trap_illegal", detail=self.groups | by_number << 2, again=True)
        self.groups += 1

    def _sub(self, opcode: int, number: int, entry: DecodeEntry) -> None:
        group = self.entries[opcode].detail & 3
        self.entries[0x100 + group * GROUP_ENTRIES + number] = entry

    @property
    def routines(self) -> set[str]:
        """Labels that the microprogram has to have."""
        return {entry.routine for entry in self.entries.values()} | {ILLEGAL.routine}

    def words(self, addresses: dict[str, int]) -> list[int]:
        """The ROM's contents."""
        return [self.entries.get(at, ILLEGAL).word(addresses) for at in range(1 << DECODE_ADDRESS_BITS)]
