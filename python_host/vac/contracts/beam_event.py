"""BeamEvent: one beam, or one event beside the beams, as it is kept."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from .contract import CellId, Contract, Eid, Finite, Name, Score, Tick, Timestamp


class BeamEvent(Contract):
    """One retired instruction, or one event of another stage, as the beam store keeps it.

    Version 1 had no `tick`; there it is the last part of `beam_id`.
    """

    VERSION: ClassVar[int] = 2
    NAME: ClassVar[str] = "BeamEvent"

    version: Literal[2] = 2
    beam_id: str = Field(max_length=2300)
    """`beam_<cell>_<stage>_<ts>`; ts is the tick."""
    cell_id: CellId
    """The cell that the event is about."""
    sheet_run_id: Name
    """The run, of a sheet or a machine."""
    container_id: str = Field(max_length=1024)
    """The container that the run belongs to; empty where there is none."""
    eid: Eid | None = None
    """The newest entangled set that the value belongs to."""
    stage: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")
    """What made the event: `ingest`, `collapse`, `container`, `cpu`, `fpga`, …"""
    token: Name
    """Mnemonic of the opcode, or the glyph."""
    result: dict[str, JsonValue]
    """What came of it; for a machine's beam its fields: `pc`, `opcode`, `flags`, `labels`, `value`, `aux`."""
    timestamp: Timestamp
    """For a machine's beam the moment at which its run was registered: a beam itself knows ticks only."""
    tick: Tick
    """Place in the run: retired instructions before this one."""
    source: str | None = None
    """In memory: who asked for it."""
    lineage: list[str] | None = None
    """In memory: `beam_id` of the events that fed it."""
    drift: Finite | None = None
    """In memory: how far the value moved."""
    qscore: Score | None = None
    """In memory: quality from 0 to 1."""
    sqi_after: Score | None = None
    """In memory: SQI score after the event."""

    @model_validator(mode="after")
    def _names_itself(self) -> Self:
        expected = beam_id(self.cell_id, self.stage, self.tick)
        if self.beam_id != expected:
            raise ValueError(f"beam_id is {self.beam_id!r}, but cell, stage and tick make it {expected!r}")
        return self


def beam_id(cell_id: str, stage: str, tick: int) -> str:
    """`beam_<cell>_<stage>_<ts>`."""
    return f"beam_{cell_id}_{stage}_{tick}"
