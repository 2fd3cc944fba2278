"""Collects what the statements of a program declare: sections with their items, symbols, header fields."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from ..isa.limits import CODE_SLOT, MAX_CODE_BYTES, MAX_WINDOW_BYTES
from ..isa.table import BY_MNEMONIC
from .diagnostics import Diagnostic, SourceError
from .expressions import Expression, TokenReader
from .generic import GENERIC
from .layout import Code, Item, Label, Section, value_of
from .lexer import Token
from .operands import read_exact
from .source import Span
from .symbols import Routine, Scope, Symbol, predefined

CODE_SECTION, DATA_SECTION = ".code", ".data"
DATA_SLOT = 1
"""Shard slot of the `.data` section."""


@dataclass(frozen=True)
class TableEntry:
    """One entry of the function table."""

    span: Span
    target: Expression
    frame: Expression


@dataclass(frozen=True)
class RawHeader:
    """Header fields that `.image` states outright: the layout is then exactly what the source says."""

    span: Span
    code_length: Expression
    table_base: Expression
    table_entries: Expression


@dataclass(frozen=True)
class WindowLine:
    span: Span
    fields: tuple[Expression, Expression, Expression, Expression, Expression]
    """Index, slot, base, length, permissions."""


@dataclass(frozen=True)
class SegmentLine:
    """An explicit segment; length None means that of its contents."""

    span: Span
    section: Section
    slot: Expression
    offset: Expression
    length: Expression | None


class Builder:
    """The program as declared so far."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.globals: Scope = predefined()
        self.routine = Routine("the code outside functions")
        self.outer_routine = self.routine
        self.scope = Scope(self.globals)
        self.outer_scope = self.scope
        self.code = Section(CODE_SECTION, CODE_SLOT, 0, is_code=True, limit=MAX_CODE_BYTES)
        self.data = Section(DATA_SECTION, DATA_SLOT, 0, is_code=False, limit=MAX_WINDOW_BYTES)
        self.section: Section = self.code
        self.segments: list[SegmentLine] = []
        self.windows: list[WindowLine] = []
        self.table: list[TableEntry] = []
        self.raw: RawHeader | None = None
        self.entry: Expression | None = None
        self.frame: Expression | None = None
        self.memory: Expression | None = None
        self.name: str | None = None
        self.has_labels = False
        self.asserts: list[tuple[Expression, str, Symbol]] = []
        """Condition, message and the place that ``$`` means."""
        self.labels: list[Symbol] = []
        """Every label, in order of definition."""

    @property
    def sections(self) -> list[Section]:
        """Every section that can hold something, in image order."""
        own = [] if self.raw else [self.code, self.data]
        return [*own, *(segment.section for segment in self.segments)]

    def emit(self, item: Item) -> None:
        """Appends to the current section. Raises SourceError where there is none."""
        if self.raw and self.section in (self.code, self.data):
            raise SourceError("behind .image, .segment must say where this goes", item.span)
        self.section.items.append(item)

    def define_label(self, token: Token) -> Symbol:
        """A label at the current place."""
        symbol = Symbol(token.text, token.span, section=self.section)
        (token.scope or self.scope).define(token, symbol)
        self.labels.append(symbol)
        self.emit(Label(token.span, symbol=symbol))
        return symbol

    def here(self, span: Span) -> Symbol:
        """An unnamed label at the current place."""
        symbol = Symbol("$", span, section=self.section)
        self.emit(Label(span, symbol=symbol))
        return symbol

    def enter(self, routine: Routine) -> None:
        """Statements from here on belong to this function."""
        self.routine, self.scope = routine, Scope(self.globals)

    def known(self, expression: Expression) -> int:
        """A value that reading on depends on. Raises SourceError, NotYetKnown where a label is involved."""
        return value_of(expression, None)

    def instruction(self, tokens: list[Token]) -> None:
        """One instruction, exact or generic. Raises SourceError."""
        mnemonic = tokens[0]
        reader = TokenReader(tokens, self.scope, 1)
        row = BY_MNEMONIC.get(mnemonic.text)
        if row:
            candidates = [[read_exact(row, mnemonic.span, reader, self.routine)]]
        elif mnemonic.text in GENERIC:
            operands, _, build = GENERIC[mnemonic.text]
            if reader.at_end:
                raise SourceError(f"{mnemonic.text} takes {operands}; none is given", mnemonic.span)
            candidates = build(mnemonic.span, reader, self.routine)
            reader.expect_end()
        else:
            raise SourceError(f"unknown instruction {mnemonic.text!r}{_nearest(mnemonic.text)}", mnemonic.span)
        if not self.section.is_code:
            raise SourceError(f"an instruction in the {self.section.name} section; .code goes back", mnemonic.span)
        last = tokens[reader.position - 1]
        self.emit(Code(mnemonic.span.to(last.span), candidates=candidates, routine=self.routine))


def _nearest(name: str) -> str:
    found = get_close_matches(name, [*BY_MNEMONIC, *GENERIC], n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""
