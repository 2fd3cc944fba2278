"""The terminal view of a session: panes of one moment, keys that are commands, and a command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import ContentSwitcher, Footer, Input, RichLog, Static

from ..isa.limits import CODE_SLOT
from .commands import FAILURES, Commands
from .help_screen import HelpScreen
from .lineage_pane import LineagePane
from .panes import (
    CodePane,
    Lines,
    ListPane,
    MemoryPane,
    Pane,
    Resized,
    StatePane,
    breakpoint_lines,
    event_lines,
    mismatch_lines,
    output_lines,
    window_lines,
)
from .places import Bytes
from .session import Session
from .timeline import Timeline

KEYS: tuple[tuple[str, str, str], ...] = (
    ("s", "step", "Step"),
    ("b", "back", "Back"),
    ("n", "over", "Over"),
    ("o", "out", "Out"),
    ("a", "call", "To the call"),
    ("c", "continue", "Continue"),
    ("r", "reverse", "Reverse"),
    ("e", "to event", "Next event"),
    ("E", "backto event", "Event before"),
    ("home", "start", "Start"),
    ("end", "end", "End"),
    ("u", "undo", "Undo move"),
)
"""Key, the command that it is, what the footer and the help call it."""
_IN_FOOTER = frozenset("sbcr")
DETAILS = (("memory", "m"), ("windows", "2"), ("breakpoints", "3"), ("events", "4"), ("output", "5"), ("why", "6"),
           ("text", "7"), ("mismatch", "8"))  # fmt: skip
"""Panes that share a place, with the key of each."""
_BROAD = ("why", "text", "events", "output", "mismatch")
"""Those that take more of a narrow terminal."""
_WIDE = 112
_MOST_LOG_LINES = 2


class CommandLine(Input):
    """A line of input that remembers what was said."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "recall(-1)", show=False),
        Binding("down", "recall(1)", show=False),
        Binding("escape", "leave", show=False),
    ]

    def __init__(self, id: str) -> None:
        super().__init__(placeholder=": for a command, F1 for help", compact=True, select_on_focus=False, id=id)
        self._said: list[str] = []
        self._at = 0

    def remember(self, line: str) -> None:
        if line and (not self._said or self._said[-1] != line):
            self._said.append(line)
        self._at = len(self._said)

    def action_recall(self, distance: int) -> None:
        self._at = max(0, min(len(self._said), self._at + distance))
        self.value = self._said[self._at] if self._at < len(self._said) else ""
        self.cursor_position = len(self.value)

    def action_leave(self) -> None:
        self.value = ""
        self.screen.query_one("#code").focus()


class DebuggerApp(App[None]):
    """session: what is shown. Everything that is done goes through its commands, in a thread while the view waits."""

    CSS = """
    #title { height: 1; background: $primary-background; padding: 0 1; }
    #main { height: 1fr; }
    Pane, ListPane, LineagePane { border: round #5f6f7f; padding: 0; background: $surface; }
    Pane:focus, ListPane:focus, LineagePane:focus { border: round $accent; }
    #code { width: 3fr; }
    #side { width: 33; }
    #state { height: 1fr; }
    #detail { height: 1fr; display: none; }
    Screen.-detail #state { display: none; }
    Screen.-detail #detail { display: block; }
    Screen.-broad #side { width: 54; }
    Screen.-wide #side { width: 5fr; layout: horizontal; }
    Screen.-wide #state { width: 34; display: block; }
    Screen.-wide #detail { width: 1fr; display: block; }
    Timeline { height: 2; padding: 0 1; }
    Timeline:focus { background: $boost; }
    #log { height: 2; padding: 0 1; background: $background; scrollbar-size: 0 0; }
    Screen.-tall #log { height: 4; scrollbar-size: 1 1; }
    #command { height: 1; border: none; padding: 0 1; background: $boost; }
    LineagePane { scrollbar-size: 1 1; background-tint: transparent; }
    LineagePane:focus { background-tint: transparent; }
    ListPane { scrollbar-size: 1 1; }
    """
    TITLE = "vac debug"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_WIDE, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"say('{line}')", text, show=key in _IN_FOOTER) for key, line, text in KEYS),
        Binding("w", "ask('who')", "Who"),
        Binding("y", "ask('why')", "Why"),
        Binding("g", "begin('seek ')", "Seek", show=False),
        Binding("colon", "begin('')", "Say", key_display=":"),
        Binding("1", "detail('state')", "State", show=False),
        *(Binding(key, f"detail('{name}')", name.capitalize(), show=False) for name, key in DETAILS),
        Binding("escape", "interrupt", "Stop", show=False),
        Binding("f1,question_mark", "help", "Help", key_display="F1"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.commands = Commands(session)
        self.is_busy = False
        self._is_show_due = False

    # ---- what there is -------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Static(id="title")
        with Horizontal(id="main"):
            yield CodePane(id="code")
            with Vertical(id="side"):
                yield StatePane(id="state")
                with ContentSwitcher(initial="memory", id="detail"):
                    yield MemoryPane(id="memory")
                    for name in ("windows", "breakpoints", "events", "output", "text", "mismatch"):
                        yield ListPane(name, id=name)
                    yield LineagePane(id="why")
        yield Timeline(id="timeline")
        yield RichLog(id="log", wrap=True, markup=False)
        yield CommandLine(id="command")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        window = self.session.state.windows[0]
        self.query_one(MemoryPane).go_to(Bytes(window.slot, window.base))
        self.query_one("#log", RichLog).can_focus = False
        self.query_one("#code").focus()
        if self.session.program.comparison:
            self.action_detail("mismatch")
        self.call_after_refresh(self.show_all)

    @on(Resized)
    def _resized(self) -> None:
        if not self._is_show_due:
            self._is_show_due = True
            self.call_after_refresh(self.show_all)

    def show_all(self) -> None:
        """Every pane as the session stands now; nothing while it moves."""
        self._is_show_due = False
        if self.is_busy:
            return
        session = self.session
        for pane in self.query(Pane):
            if pane.is_on_screen:
                pane.show(session)
        self.query_one(Timeline).show(session)
        self._show_list("windows", window_lines)
        self._show_list("breakpoints", breakpoint_lines)
        self._show_list("events", event_lines)
        self._show_list("output", output_lines)
        self._show_list("mismatch", mismatch_lines)
        self._show_title("")

    def _show_list(self, name: str, lines: Callable[[Session], Lines]) -> None:
        pane = self.query_one(f"#{name}", ListPane)
        if pane.is_on_screen:
            pane.set_lines(*lines(self.session))

    def _show_title(self, doing: str) -> None:
        session = self.session
        title = Text("vac debug ", "bold")
        dream = f" (dream {session.run.number})" if session.run.number else ""
        title.append(f"{session.program.title}{dream}  ", "bold cyan")
        if doing:
            title.append(f"{doing} …  Esc stops it", "bold yellow")
        else:
            title.append(f"tick {session.tick:,}  ")
            title.append(session.status, "bold red" if session.state.trap else "")
        self.query_one("#title", Static).update(title)

    # ---- what is done --------------------------------------------------------------------------------------------

    def run_line(self, line: str) -> None:
        """Carries out a line as if it had been typed."""
        words = line.split()
        if not words:
            return
        if self.is_busy:
            self.bell()
        elif words[0] in ("quit", "q", "exit"):
            self.exit()
        elif words[0] in ("help", "h") and len(words) == 1:
            self.action_help()
        else:
            self.is_busy = True
            self._show_title(line)
            self._carry_out(words)

    @work(thread=True)
    def _carry_out(self, words: list[str]) -> None:
        """Only this thread touches the session until it is done."""
        said, shown = "", None
        try:
            if words[0] == "why":
                place = self.commands.place(words[1:], 4)
                lineage = self.session.why(place)
                shown = lambda: self._show_lineage(lineage, " ".join(words[1:]))  # noqa: E731
            elif words[0] == "mismatch":
                self.commands.run("mismatch")
                shown = lambda: self.action_detail("mismatch")  # noqa: E731
            elif words[0] in ("memory", "x"):
                where = self.session.places.memory(" ".join(words[1:2]))
                shown = lambda: self._show_memory(where)  # noqa: E731
            else:
                said = self.commands.run(" ".join(words))
            self.session.landmarks.scan()
            is_failure = False
        except FAILURES as error:
            said, is_failure = str(error), True
        self.call_from_thread(self._done, words, said, is_failure, shown)

    def _done(self, words: list[str], said: str, is_failure: bool, shown: Callable[[], None] | None) -> None:
        self.is_busy = False
        self.query_one(CodePane).selected = None
        lines = said.splitlines()
        log = self.query_one("#log", RichLog)
        if len(lines) > _MOST_LOG_LINES:
            self.query_one("#text", ListPane).set_lines([Text(line) for line in lines])
            self.query_one("#text", ListPane).border_title = " ".join(words)
            self.action_detail("text")
        elif said:
            log.write(Text(said, "red" if is_failure else ""))
        if shown:
            shown()
        self.show_all()

    def _show_lineage(self, lineage: object, title: str) -> None:
        from ..lineage.lineage import Lineage

        assert isinstance(lineage, Lineage)
        self.query_one(LineagePane).show(lineage, title)
        self.action_detail("why")

    def _show_memory(self, place: Bytes) -> None:
        self.query_one(MemoryPane).go_to(place)
        self.action_detail("memory")

    # ---- keys ----------------------------------------------------------------------------------------------------

    def action_say(self, line: str) -> None:
        self.run_line(line)

    def action_ask(self, question: str) -> None:
        """Who wrote, or why is, what is selected in the focused pane."""
        focused = self.focused
        if isinstance(focused, MemoryPane):
            self.run_line(f"{question} {focused.slot}:{focused.cursor:#x}")
        elif isinstance(focused, CodePane):
            here = focused.selected if focused.selected is not None else self.session.state.pc
            self.run_line(f"{question} {CODE_SLOT}:{here:#x}")
        elif (cell := self.query_one(StatePane).selected) is not None:
            self.run_line(f"{question} {cell}")

    def action_begin(self, text: str) -> None:
        """The command line, with this in it already."""
        line = self.query_one(CommandLine)
        line.value = text
        line.focus()
        line.cursor_position = len(text)
        line.selection = line.selection.cursor(len(text))

    def action_detail(self, name: str) -> None:
        """Shows this pane and goes into it."""
        self.screen.set_class(name != "state", "-detail")
        self.screen.set_class(name in _BROAD, "-broad")
        if name != "state":
            self.query_one(ContentSwitcher).current = name
        self.query_one(f"#{name}").focus()
        self.call_after_refresh(self.show_all)

    def action_interrupt(self) -> None:
        if self.is_busy:
            self.session.interrupt()

    def action_help(self) -> None:
        self.push_screen(HelpScreen())

    @on(Input.Submitted, "#command")
    def _submitted(self, event: Input.Submitted) -> None:
        line = self.query_one(CommandLine)
        line.remember(event.value.strip())
        line.value = ""
        self.query_one("#code").focus()
        self.run_line(event.value)

    @on(CodePane.Toggled)
    def _toggled(self, event: CodePane.Toggled) -> None:
        if not self.is_busy:
            self.session.toggle_at(event.pc)
            self.show_all()

    @on(CodePane.Wanted)
    def _code_wanted(self, event: CodePane.Wanted) -> None:
        if not self.is_busy:
            self.query_one(CodePane).selected = event.pc
            self.query_one(CodePane).show(self.session)

    @on(MemoryPane.Wanted)
    def _memory_wanted(self) -> None:
        if not self.is_busy:
            self.query_one(MemoryPane).show(self.session)

    @on(Timeline.Sought)
    def _sought(self, event: Timeline.Sought) -> None:
        self.run_line(f"seek {event.tick}")

    @on(LineagePane.Chosen)
    def _chosen(self, event: LineagePane.Chosen) -> None:
        self.run_line(f"seek {event.tick}")
