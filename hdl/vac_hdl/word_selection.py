"""Which bits of the instruction word go where: the wiring behind the decoder's memory, from the instruction table.

Every output bit is an OR of instruction bits, each gated by one column of the decoder's memory. A column holds 1 for
the opcodes whose operand fields put that instruction bit there. Two levels of look-up tables do what a chain of
multiplexers, one a format, would take six for.
"""

from collections.abc import Callable, Sequence
from typing import Any

from amaranth.hdl import Const, Module, Value

from vac.isa.encoding import Field
from vac.isa.instruction import Instruction

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
    def width(self) -> int:
        """Number of columns."""
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
