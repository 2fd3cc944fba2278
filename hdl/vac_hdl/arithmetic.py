"""Arithmetic units of the stack core (see `vac.isa.alu` for what they compute)."""

from contextlib import nullcontext
from typing import Any, NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from vac.isa.alu import AluFunction as F
from vac.isa.alu import Condition

from .config import CoreConfig


class Relation(NamedTuple):
    """What the comparator is asked: whether two cells are equal or whether A is below B, or the opposite."""

    equality: int
    is_signed: int
    inverted: int


RELATION_OF_CONDITION = {
    Condition.EQ: Relation(1, 0, 0),
    Condition.NE: Relation(1, 0, 1),
    Condition.LTU: Relation(0, 0, 0),
    Condition.LTS: Relation(0, 1, 0),
    Condition.GEU: Relation(0, 0, 1),
    Condition.GES: Relation(0, 1, 1),
}
RELATION_OF_FUNCTION = {
    F.EQ: RELATION_OF_CONDITION[Condition.EQ],
    F.NE: RELATION_OF_CONDITION[Condition.NE],
    F.LTU: RELATION_OF_CONDITION[Condition.LTU],
    F.LTS: RELATION_OF_CONDITION[Condition.LTS],
}


class Comparator(wiring.Component):
    """Combinational compare of two cells.

    Attributes: a, b: In(32). equality, is_signed, inverted: In(1), the relation. holds: Out(1).
    """

    a: In(32)
    b: In(32)
    equality: In(1)
    is_signed: In(1)
    inverted: In(1)
    holds: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        difference = Signal(34)
        equal = Signal()
        m.d.comb += [
            equal.eq(self.a == self.b),
            difference.eq(
                Cat(self.a, self.a[31] & self.is_signed).as_signed()
                - Cat(self.b, self.b[31] & self.is_signed).as_signed()
            ),
            self.holds.eq(Mux(self.equality, equal, difference[33]) ^ self.inverted),
        ]
        return m


class Quick(enum.Enum, shape=3):
    """Where the ALU's quick result comes from."""

    LOGIC = 0
    SUM = 1
    RELATION = 2
    A = 4
    """Operand A, also with its low part extended."""


LOGIC_FUNCTIONS = (F.AND, F.OR, F.XOR, F.PASS_B)
_SUMS = (F.ADD, F.SUB, F.REVERSE_SUB)
_SHIFTS = (F.SHL, F.SHRU, F.SHRS)
_EXTENSIONS = (F.SIGN_EXTEND_8, F.SIGN_EXTEND_16)

ALU_FIELDS: dict[str, Any] = {
    "quick": Quick,
    "logic": range(len(LOGIC_FUNCTIONS)),
    "negate_a": 1,
    "negate_b": 1,
    "extend_8": 1,
    "extend_16": 1,
    "shifts": 1,
    "shifts_left": 1,
    "shifts_sign": 1,
    "superposes": 1,
}
ALU_LAYOUT = data.StructLayout(ALU_FIELDS)
"""Control bits of the ALU."""


def alu_control(function: F) -> dict[int | str, Any]:
    """Values of ALU_FIELDS for a function; multiplication and division are not the ALU's."""
    if function in _SUMS:
        quick = Quick.SUM
    elif function in RELATION_OF_FUNCTION:
        quick = Quick.RELATION
    elif function is F.PASS_A or function in _EXTENSIONS:
        quick = Quick.A
    else:
        quick = Quick.LOGIC
    return {
        "quick": quick,
        "logic": LOGIC_FUNCTIONS.index(function) if function in LOGIC_FUNCTIONS else 0,
        "negate_a": function is F.REVERSE_SUB,
        "negate_b": function is F.SUB,
        "extend_8": function is F.SIGN_EXTEND_8,
        "extend_16": function is F.SIGN_EXTEND_16,
        "shifts": function in _SHIFTS,
        "shifts_left": function is F.SHL,
        "shifts_sign": function is F.SHRS,
        "superposes": function is F.SUPERPOSE,
    }


class Alu(wiring.Component):
    """Combinational functions: all but multiplication and division.

    Attributes: control: In(ALU_LAYOUT). a, b: In(32). relation: In(1), what the comparator found. result: Out(32).
    quick_result: Out(32), the result of all functions but shifts and SUPERPOSE.
    """

    control: In(ALU_LAYOUT)
    a: In(32)
    b: In(32)
    relation: In(1)
    result: Out(32)
    quick_result: Out(32)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = self.control
        total = Signal(32)
        logic = Signal(32)
        extended = Signal(32)
        m.d.comb += [
            total.eq(
                (self.a ^ control.negate_a.replicate(32))
                + (self.b ^ control.negate_b.replicate(32))
                + (control.negate_a | control.negate_b)
            ),
            extended.eq(self.a),
        ]
        with m.If(control.extend_8):
            m.d.comb += extended[8:].eq(self.a[7].replicate(24))
        with m.If(control.extend_16):
            m.d.comb += extended[16:].eq(self.a[15].replicate(16))
        with m.Switch(control.logic):
            for code, value in enumerate((self.a & self.b, self.a | self.b, self.a ^ self.b, self.b)):
                with m.Case(code):
                    m.d.comb += logic.eq(value)
        with m.Switch(control.quick):
            with m.Case(Quick.LOGIC):
                m.d.comb += self.quick_result.eq(logic)
            with m.Case(Quick.SUM):
                m.d.comb += self.quick_result.eq(total)
            with m.Case(Quick.RELATION):
                m.d.comb += self.quick_result.eq(self.relation)
            with m.Default():
                m.d.comb += self.quick_result.eq(extended)
        shifted = self._shift(m)
        superposed = self._superpose(m)
        with m.If(control.shifts):
            m.d.comb += self.result.eq(shifted)
        with m.Elif(control.superposes):
            m.d.comb += self.result.eq(superposed)
        with m.Else():
            m.d.comb += self.result.eq(self.quick_result)
        return m

    def _shift(self, m: Module) -> Signal:
        """One right shifter; a left shift is a right shift of the mirrored cell."""
        left = self.control.shifts_left
        source = Signal(signed(33), name="shift_source")
        right = Signal(32, name="shift_right")
        result = Signal(32, name="shift_result")
        m.d.comb += [
            source.eq(Cat(Mux(left, self.a[::-1], self.a), self.control.shifts_sign & self.a[31])),
            right.eq(source >> self.b[:5]),
            result.eq(Mux(left, right[::-1], right)),
        ]
        return result

    def _superpose(self, m: Module) -> Signal:
        result = Signal(32, name="superposed")
        for low in (0, 16):
            total = Signal(signed(17), name=f"superposed_{low}")
            m.d.comb += [
                total.eq(self.a[low : low + 16].as_signed() + self.b[low : low + 16].as_signed()),
                result[low : low + 16].eq(Mux(total[16] == total[15], total[:16], Mux(total[16], 0x8000, 0x7FFF))),
            ]
        return result


class Multiplier(wiring.Component):
    """32 x 32 multiplier in three stages.

    Attributes: a, b: In(32), taken every cycle; in a build that works in words, only while `wanted`: Signal(1).
    is_signed: In(1), given one cycle after the operands. high: In(1), given two cycles after them. result: Out(32),
    combinational in that same cycle: the low half, or the high half of the signed or unsigned product.
    """

    a: In(32)
    b: In(32)
    is_signed: In(1)
    high: In(1)
    result: Out(32)

    def __init__(self, config: CoreConfig) -> None:
        self._in_words = config.in_words
        self.wanted = Signal()
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a_low, a_high, b_low, b_high = self.a[:16], self.a[16:], self.b[:16], self.b[16:]
        low, cross_a, cross_b, top = (Signal(32, name=name) for name in ("low", "cross_a", "cross_b", "top"))
        # The unsigned high half exceeds the signed one by b where a is negative and by a where b is.
        correction = Signal(32)
        with m.If(self.wanted) if self._in_words else nullcontext():
            m.d.sync += [
                low.eq(a_low * b_low),
                cross_a.eq(a_high * b_low),
                cross_b.eq(a_low * b_high),
                top.eq(a_high * b_high),
                correction.eq((self.b & self.a[31].replicate(32)) + (self.a & self.b[31].replicate(32))),
            ]
        lowest = Signal(16)
        middle = Signal(34)
        upper = Signal(32)
        taken = Signal()
        if self._in_words:
            m.d.sync += taken.eq(self.wanted)
        with m.If(taken) if self._in_words else nullcontext():
            m.d.sync += [
                lowest.eq(low[:16]),
                middle.eq(cross_a + cross_b + low[16:]),
                upper.eq(top - (correction & self.is_signed.replicate(32))),
            ]
        m.d.comb += self.result.eq(Mux(self.high, upper + middle[16:], Cat(lowest, middle[:16])))
        return m


class Divider(wiring.Component):
    """Restoring divider, one quotient bit a cycle.

    Attributes: a, b: In(32), b not zero. is_signed, remainder: In(1), what is wanted; all held while `busy`.
    start: In(1), pulse. done: Out(1), 34 cycles after `start`, for one cycle; `result`: Out(32) then.
    abort: In(1), back to idle.
    """

    a: In(32)
    b: In(32)
    is_signed: In(1)
    remainder: In(1)
    start: In(1)
    abort: In(1)
    busy: Out(1)
    done: Out(1)
    result: Out(32)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal(6)
        divisor = Signal(32)
        quotient = Signal(32)
        rest = Signal(32)
        difference = Signal(33)
        a_negative = Signal()
        b_negative = Signal()
        m.d.comb += [
            a_negative.eq(self.is_signed & self.a[31]),
            b_negative.eq(self.is_signed & self.b[31]),
            difference.eq(Cat(quotient[31], rest) - divisor),
        ]
        m.d.sync += self.done.eq(0)
        with m.If(self.abort):
            m.d.sync += self.busy.eq(0)
        with m.Elif(self.start):
            m.d.sync += [
                self.busy.eq(1),
                count.eq(32),
                divisor.eq((self.b ^ b_negative.replicate(32)) + b_negative),
                quotient.eq((self.a ^ a_negative.replicate(32)) + a_negative),
                rest.eq(0),
            ]
        with m.Elif(self.busy):
            with m.If(count == 0):
                m.d.sync += [self.busy.eq(0), self.done.eq(1)]
            with m.Else():
                m.d.sync += [
                    count.eq(count - 1),
                    quotient.eq(Cat(~difference[32], quotient[:31])),
                    rest.eq(Mux(difference[32], Cat(quotient[31], rest[:31]), difference[:32])),
                ]
        negative = Signal()
        magnitude = Signal(32)
        m.d.comb += [
            negative.eq(Mux(self.remainder, a_negative, a_negative ^ b_negative)),
            magnitude.eq(Mux(self.remainder, rest, quotient)),
            self.result.eq((magnitude ^ negative.replicate(32)) + negative),
        ]
        return m
