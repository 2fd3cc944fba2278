"""Two states of one moment side by side, as when two engines disagree."""

from __future__ import annotations

from dataclasses import dataclass

from ..isa.limits import DATA_STACK_CELLS
from ..machine.state import State


@dataclass(frozen=True)
class Row:
    """One thing that both have."""

    what: str
    left: str
    right: str

    @property
    def differs(self) -> bool:
        return self.left != self.right


@dataclass(frozen=True)
class Comparison:
    """names: of the two. tick: the instruction at it is the first that is known to differ. rows: of the two states
    after it. notes: what else is to be said, a line each. window: the waveform around it, as text."""

    names: tuple[str, str]
    tick: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    window: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The whole comparison as text: notes, what differs (marked ``≠``), the waveform, what is equal."""
        left, right = self.names
        texts = {
            differs: [
                f"{'≠' if differs else ' '} {row.what:<14} {row.left:<17} {row.right}"
                for row in self.rows
                if row.differs is differs
            ]
            for differs in (True, False)
        }
        return [*self.notes, f"  {'':<14} {left:<17} {right}", *texts[True], *self.window, *texts[False]]


def compare_states(left: State, right: State) -> tuple[Row, ...]:
    """Registers, live stacks and windows in use of either; the rest of the return stack where it differs."""
    rows = [
        Row("pc", f"{left.pc:06x}", f"{right.pc:06x}"),
        Row("tick", f"{left.tick:,}", f"{right.tick:,}"),
        Row("status", left.status.name, right.status.name),
        Row("trap", left.trap.name, right.trap.name),
    ]
    for name in ("sp", "rp", "fp", "joins", "cone_in", "cone_out"):
        rows.append(Row(name, f"{getattr(left, name):,}", f"{getattr(right, name):,}"))
    for name in ("coherence", "entropy", "drift", "mispredictions", "distance", "refusals", "history", "last_emit"):
        rows.append(Row(name, f"{getattr(left.sqi, name):#x}", f"{getattr(right.sqi, name):#x}"))
    for index in range(max(left.sp, right.sp)):
        rows.append(_cell(f"stack {index}", index, left, right, (index < left.sp, index < right.sp)))
    first, last = min(left.fp, right.fp), max(left.rp, right.rp)
    for index in range(DATA_STACK_CELLS, len(left.cells)):
        place = index - DATA_STACK_CELLS
        row = _cell(f"return {place}", index, left, right, (True, True))
        if row.differs or first <= place < last:
            rows.append(row)
    for index, (mine, theirs) in enumerate(zip(left.windows, right.windows, strict=True)):
        if mine.permissions or theirs.permissions:
            texts = [f"{w.slot}:{w.base:#x}+{w.length:#x} {w.permissions}" for w in (mine, theirs)]
            rows.append(Row(f"window {index}", *texts))
    rows.append(Row("digest", *("?" if s.digest is None else f"{s.digest:016x}" for s in (left, right))))
    return tuple(rows)


def _cell(what: str, index: int, left: State, right: State, is_live: tuple[bool, bool]) -> Row:
    texts: list[str] = []
    for state, lives in zip((left, right), is_live, strict=True):
        labels = f" {{{state.labels[index]:04x}}}" if state.labels[index] else ""
        texts.append(f"{state.cells[index]:08x}{labels}" if lives else "-")
    return Row(what, *texts)
