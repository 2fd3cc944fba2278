"""Beam port: filter, buffer and back-pressure between the pipeline and the outside."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from vac.isa.beam import BeamFlag
from vac.isa.state_map import BeamControlBit

from .config import NEVER_COLLIDES
from .signatures import BEAM_PORT, SHIPPED_BEAM_LAYOUT

PIPELINE_SLACK = 5
"""Beams that may still come after `full`: one for each stage behind the issue stage, and the one being written."""

_MARKED = int(BeamFlag.EVENT | BeamFlag.EMIT | BeamFlag.JOIN | BeamFlag.MARK | BeamFlag.HALT)


class BeamPort(wiring.Component):
    """Ships the beams that the filter lets through, two cycles after they were offered at the earliest.

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
        depth = self._depth
        # A record is read in the cycle after its write at the earliest: the memory needs no bypass.
        m.submodules.records = records = Memory(shape=SHIPPED_BEAM_LAYOUT, depth=depth, init=[], attrs=NEVER_COLLIDES)
        write, read = records.write_port(), records.read_port()
        write_at = Signal(range(depth))
        read_at = Signal(range(depth))
        stored = Signal(range(depth + 1))
        wanted = Signal()
        lossy = Signal()
        ship_all = self.control[BeamControlBit.SHIP_ALL.bit_length() - 1]
        ship_marked = self.control[BeamControlBit.SHIP_MARKED.bit_length() - 1]
        has_room = Signal()
        m.d.comb += [
            lossy.eq(self.control[BeamControlBit.LOSSY.bit_length() - 1]),
            has_room.eq(stored != depth),
            wanted.eq(self.valid & (ship_all | (ship_marked & (self.beam.record.flags & _MARKED).any()))),
            write.en.eq(wanted & has_room),
            write.addr.eq(write_at),
            write.data.eq(self.beam),
            self.lost.eq(wanted & ~has_room),
            read.en.eq((stored != 0) & (~self.port.valid | self.port.ready)),
            read.addr.eq(read_at),
            self.port.payload.eq(read.data),
        ]
        with m.If(write.en):
            m.d.sync += write_at.eq(Mux(write_at == depth - 1, 0, write_at + 1))
        with m.If(read.en):
            m.d.sync += [read_at.eq(Mux(read_at == depth - 1, 0, read_at + 1)), self.port.valid.eq(1)]
        with m.Elif(self.port.ready):
            m.d.sync += self.port.valid.eq(0)
        m.d.sync += [
            stored.eq(stored + write.en - read.en),
            self.full.eq(~lossy & (stored > depth - PIPELINE_SLACK - 1)),
        ]
        return m
