"""The example in `examples/` does what it says."""

import runpy
from pathlib import Path

import pytest


def test_time_travel(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(Path(__file__).parents[2] / "examples" / "time_travel.py"))
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("it wrote ['apple', 'fig', 'pear', 'quince']")
    assert said[1].startswith("tick 100: ") and said[2].startswith("tick 99: input.vasm:")
    assert said[3].endswith("it writes b'quince'")
    assert said[4].endswith("stored 0x71")
    assert "the console gave 'q'" in said[5]
    assert said[-2:] == ["dreamt: ['apple', 'pear', 'zebra']", "dreamt: ['Quince', 'apple', 'fig', 'pear']"]
