"""A VirtualCPU program as it was written: instructions, labels, and the place of each operand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..assembler.diagnostics import AssemblyErrors, SourceError
from ..assembler.source import SourceFile, Span

REGISTERS = 16
"""R0 to R15."""
MEMORY_CELLS = 1 << 16
"""Cells of memory, by their number: 0 to 65535."""

_LEXEMES = re.compile(r"""(?P<space>\s+)|(?P<comment>;.*|\#.*|//.*)|(?P<text>"(?:\\.|[^"\\])*")
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|[0-9][0-9_]*)(?![\w.]))|(?P<word>[A-Za-z_.][\w.]*)
    |(?P<sign>[\[\],:+-])|(?P<other>.)""", re.VERBOSE)  # fmt: skip
_REGISTER = re.compile(r"[rR](0|[1-9][0-9]*)\Z")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\", '"': '"'}


@dataclass(frozen=True)
class Register:
    number: int

    def __str__(self) -> str:
        return f"R{self.number}"


@dataclass(frozen=True)
class Immediate:
    """value: a cell, -2**31 to 2**32 - 1."""

    value: int

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Address:
    """A cell of memory in brackets: base, if any, plus offset."""

    base: Register | None
    offset: int

    def __str__(self) -> str:
        if self.base is None:
            return f"[{self.offset}]"
        return f"[{self.base}{self.offset:+}]" if self.offset else f"[{self.base}]"


@dataclass(frozen=True)
class Target:
    """Where a jump goes: a label."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Text:
    content: str

    def __str__(self) -> str:
        escaped = "".join(
            {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0", "\\": "\\\\", '"': '\\"'}.get(c, c)
            for c in self.content
        )
        return f'"{escaped}"'


Operand = Register | Immediate | Address | Target | Text


@dataclass(frozen=True)
class Instruction:
    """operation: in capitals. span: of the mnemonic; spans: of the operands."""

    operation: str
    operands: tuple[Operand, ...]
    span: Span
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Program:
    """labels: index of the instruction that each stands before; the number of instructions at the end."""

    instructions: tuple[Instruction, ...]
    labels: Mapping[str, int]
    file: SourceFile


@dataclass(frozen=True)
class _Lexeme:
    kind: str
    text: str
    span: Span


def parse(text: str, name: str = "<source>") -> Program:
    """Reads a program; forms of operations are not checked yet. Raises AssemblyErrors."""
    reader = _Reader(SourceFile.of(name, text))
    for number, line in enumerate(reader.file.lines, start=1):
        try:
            reader.read_line(number, line)
        except SourceError as error:
            reader.errors.append(error)
    if reader.errors:
        raise AssemblyErrors([error.diagnostic for error in reader.errors])
    return Program(tuple(reader.instructions), {name: index for name, (index, _) in reader.labels.items()}, reader.file)


@dataclass
class _Reader:
    file: SourceFile
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, tuple[int, Span]] = field(default_factory=dict)
    errors: list[SourceError] = field(default_factory=list)

    def read_line(self, number: int, line: str) -> None:
        lexemes = self._lexemes(number, line)
        while len(lexemes) > 1 and lexemes[0].kind == "word" and lexemes[1].text == ":":
            self._define(lexemes[0])
            lexemes = lexemes[2:]
        if not lexemes:
            return
        mnemonic = lexemes[0]
        if mnemonic.kind != "word":
            raise SourceError("an instruction or a label belongs here", mnemonic.span)
        operands = [_operand(part, mnemonic) for part in _split(lexemes[1:])]
        self.instructions.append(
            Instruction(
                mnemonic.text.upper(),
                tuple(operand for operand, _ in operands),
                mnemonic.span,
                tuple(span for _, span in operands),
            )
        )

    def _define(self, label: _Lexeme) -> None:
        if _REGISTER.match(label.text):
            raise SourceError("a register cannot be a label", label.span)
        if label.text in self.labels:
            before = self.labels[label.text][1]
            raise SourceError(f"label {label.text!r} is there already", label.span, ("it is here", before))
        self.labels[label.text] = len(self.instructions), label.span

    def _lexemes(self, number: int, line: str) -> list[_Lexeme]:
        found: list[_Lexeme] = []
        for match in _LEXEMES.finditer(line):
            kind, text = str(match.lastgroup), match[0]
            span = Span(self.file, number, match.start() + 1, len(text))
            if kind == "other":
                what = "text without an end" if text == '"' else f"{text!r} has no meaning here"
                raise SourceError(what, span)
            if kind not in ("space", "comment"):
                found.append(_Lexeme(kind, text, span))
        return found


def _split(lexemes: list[_Lexeme]) -> list[list[_Lexeme]]:
    """At the commas. Raises SourceError where nothing stands beside one."""
    parts: list[list[_Lexeme]] = [[]] if lexemes else []
    for lexeme in lexemes:
        if lexeme.text == ",":
            if not parts[-1]:
                raise SourceError("an operand is missing before this comma", lexeme.span)
            parts.append([])
        else:
            parts[-1].append(lexeme)
    if parts and not parts[-1]:
        raise SourceError("an operand is missing after this comma", lexemes[-1].span)
    return parts


def _operand(part: list[_Lexeme], mnemonic: _Lexeme) -> tuple[Operand, Span]:
    first, span = part[0], part[0].span.to(part[-1].span)
    if first.text == "[":
        return _address(part, span), span
    if len(part) > 1:
        raise SourceError(f"a comma or the end of the line belongs before {part[1].text!r}", part[1].span)
    if first.kind == "number":
        return Immediate(_number(first)), span
    if first.kind == "text":
        return Text(_text(first)), span
    if first.kind == "word":
        match = _REGISTER.match(first.text)
        return (Register(_register(first)) if match else Target(first.text)), span
    raise SourceError(f"an operand of {mnemonic.text.upper()} belongs here, not {first.text!r}", first.span)


def _address(part: list[_Lexeme], span: Span) -> Address:
    """[100], [R2], [R2+4] or [R2 - 4]."""
    inside = part[1:-1]
    if part[-1].text != "]" or not inside:
        raise SourceError("an address is [100], [R2] or [R2+4]", span)
    base = Register(_register(inside[0])) if inside[0].kind == "word" else None
    rest = inside[1:] if base else inside
    sign = 1
    if base and rest and rest[0].text in ("+", "-"):
        sign, rest = (-1 if rest[0].text == "-" else 1), rest[1:]
    if (not rest and base is None) or len(rest) > 1 or (rest and rest[0].kind != "number") or (sign < 0 and not rest):
        raise SourceError("an address is [100], [R2] or [R2+4]", span)
    if base and sign > 0 and rest and inside[1] is rest[0] and rest[0].text[0] not in "+-":
        raise SourceError("an address is [100], [R2] or [R2+4]", span)
    offset = sign * _number(rest[0]) if rest else 0
    if base is None and not 0 <= offset < MEMORY_CELLS:
        raise SourceError(f"there is no cell {offset}; memory has {MEMORY_CELLS:,}, from 0", span)
    return Address(base, offset)


def _register(lexeme: _Lexeme) -> int:
    match = _REGISTER.match(lexeme.text)
    if not match or int(match[1]) >= REGISTERS:
        raise SourceError(f"there is no register {lexeme.text}; there are R0 to R{REGISTERS - 1}", lexeme.span)
    return int(match[1])


def _number(lexeme: _Lexeme) -> int:
    try:
        value = int(lexeme.text, 0)
    except ValueError:
        raise SourceError(f"{lexeme.text} is no number: 12, -3, 0x1F and 0b101 are", lexeme.span) from None
    if not -(1 << 31) <= value < 1 << 32:
        raise SourceError(f"{value} does not fit a cell of 32 bits", lexeme.span)
    return value


def _text(lexeme: _Lexeme) -> str:
    def unescaped(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            raise SourceError(f'\\{match[1]} has no meaning; \\n \\t \\r \\0 \\\\ and \\" have', lexeme.span)
        return _ESCAPES[match[1]]

    return re.sub(r"\\(.)", unescaped, lexeme.text[1:-1])
