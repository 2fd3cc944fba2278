"""Reads statements in order: labels, includes, macros, repetition and conditions; hands the rest to the builder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..isa.table import BY_MNEMONIC
from .builder import Builder
from .diagnostics import SourceError
from .directives import DIRECTIVES, declare
from .expressions import TokenReader
from .generic import GENERIC
from .layout import Bytes
from .lexer import Statement, Token, TokenKind, read_statements
from .source import Expansion, SourceFile, Span
from .symbols import Scope

_MAX_NESTING = 32
_MAX_STATEMENTS = 4_000_000

_BLOCKS = {".macro": ".endm", ".repeat": ".endr", ".if": ".endif"}


@dataclass(frozen=True)
class Macro:
    name: Token
    parameters: tuple[Token, ...]
    body: Sequence[Statement]

    @property
    def parameter_names(self) -> list[str]:
        return [parameter.text for parameter in self.parameters]


class Reader:
    """Runs statements through a builder. include_paths: folders searched behind that of the including file."""

    def __init__(self, builder: Builder, include_paths: Sequence[Path]) -> None:
        self._builder = builder
        self._include_paths = include_paths
        self._macros: dict[str, Macro] = {}
        self._nesting = 0
        self._statements = 0

    def read_file(self, file: SourceFile) -> None:
        """All statements of a file; errors go to the builder's list."""
        self.read(read_statements(file, self._builder.diagnostics))

    def read(self, statements: Sequence[Statement]) -> None:
        """Statements in order; an error gives up its statement, or its whole block."""
        position = 0
        while position < len(statements):
            statement = statements[position]
            position += 1
            self._statements += 1
            try:
                if self._statements > _MAX_STATEMENTS:
                    raise SourceError(
                        f"the program expands to more than {_MAX_STATEMENTS} statements", statement[0].span
                    )
                statement = self._take_labels(statement)
                if not statement:
                    continue
                keyword = statement[0].text
                if keyword in _BLOCKS:
                    end = _find_end(statements, position, keyword)
                    if end is None:
                        position = len(statements)
                        raise SourceError(f"{keyword} without {_BLOCKS[keyword]}", statement[0].span)
                    body, position = statements[position:end], end + 1
                    self._block(keyword, statement, body)
                else:
                    self._statement(statement)
            except SourceError as error:
                self._builder.diagnostics.append(error.diagnostic)
                if self._statements > _MAX_STATEMENTS:
                    return

    def _take_labels(self, statement: Statement) -> Statement:
        names = (TokenKind.NAME, TokenKind.LOCAL_NAME)
        while len(statement) >= 2 and statement[0].kind in names and statement[1].is_sign(":"):
            self._builder.define_label(statement[0])
            statement = statement[2:]
        return statement

    def _statement(self, statement: Statement) -> None:
        first = statement[0]
        if first.kind is TokenKind.DIRECTIVE:
            if first.text in DIRECTIVES:
                declare(self._builder, statement)
            elif first.text == ".include":
                self._include(statement)
            elif first.text == ".incbin":
                self._include_binary(statement)
            elif first.text == ".assert":
                self._assert(statement)
            elif first.text in (*_BLOCKS.values(), ".else", ".elseif"):
                raise SourceError(f"{first.text} without its beginning", first.span)
            else:
                raise SourceError(f"unknown directive {first.text}", first.span)
        elif first.kind is not TokenKind.NAME:
            raise SourceError("an instruction, a directive or a label is expected here", first.span)
        elif first.text in self._macros:
            self._expand(self._macros[first.text], statement)
        else:
            self._builder.instruction(statement)

    # ---- files ---------------------------------------------------------------------------------------------------

    def _include(self, statement: Statement) -> None:
        path, span = self._file(statement)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(f"cannot read {str(path)!r}: {error}", span) from None
        builder = self._builder
        kept = builder.routine, builder.scope, builder.section
        with _Nested(self, span, f"{str(path)!r} is included"):
            self.read_file(SourceFile.of(str(path), text, span))
        builder.routine, builder.scope, builder.section = kept

    def _include_binary(self, statement: Statement) -> None:
        path, span = self._file(statement)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SourceError(f"cannot read {str(path)!r}: {error}", span) from None
        self._builder.emit(Bytes(span, content=content))

    def _file(self, statement: Statement) -> tuple[Path, Span]:
        reader = TokenReader(statement, self._builder.scope, 1)
        token = reader.take(TokenKind.STRING, "a file name in quotes")
        reader.expect_end()
        assert isinstance(token.value, bytes)
        name = token.value.decode(errors="replace")
        folders = [Path(token.span.file.name).parent, *self._include_paths]
        for folder in folders:
            if "\0" not in name and (folder / name).is_file():
                return folder / name, token.span
        searched = ", ".join(str(folder) for folder in folders)
        raise SourceError(f"there is no file {name!r} in {searched}", token.span)

    # ---- blocks --------------------------------------------------------------------------------------------------

    def _block(self, keyword: str, head: Statement, body: Sequence[Statement]) -> None:
        if keyword == ".macro":
            self._define_macro(head, body)
        elif keyword == ".repeat":
            self._repeat(head, body)
        else:
            self._condition(head, body)

    def _define_macro(self, head: Statement, body: Sequence[Statement]) -> None:
        reader = TokenReader(head, self._builder.scope, 1)
        name = reader.take(TokenKind.NAME, "the name of the macro")
        parameters: list[Token] = []
        while not reader.at_end:
            if parameters:
                reader.expect_sign(",")
            parameter = reader.take(TokenKind.NAME, "the name of a parameter")
            if any(parameter.text == other.text for other in parameters):
                raise SourceError(f"parameter {parameter.text!r} is given twice", parameter.span)
            parameters.append(parameter)
        if name.text in BY_MNEMONIC or name.text in GENERIC:
            raise SourceError(f"{name.text!r} is an instruction; choose another name", name.span)
        earlier = self._macros.get(name.text)
        if earlier:
            raise SourceError(
                f"macro {name.text!r} is already defined", name.span, ("first defined here", earlier.name.span)
            )
        self._macros[name.text] = Macro(name, tuple(parameters), body)

    def _expand(self, macro: Macro, statement: Statement) -> None:
        arguments = _split_arguments(statement[1:])
        if len(arguments) != len(macro.parameters):
            wanted = ", ".join(macro.parameter_names) or "no arguments"
            raise SourceError(
                f"macro {macro.name.text} takes {wanted}; {len(arguments)} given",
                statement[0].span,
                ("defined here", macro.name.span),
            )
        scope = statement[0].scope or self._builder.scope
        bound = [[token.within(scope) for token in argument] for argument in arguments]
        values = dict(zip(macro.parameter_names, bound, strict=True))
        with _Nested(self, statement[0].span, f"macro {macro.name.text!r} expands"):
            self._read_copy(
                macro.body, macro.name, values, Expansion(f"macro {macro.name.text}", statement[0].span), scope
            )

    def _read_copy(
        self,
        body: Sequence[Statement],
        head: Token,
        values: dict[str, list[Token]],
        expansion: Expansion,
        scope: Scope,
    ) -> None:
        """Reads a block's statements again, parameters replaced, in a scope of their own inside `scope`.

        Only names that were written where the block's head was written are its own; those that came in as an
        argument keep the scope of their caller, and are never taken for a parameter.
        """
        own = Scope(scope)
        copies: list[Statement] = []
        for statement in body:
            copy: Statement = []
            for token in statement:
                is_own = token.scope is head.scope
                if is_own and token.kind is TokenKind.NAME and token.text in values:
                    copy += values[token.text]
                else:
                    copy.append(_copied(token, own if is_own else token.scope, expansion))
            if copy:
                copies.append(copy)
        self.read(copies)

    def _repeat(self, head: Statement, body: Sequence[Statement]) -> None:
        reader = TokenReader(head, self._builder.scope, 1)
        count_expression = reader.expression()
        counter = reader.take(TokenKind.NAME, "the name of the counter") if reader.take_sign(",") else None
        reader.expect_end()
        count = self._builder.known(count_expression)
        if count < 0:
            raise SourceError(f"repeat count {count} is negative", count_expression.span)
        if count * max(1, len(body)) > _MAX_STATEMENTS:
            raise SourceError(f"{count} rounds are more than {_MAX_STATEMENTS} statements", count_expression.span)
        scope = head[0].scope or self._builder.scope
        with _Nested(self, head[0].span, ".repeat expands"):
            for index in range(count):
                values: dict[str, list[Token]] = {}
                if counter:
                    values = {counter.text: [Token(TokenKind.NUMBER, str(index), counter.span, index, scope)]}
                self._read_copy(body, head[0], values, Expansion(f"round {index} of .repeat", head[0].span), scope)

    def _condition(self, head: Statement, body: Sequence[Statement]) -> None:
        branches: list[tuple[Statement, list[Statement]]] = [(head, [])]
        depth = 0
        for statement in body:
            keyword = statement[0].text
            if depth == 0 and keyword in (".else", ".elseif"):
                if branches[-1][0][0].text == ".else":
                    raise SourceError(f"{keyword} behind .else", statement[0].span)
                branches.append((statement, []))
                continue
            depth += (keyword in _BLOCKS) - (keyword in _BLOCKS.values())
            branches[-1][1].append(statement)
        for statement, chosen in branches:
            reader = TokenReader(statement, self._builder.scope, 1)
            holds = statement[0].text == ".else" or self._builder.known(reader.expression()) != 0
            reader.expect_end()
            if holds:
                self.read(chosen)
                return

    def _assert(self, statement: Statement) -> None:
        reader = TokenReader(statement, self._builder.scope, 1)
        expression = reader.expression()
        message = "assertion does not hold"
        if reader.take_sign(","):
            value = reader.take(TokenKind.STRING, "a message in quotes").value
            assert isinstance(value, bytes)
            message = value.decode(errors="replace")
        reader.expect_end()
        self._builder.asserts.append((expression, message, self._builder.here(expression.span)))


class _Nested:
    """Counts how deep includes and expansions nest. Raises SourceError beyond the limit."""

    def __init__(self, reader: Reader, span: Span, what: str) -> None:
        self._reader, self._span, self._what = reader, span, what

    def __enter__(self) -> None:
        if self._reader._nesting >= _MAX_NESTING:
            raise SourceError(f"{self._what} more than {_MAX_NESTING} levels deep", self._span)
        self._reader._nesting += 1

    def __exit__(self, *_: object) -> None:
        self._reader._nesting -= 1


def _copied(token: Token, scope: Scope | None, expansion: Expansion) -> Token:
    span = token.span
    if span.expansion:
        expansion = _chained(span.expansion, expansion)
    copied = Span(span.file, span.line, span.column, span.length, expansion)
    return replace(token, span=copied, scope=scope)


def _chained(inner: Expansion, outer: Expansion) -> Expansion:
    """The inner expansion, with `outer` behind the place where it was used."""
    used_at = inner.used_at
    behind = _chained(used_at.expansion, outer) if used_at.expansion else outer
    return Expansion(inner.title, Span(used_at.file, used_at.line, used_at.column, used_at.length, behind))


def _find_end(statements: Sequence[Statement], start: int, keyword: str) -> int | None:
    """Position of the statement that ends the block whose body starts at `start`; blocks nest."""
    open_blocks = [keyword]
    for position in range(start, len(statements)):
        word = statements[position][0].text
        if word in _BLOCKS:
            open_blocks.append(word)
        elif word == _BLOCKS[open_blocks[-1]]:
            open_blocks.pop()
            if not open_blocks:
                return position
    return None


def _split_arguments(tokens: list[Token]) -> list[list[Token]]:
    """Macro arguments: separated by commas outside brackets."""
    if not tokens:
        return []
    arguments: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += token.is_sign("(") - token.is_sign(")")
        if token.is_sign(",") and depth == 0:
            arguments.append([])
        else:
            arguments[-1].append(token)
    return arguments
