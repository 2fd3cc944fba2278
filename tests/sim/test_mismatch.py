"""A broken core is caught, and the report says everything that one needs to find the fault."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module

import vac_hdl.pipeline
from vac.assembler.assemble import assemble
from vac.assembler.disassembler import disassemble
from vac.isa.alu import AluFunction
from vac.randomised.fuzz import fuzz_program
from vac.randomised.program import Program, random_program
from vac_hdl.arithmetic import LOGIC_FUNCTIONS, Alu, Quick
from vac_hdl.config import SIMULATION
from vac_sim.campaign import run_program
from vac_sim.case import Case
from vac_sim.disturbance import Disturbance
from vac_sim.lockstep import LockstepMachine
from vac_sim.mismatch import LockstepMismatch
from vac_sim.model import build_model, declare
from vac_sim.reference import RecordingGolden
from vac_sim.smallest import save_smallest, smallest
from vac_sim.span import PNG_NAME, VCD_NAME, record_span

pytestmark = pytest.mark.rtl

PROGRAM = """
        li      l0, 1000
        li      l1, 0
again:  xori    l1, l1, 0x55
        add3    l2, l1, l0
        djnz    l0, again
        lit32   0xC0FFEE
        dup
        xor
        halt
"""
_WRONG_TICK = 2 + 3 * 1000 + 2


class BrokenAlu(Alu):
    """Wrong in one bit of an exclusive or with one of two values."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(
            (self.control.quick == Quick.LOGIC)
            & (self.control.logic == LOGIC_FUNCTIONS.index(AluFunction.XOR))
            & self.a.matches(0xC0FFEE, 0x7FFFFFFF)
        ):
            m.d.comb += self.result.eq((self.a ^ self.b) | (1 << 17))
        return m


@pytest.fixture(scope="module")
def broken_library() -> Any:
    """The core with BrokenAlu. It is built with tracing, so that one build serves compare and waveform."""
    original = vars(vac_hdl.pipeline)["Alu"]
    setattr(vac_hdl.pipeline, "Alu", BrokenAlu)  # noqa: B010 - the name is imported there, not exported
    try:
        return declare(ctypes.CDLL(str(build_model(SIMULATION, traced=True))))
    finally:
        setattr(vac_hdl.pipeline, "Alu", original)  # noqa: B010


@pytest.fixture(scope="module")
def mismatch(broken_library: Any) -> LockstepMismatch:
    disturbance = Disturbance(seed=11, resident_leaves=4, evict_256=20, ready_256=100, slice_ticks=500)
    machine = LockstepMachine(RecordingGolden(), disturbance, library=broken_library)
    machine.load(assemble(PROGRAM, "broken.vasm"))
    with pytest.raises(LockstepMismatch) as caught:
        machine.run(10_000)
    return caught.value


def test_the_first_wrong_instruction_is_named(mismatch: LockstepMismatch) -> None:
    assert mismatch.tick == _WRONG_TICK
    assert mismatch.instruction == "xor"
    found = {difference.what: difference for difference in mismatch.differences}
    assert found["beam value"].expected == "0x0"
    assert found["beam value"].found == hex(1 << 17)
    assert "digest" in found


def test_the_report_is_complete(mismatch: LockstepMismatch, tmp_path: Path) -> None:
    path = mismatch.save(tmp_path)
    report = path.read_text()
    assert re.search(rf"tick {_WRONG_TICK}, pc 0x[0-9a-f]+: xor +\(seed 11\)", report)
    assert "reference, where it stopped:" in report
    assert "RTL, where it stopped:" in report
    lines = report.split("instructions of the reference:\n")[1].split("\n\n")[0].splitlines()
    assert len(lines) == 32
    assert lines[-1].split()[0] == str(_WRONG_TICK)
    assert lines[0].split()[0] == str(_WRONG_TICK - 31)
    assert "lit32 0xc0ffee" in lines[-3]
    assert f"python -m vac_sim.replay {tmp_path}/mismatch-seed11.case.json --around {_WRONG_TICK}" in report


def test_the_case_shows_it_again_with_a_waveform(
    mismatch: LockstepMismatch, broken_library: Any, tmp_path: Path
) -> None:
    mismatch.save(tmp_path)
    case = Case.load(tmp_path / "mismatch-seed11.case.json")
    span = record_span(
        case, RecordingGolden(), _WRONG_TICK - 40, 60, tmp_path / "wave", "broken", library=broken_library
    )
    assert span.mismatch
    assert span.mismatch.tick == _WRONG_TICK
    assert span.cycles > 40
    assert "decoded" in (tmp_path / "wave" / VCD_NAME).read_text()
    assert (tmp_path / "wave" / PNG_NAME).read_bytes().startswith(b"\x89PNG")


def test_a_random_program_that_differs_is_made_small(broken_library: Any, tmp_path: Path) -> None:
    def run(program: Program) -> object:
        return run_program(program, Disturbance(), 3000, "golden", library=broken_library)

    def differs(program: Program) -> bool:
        try:
            run(program)
        except LockstepMismatch:
            return True
        return False

    program = next(program for seed in range(1, 200) if differs(program := random_program(seed)))
    found = smallest(program, run)
    assert found
    small, mismatch = found
    assert mismatch.instruction.startswith("xor")
    assert len(small.image.code) < len(program.image.code) / 4
    assert re.search(r"^ +xor", disassemble(small.image), re.MULTILINE)
    report = save_smallest(small, mismatch, tmp_path)
    assert "-small.case.json" in report.read_text()
    assert assemble((tmp_path / f"{report.stem}.vasm").read_text()).code == small.image.code
    case = Case.load(next(tmp_path.glob("*-small.case.json")))
    with pytest.raises(LockstepMismatch):
        case.replay(LockstepMachine(RecordingGolden(), case.disturbance, library=broken_library))


def test_random_bytes_are_not_made_smaller() -> None:
    assert smallest(fuzz_program(8), lambda program: None) is None


def test_the_sound_core_runs_the_same_case_to_its_end(mismatch: LockstepMismatch) -> None:
    assert mismatch.case
    machine = LockstepMachine(RecordingGolden(), mismatch.case.disturbance)
    mismatch.case.replay(machine)
    assert machine.state().status.name == "HALTED"
