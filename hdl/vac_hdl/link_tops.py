"""Top levels with plain ports, for simulation of the link without a serial line."""

from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vac.isa.state_map import HOST_ADDRESS_BITS

from .config import CoreConfig
from .frame_ram import BlockFrameRam
from .link import Link
from .signatures import SHIPPED_BEAM_LAYOUT
from .soc import LinkedCore


class LinkTop(wiring.Component):
    """`Link` alone. Registers start from their initial values."""

    clk: In(1)
    received_valid: In(1)
    received_payload: In(8)
    sent_valid: Out(1)
    sent_payload: Out(8)
    sent_ready: In(1)
    host_address: Out(HOST_ADDRESS_BITS)
    host_write: Out(1)
    host_write_data: Out(32)
    host_read_data: In(32)
    host_start: Out(1)
    host_halt_request: Out(1)
    host_stopped: In(1)
    beams_valid: In(1)
    beams_payload: In(SHIPPED_BEAM_LAYOUT.size)
    beams_ready: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain("sync", reset_less=True)
        m.submodules.link = link = Link()
        m.d.comb += [
            domain.clk.eq(self.clk),
            link.received.valid.eq(self.received_valid),
            link.received.payload.eq(self.received_payload),
            self.sent_valid.eq(link.sent.valid),
            self.sent_payload.eq(link.sent.payload),
            link.sent.ready.eq(self.sent_ready),
            self.host_address.eq(link.host.address),
            self.host_write.eq(link.host.write),
            self.host_write_data.eq(link.host.write_data),
            link.host.read_data.eq(self.host_read_data),
            self.host_start.eq(link.host.start),
            self.host_halt_request.eq(link.host.halt_request),
            link.host.stopped.eq(self.host_stopped),
            link.beams.valid.eq(self.beams_valid),
            link.beams.payload.as_value().eq(self.beams_payload),
            self.beams_ready.eq(link.beams.ready),
        ]
        return m


class LinkedTop(wiring.Component):
    """`LinkedCore`: core, frame memory in block RAM, and link. Registers start from their initial values."""

    clk: In(1)
    received_valid: In(1)
    received_payload: In(8)
    sent_valid: Out(1)
    sent_payload: Out(8)
    sent_ready: In(1)

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain("sync", reset_less=True)
        m.submodules.linked = linked = LinkedCore(self._config, BlockFrameRam)
        m.d.comb += [
            domain.clk.eq(self.clk),
            linked.received.valid.eq(self.received_valid),
            linked.received.payload.eq(self.received_payload),
            self.sent_valid.eq(linked.sent.valid),
            self.sent_payload.eq(linked.sent.payload),
            linked.sent.ready.eq(self.sent_ready),
        ]
        return m
