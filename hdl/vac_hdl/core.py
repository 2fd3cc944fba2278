"""The QPU core: a pipelined stack machine that retires at most one instruction a cycle.

Stages: fetch and align (FetchUnit) | D decode, branch target | R stack RAM addresses | O operands, forwarding |
X execute, effective address | M judge and commit | W write back, beam.

Every instruction is one operation on the stack RAM with up to two sources and one destination (two operations where
it has two results). Nothing architectural changes before M, where an instruction either commits or, with everything
behind it, is dropped; so traps, page faults and stops are precise.
"""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from vac.isa.limits import (
    LEAF_BITS,
)

from .address_stage import address_stage
from .commit_stage import commit_stage
from .config import CoreConfig
from .control import code_translation, control
from .decode_stage import decode_stage
from .execute_stage import execute_stage
from .host_access import host_access
from .operand_stage import operand_stage
from .pipeline import Pipeline
from .signatures import BEAM_PORT, DataBus, HostPort, InstructionBus, RetirePort
from .write_back_stage import write_back_stage


class Core(wiring.Component):
    """The QPU.

    Attributes: instruction_bus: Out(InstructionBus). data_bus: Out(DataBus). host: In(HostPort). beams: Out(stream of
    SHIPPED_BEAM_LAYOUT). retire: Out(RetirePort), where the configuration has it.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.config = config
        address_bits = config.frame_bits + LEAF_BITS - 2
        ports = {
            "instruction_bus": Out(InstructionBus(address_bits)),
            "data_bus": Out(DataBus(address_bits)),
            "host": In(HostPort()),
            "beams": Out(BEAM_PORT),
        }
        if config.has_retire_port:
            ports["retire"] = Out(RetirePort())
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pipeline = Pipeline(self, m)
        connect(m, pipeline.fetch.bus, flipped(self.instruction_bus))
        connect(m, pipeline.beam_port.port, flipped(self.beams))
        for stage in (
            decode_stage,
            address_stage,
            operand_stage,
            execute_stage,
            commit_stage,
            write_back_stage,
            control,
            code_translation,
            host_access,
        ):
            stage(pipeline, m)
        return m
