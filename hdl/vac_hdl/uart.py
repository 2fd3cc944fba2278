"""Serial line, 8 data bits, no parity, one stop bit."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

_FRAME_BITS = 10  # start, eight of data, stop


def divisor_for(clock_hz: float, baud: int) -> int:
    """Clock cycles a bit. Raises ValueError where the nearest whole number is more than 2 % off the wanted rate."""
    divisor = max(1, round(clock_hz / baud))
    if divisor < 4 or abs(clock_hz / divisor / baud - 1) > 0.02:
        raise ValueError(
            f"no divisor of {clock_hz / 1e6:g} MHz, 4 or more, comes within 2 % of {baud} baud; choose another rate"
        )
    return divisor


class UartReceiver(wiring.Component):
    """Samples each bit in its middle. A byte without a stop bit is dropped.

    Attributes: line: In(1), asynchronous, idle 1. bytes: Out(stream of 8), no back-pressure: valid for one cycle.
    """

    line: In(1, init=1)
    bytes: Out(stream.Signature(8, always_ready=True))

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.line, line, init=1)
        timer = Signal(range(self._divisor))
        bits_left = Signal(range(_FRAME_BITS + 1))
        shifter = Signal(_FRAME_BITS - 1)
        m.d.sync += self.bytes.valid.eq(0)
        with m.If(bits_left == 0):
            m.d.sync += timer.eq(self._divisor // 2 - 1)
            with m.If(~line):
                m.d.sync += bits_left.eq(_FRAME_BITS)
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [timer.eq(self._divisor - 1), bits_left.eq(bits_left - 1), shifter.eq(Cat(shifter[1:], line))]
            with m.If((bits_left == _FRAME_BITS) & line):
                m.d.sync += bits_left.eq(0)  # a glitch, not a start bit
            with m.If(bits_left == 1):
                m.d.sync += [self.bytes.payload.eq(shifter[1:]), self.bytes.valid.eq(line)]
        return m


class UartTransmitter(wiring.Component):
    """Attributes: bytes: In(stream of 8). line: Out(1), idle 1."""

    bytes: In(stream.Signature(8))
    line: Out(1, init=1)

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self._divisor))
        bits_left = Signal(range(_FRAME_BITS + 1))
        shifter = Signal(_FRAME_BITS - 1, init=(1 << (_FRAME_BITS - 1)) - 1)
        m.d.comb += [self.line.eq(shifter[0]), self.bytes.ready.eq(bits_left == 0)]
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(bits_left != 0):
            m.d.sync += [timer.eq(self._divisor - 1), bits_left.eq(bits_left - 1)]
            m.d.sync += shifter.eq(Cat(shifter[1:], Const(1, 1)))
        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += [
                shifter.eq(Cat(Const(0, 1), self.bytes.payload)),
                bits_left.eq(_FRAME_BITS),
                timer.eq(self._divisor - 1),
            ]
        return m
