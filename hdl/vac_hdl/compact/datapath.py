"""Accumulator, operand, adder and multiplier: what one micro-op computes."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from vac.isa.digest import DIGEST_POLYNOMIAL

from .micro_op import Function

_SUBTRACTS = ("takes_a", "complements_y", "carries")
_CONTROLS: dict[Function, tuple[str, ...]] = {
    Function.PASS_Y: (),
    Function.PASS_A: ("is_logic",),
    Function.ADD: ("takes_a",),
    Function.SUBTRACT: _SUBTRACTS,
    Function.REVERSE_SUBTRACT: ("takes_a", "complements_a", "carries"),
    Function.AND: ("is_logic", "ands"),
    Function.OR: ("is_logic", "ors"),
    Function.XOR: ("is_logic", "ands", "ors"),
    Function.INCREMENT_Y: ("carries",),
    Function.DECREMENT_Y: ("complements_a",),
    Function.COMPARE_END: (*_SUBTRACTS, "is_logic", "ends"),
    Function.COMPARE: (*_SUBTRACTS, "is_logic"),
    Function.SHIFT: ("is_logic", "shifts"),
}
_CONTROL = data.StructLayout({name: 1 for name in sorted({name for names in _CONTROLS.values() for name in names})})


class FunctionUnit(wiring.Component):
    """Combinational result of A and Y.

    Attributes: function: In(Function). taken: In(Function), what OF_INSTRUCTION stands for in the next cycle.
    a, y: In(32). shift_in: In(1), for SHIFT. size_mask: In(2), for COMPARE_END. result: Out(32). carry, below: Out(1),
    of the adder: see `Condition`. total: Out(32), its sum: zero where a function that compares finds A and Y equal.
    """

    function: In(Function)
    taken: In(Function)
    a: In(32)
    y: In(32)
    shift_in: In(1)
    size_mask: In(2)
    result: Out(32)
    carry: Out(1)
    below: Out(1)
    total: Out(32)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        own: Any = Signal(_CONTROL)
        taken: Any = Signal(_CONTROL, name="taken_control")
        registered: Any = Signal(_CONTROL)
        control: Any = Signal(_CONTROL)
        for function, controls in ((self.function, own), (self.taken, taken)):
            with m.Switch(function):
                for code, values in _CONTROLS.items():
                    with m.Case(code):
                        m.d.comb += [controls[name].eq(1) for name in values]
        m.d.sync += registered.eq(taken)
        is_taken = self.function == Function.OF_INSTRUCTION
        m.d.comb += control.as_value().eq(own.as_value() | (registered.as_value() & is_taken.replicate(_CONTROL.size)))
        x, y, moved, combined = (Signal(32, name=name) for name in ("x", "y_or_not", "moved", "combined"))
        total = Signal(33)
        last = self.a | Mux(control.ends, self.size_mask, 0)
        m.d.comb += [
            x.eq((last & control.takes_a.replicate(32)) ^ control.complements_a.replicate(32)),
            y.eq(self.y ^ control.complements_y.replicate(32)),
            total.eq(x + y + control.carries),
            moved.eq(Mux(control.shifts, Cat(self.shift_in, self.a[:31]), self.a)),
            # With both, exclusive-or.
            combined.eq(Mux(control.ors, Mux(control.ands, moved ^ y, moved | y), Mux(control.ands, moved & y, moved))),
            # Behind the adder there is nothing but this.
            self.result.eq(Mux(control.is_logic, combined, total[:32])),
            self.carry.eq(total[32] ^ control.complements_y),
            self.below.eq(~(x[31] ^ y[31] ^ total[32] ^ control.complements_y)),
            self.total.eq(total[:32]),
        ]
        return m


class Multiplier(wiring.Component):
    """Unsigned product of operands that stay the same for three cycles, in four multipliers of 16 bits.

    Attributes: a, b: In(32). product: Out(64), right in the third cycle, behind two adders.
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
        ]
        m.d.comb += [upper.eq(Cat(low[16:], high) + cross_a + cross_b), self.product.eq(Cat(low[:16], upper))]
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
