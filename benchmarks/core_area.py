"""Area and Fmax of VAC's core on ECP5, with a memory as large as the peers' and pins that do not decide the figures."""

# Ports of a component exist only at run time.
# pyright: reportAttributeAccessIssue=false

import hashlib
from collections.abc import Sequence
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from benchmarks.place_and_route import CACHE_FOLDER, SEEDS, PnrResult, ecp5, ice40_up5k
from vac_hdl.boards import BOARDS
from vac_hdl.collisions import release_collisions
from vac_hdl.config import CoreConfig
from vac_hdl.core_choice import create_core
from vac_hdl.frame_ram import BlockFrameRam, SinglePortFrameRam

ECP5_CONFIG = BOARDS["ulx3s"].config
UP5K_CONFIG = BOARDS["icebreaker"].config

_TOP = "core_top"
_MEMORY_ADDRESS_BITS = 11
"""8 KiB, as the peers have for their area: log2 of the words of 32 bits."""


class CoreTop(wiring.Component):
    """A core and its memory behind two pins.

    The core has some two hundred ports, more than small packages have pins, and routes to pins would decide its Fmax.
    Inputs come from a shift register instead, and every output goes, through registers, into one parity bit: nothing
    of the core can be optimised away, and the only paths that count are its own.

    Attributes: shift_in: In(1). parity: Out(1).
    """

    def __init__(self, config: CoreConfig, memory: BlockFrameRam | SinglePortFrameRam) -> None:
        self._config = config
        self._memory = memory
        super().__init__({"shift_in": In(1), "parity": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = create_core(self._config)
        m.submodules.memory = memory = self._memory

        # The memory may be smaller than what the core can address: it is then repeated.
        code, data = core.instruction_bus, core.data_bus
        m.d.comb += [
            memory.instruction_bus.address.eq(code.address),
            memory.instruction_bus.request.eq(code.request),
            code.ready.eq(memory.instruction_bus.ready),
            code.data.eq(memory.instruction_bus.data),
            memory.data_bus.address.eq(data.address),
            memory.data_bus.read.eq(data.read),
            memory.data_bus.write_mask.eq(data.write_mask),
            memory.data_bus.write_data.eq(data.write_data),
            data.read_data.eq(memory.data_bus.read_data),
        ]

        host, beams = core.host, core.beams
        driven = Cat(host.address, host.write, host.write_data, host.start, host.halt_request, beams.ready)
        shifted = Signal(len(driven))
        m.d.sync += shifted.eq(Cat(self.shift_in, shifted))
        m.d.comb += driven.eq(shifted)

        level = Cat(host.read_data, host.stopped, beams.valid, beams.payload.as_value())
        registered = Signal(len(level), name="outputs")
        m.d.sync += registered.eq(level)
        depth = 0
        while len(registered) > 1:  # one look-up table of four inputs from register to register
            parities = Signal((len(registered) + 3) // 4, name=f"parities_{depth}")
            m.d.sync += parities.eq(Cat(registered[4 * i : 4 * i + 4].xor() for i in range(len(parities))))
            registered, depth = parities, depth + 1
        m.d.comb += self.parity.eq(registered)
        return m


def _design(config: CoreConfig, memory: BlockFrameRam | SinglePortFrameRam) -> Path:
    """RTLIL file of the core's top, named after its contents."""
    top = CoreTop(config, memory)
    outer = Module()
    outer.submodules.top = top
    # Registers start from the bitstream, as on the boards; no reset.
    clock = ClockDomain("sync", reset_less=True)
    outer.domains += clock
    text = release_collisions(
        rtlil.convert(outer, ports=[clock.clk, top.shift_in, top.parity], name=_TOP, emit_src=False)
    )
    path = CACHE_FOLDER / "designs" / f"core-{hashlib.sha256(text.encode()).hexdigest()[:16]}.il"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def place_on_ecp5(seeds: Sequence[int] = SEEDS) -> PnrResult:
    """The core as the ULX3S has it, with 8 KiB of memory, on the device that the peers are placed on.

    Raises as `benchmarks.place_and_route.ecp5`.
    """
    return ecp5([_design(ECP5_CONFIG, BlockFrameRam(_MEMORY_ADDRESS_BITS))], _TOP, seeds, label="VAC")


def place_on_up5k(seeds: Sequence[int] = SEEDS) -> PnrResult:
    """The compact core as the iCEBreaker has it, with 128 KiB of SPRAM.

    Raises as `benchmarks.place_and_route.ice40_up5k`: PlaceAndRouteError where the device has too few logic cells.
    """
    return ice40_up5k([_design(UP5K_CONFIG, SinglePortFrameRam(UP5K_CONFIG.frame_bits + 10))], _TOP, seeds, label="VAC")
