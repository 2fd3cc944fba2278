"""The terminal view, driven by its keys at real terminal sizes."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Awaitable, Callable
from fcntl import ioctl
from pathlib import Path

import pytest
from tests.debugger.reference import LINES, SORT, sort_session
from textual.pilot import Pilot

from vac.debugger.app import CommandLine, DebuggerApp
from vac.debugger.lineage_pane import LineagePane
from vac.debugger.panes import CodePane, ListPane, MemoryPane, StatePane
from vac.debugger.timeline import Timeline

SIZES = [(80, 24), (132, 43)]


class Driver:
    """A person at the keys, who waits for each to have its effect."""

    def __init__(self, app: DebuggerApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def say(self, line: str) -> None:
        await self.press("colon")
        self.app.query_one(CommandLine).value = line
        await self.press("enter")

    async def settle(self) -> None:
        await self.pilot.pause()
        await self.app.workers.wait_for_complete()
        await self.pilot.pause()

    @property
    def tick(self) -> int:
        return self.app.session.tick

    def screen(self) -> str:
        """The text on the screen, as a person reads it."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines)

    def log(self) -> str:
        from textual.widgets import RichLog

        return "\n".join(strip.text.rstrip() for strip in self.app.query_one("#log", RichLog).lines)


def drive(size: tuple[int, int], story: Callable[[Driver], Awaitable[None]]) -> None:
    async def run() -> None:
        app = DebuggerApp(sort_session())
        async with app.run_test(size=size) as pilot:
            driver = Driver(app, pilot)
            await driver.settle()
            await story(driver)

    asyncio.run(run())


@pytest.mark.parametrize("size", SIZES)
def test_a_session(size: tuple[int, int]) -> None:
    async def story(driver: Driver) -> None:
        screen = driver.screen()
        assert "sort_lines" in screen and "tick 0" in screen and "▶000000 li l0, 0" in screen
        assert len(screen.split("\n")) == size[1]
        await driver.press("s", "s", "b")
        assert driver.tick == 1
        await driver.say("break sift")
        await driver.press("c")
        at_sift = driver.tick
        screen = driver.screen()
        assert "●▶000093 set1" in screen and "80 pop" in screen
        assert "index" in screen and f"{at_sift:,} of " in screen
        assert "breakpoint 1 (sift)" in driver.log()
        await driver.press("n", "c", "r")
        assert driver.tick == at_sift
        await driver.press("end")
        assert "halted" in driver.screen() and "■" in driver.screen()
        last = driver.tick
        await driver.press("r")
        assert at_sift < driver.tick < last
        await driver.press("home")
        assert driver.tick == 0
        await driver.press("u")
        assert driver.tick > at_sift
        await driver.press("e")
        assert driver.app.session.history.entries(driver.tick, driver.tick)

    drive(size, story)


@pytest.mark.parametrize("size", SIZES)
def test_who_and_why(size: tuple[int, int]) -> None:
    async def story(driver: Driver) -> None:
        await driver.press("end")
        await driver.say("memory 0xc000")
        pane = driver.app.query_one(MemoryPane)
        assert pane.has_focus and (pane.slot, pane.cursor) == (1, 0xC000)
        assert "0000c000" in driver.screen()
        await driver.press("right", "down", "up", "left", "w")
        place = driver.app.session.places.memory("0xc000")
        written = driver.app.session.history.last_write(place.slot, place.offset, 1, before=driver.tick + 1)
        assert written and written.tick == driver.tick and "st32 wrote" in driver.log()
        await driver.press("y")
        tree = driver.app.query_one(LineagePane)
        assert tree.has_focus and tree.root.children and "writes" in str(tree.border_subtitle)
        first = str(tree.root.children[0].label)
        tick = int(first.split()[0].replace(",", "")) if first[0].isdigit() else None
        await driver.press("down", "enter")
        assert tick is None or driver.tick == tick
        await driver.press("1", "down", "y")
        assert tree.has_focus and str(tree.root.label).startswith(("l", "s", "r"))

    drive(size, story)


def test_panes() -> None:
    async def story(driver: Driver) -> None:
        await driver.press("end")
        for key, name, text in (("2", "windows", "w0"), ("3", "breakpoints", "none"), ("4", "events", "sys write"),
                                ("5", "output", "quince")):  # fmt: skip
            await driver.press(key)
            assert driver.app.query_one(f"#{name}", ListPane).has_focus and text in driver.screen(), name
        await driver.say("where")
        assert driver.tick and "tick" in driver.log()
        await driver.say("registers")
        assert driver.app.query_one("#text", ListPane).has_focus and "slot 1 base 0x0" in driver.screen()
        await driver.press("1")
        assert driver.app.query_one(StatePane).has_focus and "data stack" in driver.screen()

    drive((80, 24), story)


def test_breakpoints_in_the_code() -> None:
    async def story(driver: Driver) -> None:
        code = driver.app.query_one(CodePane)
        code.focus()
        await driver.press("down", "down", "t")
        (breakpoint,) = driver.app.session.breakpoints.values()
        assert breakpoint.pcs == (code.selected,) and "●" in driver.screen()
        await driver.press("c")
        assert driver.app.session.state.pc == breakpoint.pcs[0] and driver.tick
        await driver.press("t")
        assert not driver.app.session.breakpoints

    drive((80, 24), story)


@pytest.mark.parametrize("size", SIZES)
def test_labels_devices_and_lines_of_source(size: tuple[int, int]) -> None:
    async def story(driver: Driver) -> None:
        session = driver.app.session
        lines = driver.screen().splitlines()
        assert any("▶" in line and "sort_lines.vasm" not in line for line in lines), "the instruction that comes next"
        await driver.say("break sift")
        await driver.press("c")
        assert session.state.pc == session.source.code["sift"] and "breakpoint 1 (sift)" in driver.log()
        assert "sift:" in driver.screen(), "the label stands above its code"
        span = session.source.span(session.state.pc)
        assert span and any(f"{span.line} {span.text.split()[0]}" in line for line in driver.screen().splitlines())
        await driver.say("delete 1")
        await driver.say("break event out console")
        await driver.press("c")
        out, comes_next = driver.tick, session.history.instruction
        assert (found := comes_next()) and found.text() == "out 0" and "breakpoint 2" in driver.log()
        await driver.say("backto event in console")
        assert driver.tick < out and (found := comes_next()) and found.text() == "in 0"
        signs = str(driver.app.query_one(Timeline).render()).splitlines()[0]
        assert {"i", "s"} <= set(signs)
        await driver.say("delete 2")
        await driver.say("break when inputs == 9 and sp == 1")
        await driver.say("start")
        await driver.press("c")
        assert session.state.sp == 1 and session.history.position == 9 and "breakpoint 3" in driver.log()

    drive(size, story)


def test_a_dream_and_back() -> None:
    async def story(driver: Driver) -> None:
        await driver.say("seek 100")
        await driver.say("dream input zebra\\n")
        assert "sort_lines (dream 1)" in driver.screen() and driver.tick == 100
        await driver.press("end", "5")
        assert "zebra" in driver.screen()
        await driver.say("wake")
        assert driver.tick == 100 and "(dream 1)" not in driver.screen()
        await driver.press("end")
        assert "zebra" not in driver.screen() and "quince" in driver.screen()

    drive((80, 24), story)


def test_the_timeline_seeks() -> None:
    async def story(driver: Driver) -> None:
        await driver.press("end")
        last = driver.tick
        driver.app.query_one(Timeline).focus()
        await driver.press("left")
        assert last - 40 < driver.tick < last
        await driver.pilot.click(Timeline, offset=(40, 0))
        await driver.settle()
        assert abs(driver.tick - last // 2) < last // 20
        await driver.press("g")
        line = driver.app.query_one(CommandLine)
        assert line.has_focus and line.value == "seek "
        await driver.press("1", "2", "enter")
        assert driver.tick == 12
        await driver.press("colon", "up")
        assert line.value == "seek 12"
        await driver.press("escape")
        assert not line.has_focus and line.value == ""

    drive((80, 24), story)


def test_what_means_nothing_is_said_so() -> None:
    async def story(driver: Driver) -> None:
        await driver.say("break nowhere")
        assert "is no label of code" in driver.log()
        await driver.press("u")
        assert "no place to go back to" in driver.log() and not driver.app.is_busy

    drive((80, 24), story)


def test_help_and_resizing() -> None:
    async def story(driver: Driver) -> None:
        await driver.press("f1")
        assert "Keys" in driver.screen() and "Esc closes" in driver.screen()
        await driver.press("escape")
        assert "Esc closes" not in driver.screen()
        assert not driver.app.query_one(MemoryPane).is_on_screen
        await driver.pilot.resize_terminal(140, 40)
        await driver.settle()
        assert driver.app.query_one(MemoryPane).is_on_screen and "00000000 00" in driver.screen()
        await driver.press("q")

    drive((80, 24), story)


def test_a_long_movement_can_be_stopped(tmp_path: Path) -> None:
    from vac.debugger import Session

    path = tmp_path / "loop.vasm"
    path.write_text(".frame 1\n let l0, 0\nround: addi l0, l0, 1\n jmp round\n")

    async def run() -> None:
        app = DebuggerApp(Session.open(path))
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("c")
            assert app.is_busy and "Esc stops it" in Driver(app, pilot).screen()
            await pilot.press("s", "escape")
            await app.workers.wait_for_complete()
            await pilot.pause()
            assert not app.is_busy and app.session.tick > 1 and "interrupted" in Driver(app, pilot).log()

    asyncio.run(run())


def test_in_a_terminal_of_80_by_24(tmp_path: Path) -> None:
    """The command itself on a pseudo-terminal: it draws, takes keys and leaves the terminal as it was."""
    lines = tmp_path / "lines.txt"
    lines.write_bytes(LINES)
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        os.execv(sys.executable, [sys.executable, "-c", "from vac.cli import main; main()", "debug", str(SORT),
                                  "--input", str(lines)])  # fmt: skip
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    drawn = b""

    def until(text: bytes) -> None:
        nonlocal drawn
        while text not in drawn:
            select.select([terminal], [], [])
            drawn += os.read(terminal, 1 << 16)

    until(b"sort_lines")
    until(b"Quit")
    os.write(terminal, b"\x1b[F")
    until(b"halted")
    os.write(terminal, b"q")
    try:
        while data := os.read(terminal, 1 << 16):
            drawn += data
    except OSError:
        pass  # how Linux says that the other side is gone
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert b"\x1b[?1049h" in drawn and b"\x1b[?1049l" in drawn and b"Traceback" not in drawn


def test_without_a_terminal_it_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from vac.cli import main; main()", "debug", str(SORT)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "wants a terminal" in done.stderr and "Traceback" not in done.stderr
