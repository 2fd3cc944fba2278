"""What a store takes in, as batches that a back end keeps whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..contracts.beam_event import BeamEvent
from .cell import Space, cell, parse_cell
from .errors import OutOfOrder
from .names import Name
from .record import (
    BEAM,
    BESIDE,
    EVENT,
    JOIN,
    NAMED_EID,
    OPCODE_NAMES,
    JoinCount,
    Rows,
    events_of_beams,
    join_hash,
    joins_of,
)
from .run_state import RESULT_FIELDS, RunState


@dataclass(frozen=True)
class Batch:
    """The next events of a run.

    rows: array of EVENT. details: JSON of each row of opcode BESIDE, in order. joins: array of JOIN for the joins among
    the rows. names: those that the run did not have before. after: joins of the run once the batch is kept.
    """

    rows: Rows
    details: Sequence[bytes]
    joins: Rows
    names: Sequence[Name]
    after: JoinCount


def beams_batch(
    run: RunState, first_tick: int, beams: bytes, stage: str, cells: npt.NDArray[np.uint64] | None = None
) -> Batch:
    """A machine's beams. Adds the stage's name to the run's. Raises OutOfOrder and ValueError."""
    mark = run.names.mark()
    rows, where, after = events_of_beams(beams, first_tick, run.joins, run.stage_number(stage), cells)
    return Batch(rows, (), joins_of(rows, where, run.events), run.names.since(mark), after)


def beside_batch(run: RunState, events: Sequence[BeamEvent], ordinal_of: Callable[[str], int]) -> Batch:
    """Events beside the beams. Adds their names to the run's.

    ordinal_of: the join of the run that an EID names, 0 for none; the EID becomes a named set then.
    """
    mark = run.names.mark()
    rows = np.zeros(len(events), EVENT)
    ordinals = {eid: ordinal_of(eid) for eid in {event.eid for event in events} if eid}
    for row, event in zip(rows, events, strict=True):
        known = parse_cell(event.cell_id)
        row["tick"] = event.tick
        row["cell"] = cell(Space.NAMED, run.names.add("cell", event.cell_id)) if known is None else known
        row["pc"] = run.names.add("token", event.token)
        row["opcode"], row["stage"] = BESIDE, run.stage_number(event.stage)
        if event.eid:
            row["eid"] = ordinals[event.eid] or NAMED_EID + run.names.add("eid", event.eid)
    details = [event.to_json() for event in events]
    return Batch(rows, details, np.zeros(0, JOIN), run.names.since(mark), run.joins)


def stretches(run: RunState, events: Sequence[BeamEvent]) -> list[list[BeamEvent]]:
    """The same events in stretches: beams of a machine, one tick after another in one stage, or events beside them."""
    found: list[list[BeamEvent]] = []
    previous: tuple[str, int] | None = None
    next_tick = run.next_tick
    for event in events:
        is_beam = (
            event.tick >= next_tick
            and (event.container_id, event.timestamp) == (run.container, run.started)
            and machine_row(event) is not None
        )
        kind = (event.stage, event.tick) if is_beam else None
        follows = kind == (previous and (previous[0], previous[1] + 1))
        if found and follows:
            found[-1].append(event)
        else:
            found.append([event])
        previous = kind
        next_tick = event.tick + 1 if is_beam else max(next_tick, event.tick)
    return found


def machine_batch(run: RunState, events: Sequence[BeamEvent], eid_of: Callable[[int], str]) -> Batch | None:
    """The batch of a stretch that a store once made of beams; None where it would not give the same events again.

    eid_of: text of a join of the run by its ordinal.
    """
    fields = [machine_row(event) for event in events]
    numbers = [parse_cell(event.cell_id) for event in events]
    if None in fields or None in numbers or any(_has_more(event) for event in events):
        return None
    beams = np.array(fields, BEAM)
    cells = np.array(numbers, np.uint64)
    mark = run.names.mark()
    try:
        batch = beams_batch(run, events[0].tick, beams.tobytes(), events[0].stage, cells)
    except OutOfOrder:
        return None
    fresh = {int(join["ordinal"]): f"eid::{run.name}::{join_hash(join)}" for join in batch.joins}
    for event, number in zip(events, batch.rows["eid"].tolist(), strict=True):
        text = (fresh.get(number) or eid_of(number)) if number else None
        if text != event.eid:
            run.names.cut(mark)
            return None
    return batch


def machine_row(event: BeamEvent) -> tuple[int, ...] | None:
    """Fields of an event that a store made of a machine's beam, in the order of `vac.isa.beam`; None for any other."""
    result = event.result
    if tuple(result) != RESULT_FIELDS:
        return None
    numbers: list[int] = []
    for name, width in zip(RESULT_FIELDS, (32, 8, 8, 16, 32, 32), strict=True):
        number = result[name]
        if type(number) is not int or not 0 <= number < 1 << width:
            return None
        numbers.append(number)
    opcode = numbers[1]
    return tuple(numbers) if opcode != BESIDE and event.token == OPCODE_NAMES[opcode] else None


def _has_more(event: BeamEvent) -> bool:
    return any(getattr(event, name) is not None for name in ("source", "lineage", "drift", "qscore", "sqi_after"))
