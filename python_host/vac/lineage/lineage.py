"""The lineage of a value: writes of the run as nodes, from each one edges to what went into it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from ..isa.limits import CODE_SLOT
from .effects import Role
from .last_writers import Numbers, distinct
from .places import ANSWER, CONTROL, CORE, MEMORY, NEAR, WINDOW, name_of_place, slot_and_offset

if TYPE_CHECKING:
    from ..history.history import History
    from ..host.input_log import Entry
    from .target import Target

KEY_BITS = 8
"""Of a write's key, which has the tick above them: which write of its instruction it is."""
ROOT_KEY = (1 << 63) - 1
"""Key of what was asked about."""
_LENGTH_BITS = 18


class Kind(Enum):
    """What a node is."""

    TARGET = "target"
    """What was asked about."""
    WRITE = "write"
    """An instruction, or one of the things that it wrote."""
    INPUT = "input"
    """An answer of the host, in the input log."""
    IMAGE = "image"
    """Memory or a window as the image or a shard gives it."""
    ZERO = "zero"
    """A cell, window or memory that nothing had filled."""
    REGISTER = "register"
    """A core register, which counts over the whole run."""
    START = "start"
    """The beginning of the run, where nothing decided."""
    EARLIER = "earlier"
    """A place as it was at the tick down to which the run was looked through."""


@dataclass(frozen=True)
class Node:
    """One node. index: its number in the lineage. tick, pc, opcode: of a write; -1 for others. place: what was written
    or read, as text; length: bytes of it, of memory. value: cell, None where it is not known or is no cell. text:
    the instruction, or what the node is. source: file, line and text of the source where they are known."""

    index: int
    kind: Kind
    tick: int
    pc: int
    opcode: int
    place: str
    length: int
    value: int | None
    text: str
    source: tuple[str, int, str] | None = None


class Lineage:
    """nodes: number of nodes; writes come first, by tick, then what the run did not make, then the target, `root`.

    `source_of` gives names and lines of the source by pc; an assembly's `code_lines`, changed to text.
    """

    def __init__(self, target: str, tick: int, end: int, columns: dict[str, Numbers], texts: dict[int, str]) -> None:
        self.target = target
        self.tick = tick
        self.end = end
        """The tick down to which the run was looked through."""
        self._columns = columns
        self._texts = texts
        """By index, of nodes that are no writes."""
        self.words: dict[int, str] = {}
        """By pc, the instruction, where it could be read."""
        self.source_of: dict[int, tuple[str, int, str]] = {}
        self.writes = len(columns["tick"])
        self.nodes = len(columns["kind"])
        self.root = self.nodes - 1

    @property
    def ticks(self) -> Numbers:
        """Every tick at which something was written that the value was made of, ascending."""
        return distinct(self._columns["tick"])

    @property
    def inputs(self) -> list[int]:
        """Indices in the input log of the answers that went in."""
        columns = self._columns
        is_input = columns["kind"] == _KINDS.index(Kind.INPUT)
        return distinct(columns["place"][is_input] - ANSWER).tolist()

    def sources(self, index: int) -> list[tuple[int, Role]]:
        """What went into a node, the latest first."""
        first, last = self._columns["first"][index : index + 2].tolist()
        pairs = zip(
            self._columns["source"][first:last].tolist(), self._columns["role"][first:last].tolist(), strict=True
        )
        return [(source, Role(role)) for source, role in pairs][::-1]

    def node(self, index: int) -> Node:
        """Raises IndexError when there is no such node."""
        columns = self._columns
        kind = _KINDS[int(columns["kind"][index])]
        place, length = int(columns["place"][index]), int(columns["length"][index])
        if kind is not Kind.WRITE:
            name = self.target if kind is Kind.TARGET else name_of_place(place, length)
            value = int(columns["value"][index])
            return Node(
                index, kind, -1, -1, -1, name, length, None if value < 0 else value, self._texts.get(index, name)
            )
        tick, pc, opcode = (int(columns[name][index]) for name in ("tick", "pc", "opcode"))
        value = int(columns["value"][index])
        text = self.words.get(pc) or f"opcode {opcode:#04x}"
        return Node(
            index, kind, tick, pc, opcode, name_of_place(place, length), length, None if value < 0 else value, text,
            self.source_of.get(pc),
        )  # fmt: skip

    def place_of(self, index: int) -> tuple[int, int]:
        """What a node wrote or is, numbered as in `places`, and how many bytes, of memory."""
        return int(self._columns["place"][index]), int(self._columns["length"][index])

    @property
    def edges(self) -> int:
        return len(self._columns["source"])

    @staticmethod
    def build(
        history: History,
        target: Target,
        tick: int,
        end: int,
        *,
        nodes: list[Numbers],
        inner: list[Numbers],
        outside: tuple[Numbers, Numbers, Numbers, Numbers],
    ) -> Lineage:
        """Puts together what a slicer found. nodes: key, pc, opcode, value, place, size. inner: keys of reader and
        writer, role. outside: key of the reader, place, size, role."""
        order = np.argsort(nodes[0])
        keys, *rest = (column[order] for column in nodes)
        reader, place, size, role = _merged(*outside)
        packed = distinct(place << _LENGTH_BITS | size)
        leaf_of = np.searchsorted(packed, place << _LENGTH_BITS | size)
        leaves = np.stack([packed >> _LENGTH_BITS, packed & (1 << _LENGTH_BITS) - 1], 1)
        writes, root = len(keys), len(keys) + len(leaves)
        all_keys = np.append(keys, ROOT_KEY)
        positions = np.append(np.arange(writes), root)

        def index_of(wanted: Numbers) -> Numbers:
            return positions[np.searchsorted(all_keys, wanted)]

        # An edge in one number: readers, sources and roles sort much faster than rows of three.
        count, roles = root + 1, len(Role)
        of = np.concatenate([index_of(inner[0]), index_of(reader)])
        source = np.concatenate([index_of(inner[1]), writes + leaf_of])
        edges = distinct((of * count + source) * roles + np.concatenate([inner[2], role]))
        kinds, values, texts = _leaves(history, end, leaves, writes)
        none = np.full(len(leaves) + 1, -1, np.int64)
        columns = {
            "tick": keys >> KEY_BITS,
            "pc": rest[0],
            "opcode": rest[1],
            "value": np.concatenate([rest[2], values, [-1]]),
            "place": np.concatenate([rest[3], leaves[:, 0], none[:1]]),
            "length": np.concatenate([rest[4], leaves[:, 1], [0]]),
            "kind": np.concatenate([
                np.full(writes, _KINDS.index(Kind.WRITE)), kinds, [_KINDS.index(Kind.TARGET)]
            ]).astype(np.int64),
            "first": np.searchsorted(edges // (roles * count), np.arange(root + 2)),
            "source": edges // roles % count,
            "role": edges % roles,
        }  # fmt: skip
        lineage = Lineage(str(target), tick, end, columns, texts)
        lineage.words = _instructions(history, tick, distinct(rest[0]).tolist(), dict(zip(*rest[:2], strict=True)))
        return lineage


_KINDS = list(Kind)


def _merged(reader: Numbers, place: Numbers, size: Numbers, role: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Neighbouring bytes that the same reader reads as the same thing, as one."""
    size = np.where((place >= MEMORY) & (place < CONTROL), np.maximum(size, 1), 0)
    order = np.lexsort((place, role, reader))
    reader, place, size, role = reader[order], place[order], size[order], role[order]
    if not len(place):
        return reader, place, size, role
    is_first = np.ones(len(place), bool)
    is_first[1:] = (
        (reader[1:] != reader[:-1]) | (role[1:] != role[:-1]) | (place[1:] != place[:-1] + size[:-1]) | (size[:-1] == 0)
    )
    first = np.flatnonzero(is_first)
    return reader[first], place[first], np.add.reduceat(size, first), role[first]


def _leaves(history: History, end: int, leaves: Numbers, offset: int) -> tuple[Numbers, Numbers, dict[int, str]]:
    """Kind, value and text of what the run did not make."""
    kinds: list[int] = []
    values: list[int] = []
    texts: dict[int, str] = {}
    is_start = end == history.first_tick == 0
    state = history.seek(end)
    for index, (place, length) in enumerate(leaves.tolist(), start=offset):
        value = -1
        if place >= CORE:
            kind = Kind.REGISTER
        elif place >= ANSWER:
            kind, entry = Kind.INPUT, history.log[place - ANSWER]
            texts[index], value = _text_of_entry(entry), entry.answer.value
        elif place >= CONTROL:
            kind, texts[index] = Kind.START, "start of the run" if is_start else f"decided before tick {end}"
        elif place >= MEMORY:
            slot, start = slot_and_offset(place)
            data = history.read(slot, start, length)
            kind = Kind.IMAGE if any(data) or _is_in_image(history, slot, start) else Kind.ZERO
            value = int.from_bytes(data, "little") if length <= 4 else -1
        elif place >= WINDOW:
            window = state.windows[place - WINDOW]
            kind = Kind.IMAGE if window.permissions else Kind.ZERO
            texts[index] = (
                f"{name_of_place(place)}: slot {window.slot}, base {window.base:#x}, {window.length} bytes, "
                f"permissions {window.permissions}"
            )
        else:
            kind, value = Kind.ZERO, state.cells[place]
        if not is_start and kind in (Kind.IMAGE, Kind.ZERO):
            kind = Kind.EARLIER
            texts[index] = f"{texts.get(index) or name_of_place(place, length)} at tick {end}"
        kinds.append(_KINDS.index(kind))
        values.append(value)
    return np.array(kinds, np.int64), np.array(values, np.int64), texts


def _is_in_image(history: History, slot: int, offset: int) -> bool:
    return any(s.slot == slot and s.offset <= offset < s.offset + len(s.data) for s in history.image.segments)


def _text_of_entry(entry: Entry) -> str:
    text = f"{entry.kind.value} {entry.number:#x} at tick {entry.tick}"
    answer = entry.answer
    if answer.refused:
        text += ", refused"
    written = b"".join(data for _, _, data in answer.writes)
    if written:
        text += f", {len(written)} bytes: {written[:16].hex(' ')}{' …' if len(written) > 16 else ''}"
    return text


def _instructions(history: History, tick: int, pcs: list[int], opcodes: dict[Any, Any]) -> dict[int, str]:
    """The instructions as they stand in the code at a tick; what was there another one when it ran is left out."""
    from ..image.decode import decode

    state = history.seek(tick)
    code = history.read(CODE_SLOT, 0, state.code_length)
    found = ((pc, decode(code, pc)) for pc in pcs)
    return {pc: each.text() for pc, each in found if each and each.row.opcode == opcodes[pc]}


assert NEAR < MEMORY
