"""Every back end answers every query as lists in plain Python do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings

from vac.beams.opening import open_store
from vac.beams.record import Events
from vac.beams.segments import blocks, run_folder, sealed, segment, segment_store, zones
from vac.beams.segments.segment_store import SegmentStore
from vac.beams.store import BeamStore
from vac.contracts.beam_event import BeamEvent, beam_id
from vac.isa.beam import BeamFlag

from .oracle import OracleEvent, OracleRun
from .runs import Beams, Beside, Reopen, histories

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 89, UTC)
FEW = {"postgresql": 8, "sqlite": 12, "sealed": 15, "segments": 15, "jsonl": 25}


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments, zones, row groups and blocks of a few events, so that every edge between them is met."""
    for module in (run_folder, segment, segment_store):
        monkeypatch.setattr(module, "SEGMENT_RECORDS", 16, raising=False)
    monkeypatch.setattr(segment, "SEGMENT_BITS", 4)
    monkeypatch.setattr(segment, "_WHOLE_SCAN", 8)
    monkeypatch.setattr(segment_store, "SEALED_SEGMENTS", 3)
    for module in (zones, sealed):
        monkeypatch.setattr(module, "ZONE_RECORDS", 4)
    monkeypatch.setattr(zones, "SPAN_ZONES", 2)
    monkeypatch.setattr(sealed, "GROUP_RECORDS", 8)
    monkeypatch.setattr(sealed, "_KEPT_GROUPS", 2)
    monkeypatch.setattr(blocks, "BLOCK", 4)


@contextmanager
def opened(name: str, writable: bool = True) -> Iterator[BeamStore]:
    with open_store(name, writable) as store:
        yield store


def apply(store: BeamStore, runs: dict[str, OracleRun], operation: Beams | Beside) -> None:
    run = runs.setdefault(operation.run, OracleRun(operation.run))
    store.add_run(operation.run, "box", MOMENT)
    if isinstance(operation, Beams):
        tick = run.next_tick + operation.gap
        stretch = []
        ordinal = len(run.order)
        for offset, beam in enumerate(operation.beams):
            if beam.flags & BeamFlag.JOIN:
                ordinal += 1
                beam = replace(beam, value=ordinal, aux=0)
            stretch.append(beam)
            run.add_beam(tick + offset, beam, operation.stage)
        taken = store.ingest(operation.run, tick, b"".join(beam.pack() for beam in stretch), stage=operation.stage)
        assert taken == len(stretch)
        return
    tick = run.last_tick + operation.gap
    eid = operation.eid
    if isinstance(eid, int):
        eid = run.eids[eid % len(run.eids)] if run.eids else None
    event = BeamEvent(
        beam_id=beam_id(operation.cell, operation.stage, tick), cell_id=operation.cell, sheet_run_id=operation.run,
        container_id="box", eid=eid, stage=operation.stage, token=operation.token, result=operation.result,
        timestamp=MOMENT, tick=tick, source="user",
    )  # fmt: skip
    run.add_beside(tick, operation.cell, operation.token, operation.stage, eid, operation.result)
    assert store.persist_beam_events([event]) == 1


def same(store: BeamStore, run: OracleRun, found: Events, expected: list[OracleEvent]) -> None:
    assert found.seq.tolist() == [event.seq for event in expected]
    for beam, event in zip(store.beam_events(run.name, found), expected, strict=True):
        assert (beam.tick, beam.cell_id, beam.token, beam.stage) == (event.tick, event.cell, event.token, event.stage)
        assert (beam.sheet_run_id, beam.container_id, beam.timestamp) == (run.name, "box", MOMENT)
        assert beam.eid == event.eid and beam.result == event.fields
        assert beam.source == (None if event.value is not None else "user")


def part_of(whole: Events, found: Events, expected: list[OracleEvent]) -> None:
    """The events that are expected, each as it stands in the whole run, which was compared with the oracle."""
    numbers = [event.seq for event in expected]
    assert found.seq.tolist() == numbers
    assert found.rows.tobytes() == whole.rows[numbers].tobytes()
    assert found.details == {at: whole.details[seq] for at, seq in enumerate(numbers) if seq in whole.details}


def newest(events: list[OracleEvent], limit: int | None) -> list[OracleEvent]:
    return events if limit is None else events[len(events) - min(limit, len(events)) :]


def compare(store: BeamStore, run: OracleRun) -> None:
    name, events = run.name, run.events
    info = store.run(name)
    assert (info.events, info.next_tick, info.joins) == (len(events), run.next_tick, len(run.order))
    whole = store.range(name)
    same(store, run, whole, events)
    for at, (first, end) in enumerate(((0, 3), (2, 9), (run.last_tick, run.last_tick + 1), (run.last_tick + 1, None))):
        expected = [event for event in events if first <= event.tick and (end is None or event.tick < end)]
        for limit in (None, (0, 1, 3)[at % 3]):
            part_of(whole, store.range(name, first, end, limit), expected[:limit])
    cells = [*sorted({event.cell for event in events}), "mem:9:0x9", "nowhere"]
    values = sorted({event.value for event in events[:20] if event.value is not None} | {12345})
    questions = [
        *((partial(store.lineage, name, cell), [e for e in events if e.cell == cell]) for cell in cells),
        *((partial(store.lineage_of_value, name, value), [e for e in events if e.value == value]) for value in values),
        *((partial(store.ghost, eid, run=name), [e for e in events if eid in e.sets]) for eid in run.eids),
    ]
    for at, (ask, expected) in enumerate(questions):
        for limit in (None, (0, 1, 5)[at % 3]):
            part_of(whole, ask(limit=limit), newest(expected, limit))
    assert store.counts(name) == run.counts()
    assert sorted(store.counts(name).values(), reverse=True) == list(store.counts(name).values())
    assert store.eids(name) == run.eids
    assert store.entanglement_map(name).links == run.entanglement()
    assert store.eids(name, 2) == run.order[-2:] + run.named
    in_batches = [batch for batch in store.batches(name, 7)]
    assert [seq for batch in in_batches for seq in batch.seq.tolist()] == list(range(len(events)))
    if events:
        cell = events[0].cell
        assert [event.tick for event in store.get_lineage_for_cell(cell, name)] == [
            event.tick for event in events if event.cell == cell
        ]


def compare_ghosts(store: BeamStore, runs: dict[str, OracleRun]) -> None:
    for eid in {eid for run in runs.values() for eid in run.eids}:
        expected = {
            (run.name, event.seq) for run in runs.values() for event in [e for e in run.events if eid in e.sets][-2:]
        }
        ghosts = store.ghost_replay_for_eid(eid, 2)
        assert len(ghosts) == len(expected)
        assert {ghost.sheet_run_id for ghost in ghosts} == {name for name, _ in expected}


def check_history(new_store_name: Callable[[], str], history: list[Beams | Beside | Reopen], seals: bool) -> None:
    name = new_store_name()
    runs: dict[str, OracleRun] = {}
    store = open_store(name)
    try:
        for operation in [*history, Reopen(True)]:
            if not isinstance(operation, Reopen):
                apply(store, runs, operation)
                continue
            if isinstance(store, SegmentStore) and seals and operation.is_sealed:
                for run in runs:
                    store.seal(run)
                    compare(store, runs[run])
            store.commit()
            store.close()
            store = open_store(name)
        assert [info.name for info in store.runs()] == list(runs)
        for run in runs.values():
            compare(store, run)
        compare_ghosts(store, runs)
        if isinstance(store, SegmentStore):
            assert store.verify() == [] and store.repairs == []
    finally:
        store.close()
    with opened(name, writable=False) as reader:
        for run in runs.values():
            compare(reader, run)


def test_answers_are_those_of_plain_lists(back_end: str, new_store_name: Callable[[], str]) -> None:
    @settings(
        max_examples=FEW.get(back_end, 40), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
    )
    @given(histories)
    def check(history: list[Beams | Beside | Reopen]) -> None:
        check_history(new_store_name, history, seals=back_end == "sealed")

    check()
