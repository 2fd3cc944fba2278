"""`vac record`, `replay`, `diff`, `fork`, `runs`, `export`, `import` as a shell sees them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from tempfile import TemporaryFile
from typing import NoReturn

import pytest
from tests.disks import mounted, remount
from typer.testing import CliRunner

from vac.cli import app, main
from vac.commitment.beam_tree import beam_root
from vac.recording.bundle import export_recording
from vac.recording.recording import Recording

VAC = [sys.executable, "-c", "from vac.cli import main; main()"]
ECHO = """
again:  in 0
        set0
        beqi l0, end, -1
        addi s, l0, -32
        out 0
        jmp again
end:    halt
.frame 1
"""


def vac(folder: Path, *arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own, which has everything loaded already."""
    with TemporaryFile() as given, TemporaryFile() as output, TemporaryFile() as errors:
        given.write(text)
        given.seek(0)
        pid = os.fork()
        if not pid:
            _become_the_command(folder, arguments, [given.fileno(), output.fileno(), errors.fileno()])
        _, status = os.waitpid(pid, 0)
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(
            arguments, os.waitstatus_to_exitcode(status), output.read(), errors.read()
        )  # fmt: skip


def _become_the_command(folder: Path, arguments: tuple[str, ...], files: list[int]) -> NoReturn:
    code: object = 1
    try:
        os.chdir(folder)
        for number, file in enumerate(files):
            os.dup2(file, number)
        # They stay open until the process ends.
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        sys.argv = ["vac", *arguments]
        main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "echo.vasm").write_text(ECHO)
    return tmp_path


def test_a_run_is_recorded_replayed_compared_and_carried_about(folder: Path) -> None:
    done = vac(folder, "record", "echo.vasm", "-o", "one", "--json", text=b"hello")
    assert (done.returncode, done.stdout) == (0, b"HELLO")
    report = json.loads(done.stderr)
    assert (report["reason"], report["entries"]) == ("halted", 11)
    done = vac(folder, "replay", "one", "--engine", "golden", "--output", "--json")
    assert (done.returncode, done.stdout) == (0, b"HELLO")
    assert json.loads(done.stderr)["root"] == report["root"]
    roots = set[str]()
    for engine in ("golden", "fast", "jit"):
        done = vac(folder, "replay", "one", "--engine", engine, "--beam-root", "--json")
        roots.add(json.loads(done.stderr)["beam_root"])
    assert vac(folder, "run", "echo.vasm", "--beams", "beams", text=b"hello").returncode == 0
    assert roots == {beam_root((folder / "beams").read_bytes()).hex()}
    assert vac(folder, "record", "echo.vasm", "-o", "two", text=b"help!").returncode == 0
    done = vac(folder, "diff", "one", "two", "--json")
    assert done.returncode == 5
    # Six instructions a letter: `in` of the fourth is the 19th.
    assert json.loads(done.stdout)["tick"] == 18
    assert b"the host answered differently" in vac(folder, "diff", "one", "two").stdout
    assert vac(folder, "diff", "one", "one").returncode == 0
    assert vac(folder, "export", "one", "-o", "one.vacrun").returncode == 0
    assert vac(folder, "import", "one.vacrun", "-o", "three").returncode == 0
    assert vac(folder, "diff", "one", "three").returncode == 0
    done = vac(folder, "fork", "one", "--at", "12", "-o", "four", "--name", "dream", text=b"y")
    assert (done.returncode, done.stdout) == (0, b"Y")
    done = vac(folder, "runs", ".")
    assert [line.split()[0] for line in done.stdout.decode().splitlines()].count("four") == 1
    assert any(line.startswith("  four") for line in done.stdout.decode().splitlines())
    assert vac(folder, "runs", ".", "--prune", "four").returncode == 0
    assert not (folder / "four").exists()


def test_conditions(folder: Path) -> None:
    assert vac(folder, "record", "echo.vasm", "-o", "one", text=b"hello").returncode == 0
    done = vac(
        folder, "replay", "one", "--info-at", "in:0", "--snapshot-at", "tick:7", "--stop-at", "tick:20", "--json"
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["tick"] for line in lines] == [6, 7, 12, 18, 20]
    assert (folder / "one/checkpoints" / f"tick-{7:020d}.dc.json").exists()
    assert vac(folder, "replay", "one").returncode == 0
    done = vac(folder, "replay", "one", "--stop-at", "sometimes")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"no condition; there are tick:N" in done.stderr
    done = vac(folder, "replay", "one", "--stop-at", "trap", "--stop-at", "sys:read")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"one: the run ends at tick 34 without trap or sys:read\n"


def test_conditions_of_a_live_run(folder: Path) -> None:
    done = vac(folder, "run", "echo.vasm", "--info-at", "in:0", "--stop-at", "tick:20", "--json", text=b"hello")
    assert done.returncode == 4
    assert done.stdout.startswith(b"H")
    lines = [json.loads(line[line.index(b"{") :]) for line in done.stdout.splitlines()]
    assert [line["tick"] for line in lines] == [6, 12, 18, 20]
    arguments = ("--snapshot-at", "pc:end", "--engine", "fast", "--record", "log")
    done = vac(folder, "run", "echo.vasm", *arguments, text=b"hello")
    assert (done.returncode, done.stdout.startswith(b"HELLO")) == (0, True)
    assert [path.name for path in folder.glob("*.dc.json")] == [f"tick-{33:020d}.dc.json"]


def test_a_recorder_that_is_interrupted_or_killed_goes_on(folder: Path) -> None:
    (folder / "spin.vasm").write_text("again: addi l0, l0, 1\njmp again\n.frame 1\n")
    command = [*VAC, "record", "spin.vasm", "-o", "run", "--segment", "12", "--json"]
    for number in (signal.SIGKILL, signal.SIGINT):
        recorder = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        segments = folder / "run/segments.bin"
        before = segments.stat().st_size if segments.exists() else 0
        while not segments.exists() or segments.stat().st_size < before + 1000:
            assert recorder.poll() is None
            time.sleep(0.01)
        recorder.send_signal(number)
        _, errors = recorder.communicate()
        command = [*VAC, "record", "--resume", "run", "--json"]
    assert recorder.returncode == 130
    report = json.loads(errors)
    assert report["reason"] == "interrupted"
    done = vac(folder, "record", "--resume", "run", "--ticks", str(report["ticks"] + 10), "--json")
    assert done.returncode == 4
    assert json.loads(done.stderr)["ticks"] == report["ticks"] + 10
    assert vac(folder, "replay", "run").returncode == 0


def test_bad_input_is_told_without_a_traceback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert vac(folder, "record", "echo.vasm", "-o", "one", text=b"hello").returncode == 0
    (folder / "torn.vacrun").write_bytes(b"x" * 2000)
    (folder / "full").mkdir()
    (folder / "full/file").touch()
    segments = bytearray((folder / "one/recording.json").read_bytes())
    (folder / "bad").mkdir()
    (folder / "bad/recording.json").write_bytes(segments[:-20])
    for expected, *arguments in (
        (2, "record"),
        (2, "record", "echo.vasm"),
        (2, "record", "echo.vasm", "-o", "one"),
        (2, "record", "echo.vasm", "-o", "full"),
        (2, "record", "echo.vasm", "-o", "x", "--input", "none"),
        (2, "record", "echo.vasm", "-o", "x", "--engine", "none"),
        (2, "record", "--resume", "one"),
        (2, "record", "--resume", "none"),
        (2, "replay", "none"),
        (2, "replay", "bad"),
        (2, "diff", "one", "none"),
        (2, "fork", "one", "--at", "9999", "-o", "x"),
        (2, "fork", "one", "--at", "5", "-o", "x", "--patch", "1"),
        (2, "import", "torn.vacrun", "-o", "x"),
        (2, "import", "none", "-o", "x"),
        (2, "export", "one", "-o", "none/x"),
        (2, "runs", "--prune", "x"),
    ):
        found = CliRunner().invoke(app, arguments)
        assert found.exit_code == expected, (arguments, found.output)
        assert found.stderr and isinstance(found.exception, SystemExit), arguments
    log = folder / "one/inputs.log"
    log.write_bytes(log.read_bytes()[:-12])
    done = vac(folder, "replay", "one")
    assert done.returncode == 5
    assert b"parts from the recording" in done.stderr


@pytest.fixture
def carried(folder: Path) -> Path:
    """The same folder with a recording, a file of it, and input."""
    (folder / "text").write_bytes(b"ab")
    assert vac(folder, "record", "echo.vasm", "-o", "run", "--input", "text").returncode == 0
    export_recording(Recording(folder / "run"), folder / "run.vacrun")
    return folder


WRITING = [
    ("record", "echo.vasm", "--input", "text", "-o", "disk/run"),
    ("fork", "run", "--at", "5", "--input", "text", "-o", "disk/fork"),
    ("import", "run.vacrun", "-o", "disk/copy"),
    ("export", "run", "-o", "disk/run.vacrun"),
    ("export", "run", "-o", "disk/run.jsonl"),
    ("pack", "echo.vasm", "-o", "disk/echo.vac"),
]


def refused(arguments: tuple[str, ...], reason: str) -> None:
    done = CliRunner().invoke(app, [*arguments])
    assert done.exit_code == 2 and reason in done.output, (arguments, done.output)


def test_a_folder_that_cannot_be_written(carried: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(carried)
    with mounted(carried / "disk", "size=64k") as disk:
        remount(disk, "ro")
        for arguments in WRITING:
            refused(arguments, "Read-only file system")
        assert list(disk.iterdir()) == []


def test_a_disk_that_is_full(carried: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(carried)
    with mounted(carried / "disk", "size=8k") as disk:
        (disk / "other").write_bytes(bytes(8192))
        for arguments in WRITING:
            refused(arguments, "No space left on device")
            remount(disk, "size=1m")
            assert CliRunner().invoke(app, [*arguments]).exit_code == 0, arguments
            for path in [path for path in disk.iterdir() if path.name != "other"]:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            remount(disk, "size=8k")
        assert [path.name for path in disk.iterdir()] == ["other"]
