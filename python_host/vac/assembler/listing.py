"""The listing: for every statement its address, its bytes and its source line; then the symbols."""

from __future__ import annotations

from collections.abc import Iterator

from .assemble import Assembly, Placed
from .source import Span

_BYTES_A_ROW = 8


def listing(assembly: Assembly) -> str:
    """The listing as text. Rows of a macro's body carry a ``+`` behind the line number."""
    return "\n".join([*_rows(assembly), "", *_symbol_rows(assembly)]) + "\n"


def _rows(assembly: Assembly) -> Iterator[str]:
    slot, shown = -1, None
    for placed in assembly.placed:
        if placed.slot != slot:
            slot = placed.slot
            yield f"slot {slot}"
            shown = None
        place = (placed.span.file.name, placed.span.line, placed.span.expansion)
        if shown is None or place[0] != shown[0]:
            yield f"{placed.span.file.name}:"
        yield from _statement_rows(placed, "" if place == shown else _source(placed.span))
        shown = place


def _statement_rows(placed: Placed, source: str) -> Iterator[str]:
    for start in range(0, len(placed.content), _BYTES_A_ROW):
        row = placed.content[start : start + _BYTES_A_ROW]
        if start and placed.content[start:].count(0) == len(placed.content) - start:
            yield f"{placed.address + start:08x}  {len(placed.content) - start} zero bytes"
            return
        yield f"{placed.address + start:08x}  {row.hex(' '):<{3 * _BYTES_A_ROW}} {source}".rstrip()
        source = ""


def _source(span: Span) -> str:
    mark = "+" if span.expansion else " "
    return f"{span.line:5}{mark} {span.text}"


def _symbol_rows(assembly: Assembly) -> Iterator[str]:
    yield "symbols"
    for symbol in sorted(assembly.labels, key=lambda symbol: (symbol.value or 0, symbol.name)):
        section = symbol.section.name if symbol.section else ""
        yield f"{symbol.value or 0:08x}  {section:<8} {symbol.name}"
