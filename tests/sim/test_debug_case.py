"""A lockstep mismatch opens in the debugger where it happened, with both states side by side.

The sound core is compared with a reference that is wrong in one bit, which parts them just as a wrong core would.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vac.assembler.assemble import assemble
from vac.debugger import Session
from vac.debugger.app import DebuggerApp
from vac.debugger.commands import Commands
from vac.host.session import Host
from vac.isa.beam import Beam
from vac.isa.limits import CELL_MASK
from vac_sim.case import Case, CaseError
from vac_sim.debug_case import open_mismatch
from vac_sim.disturbance import Disturbance
from vac_sim.lockstep import LockstepMachine
from vac_sim.mismatch import LockstepMismatch
from vac_sim.reference import RecordingGolden
from vac_sim.replay_command import replay_command
from vac_sim.span import FST_NAME, PNG_NAME

pytestmark = pytest.mark.rtl

PROGRAM = """
.name "parting"
.memory 4096
.frame 3
.local left, sum, pointer
        li      left, 200
        li      sum, 0
        li      pointer, 16
again:  in      CONSOLE
        pop     sum
        st32    pointer, sum
        djnz    left, again
        lit32   0xC0FFEE
        lit32   0x00BEEF
        xor
        emit
        halt
"""
INPUT = bytes(range(200))


class WrongXor(RecordingGolden):
    """Wrong in one bit of one exclusive or."""

    def _retire(self, beam: Beam, next_pc: int) -> None:
        if beam.value == 0xC0FFEE ^ 0x00BEEF:
            self._state.cells[0] ^= 1 << 17
            beam = Beam(beam.pc, beam.opcode, beam.flags, beam.labels, self._state.cells[0], beam.aux)
        super()._retire(beam, next_pc)


@pytest.fixture(scope="module")
def case_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mismatch")
    machine = LockstepMachine(WrongXor(), Disturbance(seed=5, resident_leaves=4, slice_ticks=300))
    from vac.devices.console import Console

    host = Host(machine, assemble(PROGRAM, "parting.vasm"), console=Console(INPUT))
    with pytest.raises(LockstepMismatch) as caught:
        host.run(100_000)
    caught.value.save(folder)
    return folder / "mismatch-seed5.case.json"


WRONG_TICK = 3 + 4 * 200 + 2


def test_it_opens_at_the_mismatch_with_both_states(case_path: Path) -> None:
    session = Session(open_mismatch(case_path, reference=WrongXor, has_wave=False))
    comparison = session.program.comparison
    assert comparison and comparison.tick == session.tick == WRONG_TICK
    instruction = session.history.instruction()
    assert instruction and instruction.text() == "xor"
    differing = {row.what: row for row in comparison.rows if row.differs}
    right = 0xC0FFEE ^ 0x00BEEF
    assert differing["stack 0"].left == f"{right ^ 1 << 17:08x}" and differing["stack 0"].right == f"{right:08x}"
    assert differing.keys() == {"stack 0", "digest"}
    session.step()
    assert session.state.data_stack == [right & CELL_MASK], "the run itself is the machine's, not the wrong reference's"
    assert session.history.read(1, 16, 4)[0] == INPUT[-1]
    said = Commands(session).run("mismatch")
    assert session.tick == WRONG_TICK and "≠ stack 0" in said and "  sp " in said
    assert (
        f"waveform of ticks {WRONG_TICK - 150:,} to {WRONG_TICK + 50:,}:\n  {replay_command(case_path, WRONG_TICK)}"
        in said
    )


def test_what_led_there_can_be_asked(case_path: Path) -> None:
    session = Session(open_mismatch(case_path, reference=WrongXor, has_wave=False))
    written = session.last_write(session.places.memory("1:16", 4))
    assert written and written.tick == WRONG_TICK - 4
    assert session.why(session.places.memory("1:16", 4)).inputs == [199]


def test_the_waveform_around_it_is_shown(case_path: Path) -> None:
    program = open_mismatch(case_path, reference=WrongXor)
    folder = case_path.with_suffix("").with_suffix("")
    assert program.comparison and program.comparison.notes[-1].strip() == str(folder / FST_NAME)
    assert (folder / FST_NAME).stat().st_size and (folder / PNG_NAME).stat().st_size
    head, *cycles = program.comparison.window
    assert head.split() == ["cycle", "retired", *"DAOXMW", "pc"]
    (marked,) = [line for line in cycles if line.startswith("▶")]
    assert marked.split()[2] == f"{0xC0FFEE ^ 0x00BEEF:08x}"
    at = cycles.index(marked)
    assert cycles[at - 3][head.index("W") :].split()[0] == "xor", "it was written back three cycles before"
    assert any(line.split()[1] == "00c0ffee" for line in cycles[:at])
    lines = program.comparison.lines()
    assert lines.index(marked) > max(index for index, line in enumerate(lines) if line.startswith("≠"))


def test_the_view_shows_it_first(case_path: Path) -> None:
    async def run() -> None:
        app = DebuggerApp(Session(open_mismatch(case_path, reference=WrongXor, has_wave=False)))
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            screen = "\n".join(
                "".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()
            )
            assert "mismatch" in screen and "reference" in screen and "≠" in screen

    asyncio.run(run())


def test_a_case_that_agrees_is_refused(case_path: Path, tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="agree as far as this case goes"):
        open_mismatch(case_path)
    (tmp_path / "none.case.json").write_text("{}")
    with pytest.raises(CaseError, match="not a lockstep case"):
        open_mismatch(tmp_path / "none.case.json")
    assert Case.load(case_path).calls
