"""Source text to tokens: one list of tokens for each statement."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from .diagnostics import Diagnostic, SourceError
from .source import SourceFile, Span

if TYPE_CHECKING:
    from .symbols import Scope


class TokenKind(Enum):
    NAME = "name"
    LOCAL_NAME = "local name"
    """``@name``: belongs to a routine or to one expansion of a macro."""
    DIRECTIVE = "directive"
    NUMBER = "number"
    STRING = "string"
    SIGN = "sign"
    """An operator, comma, colon, bracket or ``$``."""


@dataclass(frozen=True)
class Token:
    """One token. value: the number, or the string's bytes. scope: where its names are looked up; None means the
    routine that the statement stands in."""

    kind: TokenKind
    text: str
    span: Span
    value: int | bytes = 0
    scope: Scope | None = None

    def is_sign(self, text: str) -> bool:
        return self.kind is TokenKind.SIGN and self.text == text

    def within(self, scope: Scope) -> Token:
        """This token with its names bound to `scope`, where they were not bound yet."""
        return self if self.scope else replace(self, scope=scope)


Statement = list[Token]
"""The tokens of one statement; never empty."""

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t]+)
  | (?P<comment>\#.*)
  | (?P<number>[0-9][0-9A-Za-z_]*)
  | (?P<local>@[A-Za-z_][A-Za-z0-9_]*)
  | (?P<directive>\.[A-Za-z_][A-Za-z0-9_]*)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<character>'(?:[^'\\]|\\[^u]|\\x[0-9A-Fa-f]{2}|\\u\{[0-9A-Fa-f]+\})')
  | (?P<end>;)
  | (?P<sign><<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^~!()<>,:=$])
    """,
    re.VERBOSE,
)

_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|u\{[0-9A-Fa-f]{1,6}\}|.)", re.DOTALL)
_SIMPLE_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0", b"\\": b"\\", b"'": b"'", b'"': b'"'}


def read_statements(file: SourceFile, diagnostics: list[Diagnostic]) -> list[Statement]:
    """All statements of a file; of what cannot be read, which is reported, only the labels stay."""
    statements: list[Statement] = []
    for number, line in enumerate(file.lines, start=1):
        statement: Statement = []
        column = 0
        while column < len(line):
            match = _TOKEN.match(line, column)
            try:
                if not match:
                    raise _unreadable(line, Span(file, number, column + 1))
                span = Span(file, number, column + 1, match.end() - column)
                kind = match.lastgroup
                if kind == "comment":
                    break
                if kind == "end":
                    if statement:
                        statements.append(statement)
                    statement = []
                elif kind != "space":
                    statement.append(_token(kind or "", match.group(), span))
            except SourceError as error:
                diagnostics.append(error.diagnostic)
                statement = _leading_labels(statement)
                break
            column = match.end()
        if statement:
            statements.append(statement)
    return statements


def _leading_labels(statement: Statement) -> Statement:
    """The statement cut down to its labels, so that what names them is not reported as well."""
    end = 0
    while end + 1 < len(statement) and statement[end + 1].is_sign(":"):
        end += 2
    return statement[:end]


def _unreadable(line: str, span: Span) -> SourceError:
    character = line[span.column - 1]
    if character in "\"'":
        kind = "string" if character == '"' else "character"
        return SourceError(f"this {kind} literal does not end properly", span)
    return SourceError(f"unexpected character {character!r}; comments start with #", span)


def _token(kind: str, text: str, span: Span) -> Token:
    if kind == "number":
        try:
            return Token(TokenKind.NUMBER, text, span, int(text, 0) if text[0] == "0" and len(text) > 1 else int(text))
        except ValueError:
            raise SourceError(f"{text!r} is no number; write 12, 0x1F or 0b101", span) from None
    if kind == "string":
        return Token(TokenKind.STRING, text, span, _unescape(text, span))
    if kind == "character":
        content = _unescape(text, span)
        if len(content) == 1:
            return Token(TokenKind.NUMBER, text, span, content[0])
        try:
            return Token(TokenKind.NUMBER, text, span, ord(content.decode()))
        except (UnicodeDecodeError, TypeError):
            raise SourceError(f"{text} is not one character", span) from None
    kinds = {"name": TokenKind.NAME, "local": TokenKind.LOCAL_NAME, "directive": TokenKind.DIRECTIVE}
    return Token(kinds.get(kind, TokenKind.SIGN), text, span)


def _unescape(literal: str, span: Span) -> bytes:
    r"""The bytes of a quoted literal in UTF-8; ``\xNN`` is one byte, ``\u{N}`` one character."""

    def escape(match: re.Match[bytes]) -> bytes:
        code = match.group(1)
        if code[:1] == b"x" and len(code) == 3:
            return bytes([int(code[1:], 16)])
        if code[:1] == b"u" and len(code) > 1:
            try:
                return chr(int(code[2:-1], 16)).encode()
            except (ValueError, UnicodeEncodeError):
                raise SourceError(f"\\{code.decode()} is no character", span) from None
        if code not in _SIMPLE_ESCAPES:
            known = r"\n \r \t \0 \\ \' \" \xNN \u{N}"
            raise SourceError(f"unknown escape \\{code.decode(errors='replace')}; known are {known}", span)
        return _SIMPLE_ESCAPES[code]

    return _ESCAPE.sub(escape, literal[1:-1].encode())
