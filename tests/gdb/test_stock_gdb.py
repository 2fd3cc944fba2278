"""Stock gdb as a client, where it is installed: an architecture that it does not know, and what goes all the same."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.gdb.programs import COMMAND, SORT, gdb_server, write_lines

from vac.debugger import Session

pytestmark = pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed")


def gdb(*commands: str, target: str) -> str:
    arguments = ["gdb", "-nx", "-batch", "-ex", "set remotetimeout 60", "-ex", f"target remote {target}"]
    for command in commands:
        arguments += ["-ex", command]
    done = subprocess.run(arguments, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.stdout + done.stderr


def _takes_x86() -> bool:
    said = subprocess.run(
        ["gdb", "-nx", "-batch", "-ex", "set architecture i386:x86-64"], capture_output=True, text=True
    )
    return "i386:x86-64" in said.stdout


@pytest.mark.skipif(not _takes_x86(), reason="this gdb was built without x86-64")
def test_steps_breaks_watches_and_goes_back(tmp_path: Path) -> None:
    lines = write_lines(tmp_path)
    session = Session.open(SORT, console_input=lines.read_bytes())
    sift = session.source.code["sift"]
    session.add_breakpoint("sift")
    at_sift = session.resume().tick
    session.remove_breakpoint(1)
    with gdb_server(SORT, "--input", lines) as (process, port):
        said = gdb(
            "stepi", "print $tick", f"break *{sift}", "continue", "print $tick", "print $w0", "reverse-stepi",
            "print $tick", "x/4xb 0", "delete", "watch *(char*)0x100000004", "reverse-continue", "print $tick",
            "reverse-continue", "monitor where", "monitor disasm sift 2", "delete", "continue", "print $status", "kill",
            target=f"127.0.0.1:{port}",
        )  # fmt: skip
        assert process.wait() == 0
    assert "rejected" not in said
    assert "$1 = 1\n" in said
    assert f"$2 = {at_sift}\n" in said
    assert "slot = 1, permissions = 3}" in said
    assert f"$4 = {at_sift - 1}\n" in said
    code = session.history.read(0, 0, 4)
    assert "0x0:\t" + "\t".join(f"{byte:#04x}" for byte in code) in said
    session.seek(at_sift - 1)
    written = session.last_write(session.places.memory("1:4"))
    assert written and f"$5 = {written.tick}\n" in said
    assert "No more reverse-execution history" in said
    assert "#0  000000 0x0" in said and "sift:\n" in said
    assert "$6 = HALTED" in said


@pytest.mark.skipif(not _takes_x86(), reason="this gdb was built without x86-64")
def test_the_machines_own_description_is_refused(tmp_path: Path) -> None:
    lines = write_lines(tmp_path)
    with gdb_server(SORT, "--input", lines, "--registers", "vac") as (_, port):
        said = gdb("stepi", target=f"127.0.0.1:{port}")
    assert "Remote 'g' packet reply is too long" in said


@pytest.mark.skipif(not _takes_x86(), reason="this gdb was built without x86-64")
def test_through_a_pipe(tmp_path: Path) -> None:
    lines = write_lines(tmp_path)
    program = " ".join([f"{COMMAND[0]} -c '{COMMAND[2]}' gdb", str(SORT), "--input", str(lines), "--stdio"])
    said = gdb("stepi 5", "print $tick", "reverse-stepi 2", "print $tick", "kill", target=f"| {program}")
    assert "$1 = 5\n" in said and "$2 = 3\n" in said
