"""Beam port of the compact core: a beam's words come one after the other, each into a memory of its own."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from vac.isa.beam import BeamFlag
from vac.isa.state_map import BeamControlBit

from ..config import NEVER_COLLIDES
from ..signatures import BEAM_PORT

_MARKED = int(BeamFlag.EVENT | BeamFlag.EMIT | BeamFlag.JOIN | BeamFlag.MARK | BeamFlag.HALT)
_WIDTHS = {"pc": 24, "header": 16, "value": 32, "aux": 32, "tick": 32}


class BeamLanes(wiring.Component):
    """Attributes: word: In(32), the beam's next word where one of write_pc, write_header, write_value, write_aux: In(1)
    is set. tick: In(32), taken with `ship`: In(1), which ends the beam. begin: In(1), an instruction begins: whether
    its beam has room is settled here. flags: In(8), of the beam. control: In(3), `BeamControlBit`s. no_room: Out(1),
    an instruction must not begin. lost: Out(1), with `ship`: the beam is dropped. port: Out, the stream.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        super().__init__(
            {
                "word": In(32), "tick": In(32), "flags": In(8), "control": In(3), "begin": In(1), "ship": In(1),
                **{f"write_{name}": In(1) for name in _WIDTHS if name != "tick"},
                "no_room": Out(1), "lost": Out(1), "port": Out(BEAM_PORT),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self._depth
        write_at, read_at = Signal(range(depth)), Signal(range(depth))
        stored = Signal(range(depth + 1))
        has_room, wanted, reads, keeps = Signal(), Signal(), Signal(), Signal()
        control = {bit: self.control[bit.bit_length() - 1] for bit in BeamControlBit}
        is_full = stored == depth
        m.d.comb += [
            wanted.eq(
                control[BeamControlBit.SHIP_ALL] | (control[BeamControlBit.SHIP_MARKED] & (self.flags & _MARKED).any())
            ),
            self.no_room.eq(is_full & ~control[BeamControlBit.LOSSY]),
            self.lost.eq(self.ship & wanted & ~has_room),
            keeps.eq(self.ship & wanted & has_room),
            reads.eq((stored != 0) & (~self.port.valid | self.port.ready)),
        ]
        with m.If(self.begin):
            m.d.sync += has_room.eq(~is_full)
        record: Any = self.port.payload.record
        targets = {"pc": record.pc, "value": record.value, "aux": record.aux, "tick": self.port.payload.tick}
        for name, width in _WIDTHS.items():
            lane = Memory(shape=width, depth=depth, init=[], attrs=NEVER_COLLIDES)
            m.submodules[name] = lane
            write, read = lane.write_port(), lane.read_port()
            m.d.comb += [
                write.addr.eq(write_at),
                write.en.eq(has_room & (self.ship if name == "tick" else getattr(self, f"write_{name}"))),
                write.data.eq(self.tick if name == "tick" else self.word),
                read.addr.eq(read_at),
                read.en.eq(reads),
            ]
            if name == "header":
                m.d.comb += [record.opcode.eq(read.data[:8]), record.flags.eq(read.data[8:])]
            else:
                m.d.comb += targets[name].eq(read.data)
        with m.If(keeps):
            m.d.sync += write_at.eq(Mux(write_at == depth - 1, 0, write_at + 1))
        with m.If(reads):
            m.d.sync += [read_at.eq(Mux(read_at == depth - 1, 0, read_at + 1)), self.port.valid.eq(1)]
        with m.Elif(self.port.ready):
            m.d.sync += self.port.valid.eq(0)
        m.d.sync += stored.eq(stored + keeps - reads)
        return m
