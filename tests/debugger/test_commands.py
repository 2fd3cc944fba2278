"""The command language: what a line says is what the session does, and any line is carried out or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.debugger.reference import sort_session

from vac.debugger import DebuggerError, Session
from vac.debugger.commands import COMMANDS, FAILURES, Commands


@pytest.fixture(scope="module")
def session() -> Session:
    return sort_session()


@pytest.fixture
def commands(session: Session) -> Commands:
    session.seek(0)
    session.breakpoints.clear()
    return Commands(session)


def test_a_session_in_words(session: Session, commands: Commands) -> None:
    assert commands.run("break sift").endswith(": sift")
    assert "sift  sort_lines.vasm:80  breakpoint" in commands.run("c")
    at_sift = session.tick
    assert commands.run("step 3").startswith(f"tick {at_sift + 3:,}")
    assert commands.run("back 2").startswith(f"tick {at_sift + 1:,}")
    assert "index=" in commands.run("where") and "heap+" in commands.run("where")
    assert commands.run("seek 1,000").startswith("tick 1,000")
    assert commands.run("undo").startswith(f"tick {at_sift + 1:,}")
    assert commands.run("end").endswith("the end: halted")
    assert commands.run("output").split() == ["apple", "banana", "cherry", "fig", "pear", "quince"]
    assert "sort_lines.vasm:71" in commands.run("backto event sys")
    said = commands.run("who 0xc000 4")
    assert f"tick {session.tick:,}" in said and "st32 wrote" in said
    assert "nobody wrote it" in commands.run("who 1:0x200000")
    assert commands.run("tick").startswith(f"tick {session.tick:,} of 0 to ")
    assert "sys write" in commands.run("end") + commands.run("events")
    assert commands.run("delete all").startswith("removed") and commands.run("break") == "no breakpoints"


def test_memory_and_cells(session: Session, commands: Commands) -> None:
    commands.run("to sift")
    state = session.state
    assert commands.run("print s0").endswith(f"{state.data_stack[-1]:#x} = {state.data_stack[-1]}")
    assert commands.run("print index").startswith("return stack cell")
    rows = commands.run("memory 1:0 40").splitlines()
    assert len(rows) == 3 and rows[0].startswith("1:00000000  ") and rows[0].endswith("....pear....appl")
    assert "=>* " in (commands.run("break sift"), commands.run("disasm"))[1]
    assert "made of" in commands.run("why s0") and "lit8 -4" in commands.run("why index")


@pytest.mark.parametrize("line", [
    "nonsense", "step -1", "step x", "step 1 2", "seek", "seek x", "to", "to nowhere", "break write", "break tick",
    "delete 77", "delete", "who", "who 1:0 0", "who 1:0 99999", "memory w", "print", "why l14", "why 300:0",
    "over 1", "break label 16", "help nonsense", "seek -1", "break event sys nonsense", "print l99", "break :9999",
])  # fmt: skip
def test_what_means_nothing_is_refused(session: Session, commands: Commands, line: str) -> None:
    with pytest.raises(FAILURES) as raised:
        commands.run(line)
    assert str(raised.value)
    assert session.tick == 0 and not session.breakpoints


def test_help_names_every_command(commands: Commands) -> None:
    text = commands.run("help")
    for command in COMMANDS:
        assert command.names[0] in text
        assert command.doc in commands.run(f"help {command.names[-1]}")


names = [name for command in COMMANDS for name in command.names]
rest = st.one_of(
    st.sampled_from(["", "sift", "0xc000 4", "s0", "12", "event sys", "*l2", "all", "1:0"]), st.text(max_size=9)
)


@given(st.lists(st.tuples(st.sampled_from(names), rest), max_size=5))
def test_any_line_is_carried_out_or_refused(lines: list[tuple[str, str]]) -> None:
    if not _SHARED:
        _SHARED.append(sort_session())
    commands = Commands(_SHARED[0])
    for name, words in lines:
        try:
            commands.run(f"{name} {words}")
        except FAILURES as error:
            assert str(error)
    _SHARED[0].breakpoints.clear()


_SHARED: list[Session] = []


def test_a_refusal_is_an_error_of_the_debugger(commands: Commands) -> None:
    with pytest.raises(DebuggerError, match="there is no command 'x2'; `help` lists them"):
        commands.run("x2")
