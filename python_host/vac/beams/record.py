"""The event record of 40 bytes, made of the machine's beams without Python for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from ..isa.beam import BEAM_BYTES, BEAM_FIELDS, Beam, BeamFlag
from ..isa.instruction import Unit
from ..isa.limits import CELL_MASK, LABEL_BITS
from ..isa.table import INSTRUCTIONS
from .cell import IS_SITE, SPACE_OF_OPCODE
from .errors import OutOfOrder

BEAM = np.dtype([(name, f"<u{width // 8}") for name, width in BEAM_FIELDS])
"""A beam as `vac.isa.beam` lays it out."""

EVENT = np.dtype(
    [
        ("tick", "<u8"), ("cell", "<u8"), ("value", "<u4"), ("pc", "<u4"), ("aux", "<u4"), ("eid", "<u4"),
        ("labels", "<u2"), ("opcode", "u1"), ("flags", "u1"), ("stage", "<u2"), ("reserved", "<u2"),
    ]
)  # fmt: skip
"""An event, 40 bytes, little-endian. cell: `vac.beams.cell`. eid: ordinal of the newest join whose label the value
carries, 0 for none, from NAMED_EID on a named set. stage: index into STAGES, from NAMED_STAGE on a name.

Opcode 0, which the machine does not have, marks an event beside the beams: pc is then the number of its token's name,
and value and aux are the low and high half of where its JSON stands.
"""

JOIN = np.dtype(
    [
        ("seq", "<u8"), ("tick", "<u8"), ("ordinal", "<u4"), ("pc", "<u4"), ("labels", "<u2"), ("opcode", "u1"),
        ("flags", "u1"), ("reserved", "<u4"),
    ]
)  # fmt: skip
"""One label join, 32 bytes: the event's number in the run, and its beam."""

NAMED_EID = 1 << 31
STAGES = ("cpu", "ingest", "collapse", "container", "fpga", "photon", "codex", "qwave")
NAMED_STAGE = 256
BESIDE = 0
"""Opcode of events beside the beams."""

LAST_TICK = (1 << 63) - 1
_PIECE = 1 << 14

Rows = npt.NDArray[np.void]
"""Array of EVENT or JOIN."""


@dataclass(frozen=True)
class Events:
    """Events of one run, in its order.

    seq: number of each in the run, from 0 (int64). rows: array of EVENT; value and aux are 0 where there is a detail.
    details: JSON of the events beside the beams, by index into `rows`.
    """

    seq: npt.NDArray[np.int64]
    rows: Rows
    details: dict[int, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class JoinCount:
    """Joins of a run so far. last: ordinal of the newest. first: the oldest that the store has seen; 0 for none."""

    first: int = 0
    last: int = 0


def opcode_names() -> list[str]:
    """Token of each opcode: its mnemonic, that of the first row with a + where several rows share the opcode."""
    names = [f"{opcode:#04x}" for opcode in range(256)]
    for opcode in {row.opcode for row in INSTRUCTIONS}:
        rows = [row.mnemonic for row in INSTRUCTIONS if row.opcode == opcode]
        names[opcode] = rows[0] + ("+" if len(rows) > 1 else "")
    return names


OPCODE_NAMES = opcode_names()
_JOIN_OPCODE = next(row.opcode for row in INSTRUCTIONS if row.unit is Unit.JOIN)


@cache
def _distances() -> npt.NDArray[np.uint8]:
    """How many joins before the newest one the newest label of a set was given: [joins modulo 16, set]."""
    sets = np.arange(1 << LABEL_BITS, dtype=np.uint32)
    table = np.zeros((LABEL_BITS, 1 << LABEL_BITS), np.uint8)
    for joins in range(LABEL_BITS):
        for distance in reversed(range(LABEL_BITS)):
            label = np.uint32(1 << (joins - 1 - distance) % LABEL_BITS)
            table[joins, np.flatnonzero(sets & label)] = distance
    return table


def events_of_beams(
    beams: bytes, first_tick: int, joins: JoinCount, stage: int, cells: npt.NDArray[np.uint64] | None = None
) -> tuple[Rows, npt.NDArray[np.intp], JoinCount]:
    """Events of whole beams of which the first is of this tick; indices of the joins among them; the new count.

    cells: a cell for each beam where something better is known than the beam itself says.
    Raises OutOfOrder when the joins do not count on from those before, ValueError for a wrong number of bytes or cells.
    """
    if len(beams) % BEAM_BYTES:
        raise ValueError(f"{len(beams)} bytes are not a whole number of beams of {BEAM_BYTES} bytes")
    source = np.frombuffer(beams, BEAM)
    if cells is not None and len(cells) != len(source):
        raise ValueError(f"{len(cells)} cells for {len(source)} beams")
    where = np.flatnonzero(source["flags"] & BeamFlag.JOIN)
    after = _count_joins(source, where, first_tick, joins)
    rows = np.empty(len(source), EVENT)
    # In pieces that stay in the processor's cache: each field is a pass over all of them.
    for start in range(0, len(source), _PIECE):
        piece = slice(start, start + _PIECE)
        own = where[np.searchsorted(where, start) : np.searchsorted(where, start + _PIECE)] - start
        joins = _fill(rows[piece], source[piece], first_tick + start, own, joins)
        rows["stage"][piece] = stage
        if cells is not None:
            rows["cell"][piece] = cells[piece]
    return rows, where, after


def _fill(rows: Rows, source: Rows, first_tick: int, where: npt.NDArray[np.intp], joins: JoinCount) -> JoinCount:
    """Every field but the stage. where: the joins among them; joins: before them. Returns the joins after them."""
    rows["tick"] = np.arange(first_tick, first_tick + len(source), dtype=np.uint64)
    for name in ("value", "pc", "aux", "labels", "opcode", "flags"):
        rows[name] = source[name]
    rows["reserved"] = 0
    opcode: npt.NDArray[np.uint8] = np.ascontiguousarray(source["opcode"])
    rows["cell"] = SPACE_OF_OPCODE[opcode] | np.where(IS_SITE[opcode], source["pc"], source["aux"])
    if len(where):
        ordinals = source["value"][where]
        joins = JoinCount(joins.first or int(ordinals[0]), int(ordinals[-1]))
    rows["eid"] = _newest_joins(source, where, joins)
    return joins


def _count_joins(source: Rows, where: npt.NDArray[np.intp], first_tick: int, before: JoinCount) -> JoinCount:
    if not len(where):
        return before
    ordinals = source["value"][where].astype(np.int64)
    expected = np.arange(len(where)) + (before.last + 1 if before.first else ordinals[0])
    wrong = np.flatnonzero((ordinals != expected) | (ordinals == 0) | (ordinals >= NAMED_EID))
    if len(wrong):
        at = int(wrong[0])
        raise OutOfOrder(
            f"tick {first_tick + int(where[at])}: join {int(ordinals[at])} where join {int(expected[at])} is next; "
            "these are beams of another run, or beams between are missing"
        )
    return JoinCount(before.first or int(ordinals[0]), int(ordinals[-1]))


def _newest_joins(source: Rows, where: npt.NDArray[np.intp], after: JoinCount) -> npt.NDArray[np.uint32]:
    """The eid of each beam."""
    count = len(source)
    eids = np.zeros(count, np.uint32)
    if not after.first:
        return eids
    labels: npt.NDArray[np.uint16] = np.ascontiguousarray(source["labels"])
    marked = np.flatnonzero(labels)
    if len(marked):
        if len(where):
            steps = np.zeros(count, np.int64)
            steps[where] = 1
            so_far = (after.last - len(where) + np.cumsum(steps))[marked]
        else:
            so_far = np.full(len(marked), after.last, np.int64)
        newest = so_far - _distances()[so_far % LABEL_BITS, labels[marked]]
        eids[marked] = np.where(newest >= after.first, newest, 0)
    bare = where[labels[where] == 0]
    eids[bare] = source["value"][bare]
    return eids


def joins_of(rows: Rows, where: npt.NDArray[np.intp], first_seq: int) -> Rows:
    """JOIN records of the events at these indices; first_seq: number of the first event in the run."""
    found = np.zeros(len(where), JOIN)
    for name in ("tick", "pc", "labels", "opcode", "flags"):
        found[name] = rows[name][where]
    found["ordinal"] = rows["value"][where]
    found["seq"] = where + first_seq
    return found


def join_hash(join: np.void) -> str:
    """16 hexadecimal digits that name a join: its ordinal, then 32 bits of BLAKE3 over its tick and its beam."""
    _, tick, ordinal, pc, labels, opcode, flags, _ = join.item()
    beam = Beam(pc, opcode, flags, labels, ordinal, 0)
    return f"{ordinal:08x}{blake3(tick.to_bytes(8, 'little') + beam.pack()).hexdigest(length=4)}"


@dataclass(frozen=True)
class EntangledSet:
    """Which events belong to an EID: those whose `eid` is `number`, and those numbered from `first` up to, not
    including, `end` whose labels have a bit of `mask`.

    A label is given again after 16 joins; from then on it names the newer one.
    """

    number: int
    mask: int = 0
    first: int = 0
    end: int = 0

    def hits(self, rows: Rows, first_seq: int) -> npt.NDArray[np.bool_]:
        """Which of these events, numbered from `first_seq`, belong to it."""
        hit: npt.NDArray[np.bool_] = np.equal(rows["eid"], self.number)
        low, high = max(self.first - first_seq, 0), min(self.end - first_seq, len(rows))
        if self.mask and low < high:
            hit[low:high] |= (rows["labels"][low:high] & self.mask) != 0
        return hit


def label_of(ordinal: int) -> int:
    """Label set with the one label that names this join."""
    return 1 << (ordinal - 1) % LABEL_BITS


assert EVENT.itemsize == 40 and JOIN.itemsize == 32 and BEAM.itemsize == BEAM_BYTES and CELL_MASK >> 31 == 1
