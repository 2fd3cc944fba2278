"""Building bitstreams: pins, errors, and that the same design gives the same bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import ClockDomain, ClockSignal, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth_boards.icebreaker import ICEBreakerPlatform
from amaranth_boards.ulx3s import ULX3S_25F_Platform

from vac_hdl import build as builder
from vac_hdl import reproduce
from vac_hdl.boards import BOARDS
from vac_hdl.reproduce import build_twice
from vac_hdl.uart import divisor_for

ROOT = Path(__file__).resolve().parents[2]


def _pins(platform) -> dict[str, str]:
    found: dict[str, str] = {}
    for resource in platform.resources.values():
        if (resource.name, resource.number) == ("uart", 0):
            names = {sub.name: sub.ios[0].names for sub in resource.ios if hasattr(sub, "ios")}
            found["serial_in"], found["serial_out"] = names["rx"][0], names["tx"][0]
        elif resource.name == platform.default_clk:
            found["clk_in"] = resource.ios[0].names[0]
        elif (resource.name, resource.number) == ("led_g" if platform.device == "iCE40UP5K" else "led", 0):
            found["running"] = resource.ios[0].names[0]
    return found


@pytest.mark.parametrize(("name", "platform"), [("ulx3s", ULX3S_25F_Platform), ("icebreaker", ICEBreakerPlatform)])
def test_pins_and_clock_are_those_of_the_board(name, platform):
    board = BOARDS[name]
    text = (ROOT / "constraints" / board.constraints).read_text()
    for port, pin in _pins(platform()).items():
        line = f'LOCATE COMP "{port}" SITE "{pin}";' if board.family == "ecp5" else f" {port} {pin}\n"
        assert line in text
    frequency = platform().lookup(platform.default_clk).clock.frequency
    assert board.oscillator_hz == frequency
    line = (
        f'"clk_in" {frequency / 1e6:.1f} MHZ' if board.family == "ecp5" else f"set_frequency clk_in {frequency / 1e6}"
    )
    assert line in text


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_pll_gives_the_declared_clock(name):
    board = BOARDS[name]
    instance: Any = board.pll(Signal(), Signal())
    parameters = {key: getattr(value, "value", value) for key, value in instance.parameters.items()}
    if board.family == "ecp5":
        clock = board.oscillator_hz / parameters["CLKI_DIV"] * parameters["CLKFB_DIV"]
        assert 400e6 <= clock * parameters["CLKOP_DIV"] <= 800e6
        assert board.oscillator_hz / parameters["CLKI_DIV"] >= 3.125e6
    else:
        oscillation = board.oscillator_hz / (parameters["DIVR"] + 1) * (parameters["DIVF"] + 1)
        assert 533e6 <= oscillation <= 1066e6
        clock = oscillation / 2 ** parameters["DIVQ"]
    assert clock == board.clock_hz


def test_impossible_rate_is_an_error():
    assert divisor_for(24e6, 1_000_000) == 24
    with pytest.raises(ValueError, match="choose another rate"):
        divisor_for(24e6, 7_000_000)


class _Blinker(wiring.Component):
    """A small design with the pins and the PLL of a board."""

    def __init__(self, board) -> None:
        self._board = board
        super().__init__({"clk_in": In(1), "serial_in": In(1), "serial_out": Out(1), "running": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.domains.sync = ClockDomain("sync", reset_less=True)
        clock = Signal()
        pins: Any = self
        m.submodules.pll = self._board.pll(pins.clk_in, clock)
        count = Signal(24)
        m.d.comb += [ClockSignal().eq(clock), pins.running.eq(count[-1]), pins.serial_out.eq(pins.serial_in ^ count[5])]
        m.d.sync += count.eq(count + 1)
        return m


@pytest.mark.boards
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BOARDS))
def test_built_twice_gives_the_same_bytes(name, tmp_path, monkeypatch):
    """A small design; `python -m vac_hdl.reproduce` does it with the whole one."""
    monkeypatch.setattr(builder, "BoardTop", _Blinker)
    first, second = build_twice(BOARDS[name], tmp_path)
    assert first == second
    assert len(first) > 10_000
    for report in tmp_path.glob("*/report.json"):
        values = json.loads(report.read_text())
        assert values["timing_met"] and values["ff"] >= 24


@pytest.mark.boards
@pytest.mark.slow
def test_bitstreams_that_differ_are_told(monkeypatch, capsys):
    monkeypatch.setattr(reproduce, "build_twice", lambda board, folder: (b"same", b"samX"))
    assert reproduce.main(["--board", "ulx3s"]) == 1
    assert "differ from byte 3 on" in capsys.readouterr().err


@pytest.mark.boards
@pytest.mark.slow
def test_missed_timing_leaves_no_bitstream(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(builder, "BoardTop", _Blinker)
    monkeypatch.setattr(builder, "_fmax", lambda report, board: (1.0, False))
    monkeypatch.setattr(builder, "SEEDS", (1,))
    assert builder.main(["--board", "icebreaker", "--output", str(tmp_path / "out")]) == 1
    assert "timing is not met: median 1.0 MHz" in capsys.readouterr().err
    assert not (tmp_path / "out" / "icebreaker.bin").exists()


def test_missing_tool_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert builder.main(["--board", "icebreaker", "--output", str(tmp_path / "out")]) == 1
    assert "yosys is missing" in capsys.readouterr().err


def test_flash_without_loader_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(builder.BuildError, match="openFPGALoader is not on PATH; install it"):
        builder.flash(BOARDS["ulx3s"], tmp_path / "ulx3s.bit")


def test_flash_hands_the_bitstream_to_the_loader(tmp_path, monkeypatch):
    loader = tmp_path / "openFPGALoader"
    loader.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\n')
    loader.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    builder.flash(BOARDS["ulx3s"], tmp_path / "ulx3s.bit")
    assert (tmp_path / "called").read_text().split() == ["-b", "ulx3s", "-f", str(tmp_path / "ulx3s.bit")]
    loader.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(builder.BuildError, match="openFPGALoader failed"):
        builder.flash(BOARDS["ulx3s"], tmp_path / "ulx3s.bit")


def test_unknown_board_is_a_usage_error():
    done = subprocess.run(
        [sys.executable, "-m", "vac_hdl.build", "--board", "none"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2
    assert "invalid choice: 'none'" in done.stderr
    assert "Traceback" not in done.stderr
