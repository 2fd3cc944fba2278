"""`vac board` and `vac run --engine board` as people meet them, at a terminal with the Verilated board behind it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from amaranth.back import verilog

from vac.assembler.assemble import assemble, assemble_file
from vac.golden.model import GoldenMachine
from vac.host.session import Host
from vac_hdl.config import CoreConfig
from vac_hdl.frame_ram import BlockFrameRam
from vac_hdl.soc import Soc, SocTop

from .serial_model import DIVISOR, build_serial_model

pytestmark = pytest.mark.rtl

VAC = [sys.executable, "-c", "from vac.cli import main; main()"]
CRC_DEMO = Path(__file__).resolve().parents[2] / "firmware" / "demos" / "crc32_file.vasm"
COUNTING = ".memory 4096\nlit 300\nset0\nagain: get0; st32a s, 0; get0; emit; djnz l0, again; halt\n"
PATIENCE = ("--patience", 600)
"""The simulated board is a process among others: what is slow here is the computer, and never a sign of silence."""


class SimulatedBoard:
    """A process of `pty_board`, and the name of its terminal."""

    def __init__(self, folder: Path) -> None:
        config = CoreConfig(frame_bits=4, label_bits=0, has_retire_port=False, in_words=False)
        top = SocTop(Soc(config, BlockFrameRam, DIVISOR))
        library = build_serial_model({"soc.v": verilog.convert(top, name="soc", emit_src=False)})
        self.port = folder / "board"
        command = [sys.executable, str(Path(__file__).with_name("pty_board.py")), str(library), str(self.port)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.said() == "ready"
        self.line = ("--port", self.port, *PATIENCE)

    def said(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def pull_cable_after(self, *counts: int) -> None:
        """Each time when so many more bytes have come to the board."""
        assert self.process.stdin
        print("pull", *counts, file=self.process.stdin, flush=True)
        assert self.said() == "armed"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedBoard]:
    board = SimulatedBoard(tmp_path_factory.mktemp("board"))
    yield board
    board.process.kill()
    board.process.wait()


def vac(*arguments: object, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != "VAC_PORT"}
    return subprocess.run(
        [*VAC, *map(str, arguments)], input=text, capture_output=True, check=False, env=environment
    )  # fmt: skip


def on_golden(path: Path) -> GoldenMachine:
    machine = GoldenMachine()
    Host(machine, assemble_file(path)).run(1 << 20)
    return machine


@pytest.fixture
def counting(tmp_path: Path) -> Path:
    (tmp_path / "counting.vasm").write_text(COUNTING)
    return tmp_path / "counting.vasm"


def test_a_program_runs_on_the_board_with_its_console(simulated: SimulatedBoard) -> None:
    text = b"bytes for the board"
    done = vac("board", "run", CRC_DEMO, *simulated.line, "--json", text=text)
    assert (done.returncode, done.stdout) == (0, b"%08x\n" % zlib.crc32(text)), done.stderr
    report = json.loads(done.stderr)
    fast = json.loads(vac("run", CRC_DEMO, "--engine", "fast", "--json", text=text).stderr)
    for key in ("status", "ticks", "pc", "stack", "digest", "sqi"):
        assert report[key] == fast[key]


def test_run_on_the_engine_board_gives_the_beams(simulated: SimulatedBoard, counting: Path, tmp_path: Path) -> None:
    beams = tmp_path / "beams"
    done = vac("run", counting, "--engine", "board", *simulated.line, "--beams", beams)
    assert done.returncode == 0, done.stderr
    assert beams.read_bytes() == on_golden(counting).drain_beams()


def test_a_pulled_cable_costs_time_and_nothing_else(simulated: SimulatedBoard, counting: Path, tmp_path: Path) -> None:
    beams = tmp_path / "beams"
    simulated.pull_cable_after(2_000, 4_000, 4_000)
    done = vac("run", counting, "--engine", "board", *simulated.line, "--beams", beams, "--json")
    golden = on_golden(counting)
    assert done.returncode == 0, done.stderr
    assert [simulated.said() for _ in range(3)] == ["pulled"] * 3
    assert beams.read_bytes() == golden.drain_beams()
    assert json.loads(done.stderr)["digest"] == f"{golden.state().digest:016x}"


def test_load_go_and_look(simulated: SimulatedBoard, counting: Path) -> None:
    port = simulated.line
    assert b"2 leaves" in vac("board", "load", counting, *port).stdout
    golden = GoldenMachine()
    golden.load(assemble(COUNTING))
    golden.run(100)
    assert (
        f"tick 100, pc {golden.state().pc:#x}; stopped: its ticks"
        in vac("board", "go", "--ticks", 100, *port).stdout.decode()
    )
    shown = vac("board", "info", *port).stdout.decode()
    assert "instruction set 1, 64 KiB of memory in 16 frames" in shown
    assert f"tick 100, pc {golden.state().pc:#x}, digest {golden.state().digest:016x}" in shown
    assert "stopped: it halted" in vac("board", "go", *port).stdout.decode()
    assert vac("board", "write", "frame:9", "0x12345678", "7", *port).returncode == 0
    assert vac("board", "read", "frame:9", "3", *port).stdout.split()[1:3] == [b"12345678", b"00000007"]
    assert vac("board", "halt", *port).stdout == b"stopped\n"


def test_what_the_monitor_is_told(counting: Path, tmp_path: Path) -> None:
    typed = tmp_path / "typed"
    assert vac("board", "script", CRC_DEMO, "-o", typed).returncode == 0
    text = b"below the monitor"
    monitor = CRC_DEMO.parents[1] / "monitor" / "monitor.vasm"
    done = vac("run", monitor, "--engine", "fast", text=typed.read_bytes() + text)
    assert done.stdout.endswith(b"> %08x\n" % zlib.crc32(text))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["board", "info"], "Missing option '--port'"),
        (["board", "info", "--port", "nowhere"], "cannot open nowhere: No such file"),
        (["board", "info", "--port", "plain"], "plain is no serial device"),
        (["board", "info", "--port", "plain", "--baud", "12345"], "does not know 12345 baud"),
        (["board", "load", "missing.vasm", "--port", "nowhere"], "cannot read 'missing.vasm'"),
        (["board", "read", "0x1000000", "--port", "nowhere"], "does not fit 24 bits"),
        (["board", "read", "frame:9000", "--port", "nowhere"], "reach beyond the host port"),
        (["board", "read", "0xffffff", "2", "--port", "nowhere"], "reach beyond the host port"),
        (["board", "write", "0", "zero", "--port", "nowhere"], "'zero' is no number"),
        (["board", "script", "table.vasm", "-o", "out"], "does not fit the monitor: it has a function table"),
        (["run", "good.vasm", "--engine", "board"], "no serial port is named"),
        (["run", "good.vasm", "--engine", "board", "--port", "nowhere"], "cannot open nowhere"),
    ],
)
def test_bad_input_is_told_without_a_traceback(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain").write_text("")
    Path("good.vasm").write_text("halt\n")
    Path("table.vasm").write_text("halt\nf: ret\n.function f, 0\n")
    done = vac(*arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.decode().replace("│", " ").split())
    assert "Traceback" not in done.stderr.decode()
    assert not Path("out").exists()


def test_a_silent_line_is_an_error() -> None:
    master, slave = os.openpty()
    done = vac("board", "info", "--port", os.ttyname(slave))
    assert done.returncode == 2
    assert b"no answer to HELLO after 4 attempts" in done.stderr
    os.close(master)
    os.close(slave)
