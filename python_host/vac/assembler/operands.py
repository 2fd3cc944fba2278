"""The operands of one instruction, read in the order of the row's format."""

from __future__ import annotations

from dataclasses import dataclass

from ..image.encode import source_fields
from ..isa.encoding import Field, FieldKind
from ..isa.instruction import Destination, Instruction, Source
from ..isa.limits import STACK_OPERAND
from .diagnostics import SourceError
from .expressions import Expression, Name, Number, TokenReader
from .layout import ExactInstruction
from .lexer import TokenKind
from .source import Span
from .symbols import Routine

_STACK_NAME = "s"


@dataclass(frozen=True)
class FrameOf:
    """The frame size that a function's `.func` declares, or that its code needs."""

    span: Span
    function: Expression

    def evaluate(self, here: int | None) -> int:
        routine = self.function.symbol.routine if isinstance(self.function, Name) else None
        if not routine:
            raise SourceError(
                "the frame size is not known: write it behind the target, or declare the function with .func", self.span
            )
        return routine.frame.evaluate(here) if routine.frame else frame_needed(routine)


def frame_needed(routine: Routine) -> int:
    """Locals that the routine names, by `.local` or in its instructions."""
    return max(len(routine.locals), routine.highest_local + 1)


def read_register(reader: TokenReader) -> int | None:
    """Index of the local that stands here, 15 for ``s``, None (nothing read) where neither does."""
    token = reader.current
    if not token or token.kind is not TokenKind.NAME:
        return None
    index = reader.scope_of(token).find_register(token.text)
    if index is not None:
        if index >= STACK_OPERAND:
            raise SourceError(
                f"{token.text!r} is local {index}; operands reach locals 0 to {STACK_OPERAND - 1}: use get and set",
                token.span,
            )
    elif token.text == _STACK_NAME:
        index = STACK_OPERAND
    elif token.text[0] == "l" and token.text[1:].isdecimal() and int(token.text[1:]) < STACK_OPERAND:
        index = int(token.text[1:])
    else:
        return None
    reader.position += 1
    return index


def expect_register(reader: TokenReader, routine: Routine) -> int:
    """A local or ``s``. Raises SourceError."""
    span = reader.span
    index = read_register(reader)
    if index is None:
        raise SourceError("an operand is expected here: s, l0 to l14, or a name given by .local", span)
    note_local(routine, index)
    return index


def note_local(routine: Routine, index: int) -> None:
    """Remembers that the routine's code names this operand nibble."""
    if index != STACK_OPERAND:
        routine.highest_local = max(routine.highest_local, index)


def read_exact(row: Instruction, mnemonic_span: Span, reader: TokenReader, routine: Routine) -> ExactInstruction:
    """The operands of `row` to the end of the statement. Raises SourceError."""
    fields = source_fields(row)
    operands: list[int | Expression] = []
    spans: list[Span] = []
    for index, field in enumerate(fields):
        if reader.at_end and field.kind is FieldKind.FRAME:
            target = operands[-1]
            assert not isinstance(target, int)
            operands.append(FrameOf(spans[-1], target))
            spans.append(spans[-1])
            break
        if reader.at_end:
            raise SourceError(f"{row.mnemonic} takes {describe(fields)}; {_count(index)}", mnemonic_span)
        if index:
            reader.expect_sign(",")
        start = reader.span
        operands.append(_read_field(field, reader, routine))
        spans.append(start.to(reader.tokens[reader.position - 1].span))
    if not reader.at_end:
        raise SourceError(f"{row.mnemonic} takes {describe(fields)}; the statement should end here", reader.span)
    if not fields and (row.a is Source.LOCAL or row.destination is Destination.LOCAL):
        note_local(routine, row.constant)
    return ExactInstruction(row, tuple(operands), tuple(spans))


def _count(given: int) -> str:
    return "none is given" if given == 0 else f"{given} {'is' if given == 1 else 'are'} given"


def describe(fields: tuple[Field, ...]) -> str:
    """The operands of a row in words."""
    words = {
        FieldKind.OFFSET: "target",
        FieldKind.FRAME: "frame",
        FieldKind.SIGNED: "constant",
        FieldKind.UNSIGNED: "constant",
        FieldKind.SCALED: "displacement",
        FieldKind.LOCAL: "local",
        FieldKind.NUMBER: "number",
        FieldKind.WINDOW: "window",
        FieldKind.WINDOW_FROM: "window",
    }
    names = [words.get(field.kind, field.kind.value) for field in fields]
    return ", ".join(names) if names else "no operands"


def _read_field(field: Field, reader: TokenReader, routine: Routine) -> int | Expression:
    if field.kind.is_operand_nibble:
        return expect_register(reader, routine)
    token = reader.current
    if token and token.kind is TokenKind.NAME:
        if field.kind is FieldKind.LOCAL:
            index = reader.scope_of(token).find_register(token.text)
            if index is None and token.text[0] == "l" and token.text[1:].isdecimal():
                index = int(token.text[1:])
            if index is not None:
                reader.position += 1
                routine.highest_local = max(routine.highest_local, index)
                return Number(token.span, index)
        elif (
            field.kind in (FieldKind.WINDOW, FieldKind.WINDOW_FROM)
            and token.text[0] == "w"
            and token.text[1:].isdecimal()
        ):
            reader.position += 1
            return Number(token.span, int(token.text[1:]))
    expression = reader.expression()
    if field.kind is FieldKind.LOCAL and isinstance(expression, Number):
        routine.highest_local = max(routine.highest_local, expression.value)
    return expression
