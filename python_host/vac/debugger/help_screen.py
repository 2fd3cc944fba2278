"""All keys and commands on one screen."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from .commands import COMMANDS

_MORE_KEYS = (
    ("g", "Seek: the command line with `seek`"),
    ("w", "Who wrote the selected byte or cell: goes there"),
    ("y", "Why the selected byte or cell is what it is"),
    ("t", "Breakpoint at the selected instruction, or none"),
    (": ", "Command line; up and down recall, Esc leaves"),
    ("Tab", "Next pane; arrows move in it"),
    ("1", "State"),
    ("Esc", "Stop a movement or a question"),
    ("F1 ?", "This help"),
    ("q", "Quit"),
)
_CONDITIONS = (
    ("PLACE", "before the instruction at a label, address or :LINE"),
    ("tick N", "at a tick"),
    ("write|read|access PLACE [N]", "bytes written, loaded, either"),
    ("event [in|out|sys] [NAME]", "before a request to the host"),
    ("trap, halt, end", "where the machine did"),
    ("label N", "a value with information-flow label N"),
    ("mark, emit, join, refused", "milestones"),
    ("when EXPRESSION", "where a Python expression holds"),
)
_PLACES = (
    ("buffer, sift+4, 0x100", "a label, or a pointer of the program"),
    ("1:0x2000", "shard slot and offset"),
    ("*l2, *at, *s0", "what a cell points to"),
    ("l2, at, s0, r5", "the cell: local, stack from the top, return stack from below"),
)


class HelpScreen(ModalScreen[None]):
    """Any of Esc, F1 and q closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,f1,q,question_mark", "dismiss", "Close")]
    CSS = """
    HelpScreen { align: center middle; }
    #help { width: 90%; max-width: 84; height: 92%; border: round $accent; background: $surface; padding: 0 1; }
    """

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help") as box:
            box.border_title = "help"
            box.border_subtitle = "Esc closes"
            yield Static(_text())


def _text() -> Text:
    from .app import DETAILS, KEYS

    text = Text()

    def section(title: str, rows: list[tuple[str, str]], width: int) -> None:
        text.append(f"{title}\n", "bold")
        for left, right in rows:
            text.append(f"  {left:<{width}} ", "cyan")
            text.append(f"{right}\n")

    keys = [(key.capitalize() if len(key) > 1 else key, f"{name}: `{line}`") for key, line, name in KEYS]
    panes = [(key, name.capitalize()) for name, key in DETAILS]
    section("Keys", [*keys, *_MORE_KEYS[:7], *panes, *_MORE_KEYS[7:]], 6)
    section("Commands", [(f"{command.names[0]} {command.usage}".strip(), command.doc) for command in COMMANDS], 26)
    section("CONDITION", list(_CONDITIONS), 28)
    section("PLACE", list(_PLACES), 28)
    return text
