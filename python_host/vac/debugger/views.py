"""What a session shows of a moment: plain values, for any view of them."""

from __future__ import annotations

from dataclasses import dataclass

from ..assembler.source import Span
from ..isa.limits import CODE_ADDRESS_BITS, DATA_STACK_CELLS


@dataclass(frozen=True)
class CodeLine:
    """One instruction as it is in memory now. content: its bytes. label: of this very address. span: its source, and
    `is_first` where it is the first instruction of that line here. is_current: it comes next."""

    pc: int
    content: bytes
    text: str
    label: str
    span: Span | None
    is_first: bool
    is_current: bool
    has_breakpoint: bool


@dataclass(frozen=True)
class Frame:
    """A function that has not returned. pc: where it is, or goes on after its call. first: index of its first local in
    the return stack, `locals` their values, `names` as far as the source names them."""

    pc: int
    first: int
    locals: tuple[int, ...]
    names: tuple[str, ...]


def frames(cells: list[int], pc: int, fp: int, rp: int) -> list[tuple[int, int, tuple[int, ...]]]:
    """(pc, first local, locals) of each frame, the innermost first, from the links in the return stack."""
    found: list[tuple[int, int, tuple[int, ...]]] = []
    while True:
        found.append((pc, fp, tuple(cells[DATA_STACK_CELLS + fp : DATA_STACK_CELLS + rp])))
        if fp == 0:
            return found
        link = cells[DATA_STACK_CELLS + fp - 1]
        pc, rp = link & ((1 << CODE_ADDRESS_BITS) - 1), fp - 1
        fp = max(0, rp - (link >> CODE_ADDRESS_BITS))


@dataclass(frozen=True)
class Landmark:
    """Something of note at a tick. kind: "in", "out", "sys", "trap", "halt", "mark", "emit", "join", "refused"."""

    tick: int
    kind: str
    text: str
