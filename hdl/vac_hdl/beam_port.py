"""Beam port: filter, buffer and back-pressure between the pipeline and the outside."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from vac.isa.beam import BeamFlag
from vac.isa.state_map import BeamControlBit

from .signatures import BEAM_PORT, SHIPPED_BEAM_LAYOUT

PIPELINE_SLACK = 5
"""Beams that may still come after `full`: one for each stage behind the issue stage, and the one being written."""

_MARKED = int(BeamFlag.EVENT | BeamFlag.EMIT | BeamFlag.JOIN | BeamFlag.MARK | BeamFlag.HALT)


class BeamPort(wiring.Component):
    """Ships the beams that the filter lets through.

    Attributes: beam: In(SHIPPED_BEAM_LAYOUT), offered when `valid`: In(1), always taken. control: In(3),
    `BeamControlBit`s. full: Out(1), the pipeline must not issue. lost: Out(1), pulse for each beam dropped (lossy
    only). port: Out, the stream.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        super().__init__(
            {
                "beam": In(SHIPPED_BEAM_LAYOUT),
                "valid": In(1),
                "control": In(3),
                "full": Out(1),
                "lost": Out(1),
                "port": Out(BEAM_PORT),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=SHIPPED_BEAM_LAYOUT.size, depth=self._depth)
        wanted = Signal()
        lossy = Signal()
        ship_all = self.control[BeamControlBit.SHIP_ALL.bit_length() - 1]
        ship_marked = self.control[BeamControlBit.SHIP_MARKED.bit_length() - 1]
        m.d.comb += [
            lossy.eq(self.control[BeamControlBit.LOSSY.bit_length() - 1]),
            wanted.eq(self.valid & (ship_all | (ship_marked & (self.beam.record.flags & _MARKED).any()))),
            fifo.w_data.eq(self.beam),
            fifo.w_en.eq(wanted & fifo.w_rdy),
            self.lost.eq(wanted & ~fifo.w_rdy),
            self.port.payload.eq(fifo.r_data),
            self.port.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.port.ready),
        ]
        m.d.sync += self.full.eq(~lossy & (fifo.level > self._depth - PIPELINE_SLACK - 1))
        return m
