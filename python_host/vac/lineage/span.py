"""A span of beams opened up: every write in it, and for everything that went into it the write that it came from.

The beams say what was executed and what was written; where the stacks and the frame stood follows from the state at
the beginning and the effects of the instructions; which slot an access went to from the pointer, which an earlier beam
of the span holds or the state at the beginning.

Each write is a row, in the order of execution; an instruction that writes nothing has one too. What went into a row are
its origins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..host.input_log import Entry
from ..isa.limits import CELL_MASK, CODE_ADDRESS_BITS, CODE_SLOT, DATA_STACK_CELLS, POINTER_DISPLACEMENT_BITS
from ..machine.state import State
from .control_dependence import ControlDependence
from .effect_table import EffectTable
from .effects import Effects, Flow, Made, Origin, Place, Role, Space
from .last_writers import Numbers, last_writers
from .places import ANSWER, CONTROL, CORE, MEMORY, NEAR, NEVER, WINDOW

Beams = npt.NDArray[np.void]
_WORD = 4


@dataclass(frozen=True)
class Setting:
    """What surrounds a span. state, code: at its beginning. answers: the log's entries in it, with their indices."""

    state: State
    code: bytes
    answers: Sequence[tuple[int, Entry]]


def expanded(counts: Numbers) -> tuple[Numbers, Numbers]:
    """For so many items of each: whose each is, and the how-manieth."""
    owner = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    firsts = np.cumsum(counts) - counts
    return owner, np.arange(len(owner), dtype=np.int64) - firsts[owner]


def with_answer(effects: Effects, entry: Entry, arguments: int) -> Effects:
    """The effects of a request whose answer also wrote memory or granted windows."""
    requests = tuple(Origin(Place(Space.DATA, index - arguments), Role.REQUEST) for index in range(arguments))
    origins = (Origin(Place(Space.HOST)), *requests)
    granted = [Flow(Place(Space.WINDOW, index), origins, Made.NOT_KNOWN) for index, _ in entry.answer.windows]
    written = [
        Flow(Place(Space.BYTES, slot << 32 | offset, len(data)), origins, Made.NOT_KNOWN)
        for slot, offset, data in entry.answer.writes
        if data
    ]
    return replace(effects, flows=(*effects.flows, *granted, *written))


def may_write_cells(beams: Beams, setting: Setting, table: EffectTable, near: npt.NDArray[np.bool_]) -> bool:
    """Whether a span may write one of the cells in `near`. Much quicker than to find out which rows do; where frames
    open and close it does not look closer."""
    numbers = table.numbers_at(beams["pc"], setting.code)
    columns = table.columns()
    used = np.flatnonzero(np.bincount(numbers, minlength=len(columns.growth)))
    if columns.link[used].any():
        return True
    owner, each = expanded(columns.flows[used])
    flows = columns.first_flow[used][owner] + each
    space, index = columns.space[flows], columns.index[flows]
    locals_ = DATA_STACK_CELLS + setting.state.fp + index[space == Space.LOCAL]
    if near[locals_].any():
        return True
    pushed = index[space == Space.DATA]
    if not len(pushed) or not near[:DATA_STACK_CELLS].any():
        return False
    depth = setting.state.sp + np.cumsum(columns.growth[numbers])
    lowest = min(setting.state.sp, int(depth.min())) + int(pushed.min())
    highest = max(setting.state.sp, int(depth.max())) + int(pushed.max())
    return bool(near[max(lowest, 0) : min(highest, DATA_STACK_CELLS - 1) + 1].any())


class Span:
    """first: tick of the first beam. Rows up to `rows`; `tick_of` gives each one's tick, counted from `first`."""

    def __init__(self, first: int, beams: Beams, setting: Setting, table: EffectTable) -> None:
        self.first = first
        self.beams = beams
        self._setting = setting
        self._table = table
        self._numbers = table.numbers_at(beams["pc"], setting.code).astype(np.int64)
        self._take_answers()
        self.columns = columns = table.columns()
        growth, link = columns.growth[self._numbers], columns.link[self._numbers]
        value = beams["value"].astype(np.int64)
        self._depth = setting.state.sp + np.cumsum(growth) - growth
        self._link_frame = value >> CODE_ADDRESS_BITS
        moved = link * (self._link_frame + 1)
        self._frame = DATA_STACK_CELLS + setting.state.fp + np.cumsum(moved) - moved
        self._open_rows()

    def _take_answers(self) -> None:
        """Gives requests whose answers wrote something effects of their own."""
        from ..isa.ports import SYSTEM_CALLS
        from ..machine.protocol import EventKind

        self._entry_of: dict[int, int] = {}
        for index, entry in self._setting.answers:
            at = entry.tick - self.first
            if not 0 <= at < len(self.beams) or entry.answer.trap:
                continue
            self._entry_of[at] = index
            if entry.answer.windows or entry.answer.writes:
                is_call = entry.kind is EventKind.SYSTEM_CALL
                arguments = len(SYSTEM_CALLS[entry.number].arguments) if is_call else 0
                effects = self._table.effects(int(self._numbers[at]))
                self._numbers[at] = self._table.number(with_answer(effects, entry, arguments))

    def _open_rows(self) -> None:
        columns = self.columns
        self.tick_of, ordinal = expanded(columns.flows[self._numbers])
        self.ordinal = ordinal
        self.flow = columns.first_flow[self._numbers][self.tick_of] + ordinal
        self.rows = len(self.flow)
        space = columns.space[self.flow]
        self.place = self._near_places(space, columns.index[self.flow], self.tick_of)
        """Cell or window that a row writes, else negative."""
        self.is_store = (space == Space.MEMORY) | (space == Space.BYTES)

    def _near_places(self, space: Numbers, index: Numbers, ticks: Numbers) -> Numbers:
        place = np.full(len(space), NEVER, np.int64)
        for each, base in (
            (Space.DATA, self._depth),
            (Space.LOCAL, self._frame),
            (Space.LINK, self._frame + self._link_frame),
        ):
            chosen = np.flatnonzero(space == each)
            place[chosen] = base[ticks[chosen]] + index[chosen]
        chosen = space == Space.WINDOW
        place[chosen] = WINDOW + index[chosen]
        return place

    def cut(self, ticks: int) -> None:
        """Only the first so many ticks are looked at from here on."""
        if ticks == len(self.beams):
            return
        self.beams = self.beams[:ticks]
        rows = int(np.searchsorted(self.tick_of, ticks))
        self.tick_of, self.ordinal, self.flow = self.tick_of[:rows], self.ordinal[:rows], self.flow[:rows]
        self.place, self.is_store, self.rows = self.place[:rows], self.is_store[:rows], rows

    def last_hit(self, near: npt.NDArray[np.bool_], offsets: Numbers) -> int:
        """Ticks up to the last write that may be to one of the wanted cells and windows, or to bytes at one of the
        wanted offsets, of whatever slot (ascending, words); 0 where there is none."""
        hit = near[np.where((self.place >= 0) & (self.place < NEAR), self.place, NEAR)]
        if len(offsets) and self.is_store.any():
            stores = np.flatnonzero(self.is_store)
            is_bytes = self.columns.space[self.flow[stores]] == Space.BYTES
            words = self.beams["aux"][self.tick_of[stores]].astype(np.int64) // _WORD
            at = np.minimum(np.searchsorted(offsets, words), len(offsets) - 1)
            hit[stores[is_bytes | (offsets[at] == words)]] = True
        found = np.flatnonzero(hit)
        return int(self.tick_of[found[-1]]) + 1 if len(found) else 0

    # ---- origins -------------------------------------------------------------------------------------------------

    def resolve(self) -> None:
        """Opens the origins and finds where each came from."""
        columns = self.columns
        self.origin_row, ordinal = expanded(columns.origins[self.flow])
        first = np.cumsum(columns.origins[self.flow]) - columns.origins[self.flow]
        origin = columns.first_origin[self.flow][self.origin_row] + ordinal
        self.role = columns.role[origin]
        space, index = columns.from_space[origin], columns.from_index[origin]
        ticks = self.tick_of[self.origin_row]
        before = np.searchsorted(self.tick_of, np.arange(len(self.beams)))[ticks]
        self.source = self._near_places(space, index, ticks)
        """Place that an origin reads: of memory the first byte."""
        self.writer = np.full(len(origin), -1, np.int64)
        """Row that an origin comes from, -1 where it is from before the span or from outside."""
        cells = np.flatnonzero((self.source >= 0) & (self.source < WINDOW))
        self.writer[cells] = self._near_writers(self.source[cells], before[cells])
        self._find_values(first)
        self._find_slots(space, first)
        windows = np.flatnonzero(self.source >= WINDOW)
        self.writer[windows] = self._near_writers(self.source[windows], before[windows])
        self.source[space == Space.CORE] = CORE + index[space == Space.CORE]
        hosts = np.flatnonzero(space == Space.HOST)
        self.source[hosts] = [ANSWER + self._entry_of[int(tick)] for tick in ticks[hosts]]
        self._open_memory(origin, space, ticks, before)

    def _near_writers(self, places: Numbers, before: Numbers) -> Numbers:
        """Rows that wrote cells, or windows: never both at once."""
        is_cell = not len(places) or places[0] < WINDOW
        low, high = (0, WINDOW) if is_cell else (WINDOW, NEAR)
        writes = np.flatnonzero((self.place >= low) & (self.place < high))
        return last_writers(places, before, self.place[writes], writes, self.rows)

    def _find_values(self, first: Numbers) -> None:
        """What each row wrote, -1 where that is not known."""
        made = self.columns.made[self.flow]
        values = self.beams["value"][self.tick_of].astype(np.int64)
        values[made == Made.NOT_KNOWN] = -1
        derived = np.flatnonzero((made == Made.STEPPED) | (made == Made.MOVED))
        if len(derived):
            cells = self._setting.state.cells
            held: list[int] = values.tolist()
            writers: list[int] = self.writer[first[derived]].tolist()
            sources: list[int] = self.source[first[derived]].tolist()
            steps: list[int] = self.columns.step[self.flow[derived]].tolist()
            for row, writer, source, step in zip(derived.tolist(), writers, sources, steps, strict=True):
                held[row] = ((held[writer] if writer >= 0 else cells[source]) + step) & CELL_MASK
            values = np.array(held, np.int64)
        self.values = values

    def _find_slots(self, space: Numbers, first: Numbers) -> None:
        """The window and the slot of each access: `slot`, by row, -1 where there is none."""
        columns = self.columns
        windows = columns.window[self.flow]
        has_pointer = np.flatnonzero(columns.pointer[self.flow] >= 0)
        at = first[has_pointer] + columns.pointer[self.flow[has_pointer]]
        cells = np.array(self._setting.state.cells, np.int64)
        writer = self.writer[at]
        before = cells[np.clip(self.source[at], 0, WINDOW - 1)]
        pointer = np.where(writer >= 0, self.values[writer], before)
        windows[has_pointer] = pointer >> POINTER_DISPLACEMENT_BITS
        self.slot = np.full(self.rows, -1, np.int64)
        accesses = np.flatnonzero(windows >= 0)
        self.slot[accesses] = self._slots_of(windows[accesses], accesses)
        pointed = np.flatnonzero(space == Space.POINTED_WINDOW)
        self.source[pointed] = WINDOW + windows[self.origin_row[pointed]]

    def _slots_of(self, windows: Numbers, rows: Numbers) -> Numbers:
        """Slot of each window at its row."""
        slots = np.array([window.slot for window in self._setting.state.windows], np.int64)
        found = slots[windows]
        changes = self._window_changes(slots.tolist())
        for window, (changed_at, becomes) in changes.items():
            mine = np.flatnonzero(windows == window)
            position = np.searchsorted(np.array(changed_at), rows[mine]) - 1
            is_later = position >= 0
            found[mine[is_later]] = np.array(becomes)[position[is_later]]
        return found

    def _window_changes(self, slots: list[int]) -> dict[int, tuple[list[int], list[int]]]:
        """By window: rows that write it, and the slot that it then has."""
        changes: dict[int, tuple[list[int], list[int]]] = {}
        columns, entries = self.columns, dict(self._setting.answers)
        for row in np.flatnonzero(self.place >= WINDOW).tolist():
            window, flow, tick = int(self.place[row]) - WINDOW, self.flow[row], int(self.tick_of[row])
            origin = columns.first_origin[flow]
            if columns.from_space[origin] == Space.HOST:
                slots[window] = dict(entries[self._entry_of[tick]].answer.windows)[window].slot
            else:
                source = int(columns.from_index[origin])
                # Restricted to nothing, a window is empty; that is the only one that is made of nothing but itself.
                is_emptied = columns.origins[flow] == 1 and not self.beams["value"][tick]
                slots[window] = 0 if is_emptied else slots[source]
            changes.setdefault(window, ([], []))[0].append(row)
            changes[window][1].append(slots[window])
        return changes

    # ---- memory --------------------------------------------------------------------------------------------------

    def _open_memory(self, origin: Numbers, space: Numbers, ticks: Numbers, before: Numbers) -> None:
        """Accesses in pieces that every store of the span covers wholly or not at all."""
        columns = self.columns
        self.byte = np.full(self.rows, NEVER, np.int64)
        """First byte that a row writes, and how many."""
        self.bytes = columns.size[self.flow]
        stores = np.flatnonzero(self.is_store)
        is_beam = columns.space[self.flow[stores]] == Space.MEMORY
        by_beam, by_answer = stores[is_beam], stores[~is_beam]
        address = self.beams["aux"].astype(np.int64)
        self.byte[by_beam] = MEMORY | self.slot[by_beam] << 32 | address[self.tick_of[by_beam]]
        self.byte[by_answer] = MEMORY | columns.index[self.flow[by_answer]]
        loads = np.flatnonzero(space == Space.MEMORY)
        self.source[loads] = MEMORY | self.slot[self.origin_row[loads]] << 32 | address[ticks[loads]]
        self.load, self.load_size = loads, columns.from_size[origin[loads]]
        odd = np.bitwise_or.reduce(self.byte[stores] | self.bytes[stores]) if len(stores) else 0
        odd |= np.bitwise_or.reduce(self.load_size) if len(loads) else 0
        self.granule_bits = 2 if not odd & 3 else 1 if not odd & 1 else 0
        owner, piece = expanded(self.bytes[stores] >> self.granule_bits)
        self._piece_row = stores[owner]
        self._piece_place = (self.byte[self._piece_row] - MEMORY >> self.granule_bits) + piece
        owner, piece = expanded(self.load_size >> self.granule_bits)
        self.piece_origin = loads[owner]
        self.piece_byte = self.source[self.piece_origin] + (piece << self.granule_bits)
        self.piece_writer = self._memory_writers(self.piece_byte, before[self.piece_origin])

    def _memory_writers(self, places: Numbers, before: Numbers) -> Numbers:
        pieces = places - MEMORY >> self.granule_bits
        return last_writers(pieces, before, self._piece_place, self._piece_row, self.rows)

    # ---- decisions -----------------------------------------------------------------------------------------------

    def decide(self, dependence: ControlDependence) -> None:
        """Finds what decided that each row was executed: `decider`, the row of a branch or call, -1 where that is from
        before the span, and `decision`, the place of it."""
        pcs = self.beams["pc"].astype(np.int64)
        last_row = np.searchsorted(self.tick_of, np.arange(len(self.beams)), side="right") - 1
        pcs = np.minimum(pcs, len(dependence.classes) - 1)
        at, each = expanded(dependence.count[pcs])
        decided = dependence.decided[dependence.first[pcs[at]] + each]
        self._decisions = (CONTROL | decided << 8 | self._frame[at], last_row[at])
        links = np.flatnonzero(self.columns.space[self.flow] == Space.LINK)
        self._opened = (self.place[links] + 1, last_row[self.tick_of[links]])
        place = CONTROL | dependence.classes[pcs] << 8
        self.decision = (place | self._frame[: len(pcs)])[self.tick_of]
        before = np.searchsorted(self.tick_of, np.arange(len(self.beams)))[self.tick_of]
        self.decider = self._deciders(self.decision, before)

    def _deciders(self, places: Numbers, before: Numbers) -> Numbers:
        # What was decided in a frame before it was opened again, the call that opened it comes after.
        by_branch = last_writers(places, before, *self._decisions, self.rows)
        by_call = last_writers(places & 0xFF, before, *self._opened, self.rows)
        return np.maximum(by_branch, by_call)

    def writers_at_end(self, places: Numbers) -> Numbers:
        """The row that wrote each place last, as it is after the span; -1 where it is from before."""
        found = np.full(len(places), -1, np.int64)
        for is_meant, writers in (
            (places < WINDOW, self._near_writers),
            ((places >= WINDOW) & (places < NEAR), self._near_writers),
            ((places >= MEMORY) & (places < CONTROL), self._memory_writers),
            (places >= CONTROL, self._deciders),
        ):
            chosen = np.flatnonzero(is_meant)
            if not len(chosen):
                continue
            found[chosen] = writers(places[chosen], np.full(len(chosen), self.rows, np.int64))
        return found

    def first_code_change(self) -> int | None:
        """The tick, counted from `first`, of the first write to bytes that are executed in the span and that it
        changes. All rows before it are right, those behind may be made of other instructions than were executed."""
        stores = np.flatnonzero((self.byte >= 0) & (self.byte >> 32 & 0xFF == CODE_SLOT))
        if not len(stores):
            return None
        code = self._setting.code
        is_executed = np.zeros(len(code) + 8, bool)
        pcs = self.beams["pc"].astype(np.int64)
        for index in range(5):
            is_executed[np.minimum(pcs + index, len(code) + 7)] = True
        for row in stores.tolist():
            offset, size, tick = int(self.byte[row]) & 0xFFFFFFFF, int(self.bytes[row]), int(self.tick_of[row])
            if offset >= len(code) or not is_executed[offset : offset + size].any():
                continue
            if self.columns.space[self.flow[row]] == Space.BYTES:
                return tick
            stored = int(self.values[row]).to_bytes(4, "little")[:size]
            if code[offset : offset + size] != stored[: len(code) - offset]:
                return tick
        return None
