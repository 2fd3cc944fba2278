"""Random histories of a store: beams of a machine, events beside them, reopening."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from vac.isa.beam import Beam, BeamFlag
from vac.isa.instruction import Unit
from vac.isa.table import INSTRUCTIONS

JOIN = next(row.opcode for row in INSTRUCTIONS if row.unit is Unit.JOIN)
_BY_UNIT = {row.unit: row.opcode for row in INSTRUCTIONS}
_OPCODES = [_BY_UNIT[unit] for unit in (Unit.ALU, Unit.LOAD, Unit.STORE, Unit.READ_REGISTER, Unit.DEVICE_IN,
                                        Unit.SYSTEM_CALL, Unit.MARK, Unit.EMIT)] + [0xFF, JOIN, JOIN]  # fmt: skip
RUNS = ("a", "b::c", "ü 2")


@dataclass(frozen=True)
class Beams:
    """A stretch of beams; a join's ordinal is filled in when it is taken."""

    run: str
    gap: int
    beams: list[Beam]
    stage: str


@dataclass(frozen=True)
class Beside:
    run: str
    gap: int
    cell: str
    token: str
    stage: str
    eid: int | str | None
    """A number chooses one of the EIDs that the run has."""
    result: dict[str, Any]


@dataclass(frozen=True)
class Reopen:
    """Commit, close, open again; `is_sealed` seals all runs before, where the store can."""

    is_sealed: bool


small = st.integers(0, 3)
cells_of_32_bits = st.one_of(small, st.integers(0, (1 << 32) - 1))
beams = st.builds(
    lambda pc, opcode, flags, labels, value, aux: Beam(
        pc, opcode, flags & ~BeamFlag.JOIN | (BeamFlag.JOIN if opcode == JOIN else 0), labels, value, aux
    ),
    cells_of_32_bits,
    st.sampled_from(_OPCODES),
    st.integers(0, 255),
    st.one_of(st.just(0), st.sampled_from([1, 2, 3, 1 << 15]), st.integers(0, 65535)),
    cells_of_32_bits,
    cells_of_32_bits,
)
cell_ids = ("mem:1:0x4", "mem:?:0x1", "site:0x2", "sheet:1,2", "mem:1:0x04", "mem:300:0x0", "stack:7", "stack:07")
eids = ("eid::a::beef", "eid::elsewhere::0", "eid::b::c::12")
joins = beams.map(lambda beam: replace(beam, opcode=JOIN, flags=beam.flags | BeamFlag.JOIN))
stages = st.sampled_from(("cpu", "fpga", "other_1", "x"))
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
operations = st.one_of(
    st.builds(Beams, st.sampled_from(RUNS), small, st.lists(beams, max_size=40), stages),
    # More joins than there are labels, so that labels come to name newer ones.
    st.builds(Beams, st.just("a"), small, st.lists(joins, min_size=12, max_size=20), stages),
    st.builds(
        Beside,
        st.sampled_from(RUNS),
        small,
        st.one_of(
            st.sampled_from(("mem:1:0x4", "mem:?:0x1", "site:0x2", "sheet:1,2", "mem:1:0x04", "mem:300:0x0")), texts
        ),
        st.sampled_from(("⊗", "∇", "add", "\x00odd")),
        stages,
        st.one_of(
            st.none(), st.integers(0, 9), st.sampled_from(("eid::a::beef", "eid::elsewhere::0", "eid::b::c::12"))
        ),
        st.dictionaries(texts, json_values, max_size=2),
    ),
    st.builds(Reopen, st.booleans()),
)
histories = st.lists(operations, min_size=1, max_size=8)
