"""Decoder, generated from the instruction table: 40-bit instruction word to control bits.

Combinational. Nothing about any single instruction is written here.
"""

from typing import Any

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from vac.isa.alu import AluFunction, Condition
from vac.isa.encoding import Field, FieldKind
from vac.isa.instruction import Destination, Instruction, Source, Unit
from vac.isa.limits import STACK_OPERAND
from vac.isa.ports import SYSTEM_CALLS, CoreRegister
from vac.isa.table import INSTRUCTIONS, SUBOPERATION_FIELD, SUBOPERATION_OPCODES

WORD_BITS = 40


class OperandFrom(enum.Enum, shape=3):
    """Where operand A, B or the result is addressed from."""

    NONE = 0
    NIBBLE_8 = 1
    """Nibble at bit 8 of the word."""
    NIBBLE_12 = 2
    NIBBLE_16 = 3
    LOCAL_BYTE = 4
    """Local index in bits 8 to 15."""
    LOCAL_OPCODE = 5
    """Local index in the low three bits of the opcode."""
    STACK = 6
    """Popped, or for a result pushed."""
    VALUE = 7
    """Operand B: the immediate or the row's constant."""


class Peek(enum.Enum, shape=2):
    NONE = 0
    TOP = 1
    SECOND = 2


UnitCode: Any = enum.Enum("UnitCode", {unit.name: index for index, unit in enumerate(Unit)})
"""Binary code of each execution unit."""

_NIBBLES = {8: OperandFrom.NIBBLE_8, 12: OperandFrom.NIBBLE_12, 16: OperandFrom.NIBBLE_16}

_VALUE_KINDS = (FieldKind.SIGNED, FieldKind.UNSIGNED, FieldKind.SCALED)


def _unique_fields(kinds: tuple[FieldKind, ...]) -> list[Field]:
    found: list[Field] = []
    for row in INSTRUCTIONS:
        for field in row.fields:
            if field.kind in kinds and field not in found:
                found.append(field)
    return found


VALUE_FIELDS = _unique_fields(_VALUE_KINDS)
OFFSET_FIELDS = _unique_fields((FieldKind.OFFSET,))
FRAME_FIELDS = _unique_fields((FieldKind.FRAME,))

CONTROL_FIELDS: dict[str, Any] = {
    "legal": 1,
    "unit": UnitCode,
    "function": AluFunction,
    "condition": Condition,
    "a": OperandFrom,
    "b": OperandFrom,
    "destination": OperandFrom,
    "peek": Peek,
    "value_select": range(len(VALUE_FIELDS) + 1),
    "constant": signed(5),
    "offset_select": range(len(OFFSET_FIELDS)),
    "frame_select": range(len(FRAME_FIELDS)),
    "size_log2": 2,
    "is_signed": 1,
    "indexed": 1,
    "post_increment": 1,
    "length": 3,
    "arguments": 3,
}
CONTROL_LAYOUT = data.StructLayout(CONTROL_FIELDS)
"""Control bits of one instruction.

function: what the ALU computes in any unit; where an instruction has no result, the value its beam shows.
value_select: entry of VALUE_FIELDS, or one past the end for the constant. arguments: cells a system call pops.
"""


def _signed_constant(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def _operand(row: Instruction, source: Source, field: Field | None) -> OperandFrom:
    if source is Source.NIBBLE:
        assert field
        return _NIBBLES[field.low]
    if source is Source.LOCAL:
        return OperandFrom.LOCAL_BYTE if row.field(FieldKind.LOCAL) else OperandFrom.LOCAL_OPCODE
    if source is Source.POP:
        return OperandFrom.STACK
    if source in (Source.IMMEDIATE, Source.CONSTANT):
        return OperandFrom.VALUE
    return OperandFrom.NONE


def _destination(row: Instruction) -> OperandFrom:
    kinds = {Destination.NIBBLE: FieldKind.DESTINATION, Destination.POINTER: FieldKind.POINTER}
    if row.destination in kinds:
        return _NIBBLES[row.fields_by_kind[kinds[row.destination]].low]
    if row.destination is Destination.LOCAL:
        return OperandFrom.LOCAL_BYTE if row.field(FieldKind.LOCAL) else OperandFrom.LOCAL_OPCODE
    return OperandFrom.STACK if row.destination is Destination.PUSH else OperandFrom.NONE


def _shown_function(row: Instruction) -> AluFunction:
    """The function whose result is the beam's value where the row has no result of its own."""
    if row.unit in (Unit.STORE, Unit.WINDOW_NARROW):
        return AluFunction.PASS_B
    if row.unit in (Unit.ALU, Unit.BRANCH) and row.destination is not Destination.NONE:
        return row.function
    return AluFunction.PASS_A


def control_of(row: Instruction) -> dict[int | str, Any]:
    """Values of CONTROL_LAYOUT for one row of the table."""
    value = next((field for field in row.fields if field.kind in _VALUE_KINDS), None)
    a = _operand(row, row.a, row.source_a_field)
    if row.a is Source.CONSTANT:
        a = OperandFrom.NONE  # the fixed address zero of the absolute loads and stores
    b = _operand(row, row.b, row.field(FieldKind.SOURCE_B))
    has_constant = row.b is Source.CONSTANT
    if row.unit is Unit.SWAP:
        a = b = OperandFrom.NONE
    offset, frame = row.field(FieldKind.OFFSET), row.field(FieldKind.FRAME)
    local_opcode = OperandFrom.LOCAL_OPCODE in (a, _destination(row))
    if local_opcode and row.constant != row.opcode & 7:
        raise ValueError(f"{row.mnemonic}: the short forms keep their local in the low opcode bits")
    return {
        "legal": 1,
        "unit": UnitCode[row.unit.name],
        "function": _shown_function(row),
        "condition": row.condition,
        "a": a,
        "b": b,
        "destination": _destination(row),
        "peek": {Source.PEEK: Peek.TOP, Source.PEEK_SECOND: Peek.SECOND}.get(row.a, Peek.NONE),
        "value_select": VALUE_FIELDS.index(value) if value and not has_constant else len(VALUE_FIELDS),
        "constant": _signed_constant(row.constant) if has_constant else 0,
        "offset_select": OFFSET_FIELDS.index(offset) if offset else 0,
        "frame_select": FRAME_FIELDS.index(frame) if frame else 0,
        "size_log2": row.access.size_log2 if row.access else 0,
        "is_signed": row.access.is_signed if row.access else 0,
        "indexed": row.is_indexed,
        "post_increment": row.post_increments,
        "length": row.length,
        "arguments": 0,
    }


class Decoder(wiring.Component):
    """Combinational decoder.

    Attributes: word: In(40), little-endian instruction bytes. control: Out. value: Out(32), the immediate extended to a
    cell and scaled, or the constant. offset: Out(24), sign-extended branch offset. frame: Out(8).
    """

    word: In(WORD_BITS)
    control: Out(CONTROL_LAYOUT)
    value: Out(32)
    offset: Out(24)
    frame: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows: dict[int, list[Instruction]] = {}
        for row in INSTRUCTIONS:
            rows.setdefault(row.opcode, []).append(row)
        with m.Switch(self.word[0:8]):
            for opcode, group in rows.items():
                with m.Case(opcode):
                    if opcode in SUBOPERATION_OPCODES:
                        with m.Switch(self._bits(SUBOPERATION_FIELD)):
                            for row in group:
                                assert row.suboperation is not None
                                with m.Case(row.suboperation):
                                    m.d.comb += self.control.eq(CONTROL_LAYOUT.const(control_of(row)))
                    else:
                        (row,) = group
                        m.d.comb += self.control.eq(CONTROL_LAYOUT.const(control_of(row)))
                        self._check_operands(m, row)
        self._select(m, self.value, self.control.value_select, VALUE_FIELDS, scale=True)
        with m.If(self.control.value_select == len(VALUE_FIELDS)):
            m.d.comb += self.value.eq(self.control.constant)
        self._select(m, self.offset, self.control.offset_select, OFFSET_FIELDS)
        self._select(m, self.frame, self.control.frame_select, FRAME_FIELDS)
        return m

    def _bits(self, field: Field):
        return self.word[field.low : field.low + field.width]

    def _check_operands(self, m: Module, row: Instruction) -> None:
        """Legality that hangs on an operand: numbers that exist, pointers that are locals."""
        number = row.field(FieldKind.NUMBER)
        if row.unit is Unit.READ_REGISTER:
            assert number
            m.d.comb += self.control.legal.eq(self._bits(number) < len(CoreRegister))
        elif row.unit is Unit.SYSTEM_CALL:
            assert number
            m.d.comb += self.control.legal.eq(self._bits(number) < len(SYSTEM_CALLS))
            with m.Switch(self._bits(number)):
                for call in SYSTEM_CALLS:
                    with m.Case(call.number):
                        m.d.comb += self.control.arguments.eq(len(call.arguments))
        elif row.post_increments:
            pointer = row.fields_by_kind[FieldKind.POINTER]
            m.d.comb += self.control.legal.eq(self._bits(pointer) != STACK_OPERAND)

    def _select(self, m: Module, target: Signal, select: Signal, fields: list[Field], scale: bool = False) -> None:
        """target <- the selected field, extended, and scaled by the access size where its kind says so."""
        with m.Switch(select):
            for index, field in enumerate(fields):
                with m.Case(index):
                    bits = self._bits(field)
                    extended = bits.as_signed() if field.kind.is_signed else bits
                    if scale and field.kind is FieldKind.SCALED:
                        extended = (extended << self.control.size_log2)[: field.width + 2]
                    m.d.comb += target.eq(extended)
