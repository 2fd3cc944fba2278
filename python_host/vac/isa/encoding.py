"""Byte encoding: instruction lengths and operand fields.

An instruction is one opcode byte and up to four operand bytes, read as a little-endian word of 40 bits with the
opcode in bits 0 to 7. A format is written as a list of fields, such as ``"d4 a4 s8"``: a letter for the
meaning, a number for the width. Fields are packed upwards from bit 8 in the order in which they are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache

LENGTH_BY_GROUP = (1, 1, 2, 3, 4, 5, 3, 3)
"""Length in bytes by the top three opcode bits: a decoder finds the next instruction from these alone."""

MAX_LENGTH = max(LENGTH_BY_GROUP)


def instruction_length(opcode: int) -> int:
    """Length in bytes (1 to 5) of the instruction that starts with this opcode byte."""
    return LENGTH_BY_GROUP[opcode >> 5]


class FieldKind(Enum):
    """Meaning of an operand field; the value is its letter in a format."""

    DESTINATION = "d"
    """Nibble: the local that receives the result, or 15 to push it."""
    SOURCE_A = "a"
    """Nibble: the local that is operand A, or 15 to pop it."""
    SOURCE_B = "b"
    """Nibble: the local that is operand B, or 15 to pop it."""
    POINTER = "p"
    """Nibble: operand A, written back after the access or decrement; 15 pops and pushes."""
    LOCAL = "l"
    """Index of a frame local."""
    SIGNED = "s"
    UNSIGNED = "u"
    SCALED = "x"
    """Unsigned displacement in units of the access size; sources give it in bytes."""
    OFFSET = "o"
    """Signed branch offset in bytes from the address of this instruction, modulo 2**24; sources give the target."""
    FRAME = "f"
    """Number of locals of the callee's frame."""
    WINDOW = "w"
    """Window register written or measured."""
    WINDOW_FROM = "y"
    """Window register narrowed from."""
    NUMBER = "n"
    """Number of a core register, device address, system call or milestone."""
    SUBOPERATION = "k"
    """Selects one of sixteen operations behind one opcode; fixed by the mnemonic."""

    @property
    def is_signed(self) -> bool:
        return self in (FieldKind.SIGNED, FieldKind.OFFSET)

    @property
    def is_operand_nibble(self) -> bool:
        """True for fields in which 15 names the data stack."""
        return self in (FieldKind.DESTINATION, FieldKind.SOURCE_A, FieldKind.SOURCE_B, FieldKind.POINTER)


@dataclass(frozen=True)
class Field:
    """One operand field: `width` bits at bit `low` of the 40-bit instruction word."""

    kind: FieldKind
    low: int
    width: int

    @property
    def minimum(self) -> int:
        return -(1 << (self.width - 1)) if self.kind.is_signed else 0

    @property
    def maximum(self) -> int:
        return (1 << (self.width - self.kind.is_signed)) - 1

    def extract(self, word: int) -> int:
        """Value of this field in a 40-bit instruction word."""
        value = (word >> self.low) & ((1 << self.width) - 1)
        if self.kind.is_signed and value >> (self.width - 1):
            value -= 1 << self.width
        return value

    def insert(self, value: int) -> int:
        """Bits of `value` in place. Raises ValueError when it does not fit."""
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} does not fit {self.width} bits ({self.minimum} to {self.maximum})")
        return (value & ((1 << self.width) - 1)) << self.low


@cache
def parse_format(text: str) -> tuple[Field, ...]:
    """Fields of a format such as ``"d4 a4 s8"``, packed upwards from bit 8."""
    fields: list[Field] = []
    low = 8
    for item in text.split():
        field = Field(FieldKind(item[0]), low, int(item[1:]))
        fields.append(field)
        low += field.width
    if low % 8:
        raise ValueError(f"format {text!r} does not fill its bytes")
    return tuple(fields)
