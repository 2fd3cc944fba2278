"""The beam store: one interface over every back end.

A back end keeps records and answers the queries that start with an underscore; everything else is the same for all.
Events are numbered from 0 within their run, in the order in which they were given; ticks never go back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from ..contracts.beam_event import BeamEvent
from ..contracts.entanglement import EntanglementMap
from ..isa.beam import BEAM_BYTES
from ..isa.limits import LABEL_BITS
from .errors import BadQuery, OutOfOrder, StoreReadOnly, UnknownRun
from .intake import Batch, beams_batch, beside_batch, machine_batch, machine_row, stretches
from .names import Kind
from .record import (
    BESIDE,
    EVENT,
    LAST_TICK,
    NAMED_EID,
    OPCODE_NAMES,
    EntangledSet,
    Events,
    Rows,
    join_hash,
    label_of,
)
from .run_state import RunInfo, RunState, checked_run_name, now

GHOSTS = 100
"""Events that a ghost replay gives where nothing else is said."""

Progress = Callable[[int, int], None]
"""Called with the part done and the whole."""


class BeamStore(ABC):
    """A store of beams. Use it as a context manager, or call `close`.

    What `ingest` and `persist_beam_events` have taken is found by queries of this store at once; `commit` makes it
    last, through a crash of the process, the system or the machine's power. Methods raise BeamStoreError's kinds:
    UnknownRun, BadQuery, OutOfOrder; StoreFull, StoreReadOnly, StoreUnavailable, StoreDamaged as what lies below fails.
    """

    def __init__(self, writable: bool) -> None:
        self.writable = writable
        self._runs: dict[str, RunState] = {}

    # ---- what a back end provides ------------------------------------------------------------------------------

    @abstractmethod
    def ensure_tables(self) -> None:
        """Makes what the store needs where it is not there yet; called when a writable store opens."""

    @abstractmethod
    def _load_runs(self) -> dict[str, RunState]:
        """The runs as they are kept now."""

    @abstractmethod
    def _add_run(self, run: RunState) -> None:
        """Keeps a new run, whose number is free."""

    @abstractmethod
    def _append(self, run: RunState, batch: Batch) -> None:
        """Takes the run's next events: all of the batch or, with an error, nothing."""

    @abstractmethod
    def commit(self) -> None:
        """Makes everything taken so far last. When it raises, open the store again."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of everything. What was not committed may be lost."""

    @abstractmethod
    def _range(self, run: RunState, first: int, end: int, limit: int | None) -> Events:
        """Events of ticks from `first` up to, not including, `end`; the first `limit` of them."""

    @abstractmethod
    def _slice(self, run: RunState, first: int, end: int) -> Events:
        """Events numbered from `first` up to, not including, `end`; both lie within the run."""

    @abstractmethod
    def _of_cell(self, run: RunState, cell: int, limit: int | None) -> Events:
        """The newest `limit` events of a cell, oldest first."""

    @abstractmethod
    def _of_value(self, run: RunState, value: int, limit: int | None) -> Events:
        """The newest `limit` beams with this value, oldest first."""

    @abstractmethod
    def _of_set(self, run: RunState, members: EntangledSet, limit: int | None) -> Events:
        """The newest `limit` events of an entangled set, oldest first."""

    @abstractmethod
    def _cells_of_set(self, run: RunState, members: EntangledSet) -> npt.NDArray[np.uint64]:
        """Cells of all events of an entangled set, each once, ascending."""

    @abstractmethod
    def _counts(self, run: RunState) -> tuple[dict[int, int], dict[int, int]]:
        """Events by opcode, BESIDE left out; events beside the beams by number of their token."""

    @abstractmethod
    def _joins(self, run: RunState, first: int, last: int) -> Rows:
        """JOIN records of these ordinals, as far as the run has them."""

    # ---- runs --------------------------------------------------------------------------------------------------

    def runs(self) -> list[RunInfo]:
        """All runs, oldest first."""
        return [run.info for run in self._runs.values()]

    def run(self, name: str) -> RunInfo:
        """Raises UnknownRun."""
        return self._state(name).info

    def add_run(self, name: str, container: str = "", started: datetime | None = None) -> RunInfo:
        """Registers a run, or gives the one of that name. started: now, where nothing is said."""
        if name in self._runs:
            return self._runs[name].info
        self._check_writable()
        number = max((run.number for run in self._runs.values()), default=0) + 1
        run = RunState(number, checked_run_name(name), container, (started or now()).astimezone(UTC))
        self._add_run(run)
        self._runs[name] = run
        return run.info

    def _state(self, name: str) -> RunState:
        run = self._runs.get(name)
        if run is None:
            known = ", ".join(repr(known) for known in list(self._runs)[:5]) or "none"
            raise UnknownRun(f"the store has no run {name!r}; it has {known}{' …' if len(self._runs) > 5 else ''}")
        return run

    def _check_writable(self) -> None:
        if not self.writable:
            raise StoreReadOnly("the store was opened for reading")

    # ---- writing -----------------------------------------------------------------------------------------------

    def ingest(
        self,
        run: str,
        first_tick: int,
        beams: bytes,
        *,
        stage: str = "cpu",
        cells: npt.NDArray[np.uint64] | None = None,
    ) -> int:
        """Takes a machine's beams, 16 bytes each, and registers the run where it is new. Returns their number.

        first_tick: tick of the first; not before `run(name).next_tick`. cells: where a replay knows better than a beam
        what it was about (`vac.beams.tracing`), a cell for each.
        Raises OutOfOrder for ticks that the run has already, or joins that do not count on; BadQuery for other bytes.
        """
        self._check_writable()
        if len(beams) % BEAM_BYTES:
            raise BadQuery(f"{len(beams)} bytes are not a whole number of beams of {BEAM_BYTES} bytes")
        count = len(beams) // BEAM_BYTES
        if not 0 <= first_tick <= LAST_TICK - count:
            raise BadQuery(f"tick {first_tick} is none; ticks are 0 to {LAST_TICK}")
        self.add_run(run)
        state = self._state(run)
        if first_tick < state.next_tick:
            raise OutOfOrder(f"run {run!r} has beams up to tick {state.next_tick - 1}; {first_tick} is not after that")
        mark = state.names.mark()
        try:
            batch = beams_batch(state, first_tick, beams, stage, cells)
        except ValueError as error:
            raise BadQuery(str(error)) from None
        self._take(state, batch, mark, is_beams=True)
        return count

    def _take(self, run: RunState, batch: Batch, mark: dict[Kind, int], is_beams: bool) -> None:
        """mark: names of the run before the batch was made."""
        try:
            self._append(run, batch)
        except BaseException:
            run.names.cut(mark)
            raise
        self._advance(run, batch, is_beams)

    @staticmethod
    def _advance(run: RunState, batch: Batch, is_beams: bool) -> None:
        """The run once it has this batch."""
        run.events += len(batch.rows)
        run.joins = batch.after
        if len(batch.rows):
            run.last_tick = int(batch.rows["tick"][-1])
            run.next_tick = max(run.next_tick, run.last_tick + is_beams)

    def persist_beam_events(self, events: Iterable[BeamEvent]) -> int:
        """Keeps events of any stage for good, those of one run in the order of their ticks; commits. Returns their
        number. Raises OutOfOrder for an event before the newest of its run."""
        self._check_writable()
        count = 0
        by_run: dict[str, list[BeamEvent]] = {}
        for event in events:
            by_run.setdefault(event.sheet_run_id, []).append(event)
        for name, group in by_run.items():
            last = self._runs[name].last_tick if name in self._runs else 0
            for event in group:
                if event.tick < last:
                    raise OutOfOrder(f"run {name!r}: {event.beam_id} comes after tick {last}")
                last = event.tick
        for name, group in by_run.items():
            self.add_run(name, group[0].container_id, group[0].timestamp)
            self._persist(self._state(name), group)
            count += len(group)
        self.commit()
        return count

    def _persist(self, run: RunState, events: list[BeamEvent]) -> None:
        for stretch in stretches(run, events):
            mark = run.names.mark()
            batch = None
            if machine_row(stretch[0]):
                batch = machine_batch(run, stretch, lambda number: self._eid_of(run, number))
            is_beams = batch is not None
            batch = batch or beside_batch(run, stretch, lambda eid: self._join_named(run, eid))
            self._take(run, batch, mark, is_beams)

    # ---- queries -----------------------------------------------------------------------------------------------

    def range(self, run: str, first: int = 0, end: int | None = None, limit: int | None = None) -> Events:
        """Events of ticks from `first` up to, not including, `end`; at most `limit` of them, oldest first."""
        end = LAST_TICK + 1 if end is None else end
        if first < 0 or end < first:
            raise BadQuery(f"ticks {first} to {end} are no range")
        return self._range(self._state(run), first, min(end, LAST_TICK + 1), _checked_limit(limit))

    def lineage(self, run: str, cell_id: str, limit: int | None = None) -> Events:
        """The newest `limit` events of a cell, oldest first."""
        state = self._state(run)
        number = state.find_cell(cell_id)
        return self._nothing() if number is None else self._of_cell(state, number, _checked_limit(limit))

    def lineage_of_value(self, run: str, value: int, limit: int | None = None) -> Events:
        """The newest `limit` beams that carried this value, a cell of 32 bits; looks at every beam."""
        if not 0 <= value < 1 << 32:
            raise BadQuery(f"{value} is no value: 0 to 4294967295")
        return self._of_value(self._state(run), value, _checked_limit(limit))

    def ghost(self, eid: str, limit: int | None = GHOSTS, run: str | None = None) -> Events:
        """The newest `limit` events of an EID, oldest first.

        run: where to look; else the run that the EID names, or the first that has events of it. Raises UnknownRun.
        """
        found = self._find_sets(eid)
        if run is not None:
            found = [own for own in found if own[0].name == self._state(run).name]
        return self._of_set(*found[0], _checked_limit(limit)) if found else self._nothing()

    def counts(self, run: str) -> dict[str, int]:
        """Events by token, most frequent first, then by name."""
        state = self._state(run)
        opcodes, tokens = self._counts(state)
        found: dict[str, int] = {}
        for opcode, count in opcodes.items():
            found[OPCODE_NAMES[opcode]] = count
        for number, count in tokens.items():
            token = state.names.text("token", number)
            found[token] = found.get(token, 0) + count
        return dict(
            sorted(((token, count) for token, count in found.items() if count), key=lambda item: (-item[1], item[0]))
        )

    def eids(self, run: str, newest: int | None = None) -> list[str]:
        """EIDs of a run: those of its joins, of which `newest` can ask for the last ones only; then named ones."""
        state = self._state(run)
        joins = state.joins
        first = joins.first if newest is None else max(joins.first, joins.last - newest + 1)
        found = [self._eid_text(state, join) for join in self._joins(state, first, joins.last)] if joins.first else []
        return found + [text for kind, _, text in state.names.all() if kind == "eid"]

    def entanglement_map(
        self, run: str, newest: int | None = None, progress: Progress | None = None
    ) -> EntanglementMap:
        """Cells of each EID of a run. Looks at every event of each set, so `newest` keeps it short."""
        state = self._state(run)
        eids = self.eids(run, newest)
        links: dict[str, list[str]] = {}
        for done, eid in enumerate(eids):
            members = next(own for owner, own in self._find_sets(eid) if owner.name == run)
            links[eid] = sorted(state.cell_text(int(cell)) for cell in self._cells_of_set(state, members))
            if progress:
                progress(done + 1, len(eids))
        return EntanglementMap.model_validate(links)

    def beam_events(self, run: str, events: Events) -> list[BeamEvent]:
        """The same events as contracts."""
        state = self._state(run)
        return state.to_beam_events(events, self._eids_in(state, events))

    def lines(self, run: str, events: Events) -> Iterator[bytes]:
        """The same events as the JSON of these contracts, faster."""
        state = self._state(run)
        return state.to_lines(events, self._eids_in(state, events))

    def _eids_in(self, run: RunState, events: Events) -> dict[int, str]:
        numbers = {int(number) for number in np.unique(events.rows["eid"])} - {0}
        return {number: self._eid_of(run, number) for number in numbers}

    def get_lineage_for_cell(self, cell_id: str, run: str | None = None, limit: int | None = None) -> list[BeamEvent]:
        """Events of a cell in one run, or in all of them, run by run."""
        names = [run] if run is not None else list(self._runs)
        return [event for name in names for event in self.beam_events(name, self.lineage(name, cell_id, limit))]

    def ghost_replay_for_eid(self, eid: str, limit: int | None = GHOSTS) -> list[BeamEvent]:
        """The newest `limit` events of an EID, oldest first; run by run where several have some."""
        found = [run.name for run, _ in self._find_sets(eid)]
        return [event for name in found for event in self.beam_events(name, self.ghost(eid, limit, name))]

    def batches(self, run: str, size: int = 1 << 16) -> Iterator[Events]:
        """All events of a run in order, `size` at a time."""
        state = self._state(run)
        for first in range(0, state.events, size):
            yield self._slice(state, first, min(first + size, state.events))

    # ---- entangled sets ----------------------------------------------------------------------------------------

    def _eid_text(self, run: RunState, join: np.void) -> str:
        return f"eid::{run.name}::{join_hash(join)}"

    def _eid_of(self, run: RunState, number: int) -> str:
        if number >= NAMED_EID:
            return run.names.text("eid", number - NAMED_EID)
        return self._eid_text(run, self._joins(run, number, number)[0])

    def _join_named(self, run: RunState, eid: str) -> int:
        """Ordinal of the join that an EID names, 0 where it names none of this run."""
        prefix, _, digest = eid.rpartition("::")
        if prefix != f"eid::{run.name}" or len(digest) != 16:
            return 0
        try:
            ordinal = int(digest[:8], 16)
        except ValueError:
            return 0
        joins = self._joins(run, ordinal, ordinal)
        return ordinal if len(joins) and self._eid_text(run, joins[0]) == eid else 0

    def _find_sets(self, eid: str) -> list[tuple[RunState, EntangledSet]]:
        """The set in each run that has it; the run that the EID names comes first. Raises BadQuery, UnknownRun."""
        prefix, separator, digest = eid.rpartition("::")
        if not prefix.startswith("eid::") or not separator or not digest:
            raise BadQuery(f"{eid!r} is no EID: eid::<run>::<hash>")
        found: list[tuple[RunState, EntangledSet]] = []
        owner = self._runs.get(prefix[5:])
        ordinal = self._join_named(owner, eid) if owner else 0
        if owner and ordinal:
            joins = self._joins(owner, ordinal, ordinal + LABEL_BITS)
            end = int(joins[LABEL_BITS]["seq"]) if len(joins) > LABEL_BITS else owner.events
            found.append((owner, EntangledSet(ordinal, label_of(ordinal), int(joins[0]["seq"]), end)))
        for run in self._runs.values():
            number = run.names.find("eid", eid)
            if number is not None:
                found.append((run, EntangledSet(NAMED_EID + number)))
        if not found and not owner:
            self._state(prefix[5:])
        return found

    @staticmethod
    def _nothing() -> Events:
        return Events(np.zeros(0, np.int64), no_rows())

    # ---- end ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def no_rows() -> Rows:
    """An empty array of EVENT."""
    return np.zeros(0, EVENT)


def is_beside(rows: Rows) -> npt.NDArray[np.bool_]:
    """Which of these events stand beside the beams."""
    return rows["opcode"] == BESIDE


def _checked_limit(limit: int | None) -> int | None:
    if limit is not None and limit < 0:
        raise BadQuery(f"{limit} is no limit: 0 or more")
    return limit
