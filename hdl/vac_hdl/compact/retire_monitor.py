"""What lockstep compares, gathered from the core's writes. Not part of a board's build."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from vac.isa.state_map import HostRegister

from ..signatures import RETIRE_LAYOUT, RetirePort
from .micro_op import Action
from .scratch_map import register_cell

_WATCHED = {
    "rp": HostRegister.RP,
    "fp": HostRegister.FP,
    "coherence": HostRegister.COHERENCE,
    "entropy": HostRegister.ENTROPY,
    "drift": HostRegister.DRIFT,
    "mispredictions": HostRegister.MISPREDICTIONS,
    "history": HostRegister.HISTORY,
}


class RetireMonitor(wiring.Component):
    """Attributes: port: Out(RetirePort)."""

    port: Out(RetirePort())

    def watch(self, m: Module, core: Any) -> None:
        """Connects the monitor to the signals of a core being put together."""
        payload: Any = self.port.payload
        beam = payload.beam
        for name, register in _WATCHED.items():
            with m.If(core.write.en & (core.write.addr == register_cell(register))):
                m.d.sync += payload[name].eq(core.write.data)
        for action, field in (
            (Action.BEAM_PC, beam.pc),
            (Action.BEAM_VALUE, beam.value),
            (Action.BEAM_AUX, beam.aux),
        ):
            with m.If(core.did(action)):
                m.d.sync += field.eq(core.late_result)
        with m.If(core.did(Action.BEAM_HEADER)):
            m.d.sync += [beam.opcode.eq(core.late_result[:8]), beam.flags.eq(core.late_result[8:16])]
        m.d.comb += [
            payload.next_pc.eq(core.pc),
            payload.sp.eq(core.operands.depth),
            payload.digest.eq(core.digest.state),
            self.port.valid.eq(core.did(Action.RETIRED)),
        ]

    def elaborate(self, platform: object) -> Module:
        return Module()


assert {*_WATCHED, "beam", "next_pc", "sp", "digest"} == {name for name, _ in RETIRE_LAYOUT}
