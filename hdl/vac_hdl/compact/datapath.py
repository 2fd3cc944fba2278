"""Accumulator, operand, adder and multiplier: what one micro-op computes."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vac.isa.digest import DIGEST_POLYNOMIAL

from .micro_op import Function


class FunctionUnit(wiring.Component):
    """Combinational result of A and Y.

    Attributes: function: In(Function). a, y: In(32). size_mask: In(2), for COMPARE_END. result: Out(32). carry, below:
    Out(1), of the adder: see `Condition`. total: Out(32), its sum: all ones where a function that compares finds A and
    Y equal.
    """

    function: In(Function)
    a: In(32)
    y: In(32)
    size_mask: In(2)
    result: Out(32)
    carry: Out(1)
    below: Out(1)
    total: Out(32)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        takes_a, complements_a, carries, complements_sum, is_logic = (
            Signal(name=name) for name in ("takes_a", "complements_a", "carries", "complements_sum", "is_logic")
        )
        logic = Signal(2)
        with m.Switch(self.function):
            with m.Case(Function.PASS_Y):
                pass
            with m.Case(Function.ADD):
                m.d.comb += takes_a.eq(1)
            with m.Case(Function.SUBTRACT):
                m.d.comb += [takes_a.eq(1), complements_a.eq(1), complements_sum.eq(1)]
            with m.Case(Function.REVERSE_SUBTRACT):
                m.d.comb += [takes_a.eq(1), complements_a.eq(1), carries.eq(1)]
            with m.Case(Function.INCREMENT_Y):
                m.d.comb += carries.eq(1)
            with m.Case(Function.DECREMENT_Y):
                m.d.comb += complements_a.eq(1)
            with m.Default():  # logic; the adder compares
                m.d.comb += [takes_a.eq(1), complements_a.eq(1), is_logic.eq(1)]
        with m.Switch(self.function):
            with m.Case(Function.AND):
                m.d.comb += logic.eq(1)
            with m.Case(Function.OR):
                m.d.comb += logic.eq(2)
            with m.Case(Function.XOR):
                m.d.comb += logic.eq(3)
        ends = self.function == Function.COMPARE_END
        x = Signal(32)
        total = Signal(33)
        combined = Signal(32)
        last = self.a | Mux(ends, self.size_mask, 0)
        m.d.comb += [
            x.eq((last & takes_a.replicate(32)) ^ complements_a.replicate(32)),
            total.eq(x + self.y + carries),
            combined.eq(Mux(logic[1], Mux(logic[0], self.a ^ self.y, self.a | self.y),
                            Mux(logic[0], self.a & self.y, self.a))),
            self.result.eq(Mux(is_logic, combined, total[:32] ^ complements_sum.replicate(32))),
            self.carry.eq(total[32]),
            self.below.eq(~(x[31] ^ self.y[31] ^ total[32])),
            self.total.eq(total[:32]),
        ]  # fmt: skip
        return m


class Multiplier(wiring.Component):
    """Unsigned product of operands that stay the same for three cycles, in four multipliers of 16 bits.

    Attributes: a, b: In(32). product: Out(64), right in the fourth cycle.
    """

    a: In(32)
    b: In(32)
    product: Out(64)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        low, cross_a, cross_b, high = (Signal(32, name=name) for name in ("low", "cross_a", "cross_b", "high"))
        # Adders wider than those in the iCE40's multipliers, into which synthesis would take a narrower one, less its
        # carry.
        a, b = Signal(32), Signal(32)
        upper = Signal(48)
        m.d.sync += [
            a.eq(self.a),
            b.eq(self.b),
            low.eq(a[:16] * b[:16]),
            cross_a.eq(a[16:] * b[:16]),
            cross_b.eq(a[:16] * b[16:]),
            high.eq(a[16:] * b[16:]),
            upper.eq(Cat(low[16:], high) + cross_a + cross_b),
        ]
        m.d.comb += self.product.eq(Cat(low[:16], upper))
        return m


class SerialDigest(wiring.Component):
    """The digest register of `vac.isa.digest`, which takes each 64-bit word in two halves.

    Attributes: word: In(32). low: In(1), one step with `word` as the lower half; high: In(1), adds the upper half.
    clear: In(1). After `clear`, `low` and `high` load it. state: Out(64).
    """

    word: In(32)
    low: In(1)
    high: In(1)
    clear: In(1)
    state: Out(64)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        s = self.state
        reduction = Mux(s[63], Const(DIGEST_POLYNOMIAL, 32), 0)
        lower = Signal(32)
        m.d.comb += lower.eq(s[:32] ^ Cat(Const(0, 1), s[:31]) ^ reduction ^ self.word)
        with m.If(self.clear):
            m.d.sync += s.eq(0)
        with m.Else():
            with m.If(self.low):
                m.d.sync += s[:32].eq(lower)
            with m.If(self.low | self.high):
                m.d.sync += s[32:].eq(s[32:] ^ Mux(self.high, self.word, s[31:63]))
        return m
