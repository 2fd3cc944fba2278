"""Other futures of a run, against recordings that were forked and patched in the same way."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.debugger.reference import LINES, SORT, sort_session

from vac.assembler.assemble import assemble
from vac.debugger import DebuggerError, Session
from vac.debugger.commands import Commands
from vac.engines.registry import create_machine
from vac.golden.model import GoldenMachine
from vac.machine.protocol import Machine, StopReason
from vac.recording.program import Program
from vac.recording.start import Patch, fork_recording, start_recording

NEVER = (1 << 64) - 1
OTHER = b"zebra\nant\n"


def fast() -> Machine:
    return create_machine("fast", keeps_beams=False)


def forked(parent: Path, moment: int, folder: Path, text: bytes, patches: list[Patch]) -> str:
    """State root at the end of a fork."""
    from vac.recording.recording import Recording

    recorder = fork_recording(
        Recording(parent), moment, folder, Program(assemble(SORT.read_text(), str(SORT)), source=text), fast, patches
    )
    return recorder.finish(recorder.run(NEVER)).root


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "run"
    recorder = start_recording(folder, Program(assemble(SORT.read_text(), str(SORT)), source=LINES), fast, "fast")
    recorder.finish(recorder.run(NEVER))
    return folder


@pytest.mark.parametrize("is_recording", [False, True])
def test_a_dream_in_a_dream_is_a_fork_of_a_fork(recorded: Path, tmp_path: Path, is_recording: bool) -> None:
    session = Session.open(recorded) if is_recording else sort_session()
    commands = Commands(session)
    session.end()
    end = session.history.root()

    session.seek(100)
    said = commands.run("dream 1:0x40=hex:ff00ff input zebra\\nant\\n")
    assert said == "dream 1 of run 0, from tick 100: 1:0x40=hex:ff00ff, other input"
    session.seek(200)
    middle = session.history.root()
    session.end()
    first = forked(recorded, 100, tmp_path / "first", OTHER, [(1, 0x40, b"\xff\0\xff")])
    assert session.history.root().hex() == first != end.hex()

    session.seek(200)
    assert session.history.root() == middle
    commands.run("dream *l3=0x41424344 input b\\n")
    place = session.places.memory("*l3", 4)
    session.end()
    second = forked(tmp_path / "first", 200, tmp_path / "second", b"b\n", [(place.slot, place.offset, b"DCBA")])
    assert session.history.root().hex() == second

    assert commands.run("dreams").split("\n")[1:] == [
        "     1  from tick 100: 1:0x40=hex:ff00ff, other input",
        f"=>     2  from tick 200: {place.slot}:{place.offset:#x}=0x41424344, other input",
    ]
    assert commands.run("wake").startswith("run 1: tick 200")
    assert session.history.root() == middle
    commands.run("wake 0")
    assert session.tick == 100
    session.end()
    assert session.history.root() == end, "what was run stays as it was"
    commands.run("wake 2")
    assert commands.run("forget 1") == "forgot 1, 2; in run 0"


def test_the_rest_of_the_input_is_read_where_nothing_else_is_said() -> None:
    session = sort_session()
    session.end()
    end, output = session.tick, session.output()
    session.seek(160)
    session.dream()
    session.end()
    assert (session.tick, session.output()[-4:], session.state.status.name) == (end, output[-4:], "HALTED")


def test_cells_and_pc_are_what_they_were_changed_to(tmp_path: Path) -> None:
    path = tmp_path / "loop.vasm"
    path.write_text(".frame 1\n li l0, 100\nround: djnz l0, round\n get0\n halt\nother: li l0, 7\n get0\n halt\n")
    session = Session.open(path)
    commands = Commands(session)
    session.seek(11)
    commands.run("dream l0=-1")
    golden = GoldenMachine()
    golden.load(session.history.image)
    state = session.history.timeline.kept[0].state
    golden.set_state(state)
    assert state.cells[64] == 0xFFFFFFFF and state.tick == 11
    assert golden.run(500).reason is StopReason.TICK
    session.seek(500)
    assert session.state.differences(golden.state()) == []
    with pytest.raises(DebuggerError, match="the run begins at tick 11"):
        session.seek(3)

    commands.run("dream pc=other")
    assert session.end().tick == 503 and session.state.data_stack == [7]
    with pytest.raises(DebuggerError, match=r"the machine has stopped here \(halted\); go to a tick before"):
        commands.run("dream")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dream l0", "PLACE=VALUE is wanted"),
        ("dream l0=0x100000000", "does not fit a cell"),
        ("dream 1:0=hex:1", "pairs of hexadecimal digits"),
        ("dream l0=x", "value"),
        ("dream pc=nowhere", "no label of code"),
        ("dream input \\x", "input"),
        ("wake", "this is no dream"),
        ("wake 3", "there is no run 3"),
        ("forget 0", "0 is no dream"),
    ],
)
def test_what_cannot_be_dreamt(line: str, message: str) -> None:
    session = sort_session()
    session.step(20)
    with pytest.raises(DebuggerError, match=message):
        Commands(session).run(line)
    assert session.tick == 20 and list(session.runs) == [0]
