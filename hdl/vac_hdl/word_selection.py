"""Which bits of the instruction word go where: the wiring behind the decoder's memory, from the instruction table.

Every output bit is an OR of instruction bits, each gated by one column of the decoder's memory. A column holds 1 for
the opcodes whose operand fields put that instruction bit there. Two levels of look-up tables do what a chain of
multiplexers, one a format, would take six for.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from amaranth.hdl import Const, Module, Shape, Value
from amaranth.hdl._ast import ShapeLike
from amaranth.lib import data

from vac.isa.encoding import Field
from vac.isa.instruction import Instruction

WORD_BITS = 40

ONE = -1
"""A source that is always 1."""


def field_wiring(field: Field | None, width: int, shift: int = 0) -> list[int | None]:
    """For each of `width` output bits the instruction bit that drives it; None for 0.

    A signed field is extended by its top bit; `shift` zeros come first.
    """
    if field is None:
        return [None] * width
    bits: list[int | None] = [None] * shift + list(range(field.low, field.low + field.width))
    extension = bits[-1] if field.kind.is_signed else None
    return (bits + [extension] * width)[:width]


def constant_wiring(value: int, width: int) -> list[int | None]:
    """Wiring of the low `width` bits of a constant."""
    return [ONE if value >> bit & 1 else None for bit in range(width)]


def in_whole_words(fields: Mapping[str, ShapeLike]) -> data.StructLayout:
    """A struct of the fields in which none lies across two words of 32 bits, as simulators keep wide ones."""
    padded: dict[str, ShapeLike] = {}
    size = 0
    for name, shape in fields.items():
        width = Shape.cast(shape).width
        if size % 32 + width > 32:
            padded[f"unused_{size}"] = -size % 32
            size += -size % 32
        padded[name] = shape
        size += width
    if size % 32:
        padded[f"unused_{size}"] = -size % 32
    return data.StructLayout(padded)


class WordSelection:
    """Columns for one instruction table, and the gates behind them.

    outputs: for each output its width and the wiring that a row gives it. rows_by_opcode: rows behind one opcode must
    agree in their wiring.
    """

    def __init__(
        self,
        outputs: dict[str, tuple[int, Callable[[Instruction], list[int | None]]]],
        rows_by_opcode: dict[int, list[Instruction]],
    ) -> None:
        self._sources: dict[str, list[list[tuple[int, int]]]] = {}
        """For each output, for each of its bits: (column, instruction bit) pairs."""
        self._columns: dict[frozenset[int], int] = {}
        for name, (width, wiring_of) in outputs.items():
            users: list[dict[int, set[int]]] = [{} for _ in range(width)]
            for opcode, rows in rows_by_opcode.items():
                wiring = wiring_of(rows[0])
                if any(wiring_of(row) != wiring for row in rows):
                    raise ValueError(f"rows of opcode {opcode:#04x} differ in where {name} lies")
                for bit, source in enumerate(wiring):
                    if source is not None:
                        users[bit].setdefault(source, set()).add(opcode)
            self._sources[name] = [
                [(self._column(frozenset(opcodes)), source) for source, opcodes in bit_users.items()]
                for bit_users in users
            ]

    def _column(self, opcodes: frozenset[int]) -> int:
        return self._columns.setdefault(opcodes, len(self._columns))

    @property
    def layout(self) -> int:
        """Shape of the columns: a bit each."""
        return len(self._columns)

    def columns_of(self, opcode: int) -> int:
        """The columns' bits for one opcode."""
        return sum(1 << index for opcodes, index in self._columns.items() if opcode in opcodes)

    def connect(self, m: Module, columns: Any, word: Value, outputs: dict[str, Value]) -> None:
        """Drives each output from `word`, gated by `columns`, the bits of the opcode in it."""
        for name, target in outputs.items():
            for bit, sources in enumerate(self._sources[name]):
                m.d.comb += target[bit].eq(_any(columns[column] & _source(word, source) for column, source in sources))


def _source(word: Value, source: int) -> Value:
    return Const(1, 1) if source == ONE else word[source]


def _any(terms: Any) -> Value:
    """OR as a balanced tree."""
    level: Sequence[Value] = list(terms) or [Const(0, 1)]
    while len(level) > 1:
        level = [level[i] | level[i + 1] if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
    return level[0]


class FieldSelection:
    """The same selection for a simulator, which takes a step a word and not a step a bit.

    For each output the memory says where in the instruction word its field begins, which bits of it are the field's,
    and which one is extended; or it has the constant. Arguments as those of `WordSelection`.
    """

    def __init__(
        self,
        outputs: dict[str, tuple[int, Callable[[Instruction], list[int | None]]]],
        rows_by_opcode: dict[int, list[Instruction]],
    ) -> None:
        self._widths = {name: width for name, (width, _) in outputs.items()}
        self._places = {
            opcode: {name: _place(wiring_of(rows[0])) for name, (_, wiring_of) in outputs.items()}
            for opcode, rows in rows_by_opcode.items()
        }
        # The wide ones first, so that few of them lie across a simulator's words.
        by_width = sorted(self._widths.items(), key=lambda item: -item[1])
        self.layout = in_whole_words(
            {f"{name}_{part}": width for part in ("mask", "sign", "constant") for name, width in by_width}
            | {f"{name}_low": range(WORD_BITS) for name in self._widths}
        )

    def columns_of(self, opcode: int) -> dict[str, int]:
        """Values of `layout` for one opcode."""
        places = self._places[opcode]
        return {f"{name}_{part}": getattr(places[name], part) for name in places for part in _Place._fields}

    def connect(self, m: Module, columns: Any, word: Value, outputs: dict[str, Value]) -> None:
        """Drives each output from `word` by `columns`, what the memory holds for the opcode in it."""
        for name, target in outputs.items():
            mask, sign, constant, low = (columns[f"{name}_{part}"] for part in _Place._fields)
            value: Value = (word >> low)[: len(mask)] & mask
            if any(places[name].sign for places in self._places.values()):
                value = ((value ^ sign) - sign)[: len(mask)]
            if any(places[name].constant for places in self._places.values()):
                value = value | constant
            m.d.comb += target.eq(value)


class _Place(NamedTuple):
    """Bits `mask` of the instruction word shifted right by `low`, extended from the bit in `sign`; or a constant."""

    mask: int
    sign: int
    constant: int
    low: int


def _place(wiring: list[int | None]) -> _Place:
    """Raises ValueError where the wiring is neither one field, perhaps extended, nor a constant."""
    width = len(wiring)
    first = next((bit for bit, source in enumerate(wiring) if source is not None), 0)
    start = wiring[first]
    if start is None or start == ONE:
        place = _Place(0, 0, sum(1 << bit for bit, source in enumerate(wiring) if source == ONE), 0)
    else:
        stop = first
        while stop < width and wiring[stop] == start + stop - first:
            stop += 1
        extended = stop < width and wiring[stop] is not None
        place = _Place((1 << stop) - (1 << first), extended << (stop - 1), 0, start - first)
    if _wired(place, width) != wiring:
        raise ValueError(f"wiring {wiring} is neither one field nor a constant")
    return place


def _wired(place: _Place, width: int) -> list[int | None]:
    """The wiring that a place stands for."""
    wiring: list[int | None] = [
        place.low + bit if place.mask >> bit & 1 else ONE if place.constant >> bit & 1 else None for bit in range(width)
    ]
    if place.sign:
        top = place.sign.bit_length() - 1
        wiring[top:] = [wiring[top]] * (width - top)
    return wiring
