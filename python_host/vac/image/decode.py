"""Bytes to instructions, judged as a machine judges them before it executes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..isa.encoding import Field, FieldKind, instruction_length
from ..isa.instruction import Instruction
from ..isa.limits import CODE_ADDRESS_BITS, STACK_OPERAND
from ..isa.table import lookup
from .encode import number_limit, source_fields

_CODE_MASK = (1 << CODE_ADDRESS_BITS) - 1


@dataclass(frozen=True)
class Decoded:
    """One legal instruction at address `pc`. word: its 40-bit instruction word, bytes beyond it zero."""

    pc: int
    row: Instruction
    word: int

    @property
    def next_pc(self) -> int:
        return (self.pc + self.row.length) & _CODE_MASK

    @property
    def target(self) -> int | None:
        """Code address of the branch, jump or call; None where the instruction has no offset."""
        field = self.row.field(FieldKind.OFFSET)
        return (self.pc + field.extract(self.word)) & _CODE_MASK if field else None

    def operand(self, field: Field) -> int:
        """Value of a field as sources give it: targets as addresses, displacements in bytes."""
        value = field.extract(self.word)
        if field.kind is FieldKind.OFFSET:
            return (self.pc + value) & _CODE_MASK
        if field.kind is FieldKind.SCALED and self.row.access:
            return value * self.row.access.size
        return value

    def text(self, name_of: Callable[[int], str] = hex) -> str:
        """The instruction as source; `name_of` names the target of a branch."""
        operands = [self._operand_text(field, name_of) for field in source_fields(self.row)]
        return f"{self.row.mnemonic} {', '.join(operands)}".rstrip()

    def _operand_text(self, field: Field, name_of: Callable[[int], str]) -> str:
        value = self.operand(field)
        if field.kind.is_operand_nibble:
            return "s" if value == STACK_OPERAND else f"l{value}"
        if field.kind is FieldKind.OFFSET:
            return name_of(value)
        if field.kind in (FieldKind.WINDOW, FieldKind.WINDOW_FROM):
            return f"w{value}"
        return str(value) if -1000 < value < 1000 else f"{value:#x}"


def decode(code: bytes, position: int, pc: int | None = None) -> Decoded | None:
    """The instruction at `position` of `code`, whose address is `pc` (by default the same number).

    None where the bytes are no legal instruction or end too early.
    """
    if not 0 <= position < len(code):
        return None
    length = instruction_length(code[position])
    if position + length > len(code):
        return None
    word = int.from_bytes(code[position : position + length], "little")
    row = lookup(word)
    if row is None:
        return None
    number, pointer = row.field(FieldKind.NUMBER), row.field(FieldKind.POINTER)
    if number and number.extract(word) >= number_limit(row):
        return None
    if row.post_increments and pointer and pointer.extract(word) == STACK_OPERAND:
        return None
    return Decoded(position if pc is None else pc, row, word)
