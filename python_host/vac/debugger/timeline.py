"""The timeline: the whole run in one line, with what happened and where the session stands."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from .panes import Resized
from .session import Session

_SIGNS = (("trap", "!", "bold red"), ("halt", "■", "bold green"), ("mark", "◆", "yellow"), ("emit", "◇", "yellow"),
          ("join", "⊗", "magenta"), ("sys", "s", "cyan"), ("in", "i", "green"), ("out", "o", "blue"))  # fmt: skip


class Timeline(Widget, can_focus=True):
    """Two lines: signs of what happened, and the cursor on a bar. A click seeks; so do left and right."""

    class Sought(Message):
        """The session is to go to a tick."""

        def __init__(self, tick: int) -> None:
            super().__init__()
            self.tick = tick

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", show=False),
        Binding("right", "move(1)", show=False),
    ]

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._first, self._last, self._tick = 0, 1, 0
        self._rows = [Text(), Text()]

    def show(self, session: Session) -> None:
        """Takes over what the session has to show now."""
        landmarks, history, width = session.landmarks, session.history, max(10, self.size.width)
        self._first, self._last, self._tick = history.first_tick, landmarks.furthest, session.tick
        end = landmarks.end()
        signs, bar = Text(), Text()
        here = self._column(self._tick, width)
        for column in range(width):
            kinds = landmarks.kinds(self._tick_of(column, width), self._tick_of(column + 1, width))
            if end and column == width - 1:
                kinds.add(end.kind)
            sign, style = next(((sign, style) for kind, sign, style in _SIGNS if kind in kinds), (" ", ""))
            signs.append(sign, style)
            bar.append(
                "█" if column == here else "━" if column < here else "─", "bold yellow" if column == here else ""
            )
        open_end = "" if history.last_tick is not None else " and on"
        label = f" {self._tick:,} of {self._last:,}{open_end} "
        start = max(0, min(here - len(label) // 2, width - len(label)))
        if not start <= here < start + len(label):
            start = 0
        at_left = here < width // 2
        plain = Text(label, "bold")
        position = width - len(label) if at_left else 0
        bar = Text.assemble(bar[:position], plain, bar[position + len(label) :])
        self._rows = [signs, bar]
        self.refresh()

    def _column(self, tick: int, width: int) -> int:
        return min(width - 1, (tick - self._first) * width // (self._last - self._first + 1))

    def _tick_of(self, column: int, width: int) -> int:
        """First tick of a column."""
        return self._first + -(-column * (self._last - self._first + 1) // width)

    def render(self) -> Text:
        return Text("\n", no_wrap=True, overflow="crop").join(self._rows)

    def on_resize(self) -> None:
        self.post_message(Resized())

    def action_move(self, columns: int) -> None:
        width = max(10, self.size.width)
        column = max(0, min(width - 1, self._column(self._tick, width) + columns))
        self.post_message(self.Sought(self._tick_of(column, width)))

    def on_click(self, event: events.Click) -> None:
        width = max(10, self.size.width)
        self.post_message(self.Sought(self._tick_of(max(0, min(width - 1, event.x)), width)))
