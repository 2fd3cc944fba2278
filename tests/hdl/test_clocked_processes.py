"""Registers assigned in their clocked process: fewer processes, and the same design as Yosys proves it."""

import re
from pathlib import Path

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from vac_hdl.build import BuildError, run_tool
from vac_hdl.clocked_processes import with_clocked_processes
from vac_hdl.config import SIMULATION
from vac_hdl.simulation_top import TOP_NAME, SimulationTop, core_verilog


class Mode(enum.Enum, shape=unsigned(2)):
    IDLE = 0
    FIRST = 1
    SECOND = 2


class Registers(wiring.Component):
    """Registers of each kind: kept, cleared by default, assigned in parts, chosen by a switch, passed on."""

    enable: In(1)
    choice: In(4)
    value: In(8)
    kept: Out(8)
    pulse: Out(1)
    parts: Out(8)
    mode: Out(Mode)
    passed: Out(8)
    ahead: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ahead = Signal(8)
        m.d.sync += [self.pulse.eq(0), self.passed.eq(self.kept)]
        with m.If(self.enable):
            m.d.sync += [self.kept.eq(self.value), self.parts[2:5].eq(self.value)]
            with m.If(self.value[0]):
                m.d.sync += [self.pulse.eq(1), self.parts[0].eq(1), self.kept.eq(self.kept + 1)]
        with m.Switch(self.choice):
            with m.Case("1--0"):
                m.d.sync += self.mode.eq(Mode.FIRST)
            with m.Case(3, 5):
                m.d.sync += [self.mode.eq(Mode.SECOND), self.parts[6:8].eq(self.choice)]
        # A next value that others read has to stay.
        m.d.comb += ahead.eq(self.ahead)
        with m.If(self.choice == 7):
            m.d.comb += ahead.eq(self.value)
        m.d.sync += self.ahead.eq(ahead)
        return m


def _proven_equal(gold: str, gate: str, folder: Path) -> None:
    """Raises BuildError unless Yosys finds every register and output of the two equal."""
    (folder / "gold.v").write_text(gold)
    (folder / "gate.v").write_text(gate)
    read = [
        f"read_verilog {name}.v; proc; opt_clean; rename top {name}; design -stash {name}" for name in ("gold", "gate")
    ]
    copy = [f"design -copy-from {name} -as {name} {name}" for name in ("gold", "gate")]
    prove = ["equiv_make gold gate both", "hierarchy -top both", "equiv_simple", "equiv_induct", "equiv_status -assert"]
    run_tool("yosys", ["-q", "-p", "; ".join([*read, *copy, *prove])], folder, "equivalence.log")


def test_the_design_stays_the_same(tmp_path: Path) -> None:
    before = verilog.convert(Registers(), name="top", emit_src=False)
    after = with_clocked_processes(before)
    assert before.count("always @*") > 4
    assert after.count("always @*") == 1  # of `ahead`
    _proven_equal(before, after, tmp_path)


def test_a_difference_would_be_found(tmp_path: Path) -> None:
    before = verilog.convert(Registers(), name="top", emit_src=False)
    wrong = with_clocked_processes(before).replace("pulse <= 1'h1", "pulse <= 1'h0")
    with pytest.raises(BuildError):
        _proven_equal(before, wrong, tmp_path)


def test_most_registers_of_the_core_move() -> None:
    before = verilog.convert(SimulationTop(SIMULATION), name=TOP_NAME, emit_src=False)
    after = core_verilog(SIMULATION)
    assert after.count("always @*") < before.count("always @*") // 2
    registers = re.compile(r"^ +(\\\S+|\w+) ?(?:\[[^]]*\])? *<= ", re.MULTILINE)
    assert set(registers.findall(before)) == set(registers.findall(after))
