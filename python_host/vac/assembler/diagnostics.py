"""Errors in assembly source, each with its place, the source line and a caret."""

from __future__ import annotations

from dataclasses import dataclass

from .source import Span

_MOST_SHOWN = 50


@dataclass(frozen=True)
class Diagnostic:
    """One error: what is wrong and where, and what to do about it."""

    message: str
    span: Span
    notes: tuple[tuple[str, Span], ...] = ()
    """Other places that matter, such as an earlier definition."""

    def render(self) -> str:
        """The error as people read it: place and message, source line, caret, and the way that led there."""
        lines = [f"{self.span}: error: {self.message}", *_quote(self.span)]
        for text, span in self.notes:
            lines += [f"{span}: note: {text}", *_quote(span)]
        expansion = self.span.expansion
        while expansion:
            lines += [f"{expansion.used_at}: in {expansion.title} used here", *_quote(expansion.used_at)]
            expansion = expansion.used_at.expansion
        included = self.span.outermost.file.included_from
        while included:
            lines.append(f"{included}: included from here")
            included = included.outermost.file.included_from
        return "\n".join(lines)


def _quote(span: Span) -> list[str]:
    """The source line with a caret line below it; tabs stay, so that the carets stand where they belong."""
    text = span.text
    lead = "".join("\t" if character == "\t" else " " for character in text[: span.column - 1])
    carets = "^" + "~" * (min(span.length, max(1, len(text) - span.column + 1)) - 1)
    return [f"    {text}", f"    {lead}{carets}"]


class SourceError(Exception):
    """One error, on its way to the list; the statement that it stands in is given up."""

    def __init__(self, message: str, span: Span, *notes: tuple[str, Span]) -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(message, span, notes)


class AssemblyErrors(Exception):
    """The source is wrong; `diagnostics` says where, file by file from top to bottom, and is never empty."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__(diagnostics)
        files = {id(d.span.outermost.file): -rank for rank, d in enumerate(reversed(diagnostics))}
        self.diagnostics = sorted(
            diagnostics,
            key=lambda d: (files[id(d.span.outermost.file)], d.span.outermost.line, d.span.outermost.column),
        )

    def __str__(self) -> str:
        count = len(self.diagnostics)
        summary = f"{count} error{'s' if count != 1 else ''}"
        if count > _MOST_SHOWN:
            summary += f"; the first {_MOST_SHOWN} are shown"
        return "\n".join([*(diagnostic.render() for diagnostic in self.diagnostics[:_MOST_SHOWN]), summary])
