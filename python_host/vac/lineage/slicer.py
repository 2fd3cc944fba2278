"""Slices a run backwards: from a value to everything that it was made of.

The run is made again in spans, the last one first, each from the nearest point that its history keeps. What has been
found to matter and was not written yet, going backwards, is *open*: a list of places, and who asked for them. A span
that writes none of them is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..image.control_flow import reached, table_entries
from ..image.image import PERMISSION_WRITE
from ..isa.instruction import Unit
from ..isa.limits import CODE_SLOT
from ..isa.table import INSTRUCTIONS
from .control_dependence import ControlDependence
from .effect_table import EffectTable
from .effects import Role
from .errors import LineageError
from .last_writers import Numbers, distinct
from .lineage import KEY_BITS, ROOT_KEY, Lineage
from .places import ANSWER, CONTROL, MEMORY, NEAR, WINDOW, slot_and_offset
from .span import Beams, Setting, Span, expanded, may_write_cells
from .target import Target, waiting_operands

if TYPE_CHECKING:
    from ..history.history import History

_SPANS = (1 << 12, 1 << 20)
"""Ticks of the first span and of the longest."""
_OPENED_SPAN = 1 << 18
"""Ticks of which all writes are opened up at once."""
_SELF_CHANGING_SPAN = 1 << 12
_WINDOW_OPCODES = np.zeros(256, bool)
_STORE_OPCODES = np.zeros(256, bool)
for _row in INSTRUCTIONS:
    _WINDOW_OPCODES[_row.opcode] |= _row.unit in (Unit.WINDOW_NARROW, Unit.WINDOW_RESTRICT)
    _STORE_OPCODES[_row.opcode] |= _row.unit is Unit.STORE


@dataclass(frozen=True)
class Options:
    """addresses: follow also what said which memory was meant, and what was asked of the host. control: follow also
    the decisions on which an instruction was executed. since: go back no further than this tick. limit: stop looking
    back once so many writes have been found."""

    addresses: bool = True
    control: bool = False
    since: int = 0
    limit: int = 4_000_000


def why(
    history: History,
    target: Target | str,
    tick: int | None = None,
    options: Options | None = None,
    progress: Callable[[int], object] | None = None,
) -> Lineage:
    """The lineage of a value as it is before the instruction at a tick, by default the cursor's. The cursor stays.

    progress: called with the tick down to which the run has been looked through. Raises LineageError where there is no
    such value, HistoryError before the first tick, and what visiting the run raises.
    """
    target = Target.parse(target) if isinstance(target, str) else target
    here = history.tick
    try:
        history.seek(here if tick is None else tick)
        if tick is not None and history.tick != tick:
            raise LineageError(f"the run ends at tick {history.tick}; there is no tick {tick}")
        return _Slicer(history, target, options or Options(), progress).run()
    finally:
        history.seek(here)


@dataclass
class _Edges:
    """reader: key. place, size: what is read, of memory in bytes. role."""

    reader: Numbers
    place: Numbers
    size: Numbers
    role: Numbers

    @staticmethod
    def of(reader: Numbers, place: Numbers, size: npt.NDArray[np.bool_], role: Numbers) -> _Edges:
        return _Edges(reader, place, size.astype(np.int64), role)

    def __len__(self) -> int:
        return len(self.place)

    def chosen(self, which: npt.NDArray[np.bool_]) -> _Edges:
        return _Edges(self.reader[which], self.place[which], self.size[which], self.role[which])

    @staticmethod
    def joined(parts: list[_Edges]) -> _Edges:
        def column(name: str) -> Numbers:
            columns = [np.zeros(0, np.int64), *(getattr(part, name) for part in parts)]
            return np.concatenate(columns)

        return _Edges(column("reader"), column("place"), column("size"), column("role"))


class _Wanted:
    """What is open, as a span asks for it."""

    def __init__(self, edges: _Edges) -> None:
        places = distinct(edges.place)
        near = places[places < NEAR]
        self.near = np.zeros(NEAR + 1, bool)
        self.near[near] = True
        self.has_cells = bool(len(near) and near[0] < WINDOW)
        self.windows = [int(place) - WINDOW for place in near if place >= WINDOW]
        is_memory = (edges.place >= MEMORY) & (edges.place < CONTROL)
        self.has_decisions = bool((edges.place >= CONTROL).any())
        first, size = edges.place[is_memory], np.maximum(edges.size[is_memory], 1)
        pairs = distinct(first << 3 | size)
        first, size = pairs >> 3, pairs & 7
        self.ranges: list[tuple[int, int]] = list(zip(first[:65].tolist(), size[:65].tolist(), strict=True))
        """Of memory: first byte and length; no more than one beyond 64."""
        # No size is more than four and none reaches beyond its word.
        self.words = distinct((first & 0xFFFFFFFF) // 4)


class _Slicer:
    def __init__(
        self, history: History, target: Target, options: Options, progress: Callable[[int], object] | None
    ) -> None:
        self._history = history
        self._target = target
        self._options = options
        self._progress = progress
        self._tick = history.state.tick
        self._table = EffectTable()
        self._lowest = max(options.since, history.first_tick)
        self._code = history.read(CODE_SLOT, 0, history.state.code_length)
        self._code_changes = self._can_change_code()
        self._windows_change = self._code_changes or self._can_change_windows()
        self._dependence = self._control_dependence() if options.control else None
        empty = np.zeros(0, np.int64)
        self._open = _Edges(empty, empty, empty, empty)
        self._outside: list[_Edges] = []
        self._inner: list[tuple[Numbers, Numbers, Numbers]] = []
        self._nodes: list[tuple[Numbers, ...]] = []
        self._found = 0

    # ---- the whole -----------------------------------------------------------------------------------------------

    def run(self) -> Lineage:
        tick = self._tick
        places, is_retired = self._roots()
        self._open = _Edges.of(
            np.full(len(places), ROOT_KEY), np.array(places, np.int64), np.array(places, np.int64) >= MEMORY,
            np.zeros(len(places), np.int64),
        )  # fmt: skip
        last, size = tick, _SPANS[0]
        if is_retired:
            self._take(tick, tick + 1, is_root=True)
        wanted = _Wanted(self._open)
        while last > self._lowest and len(self._open) and self._found < self._options.limit:
            last = self._last_suspect(wanted, last)
            if last <= self._lowest:
                break
            first = max(self._lowest, last - size)
            held = self._open
            for start, end in reversed(list(self._parts(wanted, first, last))):
                self._take(start, end)
                wanted = wanted if self._open is held else _Wanted(self._open)
                held = self._open
            last, size = first, min(2 * size, _SPANS[1])
            if self._progress:
                self._progress(last)
        end = last if self._found >= self._options.limit else self._lowest
        return self._finish(max(end, self._lowest))

    def _roots(self) -> tuple[list[int], bool]:
        """Places asked about, and whether an instruction is that retires."""
        history = self._history
        if self._target.kind != "instruction":
            return self._target.places(history), False
        places = waiting_operands(history)
        is_retired = history.seek(history.tick + 1).tick > self._tick
        return ([place for place in places if place >= MEMORY] if is_retired else places), is_retired

    def _finish(self, end: int) -> Lineage:
        columns = [np.concatenate([np.zeros(0, np.int64), *parts]) for parts in zip(*self._nodes, strict=True)]
        inner = [np.concatenate([np.zeros(0, np.int64), *parts]) for parts in zip(*self._inner, strict=True)]
        outside = _Edges.joined([*self._outside, self._open])
        return Lineage.build(
            self._history, self._target, self._tick, end,
            nodes=columns or [np.zeros(0, np.int64)] * 6,
            inner=inner or [np.zeros(0, np.int64)] * 3,
            outside=(outside.reader, outside.place, outside.size, outside.role),
        )  # fmt: skip

    # ---- where to look -------------------------------------------------------------------------------------------

    def _can_change_code(self) -> bool:
        history = self._history
        windows = [window for _, window in history.image.windows]
        windows += [window for entry in history.log for _, window in entry.answer.windows]
        windows += history.timeline.kept[0].state.windows
        is_writable = any(w.slot == CODE_SLOT and w.permissions & PERMISSION_WRITE for w in windows)
        return is_writable or any(slot == CODE_SLOT for entry in history.log for slot, _, _ in entry.answer.writes)

    def _can_change_windows(self) -> bool:
        if any(entry.answer.windows for entry in self._history.log):
            return True
        image = self._history.image
        points = (self._history.state, self._history.timeline.kept[0].state)
        starts = [image.entry, *(state.pc for state in points), *(target for target, _ in table_entries(image))]
        units = {instruction.row.unit for instruction in reached(self._code, starts).values()}
        return bool(units & {Unit.WINDOW_NARROW, Unit.WINDOW_RESTRICT})

    def _control_dependence(self) -> ControlDependence:
        if self._code_changes:
            raise LineageError("what decided cannot be followed in a program that can write its own code")
        image, origin = self._history.image, self._history.timeline.kept[0].state
        targets = [target for target, _ in table_entries(image)]
        return ControlDependence(self._code, {image.entry, origin.pc}, targets)

    def _last_suspect(self, wanted: _Wanted, last: int) -> int:
        """The tick behind the last instruction before `last` that may write something open."""
        is_all_known = not wanted.has_cells and not wanted.has_decisions and len(wanted.ranges) <= 64
        if not is_all_known or (wanted.windows and self._windows_change) or last - self._lowest < _SPANS[1]:
            return last
        history, suspect = self._history, self._lowest
        for first, length in wanted.ranges:
            write = history.last_write(*slot_and_offset(first), length, last)
            suspect = max(suspect, write.tick + 1 if write else 0)
        return min(suspect, last)

    def _may_write(self, wanted: _Wanted, beams: Beams, first: int) -> bool:
        if wanted.has_decisions:
            return True
        if any(e.answer.windows or e.answer.writes for _, e in self._history.entries(first, first + len(beams))):
            return True
        opcodes = beams["opcode"]
        if wanted.windows and self._windows_change and _WINDOW_OPCODES[opcodes].any():
            return True
        if len(wanted.words):
            words = beams["aux"][_STORE_OPCODES[opcodes]] // 4
            if np.isin(words, wanted.words).any():
                return True
        return wanted.has_cells and may_write_cells(
            beams, self._setting(first, first + len(beams)), self._table, wanted.near
        )  # fmt: skip

    def _parts(self, wanted: _Wanted, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Parts of a span in each of which the code that is executed stays as it is."""
        if not self._code_changes:
            if self._may_write(wanted, self._beams(first, last), first):
                for start in range(first, last, _OPENED_SPAN):
                    yield start, min(last, start + _OPENED_SPAN)
            return
        while first < last:
            end = min(last, first + _SELF_CHANGING_SPAN)
            span = Span(first, self._beams(first, end), self._setting(first, end), self._table)
            span.resolve()
            change = span.first_code_change()
            end = end if change is None else first + change + 1
            yield first, end
            first = end

    def _beams(self, first: int, last: int) -> Beams:
        parts = [beams.copy() for _, beams in self._history.beams(first, last)]
        return np.concatenate(parts) if len(parts) != 1 else parts[0]

    def _setting(self, first: int, last: int) -> Setting:
        history = self._history
        state = history.seek(first)
        if self._code_changes:
            self._code = history.read(CODE_SLOT, 0, state.code_length)
        return Setting(state, self._code, history.entries(first, last - 1))

    # ---- one span ------------------------------------------------------------------------------------------------

    def _take(self, first: int, last: int, is_root: bool = False) -> None:
        """Follows what is open through a span."""
        self._history.check()
        wanted = _Wanted(self._open)
        span = Span(first, self._beams(first, last), self._setting(first, last), self._table)
        if not is_root and not wanted.has_decisions:
            ticks = span.last_hit(wanted.near, wanted.words)
            if not ticks:
                return
            span.cut(ticks)
        span.resolve()
        if self._dependence:
            span.decide(self._dependence)
        if span.rows and int(span.ordinal.max()) >> KEY_BITS:
            raise LineageError(f"an answer between ticks {first} and {last} writes to more places than can be followed")
        keys = (span.tick_of + first << KEY_BITS) | span.ordinal
        marks = bytearray(span.rows)
        if is_root:
            rows = np.arange(span.rows)
            self._connect(np.full(len(rows), ROOT_KEY), keys[rows], np.zeros(len(rows), np.int64))
            marks[:] = b"\1" * span.rows
        else:
            self._close(span, keys, marks)
        self._follow(span, keys, marks)

    def _connect(self, readers: Numbers, writers: Numbers, roles: Numbers) -> None:
        self._inner.append((readers, writers, roles))

    def _close(self, span: Span, keys: Numbers, marks: bytearray) -> None:
        """Open places that the span writes."""
        edges, bits = self._open, span.granule_bits
        is_memory = (edges.place >= MEMORY) & (edges.place < CONTROL)
        owner, piece = expanded(np.where(is_memory, np.maximum(edges.size >> bits, 1), 1))
        place = edges.place[owner] + (piece << bits)
        size = np.where(is_memory[owner], np.minimum(edges.size[owner], 1 << bits), 0)
        unique = distinct(place)
        writer = span.writers_at_end(unique)[np.searchsorted(unique, place)]
        pieces = _Edges(edges.reader[owner], place, size, edges.role[owner])
        is_written = writer >= 0
        self._connect(pieces.reader[is_written], keys[writer[is_written]], pieces.role[is_written])
        for row in distinct(writer[is_written]).tolist():
            marks[row] = 1
        self._open = pieces.chosen(~is_written) if is_written.any() else edges

    def _follow(self, span: Span, keys: Numbers, marks: bytearray) -> None:
        """Marks what the marked rows come from, last rows first, and keeps what was found."""
        is_meant = self._is_meant(span.role)
        is_load = np.zeros(len(span.role), bool)
        is_load[span.load] = True
        plain = np.flatnonzero(is_meant & ~is_load)
        pieces = np.flatnonzero(is_meant[span.piece_origin])
        reader = np.concatenate([span.origin_row[plain], span.origin_row[span.piece_origin[pieces]]])
        writer = np.concatenate([span.writer[plain], span.piece_writer[pieces]])
        place = np.concatenate([span.source[plain], span.piece_byte[pieces]])
        size = np.concatenate([np.zeros(len(plain), np.int64), np.full(len(pieces), 1 << span.granule_bits)])
        role = np.concatenate([span.role[plain], span.role[span.piece_origin[pieces]]])
        if self._dependence:
            reader = np.concatenate([reader, np.arange(span.rows)])
            writer = np.concatenate([writer, span.decider])
            place = np.concatenate([place, span.decision])
            size = np.concatenate([size, np.zeros(span.rows, np.int64)])
            role = np.concatenate([role, np.full(span.rows, Role.CONTROL)])
        is_inner = writer >= 0
        order = np.argsort(-reader[is_inner], kind="stable")
        readers, writers = reader[is_inner][order].tolist(), writer[is_inner][order].tolist()
        for row, source in zip(readers, writers, strict=True):
            if marks[row]:
                marks[source] = 1
        is_marked = np.frombuffer(marks, np.uint8).astype(bool)
        kept = is_marked[reader]
        chosen = kept & is_inner
        self._connect(keys[reader[chosen]], keys[writer[chosen]], role[chosen])
        chosen = kept & ~is_inner
        edges = _Edges(keys[reader[chosen]], place[chosen], size[chosen], role[chosen])
        is_final = edges.place >= ANSWER
        if not self._windows_change:
            is_final |= (edges.place >= WINDOW) & (edges.place < NEAR)
        self._outside.append(edges.chosen(is_final))
        self._open = _Edges.joined([self._open, edges.chosen(~is_final)])
        self._note(span, keys, np.flatnonzero(is_marked))

    def _is_meant(self, role: Numbers) -> npt.NDArray[np.bool_]:
        return np.ones(len(role), bool) if self._options.addresses else role == Role.VALUE

    def _note(self, span: Span, keys: Numbers, rows: Numbers) -> None:
        ticks = span.tick_of[rows]
        near = span.place[rows]
        place = np.where(span.is_store[rows], span.byte[rows], near)
        self._nodes.append((
            keys[rows], span.beams["pc"][ticks].astype(np.int64), span.beams["opcode"][ticks].astype(np.int64),
            span.values[rows], place, np.where(span.is_store[rows], span.bytes[rows], 0),
        ))  # fmt: skip
        self._found += len(rows)
