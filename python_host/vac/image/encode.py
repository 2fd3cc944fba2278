"""Instructions to bytes: operands as sources give them, range-checked against the instruction table."""

from __future__ import annotations

from collections.abc import Sequence

from ..isa.encoding import Field, FieldKind
from ..isa.instruction import Instruction, Unit
from ..isa.limits import CELL_BITS, CODE_ADDRESS_BITS, STACK_OPERAND
from ..isa.ports import SYSTEM_CALLS, CoreRegister

_CODE_SPAN = 1 << CODE_ADDRESS_BITS


class OperandError(ValueError):
    """An operand that the instruction cannot hold; `index` is its place among the row's source operands."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


class OutOfReach(OperandError):
    """A branch target that the offset field cannot reach from here; `distance` in bytes."""

    def __init__(self, index: int, distance: int, field: Field) -> None:
        super().__init__(
            index,
            f"the target is {distance:+} bytes away; {field.width} bits reach {field.minimum} to {field.maximum:+}",
        )
        self.distance = distance


def source_fields(row: Instruction) -> tuple[Field, ...]:
    """The fields that sources write out, in order: all but the sub-operation."""
    return tuple(field for field in row.fields if field.kind is not FieldKind.SUBOPERATION)


def branch_distance(pc: int, target: int) -> int:
    """Shortest signed way from pc to target, modulo the 16 MiB of code addresses."""
    distance = (target - pc) % _CODE_SPAN
    return distance - _CODE_SPAN if distance >= _CODE_SPAN // 2 else distance


def number_limit(row: Instruction) -> int:
    """How many numbers the `n` field of this row may name; greater ones are illegal."""
    field = row.field(FieldKind.NUMBER)
    known = {Unit.READ_REGISTER: len(CoreRegister), Unit.SYSTEM_CALL: len(SYSTEM_CALLS)}
    return known.get(row.unit, 1 << field.width if field else 0)


def encode(row: Instruction, operands: Sequence[int], pc: int = 0) -> bytes:
    """The instruction's bytes at address `pc`.

    operands: one value for each of `source_fields(row)`: nibbles 0 to 15, branch targets as code addresses, scaled
    displacements in bytes, literals as signed or unsigned readings of the cell that they mean.
    Raises OperandError where a value does not fit or makes the instruction illegal.
    """
    fields = source_fields(row)
    if len(operands) != len(fields):
        raise OperandError(0, f"{row.mnemonic} takes {len(fields)} operands, not {len(operands)}")
    word = row.opcode
    if row.suboperation is not None:
        word |= row.fields_by_kind[FieldKind.SUBOPERATION].insert(row.suboperation)
    for index, (field, value) in enumerate(zip(fields, operands, strict=True)):
        word |= field.insert(_stored(row, field, index, value, pc))
    return word.to_bytes(row.length, "little")


def _stored(row: Instruction, field: Field, index: int, value: int, pc: int) -> int:
    """The number that the field holds for this source value."""
    if field.kind is FieldKind.OFFSET:
        distance = branch_distance(pc, value)
        if not field.minimum <= distance <= field.maximum:
            raise OutOfReach(index, distance, field)
        return distance
    if field.kind is FieldKind.SCALED:
        size = row.access.size if row.access else 1
        if value % size:
            raise OperandError(index, f"displacement {value} is no multiple of the access size, {size} bytes")
        if not 0 <= value <= field.maximum * size:
            raise OperandError(index, f"displacement {value} is out of range 0 to {field.maximum * size}")
        return value // size
    if field.kind is FieldKind.NUMBER and not 0 <= value < number_limit(row):
        raise OperandError(index, f"{row.mnemonic} {value} does not exist; 0 to {number_limit(row) - 1} do")
    if field.kind is FieldKind.POINTER and row.post_increments and value == STACK_OPERAND:
        raise OperandError(index, f"{row.mnemonic} needs a local as its pointer, not the data stack")
    if field.kind is FieldKind.SIGNED and 1 << (CELL_BITS - 1) <= value < 1 << CELL_BITS:
        value -= 1 << CELL_BITS
    if field.kind is FieldKind.UNSIGNED and field.width == CELL_BITS and -(1 << (CELL_BITS - 1)) <= value < 0:
        value += 1 << CELL_BITS
    if not field.minimum <= value <= field.maximum:
        raise OperandError(index, f"{value} is out of range {field.minimum} to {field.maximum}")
    return value
