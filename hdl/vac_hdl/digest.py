"""Running digest of the beam stream in hardware: one 128-bit record a cycle (see `vac.isa.digest`)."""

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vac.isa.digest import DIGEST_BITS, DIGEST_POLYNOMIAL


def _times_x(value: Value) -> Value:
    """value * x in GF(2)[x] modulo the digest's polynomial."""
    reduction = Mux(value[DIGEST_BITS - 1], Const(DIGEST_POLYNOMIAL, DIGEST_BITS), Const(0, DIGEST_BITS))
    return Cat(Const(0, 1), value[: DIGEST_BITS - 1]) ^ reduction


class Digest(wiring.Component):
    """Multiple-input signature register.

    Attributes: record: In(128), taken when `valid`: In(1). state: Out(64), with every record up to the cycle before.
    load: In(1), state becomes `load_value`: In(64).
    """

    record: In(128)
    valid: In(1)
    load: In(1)
    load_value: In(DIGEST_BITS)
    state: Out(DIGEST_BITS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        low, high = self.record[:64], self.record[64:]
        # Two word steps in one: (x + 1)**2 = x**2 + 1 in characteristic two.
        stepped = _times_x(_times_x(self.state)) ^ self.state ^ _times_x(low) ^ low ^ high
        with m.If(self.load):
            m.d.sync += self.state.eq(self.load_value)
        with m.Elif(self.valid):
            m.d.sync += self.state.eq(stepped)
        return m
