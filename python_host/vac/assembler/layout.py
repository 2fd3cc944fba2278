"""Sections, what they hold, and the layout: addresses and shortest encodings, found together.

Every generic instruction starts as its shortest sequence and only ever grows, so the search ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..image.encode import OperandError, encode
from ..isa.alu import to_signed
from ..isa.instruction import Instruction
from .diagnostics import Diagnostic, SourceError
from .expressions import Expression
from .source import Span
from .symbols import Routine, Symbol

_MAX_ROUNDS = 1000


@dataclass(frozen=True)
class ExactInstruction:
    """One row with its operands, in the order of its source fields; `spans` say where each was written."""

    row: Instruction
    operands: tuple[int | Expression, ...]
    spans: tuple[Span, ...]
    only_for: tuple[Expression, int] | None = None
    """An expression and the cell that it must mean; otherwise this instruction does not fit."""


@dataclass(eq=False)
class Item:
    """Something with a place in a section. address: of its first byte; size: in bytes."""

    span: Span
    address: int = 0
    size: int = 0


@dataclass(eq=False)
class Label(Item):
    symbol: Symbol = field(kw_only=True)


@dataclass(eq=False)
class Code(Item):
    """One statement's instructions. candidates: sequences that do the same, shortest first."""

    candidates: Sequence[Sequence[ExactInstruction]] = field(kw_only=True)
    routine: Routine = field(kw_only=True)
    choice: int = 0

    @property
    def chosen(self) -> Sequence[ExactInstruction]:
        return self.candidates[self.choice]


@dataclass(eq=False)
class Data(Item):
    """Numbers of `width` bytes each (1, 2 or 4), little-endian."""

    width: int = field(kw_only=True)
    values: list[Expression] = field(kw_only=True)


@dataclass(eq=False)
class Bytes(Item):
    content: bytes = field(kw_only=True)


@dataclass(eq=False)
class Space(Item):
    """`count` zero bytes."""

    count: Expression = field(kw_only=True)


@dataclass(eq=False)
class Align(Item):
    """Padding to a multiple of `boundary`: `nop` in code, zeros elsewhere, unless `fill` says otherwise."""

    boundary: Expression = field(kw_only=True)
    fill: int = field(kw_only=True)


@dataclass(eq=False)
class Section:
    """One stretch of a shard slot that starts at offset `base`."""

    name: str
    slot: int
    base: int
    is_code: bool
    limit: int
    """Most bytes that it can hold."""
    items: list[Item] = field(default_factory=list)

    @property
    def size(self) -> int:
        return self.items[-1].address + self.items[-1].size - self.base if self.items else 0


def value_of(expression: Expression, here: int | None) -> int:
    """The expression's value. Raises SourceError."""
    try:
        return expression.evaluate(here)
    except RecursionError:
        raise SourceError("expression nests too deeply", expression.span) from None


def lay_out(sections: Sequence[Section]) -> list[Diagnostic]:
    """Gives every item its address and every generic instruction its sequence; returns what stands in the way."""
    for section in sections:
        for item in section.items:
            if isinstance(item, Code):
                item.size = _length(item.chosen)
    for _ in range(_MAX_ROUNDS):
        has_moved = False
        for section in sections:
            try:
                has_moved |= _place(section)
            except SourceError as error:
                return [error.diagnostic]
        has_grown = False
        for section in sections:
            for item in section.items:
                while isinstance(item, Code) and item.choice < len(item.candidates) - 1 and not _fits(item):
                    item.choice += 1
                    item.size = _length(item.chosen)
                    has_grown = True
        if not has_moved and not has_grown:
            return []
    last = next(section for section in sections if section.items).items[0].span
    return [Diagnostic("the layout does not settle: sizes depend on each other in a circle", last)]


def _length(instructions: Sequence[ExactInstruction]) -> int:
    return sum(instruction.row.length for instruction in instructions)


def _place(section: Section) -> bool:
    """One pass over a section's addresses; True where a label moved."""
    address, has_moved = section.base, False
    for item in section.items:
        item.address = address
        if isinstance(item, Label):
            has_moved |= item.symbol.value != address
            item.symbol.value = address
        elif isinstance(item, Space):
            item.size = _counted(item.count, address, section.limit, "bytes of space")
        elif isinstance(item, Align):
            boundary = _counted(item.boundary, address, section.limit, "bytes of alignment")
            if boundary == 0 or boundary & (boundary - 1):
                raise SourceError(f"alignment to {boundary}; a power of two is needed", item.boundary.span)
            item.size = -address % boundary
        elif isinstance(item, Data):
            item.size = item.width * len(item.values)
        elif isinstance(item, Bytes):
            item.size = len(item.content)
        address += item.size
        if address - section.base > section.limit:
            raise SourceError(f"the {section.name} section grows beyond {section.limit} bytes", item.span)
    return has_moved


def _counted(expression: Expression, here: int, limit: int, what: str) -> int:
    value = value_of(expression, here)
    if not 0 <= value <= limit:
        raise SourceError(f"{value} {what}; 0 to {limit} are possible", expression.span)
    return value


def _fits(item: Code) -> bool:
    """Whether the chosen sequence can be encoded. What cannot be in any sequence is reported for the longest."""
    pc = item.address
    try:
        for instruction in item.chosen:
            if instruction.only_for:
                expression, cell = instruction.only_for
                if value_of(expression, item.address) not in (cell, to_signed(cell)):
                    return False
            encode(instruction.row, operand_values(instruction, item.address), pc)
            pc += instruction.row.length
    except (OperandError, SourceError):
        return False
    return True


def operand_values(instruction: ExactInstruction, here: int) -> list[int]:
    """The operands as numbers; `here` is the address of the statement. Raises SourceError."""
    return [value if isinstance(value, int) else value_of(value, here) for value in instruction.operands]
