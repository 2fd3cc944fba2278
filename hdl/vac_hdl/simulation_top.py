"""Top level of the simulated core: the QPU's ports under flat names, as C++ and cocotb like them."""

from amaranth.back import verilog
from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vac.isa.state_map import HOST_ADDRESS_BITS

from .clocked_processes import with_clocked_processes
from .config import CoreConfig
from .core_choice import create_core
from .signatures import RETIRE_LAYOUT, SHIPPED_BEAM_LAYOUT

TOP_NAME = "vac_core"


class SimulationTop(wiring.Component):
    """The core with its memory outside.

    Attributes: clk: In(1). The others as those of `Core`, flattened: `code_*` the instruction bus, `data_*` the data
    bus, `host_*`, `beam_*`, `retire_*`. Structs are one vector each. `code_stall`: In(1), the instruction bus is not
    ready.
    """

    def __init__(self, config: CoreConfig) -> None:
        self.core = create_core(config)
        address_bits = len(self.core.instruction_bus.address)
        super().__init__(
            {
                "clk": In(1),
                "code_address": Out(address_bits),
                "code_request": Out(1),
                "code_stall": In(1),
                "code_data": In(32),
                "data_address": Out(address_bits),
                "data_read": Out(1),
                "data_read_data": In(32),
                "data_write_mask": Out(4),
                "data_write_data": Out(32),
                "host_address": In(HOST_ADDRESS_BITS),
                "host_write": In(1),
                "host_write_data": In(32),
                "host_read_data": Out(32),
                "host_start": In(1),
                "host_halt_request": In(1),
                "host_stopped": Out(1),
                "beam_payload": Out(SHIPPED_BEAM_LAYOUT.size),
                "beam_valid": Out(1),
                "beam_ready": In(1),
                "retire_valid": Out(1),
                "retire_payload": Out(RETIRE_LAYOUT.size),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A fresh model starts from the registers' initial values, as a configured FPGA does.
        m.domains.sync = domain = ClockDomain("sync", reset_less=True)
        m.d.comb += domain.clk.eq(self.clk)
        m.submodules.core = core = self.core
        code, data, host = core.instruction_bus, core.data_bus, core.host
        m.d.comb += [
            self.code_address.eq(code.address),
            self.code_request.eq(code.request),
            code.ready.eq(~self.code_stall),
            code.data.eq(self.code_data),
            self.data_address.eq(data.address),
            self.data_read.eq(data.read),
            data.read_data.eq(self.data_read_data),
            self.data_write_mask.eq(data.write_mask),
            self.data_write_data.eq(data.write_data),
            host.address.eq(self.host_address),
            host.write.eq(self.host_write),
            host.write_data.eq(self.host_write_data),
            self.host_read_data.eq(host.read_data),
            host.start.eq(self.host_start),
            host.halt_request.eq(self.host_halt_request),
            self.host_stopped.eq(host.stopped),
            self.beam_payload.eq(core.beams.payload),
            self.beam_valid.eq(core.beams.valid),
            core.beams.ready.eq(self.beam_ready),
            self.retire_valid.eq(core.retire.valid),
            self.retire_payload.eq(core.retire.payload),
        ]
        return m


def core_verilog(config: CoreConfig) -> str:
    """Verilog of `SimulationTop`, as simulators like it; the same text for the same configuration and sources."""
    return with_clocked_processes(verilog.convert(SimulationTop(config), name=TOP_NAME, emit_src=False))
