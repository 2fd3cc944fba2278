"""The QPU as it goes into a board: core, frame memory and host link on one serial line."""

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .config import CoreConfig
from .core_choice import create_core
from .frame_ram import BlockFrameRam, SinglePortFrameRam
from .link import Link
from .uart import UartReceiver, UartTransmitter


class LinkedCore(wiring.Component):
    """Core, frame memory and link; byte streams outside.

    Attributes: received: In(stream of 8), always ready. sent: Out(stream of 8). stopped: Out(1).
    """

    received: In(stream.Signature(8, always_ready=True))
    sent: Out(stream.Signature(8))
    stopped: Out(1)

    def __init__(self, config: CoreConfig, frame_ram: type[BlockFrameRam] | type[SinglePortFrameRam]) -> None:
        self._config = config
        self._frame_ram = frame_ram
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = create_core(self._config)
        m.submodules.frame_ram = ram = self._frame_ram(len(core.data_bus.address))
        m.submodules.link = link = Link()
        connect(m, core.instruction_bus, ram.instruction_bus)
        connect(m, core.data_bus, ram.data_bus)
        connect(m, link.host, core.host)
        connect(m, core.beams, link.beams)
        connect(m, flipped(self.received), link.received)
        connect(m, link.sent, flipped(self.sent))
        m.d.comb += self.stopped.eq(core.host.stopped)
        return m


class Soc(wiring.Component):
    """`LinkedCore` on a serial line.

    Attributes: serial_in: In(1), asynchronous. serial_out: Out(1). stopped: Out(1), for a lamp.
    """

    serial_in: In(1, init=1)
    serial_out: Out(1, init=1)
    stopped: Out(1)

    def __init__(
        self, config: CoreConfig, frame_ram: type[BlockFrameRam] | type[SinglePortFrameRam], divisor: int
    ) -> None:
        self._config = config
        self._frame_ram = frame_ram
        self._divisor = divisor
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.linked_core = linked = LinkedCore(self._config, self._frame_ram)
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        connect(m, receiver.bytes, linked.received)
        connect(m, linked.sent, transmitter.bytes)
        m.d.comb += [
            receiver.line.eq(self.serial_in),
            self.serial_out.eq(transmitter.line),
            self.stopped.eq(linked.stopped),
        ]
        return m


class SocTop(wiring.Component):
    """`Soc` with its clock as a pin, for simulation and for the netlist. Registers start from their initial values.

    Attributes: clk: In(1). serial_in: In(1). serial_out: Out(1). stopped: Out(1).
    """

    clk: In(1)
    serial_in: In(1, init=1)
    serial_out: Out(1)
    stopped: Out(1)

    def __init__(self, soc: Soc) -> None:
        self._soc = soc
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain("sync", reset_less=True)
        m.submodules.soc = soc = self._soc
        m.d.comb += [
            domain.clk.eq(self.clk),
            soc.serial_in.eq(self.serial_in),
            self.serial_out.eq(soc.serial_out),
            self.stopped.eq(soc.stopped),
        ]
        return m


def soc_design(soc: Soc) -> str:
    """RTLIL text of `SocTop`, with the top module `soc`."""
    return rtlil.convert(SocTop(soc), name="soc", emit_src=False)
