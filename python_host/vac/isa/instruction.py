"""The shape of one row of the instruction table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .alu import AluFunction, Condition
from .encoding import Field, FieldKind, instruction_length, parse_format


class Unit(Enum):
    """What carries the instruction out."""

    ALU = "alu"
    """destination <- function(A, B)"""
    BRANCH = "branch"
    """if condition(A, B): pc <- pc + offset; destination <- function(A, B) where there is one"""
    JUMP = "jump"
    """pc <- pc + offset"""
    CALL = "call"
    """link and new frame on the return stack; pc <- pc + offset"""
    TABLE_JUMP = "table jump"
    """pc <- function table entry of index A"""
    TABLE_CALL = "table call"
    """as CALL, target and frame size from the function table entry of index A"""
    RETURN = "return"
    """frame and link leave the return stack; pc <- the link's return address"""
    LOAD = "load"
    """destination <- memory[A + displacement]"""
    STORE = "store"
    """memory[A + displacement] <- B"""
    SWAP = "swap"
    WINDOW_NARROW = "window narrow"
    WINDOW_RESTRICT = "window restrict"
    WINDOW_LENGTH = "window length"
    READ_REGISTER = "read register"
    DEVICE_IN = "device in"
    DEVICE_OUT = "device out"
    SYSTEM_CALL = "system call"
    EMIT = "emit"
    JOIN = "join"
    MARK = "mark"
    HALT = "halt"
    NOP = "nop"

    @property
    def ends_block(self) -> bool:
        """True when control never goes on to the next instruction."""
        return self in (Unit.JUMP, Unit.TABLE_JUMP, Unit.RETURN, Unit.HALT)


class Source(Enum):
    """Where operand A or B comes from."""

    NONE = "none"
    NIBBLE = "nibble"
    """An operand nibble: a frame local, or 15 to pop the data stack."""
    LOCAL = "local"
    """The frame local of field `l`, or of the row's constant where the format has no such field."""
    POP = "pop"
    PEEK = "peek"
    """Top of the data stack, left where it is."""
    PEEK_SECOND = "peek second"
    """The cell under the top, left where it is."""
    IMMEDIATE = "immediate"
    """Field `s` or `u` as a cell."""
    CONSTANT = "constant"
    """The row's constant as a cell."""


class Destination(Enum):
    """Where the result goes."""

    NONE = "none"
    NIBBLE = "nibble"
    """Field `d`: a frame local, or 15 to push."""
    POINTER = "pointer"
    """Field `p`, from which operand A came as well."""
    LOCAL = "local"
    """The frame local of field `l`, or of the row's constant where the format has no such field."""
    PUSH = "push"


@dataclass(frozen=True)
class Access:
    """Width of a load or store. Narrow loads are extended to a cell with zeros or with the sign."""

    size_log2: int
    is_signed: bool = False

    @property
    def size(self) -> int:
        """Bytes: 1, 2 or 4."""
        return 1 << self.size_log2


@dataclass(frozen=True)
class Example:
    """A worked example: this program, assembled with a frame of 15 locals and 4 KiB of memory in window 0, ends
    with these cells on the data stack (bottom first)."""

    source: str
    stack: tuple[int, ...]


@dataclass(frozen=True)
class Instruction:
    """One row of the table: everything that any engine, tool or document knows of an instruction."""

    opcode: int
    mnemonic: str
    format: str
    unit: Unit
    doc: str
    example: Example
    function: AluFunction = AluFunction.PASS_A
    condition: Condition = Condition.EQ
    a: Source = Source.NONE
    b: Source = Source.NONE
    destination: Destination = Destination.NONE
    constant: int = 0
    suboperation: int | None = None
    access: Access | None = None
    is_indexed: bool = False
    """Loads: B times the access size is added to the address."""
    post_increments: bool = False
    """Loads and stores: the pointer local grows by the access size afterwards."""
    glyph: str = ""

    @property
    def fields(self) -> tuple[Field, ...]:
        return parse_format(self.format)

    @property
    def fields_by_kind(self) -> dict[FieldKind, Field]:
        """The format's fields; no format has two of one kind."""
        return {field.kind: field for field in self.fields}

    def field(self, kind: FieldKind) -> Field | None:
        """The field of this kind, or None when the format has none."""
        return next((field for field in self.fields if field.kind is kind), None)

    @property
    def length(self) -> int:
        """Bytes, 1 to 5."""
        return instruction_length(self.opcode)

    @property
    def source_a_field(self) -> Field | None:
        """The operand nibble of A: field `a` or `p`."""
        return self.field(FieldKind.SOURCE_A) or self.field(FieldKind.POINTER)

    @property
    def is_privileged_event(self) -> bool:
        """True when the machine stops before this instruction until the host has answered."""
        return self.unit in (Unit.DEVICE_IN, Unit.DEVICE_OUT, Unit.SYSTEM_CALL)
