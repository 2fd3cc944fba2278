"""Movements, breakpoints and questions, against a walk through the run tick by tick."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.debugger.reference import LINES, SORT, sort_session, states_of

from vac.debugger import Breakpoint, DebuggerError, Session, Stopped
from vac.debugger.places import Bytes, StackCell
from vac.history.errors import Interrupted
from vac.history.last_write import Write
from vac.isa.limits import DATA_STACK_CELLS
from vac.machine.protocol import EventKind
from vac.machine.state import State


@pytest.fixture(scope="module")
def session() -> Session:
    return sort_session()


@pytest.fixture(scope="module")
def states(session: Session) -> list[State]:
    return states_of(session)


@pytest.fixture(autouse=True)
def at_start(session: Session) -> None:
    session.seek(0)
    session.breakpoints.clear()


def through(move: Callable[[], Stopped]) -> list[int]:
    """Ticks of the stops at breakpoints that a movement makes, one after another."""
    found: list[int] = []
    while (stopped := move()).reason == "breakpoint":
        found.append(stopped.tick)
    return found


def test_steps_both_ways(session: Session, states: list[State]) -> None:
    assert session.step() == Stopped(1, "there") and session.state == states[1]
    assert session.step(40).tick == 41 and session.state == states[41]
    assert session.step_back().tick == 40 and session.state == states[40]
    assert session.step_back(100) == Stopped(0, "begin")
    last = len(states) - 1
    assert session.seek(last + 7) == Stopped(last, "end") and session.status == "halted"
    assert session.start() == Stopped(0, "there")
    assert session.end() == Stopped(last, "end")
    with pytest.raises(DebuggerError, match="begins at tick 0"):
        session.seek(-1)


@pytest.mark.parametrize("place", ["sift", "sift+1", "is_before", "read_line", ":57", "0x93"])
def test_stops_at_code_whichever_way_it_comes(session: Session, states: list[State], place: str) -> None:
    pcs = session.places.code(place)
    expected = [tick for tick, state in enumerate(states) if state.pc in pcs and tick]
    session.add_breakpoint(place)
    assert through(session.resume) == expected and expected
    end = len(states) - 1
    assert session.tick == end
    assert through(session.reverse) == [tick for tick in reversed(expected) if tick < end]
    assert session.tick == 0


def test_several_breakpoints_are_told_apart(session: Session, states: list[State]) -> None:
    one, two = session.add_breakpoint("tick 100"), session.add_breakpoint("event in console")
    three = session.add_breakpoint("tick 100")
    assert session.resume().breakpoints == (two,)
    session.seek(99)
    assert session.resume() == Stopped(100, "breakpoint", (one, three))
    session.remove_breakpoint(one)
    session.seek(101)
    assert session.reverse().breakpoints == (three,)
    with pytest.raises(DebuggerError, match="no breakpoint 99"):
        session.remove_breakpoint(99)


def test_events_are_those_of_the_log(session: Session) -> None:
    session.end()
    log = session.history.log
    writes = [entry.tick for entry in log if entry.kind is EventKind.SYSTEM_CALL]
    outs = [entry.tick for entry in log if entry.kind is EventKind.DEVICE_OUT]
    for text, expected in (("event sys", writes), ("event write", writes), ("event out", outs),
                           ("event 0x01", []), ("event sys read", []), ("event", [e.tick for e in log])):  # fmt: skip
        session.start()
        session.breakpoints.clear()
        session.add_breakpoint(text)
        assert through(session.resume) == expected, text
        assert through(session.reverse) == expected[::-1], text


def test_watched_memory(session: Session, states: list[State]) -> None:
    session.end()
    slot, offset = 1, 0xC000
    values = [session.history.seek(tick) and session.history.read(slot, offset, 4) for tick in range(len(states))]
    changes = [tick for tick in range(1, len(values)) if values[tick] != values[tick - 1]]
    session.start()
    session.add_breakpoint(Breakpoint.watching(Bytes(slot, offset, 4)))
    ahead = through(session.resume)
    assert set(changes) <= set(ahead) and changes
    assert through(session.reverse) == [tick - 1 for tick in reversed(ahead)]
    session.breakpoints.clear()
    session.add_breakpoint("read 0xc000 4")
    reads = through(session.resume)
    for tick in reads:
        session.seek(tick - 1)
        instruction = session.history.instruction()
        assert instruction and instruction.row.mnemonic.startswith("ld32")
    session.breakpoints.clear()
    session.start()
    session.add_breakpoint("access 0xc000 4")
    assert through(session.resume) == sorted({*reads, *ahead})


def test_over_and_out_of_calls(session: Session, states: list[State]) -> None:
    session.run_to(session.parse(["sift"]).forward)
    call = session.tick - 1
    session.step_back()
    depth = session.state.rp
    stopped = session.step_over()
    assert states[stopped.tick].rp == depth and states[stopped.tick].pc == states[call].pc + 4
    assert all(state.rp > depth for state in states[call + 1 : stopped.tick])
    session.seek(call + 5)
    assert session.step_out() == stopped
    session.seek(call + 5)
    assert session.step_back_out().tick == call
    assert session.go_back().tick == call + 5
    assert session.step_back_out().tick == call and session.step_back_out() == Stopped(0, "there")


def test_frames_have_the_names_of_the_source(session: Session) -> None:
    session.run_to(session.parse(["is_before"]).forward)
    inner, *others = session.frames()
    assert inner.names == ("a", "b", "a_bytes", "b_bytes", "order")
    assert others[0].names[:2] == ("index", "count") and others[-1].names[0] == "at"
    assert session.places.cell("order") == session.places.cell("l4")
    line = next(number for number, text in enumerate(SORT.read_text().split("\n"), 1) if "shli    b, s, 2" in text)
    assert session.source.name(inner.pc) == "is_before"
    assert session.source.location(inner.pc) == f"sort_lines.vasm:{line}"


def test_who_wrote_is_the_last_write(session: Session, states: list[State]) -> None:
    session.end()
    place = session.places.memory("0xc000", 4)
    found = session.who_wrote(place)
    assert isinstance(found, Write) and session.tick == found.tick
    value = session.read(place)
    session.step()
    assert int.from_bytes(session.read(place), "little") == found.value != int.from_bytes(value, "little")
    session.seek(len(states) - 1)
    nowhere = session.places.memory("1:0x100000")
    assert session.who_wrote(nowhere) is None and session.tick == len(states) - 1


def test_who_wrote_a_cell_of_the_stacks(session: Session, states: list[State]) -> None:
    random = Random(6)
    for _ in range(40):
        tick = random.randrange(10, len(states))
        state = states[tick]
        session.seek(tick)
        live = [*range(state.sp), *range(DATA_STACK_CELLS + state.fp, DATA_STACK_CELLS + state.rp)]
        if not live:
            continue
        index = random.choice(live)
        found = session.last_write_of_cell(StackCell(index))
        changed = [t for t in range(1, tick + 1) if states[t].cells[index] != states[t - 1].cells[index]]
        if not changed:
            assert found is None or states[found.tick + 1].cells[index] == states[0].cells[index]
            continue
        assert found and found.tick >= changed[-1] - 1, "the last write is no earlier than the last change"
        assert states[found.tick + 1].cells[index] == state.cells[index]


def test_why_leads_to_the_input(session: Session) -> None:
    session.end()
    session.run_back_to(session.parse(["event", "sys"]).backward)
    pointer = session.places.value(session.places.cell("s1"))
    lineage = session.why(session.places.memory(f"{pointer:#x}", 1))
    (index,) = lineage.inputs
    assert bytes([session.history.log[index].answer.value]) == session.read(session.places.memory(f"{pointer:#x}"))
    assert {source[0].rpartition("/")[2] for source in lineage.source_of.values()} >= {"sort_lines.vasm", "input.vasm"}


def test_output_is_what_had_been_written_by_then(session: Session, states: list[State]) -> None:
    session.end()
    assert session.output() == b"".join(line + b"\n" for line in sorted(LINES.split()))
    session.run_back_to(session.parse(["event", "sys"]).backward)
    assert session.output() == b"".join(line + b"\n" for line in sorted(LINES.split())[:-1])
    session.start()
    assert session.output() == b""


def test_code_is_decoded_from_memory(session: Session) -> None:
    session.run_to(session.parse(["sift"]).forward)
    session.toggle_at(session.state.pc)
    lines = session.code(before=3, after=5)
    assert [line.pc for line in lines] == sorted(line.pc for line in lines)
    for line, following in pairwise(lines):
        assert line.pc + len(line.content) == following.pc
    here = next(line for line in lines if line.is_current)
    assert (here.pc, here.label, here.has_breakpoint) == (session.state.pc, "sift", True)
    assert here.span and here.span.text.strip() == "pop     count"
    assert session.toggle_at(session.state.pc) is None and not session.breakpoints


def test_an_image_alone_has_functions_by_address(tmp_path: Path, session: Session) -> None:
    path = tmp_path / "sort.vacimg"
    session.history.image.save(path)
    bare = Session.open(path, console_input=LINES)
    sift = session.source.code["sift"]
    assert bare.source.name(sift + 1) == f"f_{sift:06x}+0x1" and bare.source.location(sift) == ""
    assert bare.end() == session.end() and bare.output() == session.output()
    named = Session.open(path, console_input=LINES, source=SORT)
    assert named.source.name(sift) == "sift"


def test_a_replay_is_the_same_run(session: Session) -> None:
    from vac.host.input_log import InputLog

    session.end()
    again = Session.open(SORT, replay=InputLog(session.history.log), engine="golden")
    assert again.end() == session.end() and again.output() == session.output()
    assert again.state.digest == session.state.digest


def test_interrupted_movements_stop_between(tmp_path: Path) -> None:
    path = tmp_path / "loop.vasm"
    path.write_text(".frame 1\n let l0, 0\nround: addi l0, l0, 1\n jmp round\n")
    looping = Session.open(path)
    ended: list[int] = []
    for after in (1, 2, 5, 9, 17):
        left = iter([False] * after + [True])
        looping.poll = lambda left=left: next(left)
        stopped = looping.resume()
        assert (stopped.reason, stopped.tick) == ("interrupted", looping.tick)
        assert looping.state.cells[DATA_STACK_CELLS] == stopped.tick // 2
        ended.append(stopped.tick)
    assert ended == sorted(ended) and ended[-1] > 0


def test_an_interrupted_question_leaves_the_session_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "loop.vasm"
    path.write_text(".memory 64\n.frame 1\n lit 1000000\n set 0\nround: st32a l0, 8\n djnz l0, round\n halt\n")
    asking = Session.open(path)
    asking.end()
    end, places = asking.tick, (asking.places.any("0x8", 4), asking.places.any("l0"))
    for question in (asking.why, asking.who_wrote):
        for place in places:
            for after in (0, 3, 6) if question == asking.why else (0,):
                left = iter([False] * after + [True])
                asking.poll = lambda left=left: next(left, True)
                with pytest.raises(Interrupted):
                    question(place)
                assert asking.tick == end and asking.status == "halted"
            asking.poll = None
            assert question(place)
            asking.seek(end)


@given(st.text(max_size=40))
def test_any_text_is_a_place_or_is_refused(text: str) -> None:
    one = _shared()
    for read in (one.places.code, one.places.memory, one.places.cell, one.places.any):
        try:
            read(text)
        except DebuggerError as error:
            assert str(error)


words = st.one_of(
    st.sampled_from(["tick", "write", "read", "access", "event", "in", "sys", "label", "trap", "halt", "end", "mark",
                     "sift", "0x93", "1:0", "*s0", "-1", "99999999999999", "0x", ":57", "console", "1e3"]),
    st.text(min_size=1, max_size=8).filter(lambda text: not text.isspace()),
)  # fmt: skip


@given(st.lists(words, max_size=4))
def test_any_words_are_a_condition_or_are_refused(said: list[str]) -> None:
    one = _shared()
    try:
        breakpoint = one.parse(said)
    except DebuggerError:
        return
    one.seek(0)
    one.run_to(breakpoint.forward)


_SHARED: list[Session] = []


def _shared() -> Session:
    if not _SHARED:
        _SHARED.append(sort_session())
    return _SHARED[0]


def test_a_recording_is_the_run_that_it_recorded(tmp_path: Path, session: Session) -> None:
    from vac.engines.registry import create_machine
    from vac.recording.program import Program
    from vac.recording.start import start_recording

    folder = tmp_path / "run"
    program = Program(session.history.image, source=LINES)
    recorder = start_recording(folder, program, lambda: create_machine("fast", keeps_beams=False), "fast")
    recorder.finish(recorder.run(1 << 40))
    recorder.close()
    recorded = Session.open(folder, source=SORT)
    assert recorded.history.last_tick == session.end().tick
    assert recorded.end() == session.end() and recorded.output() == session.output()
    recorded.run_back_to(recorded.parse(["event", "sys"]).backward)
    session.run_back_to(session.parse(["event", "sys"]).backward)
    assert recorded.output() == session.output() and recorded.state == session.state
    assert recorded.source.name(recorded.state.pc) == "next_line+0x7"


def test_a_package_reaches_what_it_grants(tmp_path: Path, session: Session) -> None:
    from typer.testing import CliRunner

    from vac.cli import app

    path = tmp_path / "sort.vac"
    assert CliRunner().invoke(app, ["pack", str(SORT), "-o", str(path), "--cap", "default"]).exit_code == 0
    packed = Session.open(path, console_input=LINES)
    assert packed.end() == session.end() and packed.output() == session.output()


RECURSIVE = """
.frame 1
        li      l0, 6
        push    l0
        invoke  sum_to
        halt
.func sum_to                            # ( n -- sum ) of the numbers up to n
.local number
        pop     number
        jz      number, @none
        addi    s, number, -1
        invoke  sum_to
        add3    s, s, number
        ret
@none:
        k0
        ret
.endfunc
"""


def test_calls_that_recurse_are_told_apart_by_their_depth(tmp_path: Path) -> None:
    path = tmp_path / "recursive.vasm"
    path.write_text(RECURSIVE)
    one = Session.open(path)
    walked = states_of(one)
    calls = [t for t, state in enumerate(walked[:-1]) if one.source.location(state.pc).endswith(":12")
             and walked[t + 1].rp > state.rp]  # fmt: skip
    assert len(calls) == 6
    for call in calls:
        depth = walked[call].rp
        back = next(t for t in range(call + 1, len(walked)) if walked[t].rp == depth)
        one.seek(call)
        assert one.step_over().tick == back and walked[back].rp == depth
        one.seek(call + 2)
        assert one.step_out().tick == back
        one.seek(back - 1)
        assert one.step_back_out().tick == call


def test_lines_of_the_source(session: Session) -> None:
    text = SORT.read_text().split("\n")
    line = next(number for number, each in enumerate(text, 1) if each.strip() == "pop     index")
    (pc,) = session.places.code(f":{line}")
    assert pc == session.source.code["sift"] + 1 and session.places.code(f"sort_lines.vasm:{line}") == [pc]
    with pytest.raises(DebuggerError, match="has no code"):
        session.places.code(":1")
