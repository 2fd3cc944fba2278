"""`vac run` as people meet it: a process with standard input and output, exit codes, files."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vac.assembler.assemble import assemble
from vac.image.image import Image

VAC = [sys.executable, "-c", "from vac.cli import main; main()", "run"]
UPPERCASE = """
again:  in 0
        set0
        beqi l0, end, -1
        addi s, l0, -32
        out 0
        jmp again
end:    halt
"""
FOREVER = "again: jmps again"


def vac_run(*arguments: object, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*VAC, *map(str, arguments)], input=text, capture_output=True, timeout=600, check=False)


def source(folder: Path, text: str, name: str = "program.vasm") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_console_is_standard_input_and_output(tmp_path: Path) -> None:
    done = vac_run(source(tmp_path, UPPERCASE), text=b"hello")
    assert (done.returncode, done.stdout) == (0, b"HELLO")
    report = done.stderr.decode()
    assert "program.vasm: halted" in report and "ticks   34 " in report
    assert "digest  ed5c99a754a60bcd" in report and "score 1.000" in report


@pytest.mark.parametrize("engine", ["golden", "fast", "jit"])
def test_engines_give_the_same_report_and_beams(engine: str, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"hello")
    beams = tmp_path / "beams"
    done = vac_run(
        source(tmp_path, UPPERCASE), "--engine", engine, "--input", tmp_path / "input", "--beams", beams, "--json"
    )
    report = json.loads(done.stderr)
    assert (report["status"], report["ticks"], report["digest"]) == ("halted", 34, "ed5c99a754a60bcd")
    assert done.stdout == b"HELLO" and beams.stat().st_size == 16 * 34
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beams", "input", "program.vasm"]


def test_where_there_is_no_compiler_the_golden_model_serves_and_says_so(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "VAC_CACHE_DIR": str(tmp_path / "cache")}
    command = [*VAC, source(tmp_path, UPPERCASE), "--engine", "fast"]
    done = subprocess.run(command, input=b"hello", env=environment, capture_output=True)
    assert done.stdout == b"HELLO"
    assert b"golden model serves" in done.stderr and b"on golden" in done.stderr


def test_a_long_run_on_the_jit_goes_on_from_slice_to_slice(tmp_path: Path) -> None:
    loop = "liw l0, 400000\nloop: addi l1, l1, 3; xor3 l2, l2, l1; djnz l0, loop; halt"
    reports = [
        json.loads(vac_run(source(tmp_path, loop), "--engine", engine, "--json").stderr) for engine in ("fast", "jit")
    ]
    for report in reports:
        del report["engine"], report["seconds"]
    assert reports[0] == reports[1] and reports[0]["ticks"] == 1_200_002


def test_an_image_runs_too_and_reads_storage(tmp_path: Path) -> None:
    image = tmp_path / "copy.vacimg"
    assemble("lit 0x30; k0; lit 4096; sys 0; set0; k0; k0; get0; sys 1; halt").save(image)
    (tmp_path / "data").write_bytes(b"stored bytes")
    done = vac_run(image, "--storage", tmp_path / "data")
    assert (done.returncode, done.stdout) == (0, b"stored bytes")


def test_a_trap_names_itself_and_its_line(tmp_path: Path) -> None:
    done = vac_run(source(tmp_path, "nop\nk0; k0\ndivu\n"))
    assert done.returncode == 3
    assert b"trapped: DIVISION_BY_ZERO at pc 0x3" in done.stderr and b"program.vasm:3)" in done.stderr


def test_a_denial_is_reported(tmp_path: Path) -> None:
    done = vac_run(source(tmp_path, "in 0x40"), "--json")
    assert done.returncode == 3
    report = json.loads(done.stderr)
    assert report["trap"] == "DENIED" and report["denials"] == ["tick 0, pc 0x0: in 0x40 denied: not granted"]


@pytest.mark.parametrize("engine", ["golden", "fast", "jit"])
def test_the_tick_limit_is_exact(engine: str, tmp_path: Path) -> None:
    done = vac_run(source(tmp_path, FOREVER), "--ticks", 12345, "--json", "--engine", engine)
    assert done.returncode == 4
    assert json.loads(done.stderr)["ticks"] == 12345


def test_a_recorded_run_replays_without_its_inputs(tmp_path: Path) -> None:
    program, log = source(tmp_path, "sys 6; emit;" + UPPERCASE), tmp_path / "log"
    first = vac_run(program, "--record", log, "--seed", 7, "--json", text=b"abc")
    again = vac_run(program, "--replay", log, "--json")
    assert again.stdout == first.stdout == b"ABC"
    assert json.loads(again.stderr)["digest"] == json.loads(first.stderr)["digest"]
    other = vac_run(source(tmp_path, "in 1", "other.vasm"), "--replay", log)
    assert other.returncode == 2 and b"the recorded run asked" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.vasm"], "cannot read 'missing.vasm': No such file or directory"),
        (["bad.vasm"], "bad.vasm:1:1: error: unknown instruction 'nonsense'"),
        (["cut.vacimg"], "damaged or truncated"),
        (["empty.vacimg"], "not a VAC image"),
        (["binary"], "neither an image nor text"),
        (["good.vasm", "--input", "missing"], "cannot read 'missing'"),
        (["good.vasm", "--storage", "missing"], "cannot read 'missing'"),
        (["good.vasm", "--replay", "bad.vasm"], "line 1: no entry of an input log"),
        (["good.vasm", "--engine", "warp"], "there is no engine 'warp'; choose one of golden, fast, jit, rtl"),
        (["good.vasm", "--beams", "nowhere/beams"], "cannot write 'nowhere/beams'"),
        (["good.vasm", "--ticks", "-1"], "Invalid value for '--ticks'"),
        ([], "Missing argument"),
    ],
)
def test_bad_input_is_told_without_a_traceback(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source(tmp_path, "halt", "good.vasm")
    source(tmp_path, "nonsense", "bad.vasm")
    (tmp_path / "cut.vacimg").write_bytes(assemble("halt").to_bytes()[:-1])
    (tmp_path / "empty.vacimg").write_bytes(b"")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    done = vac_run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr.decode() and "Traceback" not in done.stderr.decode()
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("program", [UPPERCASE, FOREVER], ids=["while waiting for input", "while running"])
def test_an_interrupt_stops_at_a_clean_tick(program: str, tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    command = [*VAC, source(tmp_path, program), "--json"]
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin and process.stdout
    if program is UPPERCASE:
        typist = process.stdin
        typist.write(b"a")
        typist.flush()
        assert process.stdout.read(1) == b"A", "output comes while the program waits for more input"
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    process.stdin = None  # stays open: the end of the input would end the wait as well
    _, error = process.communicate(timeout=600)
    assert process.returncode == 130
    report = json.loads(error)
    assert report["status"] == "interrupted" and report["ticks"] >= 6


def test_a_long_run_shows_its_speed_on_a_terminal(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen([*VAC, source(tmp_path, FOREVER), "--engine", "fast"], stderr=follower) as process:
        os.close(follower)
        time.sleep(3.5)
        process.send_signal(signal.SIGINT)
        shown = b""
        try:
            while chunk := os.read(leader, 4096):
                shown += chunk
        except OSError:  # the terminal's other end is closed
            pass
    os.close(leader)
    assert b" M ticks/s" in shown and b"interrupted" in shown


FULL = Path("/dev/full")
"""Takes nothing, as a disk that is full."""


@pytest.mark.skipif(not FULL.exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("command", ["run", "record", "disasm"])
def test_output_that_cannot_be_written(command: str, tmp_path: Path) -> None:
    image = tmp_path / "hello.vacimg"
    assemble("lit 65\nout 0\nhalt\n").save(image)
    more = ["-o", str(tmp_path / "recording")] if command == "record" else []
    with FULL.open("wb") as full:
        done = subprocess.run([*VAC[:-1], command, str(image), *more], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert "cannot write standard output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_output_into_a_pipe_leaves_the_pipe(tmp_path: Path) -> None:
    source, pipe = tmp_path / "hello.vasm", tmp_path / "pipe"
    source.write_text("halt\n")
    os.mkfifo(pipe)
    asm = subprocess.Popen([*VAC[:-1], "asm", str(source), "-o", str(pipe)])
    content = pipe.read_bytes()
    assert asm.wait() == 0 and pipe.is_fifo()
    assert Image.from_bytes(content).code == assemble("halt\n").code


def test_a_run_without_a_compiler_says_who_serves(tmp_path: Path) -> None:
    source = tmp_path / "hello.vasm"
    source.write_text("halt\n")
    nowhere = os.environ | {"PATH": str(tmp_path), "CC": ""}
    for command in (["run", str(source), "--json"], ["schedule", str(source), "--json"]):
        done = subprocess.run([*VAC[:-1], *command, "--engine", "fast"], env=nowhere, capture_output=True, text=True)
        report = json.loads((done.stderr if command[0] == "run" else done.stdout).splitlines()[-1])
        assert report["engine"] == "golden", done.stderr
