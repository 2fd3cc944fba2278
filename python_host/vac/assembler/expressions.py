"""Expressions over numbers, constants and labels, with operators by precedence, evaluated when layout allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .diagnostics import SourceError
from .lexer import Token, TokenKind
from .source import Span
from .symbols import Scope, Symbol


class NotYetKnown(SourceError):
    """A label that layout has not placed yet."""


class Undefined(SourceError):
    """A name that nothing defines."""


class Expression(Protocol):
    """An integer of any size, once it can be known."""

    @property
    def span(self) -> Span: ...

    def evaluate(self, here: int | None) -> int:
        """The value, with ``$`` standing for `here`. Raises SourceError, NotYetKnown where a label has no place."""
        ...


@dataclass(frozen=True)
class Number:
    span: Span
    value: int

    def evaluate(self, here: int | None) -> int:
        return self.value


@dataclass(frozen=True)
class Here:
    """``$`` plus `distance`: an address relative to the start of this statement."""

    span: Span
    distance: int = 0

    def evaluate(self, here: int | None) -> int:
        if here is None:
            raise SourceError("$ has no value outside of instructions and data", self.span)
        return here + self.distance


@dataclass(frozen=True)
class Name:
    """A name, bound when it is evaluated, so that it may be defined further down."""

    token: Token
    scope: Scope

    @property
    def span(self) -> Span:
        return self.token.span

    @property
    def symbol(self) -> Symbol:
        """Raises SourceError when there is no such name."""
        symbol = self.scope.find(self.token.text)
        if not symbol:
            if self.scope.find_register(self.token.text) is not None:
                raise SourceError(f"{self.token.text!r} is a local; a number is wanted here", self.span)
            raise Undefined(f"{self.token.text!r} is not defined", self.span)
        return symbol

    def evaluate(self, here: int | None) -> int:
        symbol = self.symbol
        if symbol.expression:
            if symbol.is_being_evaluated:
                raise SourceError(f"{symbol.name!r} is defined by itself", self.span)
            symbol.is_being_evaluated = True
            try:
                return symbol.expression.evaluate(symbol.here.value if symbol.here else None)
            finally:
                symbol.is_being_evaluated = False
        if symbol.value is None:
            raise NotYetKnown(f"the address of {symbol.name!r} is not known yet; it must be known here", self.span)
        return symbol.value


def _negative_shift(span: Span, amount: int) -> None:
    if not 0 <= amount <= 256:
        raise SourceError(f"shift by {amount}; 0 to 256 are possible", span)


def _divide(span: Span, a: int, b: int) -> int:
    if b == 0:
        raise SourceError("division by zero", span)
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _shift_left(span: Span, a: int, b: int) -> int:
    _negative_shift(span, b)
    return a << b


def _shift_right(span: Span, a: int, b: int) -> int:
    _negative_shift(span, b)
    return a >> b


_BINARY: tuple[dict[str, Callable[[Span, int, int], int]], ...] = (
    {"||": lambda _, a, b: int(bool(a) or bool(b))},
    {"&&": lambda _, a, b: int(bool(a) and bool(b))},
    {
        "==": lambda _, a, b: int(a == b),
        "!=": lambda _, a, b: int(a != b),
        "<": lambda _, a, b: int(a < b),
        "<=": lambda _, a, b: int(a <= b),
        ">": lambda _, a, b: int(a > b),
        ">=": lambda _, a, b: int(a >= b),
    },
    {"|": lambda _, a, b: a | b},
    {"^": lambda _, a, b: a ^ b},
    {"&": lambda _, a, b: a & b},
    {"<<": _shift_left, ">>": _shift_right},
    {"+": lambda _, a, b: a + b, "-": lambda _, a, b: a - b},
    {"*": lambda _, a, b: a * b, "/": _divide, "%": lambda span, a, b: a - b * _divide(span, a, b)},
)
"""Binary operators, weakest first. Division rounds towards zero, the remainder has the sign of the dividend."""

_UNARY: dict[str, Callable[[int], int]] = {
    "-": lambda a: -a,
    "+": lambda a: a,
    "~": lambda a: ~a,
    "!": lambda a: int(not a),
}


@dataclass(frozen=True)
class Binary:
    span: Span
    apply: Callable[[Span, int, int], int]
    left: Expression
    right: Expression

    def evaluate(self, here: int | None) -> int:
        return self.apply(self.span, self.left.evaluate(here), self.right.evaluate(here))


@dataclass(frozen=True)
class Unary:
    span: Span
    apply: Callable[[int], int]
    operand: Expression

    def evaluate(self, here: int | None) -> int:
        return self.apply(self.operand.evaluate(here))


_MAX_DEPTH = 40


class TokenReader:
    """Reads the tokens of one statement from left to right."""

    def __init__(self, tokens: list[Token], scope: Scope, position: int = 0) -> None:
        self.tokens = tokens
        self.scope = scope
        self.position = position
        self._depth = 0

    @property
    def current(self) -> Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.tokens)

    @property
    def span(self) -> Span:
        """The current token's span; at the end, the place behind the last token."""
        if self.current:
            return self.current.span
        last = self.tokens[-1].span
        return Span(last.file, last.line, last.column + last.length, 1, last.expansion)

    def take(self, kind: TokenKind, what: str) -> Token:
        """The current token, which must be of this kind. Raises SourceError."""
        token = self.current
        if not token or token.kind is not kind:
            raise SourceError(f"{what} is expected here", self.span)
        self.position += 1
        return token

    def take_sign(self, text: str) -> bool:
        """True, and moves on, where the current token is this sign."""
        if self.current and self.current.is_sign(text):
            self.position += 1
            return True
        return False

    def expect_sign(self, text: str) -> None:
        if not self.take_sign(text):
            raise SourceError(f"{text!r} is expected here", self.span)

    def expect_end(self) -> None:
        """Raises SourceError when tokens are left over."""
        if not self.at_end:
            raise SourceError("the statement should end here", self.span)

    def scope_of(self, token: Token) -> Scope:
        return token.scope or self.scope

    def expression(self, level: int = 0) -> Expression:
        """One expression. Raises SourceError where there is none."""
        if level == len(_BINARY):
            return self._unary()
        left = self.expression(level + 1)
        while self.current and self.current.kind is TokenKind.SIGN and self.current.text in _BINARY[level]:
            sign = self.current
            self.position += 1
            right = self.expression(level + 1)
            left = Binary(left.span.to(right.span), _BINARY[level][sign.text], left, right)
        return left

    def _unary(self) -> Expression:
        token = self.current
        if not token:
            raise SourceError("an expression is expected here", self.span)
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise SourceError(f"expression nests deeper than {_MAX_DEPTH} levels", token.span)
        try:
            self.position += 1
            if token.kind is TokenKind.NUMBER and isinstance(token.value, int):
                return Number(token.span, token.value)
            if token.kind in (TokenKind.NAME, TokenKind.LOCAL_NAME):
                return Name(token, self.scope_of(token))
            if token.is_sign("$"):
                return Here(token.span)
            if token.is_sign("("):
                inner = self.expression()
                self.expect_sign(")")
                return inner
            if token.kind is TokenKind.SIGN and token.text in _UNARY:
                operand = self._unary()
                return Unary(token.span.to(operand.span), _UNARY[token.text], operand)
            self.position -= 1
            raise SourceError("an expression is expected here", token.span)
        finally:
            self._depth -= 1
