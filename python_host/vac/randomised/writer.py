"""Writes instructions without asking twice: random programs come in millions."""

from __future__ import annotations

from ..isa.encoding import FieldKind
from ..isa.instruction import Instruction
from ..isa.table import BY_MNEMONIC, INSTRUCTIONS

_PLACES = {
    row: (
        row.opcode
        | (row.fields_by_kind[FieldKind.SUBOPERATION].insert(row.suboperation) if row.suboperation is not None else 0),
        tuple((f.low, (1 << f.width) - 1) for f in row.fields if f.kind is not FieldKind.SUBOPERATION),
        row.length,
    )
    for row in INSTRUCTIONS
}
"""Of each row: fixed bits, position and mask of each operand field in order, length."""

_OFFSETS = {row: row.fields_by_kind[FieldKind.OFFSET] for row in INSTRUCTIONS if row.field(FieldKind.OFFSET)}


class CodeWriter:
    """Code as it grows. Values must fit their fields."""

    def __init__(self) -> None:
        self.code = bytearray()

    @property
    def pc(self) -> int:
        return len(self.code)

    def emit(self, row: Instruction, *values: int) -> int:
        """Appends an instruction, field values in the order of its format; returns its address."""
        address = len(self.code)
        word, places, length = _PLACES[row]
        for (low, mask), value in zip(places, values, strict=True):
            word |= (value & mask) << low
        self.code += word.to_bytes(length, "little")
        return address

    def op(self, mnemonic: str, *values: int) -> int:
        """`emit` by mnemonic."""
        return self.emit(BY_MNEMONIC[mnemonic], *values)

    def reach(self, row: Instruction, address: int, target: int) -> None:
        """Makes the branch, jump or call at `address` go to `target`, or to the next instruction if it cannot."""
        field = _OFFSETS[row]
        distance = target - address
        if not field.minimum <= distance <= field.maximum:
            distance = row.length
        mask = ((1 << field.width) - 1) << field.low
        word = int.from_bytes(self.code[address : address + row.length], "little") & ~mask | field.insert(distance)
        self.code[address : address + row.length] = word.to_bytes(row.length, "little")
