"""Where a piece of source text stands: file, line, column, and how the assembler came to read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class SourceFile:
    """One file as it is read: `name` as shown to people, its lines, and the `.include` that asked for it."""

    name: str
    lines: tuple[str, ...]
    included_from: Span | None = None

    @staticmethod
    def of(name: str, text: str, included_from: Span | None = None) -> SourceFile:
        """A file of this text; lines end with LF or CR LF, as editors count them."""
        return SourceFile(name, tuple(line.removesuffix("\r") for line in text.split("\n")), included_from)


@dataclass(frozen=True, eq=False)
class Expansion:
    """One use of a macro or one round of a `.repeat`."""

    title: str
    """What was expanded, such as "macro push2"."""
    used_at: Span


@dataclass(frozen=True, eq=False)
class Span:
    """A stretch of one source line. line and column count from 1; length in characters, at least 1."""

    file: SourceFile
    line: int
    column: int
    length: int = 1
    expansion: Expansion | None = None
    """Set where this text was read again as part of an expansion."""

    @property
    def text(self) -> str:
        """The whole source line."""
        return self.file.lines[self.line - 1] if self.line <= len(self.file.lines) else ""

    @property
    def outermost(self) -> Span:
        """Where people wrote the use: the span itself, or the first macro call that led to it."""
        span = self
        while span.expansion:
            span = span.expansion.used_at
        return span

    def to(self, last: Span) -> Span:
        """The stretch from the start of this span to the end of `last`, where both are on the same line."""
        if last.file is not self.file or last.line != self.line or last.column < self.column:
            return self
        return Span(self.file, self.line, self.column, last.column + last.length - self.column, self.expansion)

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}:{self.column}"
