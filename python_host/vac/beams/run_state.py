"""What a store knows of a run, and how its events become BeamEvents and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson

from ..contracts.beam_event import BeamEvent, beam_id
from ..contracts.contract import format_timestamp
from ..contracts.errors import ContractError
from ..contracts.reader import read_contract
from ..isa.limits import CELL_MASK
from .cell import ADDRESS_BITS, Space, cell, cell_text, parse_cell
from .errors import BadQuery, StoreDamaged
from .names import Names
from .record import NAMED_STAGE, OPCODE_NAMES, STAGES, Events, JoinCount

RESULT_FIELDS = ("pc", "opcode", "flags", "labels", "value", "aux")
"""What a machine's beam has for `result`."""
_LINE_FIELDS = set(
    ["version", "beam_id", "cell_id", "sheet_run_id", "container_id", "stage", "token", "result", "timestamp", "tick"]
)


@dataclass(frozen=True)
class RunInfo:
    """One run of a store.

    name: unique in the store. container: that it belongs to, or empty. started: when it was registered, UTC.
    events: number of events. next_tick: the first tick that a machine's beam may have. joins: label joins seen.
    """

    name: str
    container: str
    started: datetime
    events: int = 0
    next_tick: int = 0
    joins: int = 0


@dataclass
class RunState:
    """A run while its store is open. number: of the run in the store, from 1."""

    number: int
    name: str
    container: str
    started: datetime
    events: int = 0
    next_tick: int = 0
    last_tick: int = 0
    """Tick of the newest event."""
    joins: JoinCount = field(default_factory=JoinCount)
    names: Names = field(default_factory=Names)

    @staticmethod
    def of_fields(number: int, fields: dict[str, Any]) -> RunState:
        """A run as stores write it down: `run`, `container`, `started`. Raises ValueError."""
        name, container, started = (fields.get(key) for key in ("run", "container", "started"))
        if not (isinstance(name, str) and isinstance(container, str) and isinstance(started, str)):
            raise ValueError(f"no run: {fields}")
        moment = datetime.fromisoformat(started)
        if moment.tzinfo is None:
            raise ValueError(f"no moment: {started!r} has no offset")
        return RunState(number, name, container, moment.astimezone(UTC))

    @property
    def info(self) -> RunInfo:
        joins = self.joins.last - self.joins.first + 1 if self.joins.first else 0
        return RunInfo(self.name, self.container, self.started, self.events, self.next_tick, joins)

    # ---- cells and stages --------------------------------------------------------------------------------------

    def cell_text(self, number: int) -> str:
        space, address = number >> ADDRESS_BITS, number & CELL_MASK
        if space == Space.NAMED:
            return self.names.text("cell", address)
        if space > Space.NAMED:
            raise StoreDamaged(f"run {self.name!r}: {number:#x} is no cell")
        return cell_text(number)

    def find_cell(self, text: str) -> int | None:
        """Number of a cell; None where nothing in this run can be about it."""
        number = parse_cell(text)
        if number is not None:
            return number
        named = self.names.find("cell", text)
        return None if named is None else cell(Space.NAMED, named)

    def stage_text(self, number: int) -> str:
        return STAGES[number] if number < len(STAGES) else self.names.text("stage", number - NAMED_STAGE)

    def stage_number(self, stage: str) -> int:
        if stage in STAGES:
            return STAGES.index(stage)
        return NAMED_STAGE + self.names.add("stage", stage)

    # ---- BeamEvents --------------------------------------------------------------------------------------------

    def to_beam_events(self, events: Events, eids: dict[int, str]) -> list[BeamEvent]:
        """eids: text of each `eid` that occurs and is not 0."""
        made: list[BeamEvent] = []
        for index, row in enumerate(events.rows):
            detail = events.details.get(index)
            made.append(self.parse_event(detail) if detail is not None else self._machine_event(row, eids))
        return made

    def _machine_event(self, row: np.void, eids: dict[int, str]) -> BeamEvent:
        fields = self._machine_fields(row, eids)
        return BeamEvent(**{**fields, "timestamp": self.started})

    def _machine_fields(self, row: np.void, eids: dict[int, str]) -> dict[str, Any]:
        """Fields of the contract in its order, without the moment."""
        tick, cell, value, pc, aux, eid, labels, opcode, flags, stage, _ = row.item()
        text, stage = self.cell_text(cell), self.stage_text(stage)
        fields: dict[str, Any] = {
            "version": BeamEvent.VERSION,
            "beam_id": beam_id(text, stage, tick),
            "cell_id": text,
            "sheet_run_id": self.name,
            "container_id": self.container,
        }
        if eid:
            fields["eid"] = eids[eid]
        result = {"pc": pc, "opcode": opcode, "flags": flags, "labels": labels, "value": value, "aux": aux}
        return {
            **fields,
            "stage": stage,
            "token": OPCODE_NAMES[opcode],
            "result": result,
            "timestamp": "",
            "tick": tick,
        }

    def to_lines(self, events: Events, eids: dict[int, str]) -> Iterator[bytes]:
        """The JSON of `to_beam_events`; a machine's beams are not validated again."""
        moment = format_timestamp(self.started)
        for index, row in enumerate(events.rows):
            detail = events.details.get(index)
            if detail is None:
                fields = self._machine_fields(row, eids)
                fields["timestamp"] = moment
                detail = orjson.dumps(fields)
            yield detail

    def parse_line(self, line: bytes) -> BeamEvent:
        """As `parse_event`, without validating again what `to_lines` wrote of a machine's beam of this run."""
        fields = orjson.loads(line)
        result, moment = fields.get("result"), format_timestamp(self.started)
        if (
            fields.keys() - {"eid"} == _LINE_FIELDS
            and isinstance(result, dict)
            and tuple(result) == RESULT_FIELDS
            and fields["version"] == BeamEvent.VERSION
            and all(isinstance(fields[name], str) for name in ("cell_id", "stage", "token"))
            and type(fields["tick"]) is int
            and fields["timestamp"] == moment
            and fields["beam_id"] == beam_id(fields["cell_id"], fields["stage"], fields["tick"])
        ):
            fields["timestamp"] = self.started
            return BeamEvent.model_construct(**fields)
        return self.parse_event(line)

    def parse_event(self, detail: bytes) -> BeamEvent:
        """A kept BeamEvent of any version. Raises StoreDamaged."""
        try:
            return read_contract(BeamEvent, detail)
        except ContractError as error:
            raise StoreDamaged(f"run {self.name!r}: {error}") from error


def checked_run_name(name: str) -> str:
    """Raises BadQuery for a name that no run can have."""
    if not 0 < len(name) <= 512 or not name.isprintable() or name != name.strip():
        raise BadQuery(f"{name!r} cannot name a run: 1 to 512 printable characters, no space at either end")
    return name


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)
