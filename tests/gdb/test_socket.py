"""The command `vac gdb` and a client over a real socket, or a pipe."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.gdb.client import Client
from tests.gdb.programs import COMMAND, SORT, gdb_server, write_lines
from typer.testing import CliRunner

from vac.cli import app
from vac.debugger import Session
from vac.gdb.packets import Packet, PacketReader, Signal, frame

LOOP = ".frame 1\n let l0, 0\nround: addi l0, l0, 1\n jmp round\n"


def test_a_client_goes_through_a_run_and_back(tmp_path: Path) -> None:
    lines = write_lines(tmp_path)
    session = Session.open(SORT, console_input=lines.read_bytes())
    sift = session.source.code["sift"]
    with gdb_server(SORT, "--input", lines) as (process, port):
        client = Client.connect(port)
        assert "ReverseContinue+" in client.ask("qSupported:swbreak+")
        client.stop_acknowledging()
        assert client.ask(f"Z0,{sift:x},1") == "OK"
        assert "swbreak" in client.ask("c") and client.register(0) == sift
        first = client.register(1)
        assert "swbreak" in client.ask("vCont;c") and client.register(1) > first
        assert "swbreak" in client.ask("bc") and client.register(1) == first
        client.ask("bs")
        assert client.register(1) == first - 1
        session.seek(first - 1)
        assert client.register(0) == session.state.pc
        assert client.ask("m100000000,40") == session.history.read(1, 0, 64).hex()
        assert client.ask(f"z0,{sift:x},1") == "OK"
        assert "replaylog:end" in client.ask("c")
        assert "apple\nbanana\ncherry" in client.monitor("output")
        assert "sort_lines" in client.monitor("who 1:0x0 1") or "input" in client.monitor("who 1:0x0 1")
        client.close()
        again = Client.connect(port)
        tick = again.register(1)
        assert tick > 0, "the next client finds the session where the one before left it"
        again.send("k")
        assert process.wait() == 0


def test_an_interrupt_ends_a_long_movement(tmp_path: Path) -> None:
    path = tmp_path / "loop.vasm"
    path.write_text(LOOP)
    with gdb_server(path) as (_, port):
        client = Client.connect(port)
        client.send("c")
        time.sleep(0.3)
        client.send_bytes(b"\x03")
        assert client.reply().startswith("T02")
        reached = client.register(1)
        assert reached > 0
        client.send("bc")
        assert "replaylog:begin" in client.reply()
        client.send_bytes(b"\x03")
        assert client.ask("qC") == "QC1", "an interrupt that comes too late has no answer"


def test_broken_packets_are_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "loop.vasm"
    path.write_text(LOOP)
    with gdb_server(path) as (_, port):
        client = Client.connect(port)
        client.send_bytes(b"$qC#00")
        assert client.read_one() == b"-"
        assert client.ask("qC") == "QC1"
        client.send_bytes(b"-")
        assert client.reply() == "QC1"


def test_a_packet_that_was_sent_again_is_answered_once(tmp_path: Path) -> None:
    path = tmp_path / "loop.vasm"
    path.write_text(LOOP)
    asked = 3 * frame(b"s") + b"+" + frame(b"p1") + frame(b"k")
    done = subprocess.run([*COMMAND, "gdb", str(path), "--stdio"], input=asked, capture_output=True)
    replies = [item.payload for item in PacketReader().feed(done.stdout) if isinstance(item, Packet)]
    assert len(replies) == 2 and replies[1] == (1).to_bytes(8, "little").hex().encode()


def test_standard_input_and_output(tmp_path: Path) -> None:
    path = tmp_path / "loop.vasm"
    path.write_text(LOOP)
    asked = b"".join(frame(each, is_short=False) for each in (b"QStartNoAckMode", b"s", b"s", b"p1", b"D"))
    done = subprocess.run([*COMMAND, "gdb", str(path), "--stdio"], input=asked, capture_output=True)
    assert done.returncode == 0, done.stderr
    items = PacketReader().feed(done.stdout)
    assert items[0] is Signal.ACK
    replies = [item.payload for item in items if isinstance(item, Packet)]
    assert replies[0] == b"OK" and replies[3] == (2).to_bytes(8, "little").hex().encode() and replies[4] == b"OK"


def test_bad_input_ends_the_command(tmp_path: Path) -> None:
    (tmp_path / "bad.vasm").write_text(" nonsense\n")
    loop = tmp_path / "loop.vasm"
    loop.write_text(LOOP)
    for arguments, said in (
        ([tmp_path / "none.vasm"], "cannot read"),
        ([tmp_path / "bad.vasm"], "unknown instruction"),
        ([loop, "--registers", "arm"], "--registers is 'arm'"),
        ([loop, "--engine", "none"], "there is no engine"),
        ([loop, "--source", SORT], "assembles to other code"),
        ([loop, "--replay", SORT], "no entry of an input log"),
    ):
        done = CliRunner().invoke(app, ["gdb", *map(str, arguments)])
        assert done.exit_code == 2 and said in done.stderr and isinstance(done.exception, SystemExit)
