"""Arithmetic units of the stack core (see `vac.isa.alu` for what they compute)."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vac.isa.alu import AluFunction as F
from vac.isa.alu import Condition


class Comparator(wiring.Component):
    """Combinational compare of two cells.

    Attributes: a, b: In(32). equal, below_unsigned, below_signed: Out(1).
    """

    a: In(32)
    b: In(32)
    equal: Out(1)
    below_unsigned: Out(1)
    below_signed: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        difference = Signal(33)
        m.d.comb += [
            difference.eq(self.a - self.b),
            self.equal.eq(self.a == self.b),
            self.below_unsigned.eq(difference[32]),
            self.below_signed.eq(Mux(self.a[31] ^ self.b[31], self.a[31], difference[32])),
        ]
        return m


def condition_holds(m: Module, comparator: Comparator, condition: Signal) -> Signal:
    """Truth of a branch condition, for a comparator whose operands are set."""
    truth = Signal(name="condition_holds")
    with m.Switch(condition):
        for code, value in (
            (Condition.EQ, comparator.equal),
            (Condition.NE, ~comparator.equal),
            (Condition.LTU, comparator.below_unsigned),
            (Condition.LTS, comparator.below_signed),
            (Condition.GEU, ~comparator.below_unsigned),
            (Condition.GES, ~comparator.below_signed),
        ):
            with m.Case(code):
                m.d.comb += truth.eq(value)
    return truth


class Alu(wiring.Component):
    """Combinational functions: all but multiplication and division.

    Attributes: function: In(AluFunction). a, b: In(32). compare results are given in: equal, below_unsigned,
    below_signed: In(1). result: Out(32). quick_result: Out(32), the result of all functions but shifts and SUPERPOSE.
    """

    function: In(F)
    a: In(32)
    b: In(32)
    equal: In(1)
    below_unsigned: In(1)
    below_signed: In(1)
    result: Out(32)
    quick_result: Out(32)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        negate_a = Signal()
        negate_b = Signal()
        total = Signal(32)
        m.d.comb += [
            negate_a.eq(self.function == F.REVERSE_SUB),
            negate_b.eq(self.function == F.SUB),
            total.eq((self.a ^ negate_a.replicate(32)) + (self.b ^ negate_b.replicate(32)) + (negate_a | negate_b)),
        ]
        shifted = self._shift(m)
        superposed = self._superpose(m)
        with m.Switch(self.function):
            with m.Case(F.SHL, F.SHRU, F.SHRS):
                m.d.comb += self.result.eq(shifted)
            with m.Case(F.SUPERPOSE):
                m.d.comb += self.result.eq(superposed)
            with m.Default():
                m.d.comb += self.result.eq(self.quick_result)
        with m.Switch(self.function):
            with m.Case(F.ADD, F.SUB, F.REVERSE_SUB):
                m.d.comb += self.quick_result.eq(total)
            with m.Case(F.AND):
                m.d.comb += self.quick_result.eq(self.a & self.b)
            with m.Case(F.OR):
                m.d.comb += self.quick_result.eq(self.a | self.b)
            with m.Case(F.XOR):
                m.d.comb += self.quick_result.eq(self.a ^ self.b)
            with m.Case(F.EQ):
                m.d.comb += self.quick_result.eq(self.equal)
            with m.Case(F.NE):
                m.d.comb += self.quick_result.eq(~self.equal)
            with m.Case(F.LTU):
                m.d.comb += self.quick_result.eq(self.below_unsigned)
            with m.Case(F.LTS):
                m.d.comb += self.quick_result.eq(self.below_signed)
            with m.Case(F.SIGN_EXTEND_8):
                m.d.comb += self.quick_result.eq(self.a[:8].as_signed())
            with m.Case(F.SIGN_EXTEND_16):
                m.d.comb += self.quick_result.eq(self.a[:16].as_signed())
            with m.Case(F.PASS_A):
                m.d.comb += self.quick_result.eq(self.a)
            with m.Case(F.PASS_B):
                m.d.comb += self.quick_result.eq(self.b)
        return m

    def _shift(self, m: Module) -> Signal:
        """One right shifter; a left shift is a right shift of the mirrored cell."""
        left = Signal(name="shift_left")
        fill = Signal(name="shift_fill")
        source = Signal(signed(33), name="shift_source")
        right = Signal(32, name="shift_right")
        result = Signal(32, name="shift_result")
        m.d.comb += [
            left.eq(self.function == F.SHL),
            fill.eq((self.function == F.SHRS) & self.a[31]),
            source.eq(Cat(Mux(left, self.a[::-1], self.a), fill)),
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

    Attributes: a, b: In(32), taken every cycle. is_signed: In(1), given one cycle after the operands. high: In(1),
    given two cycles after them. result: Out(32), combinational in that same cycle: the low half, or the high half of
    the signed or unsigned product.
    """

    a: In(32)
    b: In(32)
    is_signed: In(1)
    high: In(1)
    result: Out(32)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a_low, a_high, b_low, b_high = self.a[:16], self.a[16:], self.b[:16], self.b[16:]
        low, cross_a, cross_b, top = (Signal(32, name=name) for name in ("low", "cross_a", "cross_b", "top"))
        # The unsigned high half exceeds the signed one by b where a is negative and by a where b is.
        correction = Signal(32)
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
