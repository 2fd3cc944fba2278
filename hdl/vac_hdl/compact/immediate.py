"""Immediates: which bits of the instruction, extended how.

Kinds are gathered from the instruction table. The first ones are what the decode table can name; those behind are
named by the microprogram.
"""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vac.isa.encoding import Field, FieldKind
from vac.isa.instruction import Instruction, Source
from vac.isa.table import INSTRUCTIONS


@dataclass(frozen=True)
class ImmediateKind:
    """`width` bits at bit `low` of the instruction word, or the constant where there is one, or the length."""

    low: int = 0
    width: int = 0
    is_signed: bool = False
    constant: int | None = None
    is_length: bool = False


LENGTH = ImmediateKind(is_length=True)


def _of_field(field: Field) -> ImmediateKind:
    return ImmediateKind(field.low, field.width, field.kind.is_signed)


def value_kind(row: Instruction) -> ImmediateKind | None:
    """What the decode table names for a row: operand B, or the unscaled displacement."""
    if row.b is Source.CONSTANT:
        return ImmediateKind(constant=row.constant)
    kinds = (FieldKind.SIGNED, FieldKind.UNSIGNED) if row.b is Source.IMMEDIATE else (FieldKind.SCALED,)
    return next((_of_field(field) for field in row.fields if field.kind in kinds), None)


def field_kind(row: Instruction, kind: FieldKind) -> ImmediateKind | None:
    """The row's field of this kind, if it has one."""
    field = row.field(kind)
    return _of_field(field) if field else None


def _gathered() -> tuple[list[ImmediateKind], list[ImmediateKind]]:
    named: list[ImmediateKind] = []
    others: list[ImmediateKind] = [LENGTH]
    for row in INSTRUCTIONS:
        kind = value_kind(row)
        if kind and kind not in named:
            named.append(kind)
    for row in INSTRUCTIONS:
        for kind in (FieldKind.OFFSET, FieldKind.FRAME, FieldKind.NUMBER, FieldKind.UNSIGNED):
            found = field_kind(row, kind)
            if found and found not in named and found not in others:
                others.append(found)
    return named, others


NAMED_KINDS, _OTHER_KINDS = _gathered()
KINDS = NAMED_KINDS + _OTHER_KINDS
_LOWS = sorted({kind.low for kind in KINDS if kind.width})
_WIDTHS = sorted({kind.width for kind in KINDS if kind.width} | {3, 5})
_FIRST_BIT = 8


class ImmediateUnit(wiring.Component):
    """Attributes: instruction: In(40), length: In(3), kind: In(5), an index of KINDS. value: Out(32), combinational."""

    instruction: In(40)
    length: In(3)
    kind: In(5)
    value: Out(32)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        source = Signal(range(len(_LOWS) + 2))
        wider = Signal(len(_WIDTHS))
        """Bit i: the kind is wider than _WIDTHS[i]."""
        is_signed = Signal()
        constant = Signal(5)
        with m.Switch(self.kind):
            for number, kind in enumerate(KINDS):
                with m.Case(number):
                    width = 3 if kind.is_length else kind.width or 5
                    m.d.comb += [
                        wider.eq(sum((width > other) << place for place, other in enumerate(_WIDTHS))),
                        is_signed.eq(kind.is_signed or kind.constant is not None),
                    ]
                    if kind.constant is not None:
                        value = kind.constant - (1 << 32) if kind.constant >> 31 else kind.constant
                        if not -16 <= value < 16:
                            raise ValueError(f"constant {value} of the instruction table has more than 5 bits")
                        m.d.comb += [constant.eq(value), source.eq(len(_LOWS))]
                    elif kind.is_length:
                        m.d.comb += source.eq(len(_LOWS) + 1)
                    else:
                        m.d.comb += source.eq(_LOWS.index(kind.low))
        bits = Signal(32)
        with m.Switch(source):
            for number, low in enumerate(_LOWS):
                with m.Case(number):
                    m.d.comb += bits.eq(self.instruction[low:])
            with m.Case(len(_LOWS)):
                m.d.comb += bits.eq(constant)
            with m.Default():
                m.d.comb += bits.eq(self.length)
        fill = Signal()
        signs = Signal(len(_WIDTHS))
        m.d.comb += signs.eq(Cat(bits[width - 1] for width in _WIDTHS))
        # The widest width that the kind reaches carries the sign.
        chosen: Any = Const(0, 1)
        for place in range(len(_WIDTHS)):
            reaches = Const(1, 1) if place == 0 else wider[place - 1]
            chosen = Mux(reaches, signs[place], chosen)
        m.d.comb += fill.eq(chosen & is_signed)
        result = []
        for bit in range(32):
            place = next((index for index in reversed(range(len(_WIDTHS))) if _WIDTHS[index] <= bit), None)
            result.append(bits[bit] if place is None else Mux(wider[place], bits[bit], fill))
        m.d.comb += self.value.eq(Cat(*result))
        return m
