"""The speed measurement measures whole runs and refuses what it cannot time."""

from __future__ import annotations

from pathlib import Path

import pytest

from vac.assembler.assemble import assemble
from vac.campaigns.speed import main, ticks_per_second
from vac.fast.machine import FastMachine, Trace
from vac.golden.model import GoldenMachine
from vac.machine.protocol import MachineError

LOOP = "liw l0, 3000\nloop: addi l1, l1, 1; djnz l0, loop; halt\n"


def test_fast_engine_is_far_ahead_of_the_golden_model() -> None:
    """The real ratio is in the thousands; a machine under load still shows fifty."""
    image = assemble(LOOP)
    golden = ticks_per_second(GoldenMachine, image, 0.01)
    assert ticks_per_second(lambda: FastMachine(Trace.NOTHING), image, 0.05) > 50 * golden
    assert ticks_per_second(FastMachine, image, 0.05) > 50 * golden


def test_program_that_waits_for_the_host() -> None:
    with pytest.raises(MachineError, match="stops for the host"):
        ticks_per_second(FastMachine, assemble("in 0; halt\n"), 0.01)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "loop.vasm", tmp_path / "bad.vasm"
    good.write_text(LOOP)
    bad.write_text("no such instruction\n")
    assert main([str(good), "--seconds", "0.01"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["M", "loop"]
    assert main([str(bad)]) == 1
    assert main([str(tmp_path / "absent.vasm")]) == 1
    assert "Traceback" not in capsys.readouterr().err
