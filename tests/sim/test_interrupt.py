"""`make sim` cut short by real signals: nothing half-written stays, and what a killed run left is cleared away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vac_sim.workplace import remove_stale, workplace

pytestmark = pytest.mark.rtl

ENDLESS = "forever: jmps forever\n"
_PATIENCE_S = 900.0


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    (folder / "endless.vasm").write_text(ENDLESS)
    command = [sys.executable, "-m", "vac_sim.main", "--program", str(folder / "endless.vasm"), *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def simulator_of(process: subprocess.Popen[str]) -> int:
    """Number of the simulator's process, once it compares."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        for listing in Path(f"/proc/{process.pid}/task").glob("*/children"):
            for child in listing.read_text().split():
                if "vac_bench" in Path(f"/proc/{child}/cmdline").read_text():
                    return int(child)
        time.sleep(0.05)
    raise AssertionError(f"no simulator was started: {process.communicate()[1] if process.poll() else 'it waits'}")


def is_gone(process: int) -> bool:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        status = Path(f"/proc/{process}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A folder with results of an earlier run."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "report.md").write_text("earlier")
    return folder


def test_interrupt_leaves_everything_as_it_was(tmp_path: Path, earlier: Path) -> None:
    process = start(tmp_path, "--out", str(earlier))
    simulator = simulator_of(process)
    process.send_signal(signal.SIGINT)  # to this process alone: the simulator is not told
    _, shown = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 130
    assert "sim: interrupted; nothing was written" in shown and "Traceback" not in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["endless.vasm", "out"]
    assert [path.name for path in earlier.iterdir()] == ["report.md"]
    assert is_gone(simulator)


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path, earlier: Path) -> None:
    process = start(tmp_path, "--out", str(earlier))
    simulator = simulator_of(process)
    process.kill()
    process.communicate()
    os.kill(simulator, signal.SIGKILL)
    left = [path for path in tmp_path.iterdir() if path.name.startswith(".out-")]
    assert len(left) == 1
    again = start(tmp_path, "--out", str(earlier), "--ticks", "100")
    _, shown = again.communicate(timeout=_PATIENCE_S)
    assert again.returncode == 1 and "did not halt" in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["endless.vasm", "out"]
    assert "earlier" not in (earlier / "report.md").read_text()


def test_the_workplace_of_a_running_process_stays(tmp_path: Path) -> None:
    with workplace(tmp_path / "out") as folder:
        (folder / "result").write_text("new")
        remove_stale(tmp_path / "out")
        assert folder.is_dir()
        with workplace(tmp_path / "out") as second:
            (second / "result").write_text("second")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "result").read_text() == "new"


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no room"), workplace(tmp_path / "out") as folder:
        (folder / "half").write_text("half")
        raise OSError("no room")
    assert not list(tmp_path.iterdir())
