"""What every store has to answer, in plain Python over lists, written apart from the stores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from vac.isa.beam import Beam, BeamFlag
from vac.isa.instruction import Unit
from vac.isa.table import INSTRUCTIONS

PREFIX = {
    Unit.READ_REGISTER: "reg",
    Unit.DEVICE_IN: "dev",
    Unit.DEVICE_OUT: "dev",
    Unit.SYSTEM_CALL: "sys",
    Unit.MARK: "mark",
}
UNITS = {row.opcode: row.unit for row in INSTRUCTIONS}
MNEMONICS: dict[int, list[str]] = {}
for _row in INSTRUCTIONS:
    MNEMONICS.setdefault(_row.opcode, []).append(_row.mnemonic)


def token_of(opcode: int) -> str:
    names = MNEMONICS.get(opcode)
    return f"{opcode:#04x}" if names is None else names[0] + "+" * (len(names) > 1)


def cell_of(beam: Beam) -> str:
    unit = UNITS.get(beam.opcode)
    if unit in (Unit.LOAD, Unit.STORE):
        return f"mem:?:{beam.aux:#x}"
    if unit in (Unit.DEVICE_IN, Unit.DEVICE_OUT):
        return f"dev:{beam.aux:#x}"
    if unit in PREFIX:
        return f"{PREFIX[unit]}:{beam.aux}"
    return f"site:{beam.pc:#x}"


@dataclass
class OracleEvent:
    seq: int
    tick: int
    cell: str
    token: str
    stage: str
    value: int | None
    eid: str | None
    sets: set[str]
    """EIDs that the event belongs to."""
    fields: dict[str, Any]


@dataclass
class OracleRun:
    """Everything that a run was given, as lists."""

    name: str
    events: list[OracleEvent] = field(default_factory=list)
    owners: dict[int, str] = field(default_factory=dict)
    """EID that each label names now."""
    order: list[str] = field(default_factory=list)
    """EIDs of joins, oldest first."""
    named: list[str] = field(default_factory=list)
    next_tick: int = 0

    def add_beam(self, tick: int, beam: Beam, stage: str) -> None:
        own = None
        if beam.flags & BeamFlag.JOIN:
            digest = blake3(tick.to_bytes(8, "little") + beam.pack()).hexdigest()[:8]
            own = f"eid::{self.name}::{beam.value:08x}{digest}"
            self.order.append(own)
            self.owners[(beam.value - 1) % 16] = own
        sets = {self.owners[label] for label in range(16) if beam.labels >> label & 1 and label in self.owners}
        if own and not beam.labels:
            sets = {own}
        newest = max(sets, key=self.order.index, default=None)
        result = {"pc": beam.pc, "opcode": beam.opcode, "flags": int(beam.flags), "labels": beam.labels,
                  "value": beam.value, "aux": beam.aux}  # fmt: skip
        event = OracleEvent(
            len(self.events), tick, cell_of(beam), token_of(beam.opcode), stage, beam.value, newest, sets, result
        )
        self.events.append(event)
        self.next_tick = tick + 1

    def add_beside(self, tick: int, cell: str, token: str, stage: str, eid: str | None, result: dict[str, Any]) -> None:
        if eid and eid not in self.order and eid not in self.named:
            self.named.append(eid)
        sets = {eid} if eid else set()
        self.events.append(OracleEvent(len(self.events), tick, cell, token, stage, None, eid, sets, result))
        self.next_tick = max(self.next_tick, tick)

    @property
    def eids(self) -> list[str]:
        return self.order + self.named

    @property
    def last_tick(self) -> int:
        return self.events[-1].tick if self.events else 0

    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for event in self.events:
            found[event.token] = found.get(event.token, 0) + 1
        return found

    def entanglement(self) -> dict[str, list[str]]:
        return {eid: sorted({event.cell for event in self.events if eid in event.sets}) for eid in self.eids}
