"""The boards that there are bitstreams for: device, clock, core configuration, and the top level of the bitstream."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import CoreConfig
from .frame_ram import BlockFrameRam, SinglePortFrameRam
from .soc import Soc
from .uart import divisor_for

BAUD = 1_000_000


@dataclass(frozen=True)
class Board:
    """One board.

    family: "ecp5" or "ice40". device: options of nextpnr that name the device. oscillator_hz: what comes in at
    `clk_in`; clock_hz: the declared clock of the core, which place and route must reach. pll: instance of the PLL, from
    its input and output signal. lamp_inverted: the lamp is on where its pin is low. constraints: file in
    `constraints/`. programmer: name of the board to openFPGALoader.
    """

    name: str
    family: str
    device: tuple[str, ...]
    oscillator_hz: float
    clock_hz: float
    pll: Callable[[Signal, Signal], Instance]
    config: CoreConfig
    frame_ram: type[BlockFrameRam] | type[SinglePortFrameRam]
    lamp_inverted: bool
    constraints: str
    programmer: str


def _ecp5_pll(input_divider: int, multiplier: int, output_divider: int) -> Callable[[Signal, Signal], Instance]:
    """clk_in / input_divider * multiplier; times output_divider, the VCO must run at 400 to 800 MHz."""

    def instance(clk_in: Signal, clk_out: Signal) -> Instance:
        parameters: dict[str, Any] = {
            "p_PLLRST_ENA": "DISABLED",
            "p_INTFB_WAKE": "DISABLED",
            "p_STDBY_ENABLE": "DISABLED",
            "p_DPHASE_SOURCE": "DISABLED",
            "p_OUTDIVIDER_MUXA": "DIVA",
            "p_CLKOP_ENABLE": "ENABLED",
            "p_CLKI_DIV": input_divider,
            "p_CLKOP_DIV": output_divider,
            "p_CLKOP_CPHASE": output_divider // 2,
            "p_CLKOP_FPHASE": 0,
            "p_FEEDBK_PATH": "CLKOP",
            "p_CLKFB_DIV": multiplier,
        }
        low, high = Const(0, 1), Const(1, 1)
        return Instance(
            "EHXPLLL",
            # Loop filter settings that go with a VCO of 600 MHz.
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            **parameters,
            i_RST=low, i_STDBY=low, i_CLKI=clk_in, o_CLKOP=clk_out, i_CLKFB=clk_out,
            i_PHASESEL0=low, i_PHASESEL1=low, i_PHASEDIR=high, i_PHASESTEP=high, i_PHASELOADREG=high,
            i_PLLWAKESYNC=low, i_ENCLKOP=low,
        )  # fmt: skip

    return instance


def _ice40_pll(multiplier: int, divider_log2: int, filter_range: int) -> Callable[[Signal, Signal], Instance]:
    """clk_in * multiplier / 2**divider_log2; clk_in * multiplier, the VCO, must run at 533 to 1066 MHz."""

    def instance(clk_in: Signal, clk_out: Signal) -> Instance:
        return Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(0, 4),
            p_DIVF=Const(multiplier - 1, 7),
            p_DIVQ=Const(divider_log2, 3),
            p_FILTER_RANGE=Const(filter_range, 3),
            i_PACKAGEPIN=clk_in, i_RESETB=Const(1, 1), i_BYPASS=Const(0, 1), o_PLLOUTGLOBAL=clk_out,
        )  # fmt: skip

    return instance


BOARDS = {
    board.name: board
    for board in (
        Board(
            name="ulx3s",
            family="ecp5",
            device=("--25k", "--package", "CABGA381", "--speed", "6"),
            oscillator_hz=25e6,
            clock_hz=75e6,
            pll=_ecp5_pll(input_divider=1, multiplier=3, output_divider=8),
            config=CoreConfig(frame_bits=4, window_way_bits=0, label_bits=0, has_retire_port=False, in_words=False),
            frame_ram=BlockFrameRam,
            lamp_inverted=False,
            constraints="ulx3s.lpf",
            programmer="ulx3s",
        ),
        Board(
            name="icebreaker",
            family="ice40",
            device=("--up5k", "--package", "sg48"),
            oscillator_hz=12e6,
            clock_hz=24e6,
            pll=_ice40_pll(multiplier=64, divider_log2=5, filter_range=1),
            config=CoreConfig(
                core="compact", frame_bits=5, label_bits=0, beam_fifo=8, has_retire_port=False, in_words=False
            ),
            frame_ram=SinglePortFrameRam,
            lamp_inverted=True,
            constraints="icebreaker.pcf",
            programmer="ice40_generic",
        ),
    )
}


class BoardTop(wiring.Component):
    """Top level of a bitstream; its ports are the pins that the constraints name.

    Attributes: clk_in: In(1). serial_in: In(1). serial_out: Out(1). running: Out(1), a lamp.
    """

    clk_in: In(1)
    serial_in: In(1)
    serial_out: Out(1)
    running: Out(1)

    def __init__(self, board: Board) -> None:
        self._board = board
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        board = self._board
        m = Module()
        # The configuration sets every register; a reset net would only cost area and speed.
        m.domains.sync = ClockDomain("sync", reset_less=True)
        clock = Signal()
        m.submodules.pll = board.pll(self.clk_in, clock)
        m.d.comb += ClockSignal().eq(clock)
        m.submodules.soc = soc = Soc(board.config, board.frame_ram, divisor_for(board.clock_hz, BAUD))
        m.d.comb += [
            soc.serial_in.eq(self.serial_in),
            self.serial_out.eq(soc.serial_out),
            self.running.eq(~soc.stopped ^ board.lamp_inverted),
        ]
        return m
