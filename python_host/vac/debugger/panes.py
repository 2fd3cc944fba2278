"""Panes of the terminal view: each shows one aspect of the moment that the session stands at."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from ..isa.limits import TABLE_WINDOW
from ..isa.sqi import FULL
from .places import Bytes
from .session import Session

ADDRESS, NAME, CHANGED, QUIET, MARK = "cyan", "bold", "bold yellow", "dim", "bold red"
CURRENT, SELECTED, CURSOR = "bold white on #1f4e79", "on grey30", "reverse"


class Resized(Message):
    """A pane has another size, so that it can show more or less."""


class Pane(Widget, can_focus=True):
    """A framed pane. `show` takes what it needs from the session, which must not be moving then."""

    def show(self, session: Session) -> None:
        """Takes over what the session has to show now."""
        raise NotImplementedError

    def render_lines_of(self) -> list[Text]:
        """The lines to be shown in `self.size`."""
        raise NotImplementedError

    def render(self) -> Text:
        return Text("\n", no_wrap=True, overflow="crop").join(self.render_lines_of())

    def on_resize(self) -> None:
        self.post_message(Resized())


class CodePane(Pane):
    """Instructions around the pc, or around where the person has gone, with their source."""

    class Toggled(Message):
        """A breakpoint at this address is wanted, or wanted away."""

        def __init__(self, pc: int) -> None:
            super().__init__()
            self.pc = pc

    class Wanted(Message):
        """Instructions around another address are wanted; None: around the pc."""

        def __init__(self, pc: int | None) -> None:
            super().__init__()
            self.pc = pc

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t,enter", "mark", "Breakpoint", show=False),
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "move(-10)", show=False),
        Binding("pagedown", "move(10)", show=False),
    ]

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.border_title = "code"
        self._lines: list[Text] = []
        self._pcs: list[int] = []
        self.selected: int | None = None
        """Address that the person has gone to; None: the pc."""
        self._middle = 0

    def show(self, session: Session) -> None:
        height, width = max(1, self.size.height), max(20, self.size.width)
        here = self.selected if self.selected is not None else session.state.pc
        self._lines, self._pcs = [], []
        text_width = max(20, min(30, (width - 14) // 2))
        for line in session.code(here, height, height):
            if line.label:
                self._lines.append(Text(f"{line.label}:", NAME))
                self._pcs.append(-1)
            row = Text()
            row.append("●" if line.has_breakpoint else " ", MARK)
            row.append("▶" if line.is_current else " ", CHANGED)
            row.append(f"{line.pc:06x} ", ADDRESS)
            row.append(f"{line.text[:text_width]:<{text_width}} ")
            if line.span and line.is_first:
                source = " ".join(line.span.text.split("#")[0].split())
                row.append(f"{line.span.line:4} ", QUIET)
                row.append(source, QUIET)
            if line.is_current:
                row.stylize(CURRENT)
            elif line.pc == self.selected:
                row.stylize(SELECTED)
            row.truncate(width, pad=line.is_current or line.pc == self.selected)
            self._lines.append(row)
            self._pcs.append(line.pc)
            if line.pc == here:
                self._middle = len(self._lines) - 1
        self.border_subtitle = session.source.name(here) + (
            f" {location}" if (location := session.source.location(here)) else ""
        )
        self.refresh()

    def render_lines_of(self) -> list[Text]:
        height = self.size.height
        first = max(0, min(self._middle - height // 2, len(self._lines) - height))
        return self._lines[first : first + height]

    def action_mark(self) -> None:
        here = self._pcs[self._middle] if self._pcs else -1
        if here >= 0:
            self.post_message(self.Toggled(here))

    def action_move(self, rows: int) -> None:
        pcs = [pc for pc in self._pcs if pc >= 0]
        if not pcs:
            return
        index = pcs.index(self._pcs[self._middle])
        self.post_message(self.Wanted(pcs[max(0, min(len(pcs) - 1, index + rows))]))

    def on_click(self, event: events.Click) -> None:
        height = self.size.height
        first = max(0, min(self._middle - height // 2, len(self._lines) - height))
        row = first + event.y - 1
        if 0 <= row < len(self._pcs) and self._pcs[row] >= 0:
            self.post_message(self.Toggled(self._pcs[row]))


class StatePane(Pane):
    """Registers, SQI, data stack, and the frames with their locals. One cell is selected, for questions about it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
    ]

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.border_title = "state"
        self._lines: list[tuple[Text, str]] = []
        self._values: dict[str, object] = {}
        self._selected = 0

    @property
    def selected(self) -> str | None:
        """The selected cell as a place, such as ``l2``."""
        cells = [place for _, place in self._lines if place]
        return cells[min(self._selected, len(cells) - 1)] if cells else None

    def show(self, session: Session) -> None:
        state, before = session.state, self._values
        values: dict[str, object] = {}
        self._lines = []

        def value(name: str, shown: str, of: object) -> tuple[str, str]:
            values[name] = of
            return shown, CHANGED if name in before and before[name] != of else ""

        registers = Text("pc ")
        registers.append(*value("pc", f"{state.pc:06x}", None))
        for name in ("sp", "rp", "fp"):
            registers.append(f"  {name} ")
            registers.append(*value(name, f"{getattr(state, name)}", getattr(state, name)))
        self._lines.append((registers, ""))
        sqi = Text()
        for name, number in (("coh", state.sqi.coherence), ("ent", state.sqi.entropy), ("dri", state.sqi.drift),
                             ("sco", state.sqi.score)):  # fmt: skip
            sqi.append(f"{name} ", QUIET)
            sqi.append(*value(name, f"{number / FULL:.2f}".removeprefix("0")[:3], number))
            sqi.append(" ")
        self._lines.append((sqi, ""))
        cone = Text("in ", QUIET)
        cone.append(*value("in", f"{state.cone_in:,}", state.cone_in))
        cone.append("  out ", QUIET)
        cone.append(*value("out", f"{state.cone_out:,}", state.cone_out))
        if state.joins:
            cone.append(f"  joins {state.joins}")
        self._lines.append((cone, ""))
        self._lines.append((Text(f"data stack, {state.sp} cells", NAME), ""))
        for depth, cell in enumerate(reversed(state.data_stack)):
            self._cell(f"s{depth}", "", cell, value(f"s{state.sp - depth}", f"{cell:08x}", cell))
        for depth, frame in enumerate(session.frames()):
            self._lines.append((Text(f"{'' if depth else 'in '}{session.source.name(frame.pc)}", NAME), ""))
            for index, cell in enumerate(frame.locals):
                name = frame.names[index] if index < len(frame.names) else ""
                place = f"l{index}" if depth == 0 else f"r{frame.first + index}"
                self._cell(place, name, cell, value(f"r{frame.first + index}", f"{cell:08x}", cell))
        self._values = values
        self.border_subtitle = session.status
        self.refresh()

    def _cell(self, place: str, name: str, cell: int, shown: tuple[str, str]) -> None:
        row = Text.assemble((f" {place:<4}", ADDRESS), f"{name[:10]:<11}" if name else "")
        row.append(*shown)
        row.append(f" {cell - (1 << 32) if cell >> 31 else cell}", QUIET)
        self._lines.append((row, place))

    def render_lines_of(self) -> list[Text]:
        height, chosen = self.size.height, self.selected
        rows: list[Text] = []
        at = 0
        for index, (row, place) in enumerate(self._lines):
            row = row.copy()
            if place and place == chosen:
                at = index
                if self.has_focus:
                    row.truncate(self.size.width, pad=True)
                    row.stylize(SELECTED)
            rows.append(row)
        first = max(0, min(at - height + 2, len(rows) - height))
        return rows[first : first + height]

    def action_move(self, rows: int) -> None:
        cells = sum(bool(place) for _, place in self._lines)
        self._selected = max(0, min(cells - 1, self._selected + rows))
        self.refresh()


class MemoryPane(Pane):
    """Memory in hexadecimal, with a cursor on one byte."""

    class Wanted(Message):
        """Other memory is wanted here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1, 0)", show=False),
        Binding("down", "move(1, 0)", show=False),
        Binding("left", "move(0, -1)", show=False),
        Binding("right", "move(0, 1)", show=False),
        Binding("pageup", "move(-8, 0)", show=False),
        Binding("pagedown", "move(8, 0)", show=False),
    ]

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.border_title = "memory"
        self.slot, self.cursor = 0, 0
        self._first = 0
        self._data = b""
        self._before: tuple[int, int, bytes] = (-1, 0, b"")
        self._shown: tuple[int, int] = (-1, 0)

    @property
    def row_bytes(self) -> int:
        """Bytes in a row: 16 where they fit, else 8."""
        return 16 if self.size.width >= 8 + 16 * 3 + 3 else 8

    def go_to(self, place: Bytes) -> None:
        """Puts the cursor there; to be shown after."""
        self.slot, self.cursor = place.slot, place.offset

    def show(self, session: Session) -> None:
        each, rows = self.row_bytes, max(1, self.size.height)
        if not self._first <= self.cursor < self._first + each * rows or self._first % each:
            self._first = max(0, self.cursor - self.cursor % each - each * (rows // 3))
        length = min(each * rows, (1 << 32) - self._first)
        self._before = (*self._shown, self._data)
        self._shown = (self.slot, self._first)
        self._data = session.read(Bytes(self.slot, self._first, length))
        self.border_subtitle = f"{self.slot}:{self.cursor:#x}"
        self.refresh()

    def render_lines_of(self) -> list[Text]:
        each = self.row_bytes
        slot, first, before = self._before
        is_same = (slot, first, len(before)) == (self.slot, self._first, len(self._data))
        rows: list[Text] = []
        for start in range(0, len(self._data), each):
            part = self._data[start : start + each]
            row = Text.assemble((f"{self._first + start:08x}", ADDRESS))
            for index, byte in enumerate(part):
                style = CHANGED if is_same and before[start + index] != byte else "" if byte else QUIET
                row.append(" " if index % 4 else "  " if each == 16 and index else " ")
                is_cursor = self._first + start + index == self.cursor
                row.append(f"{byte:02x}", f"{style} {CURSOR}" if is_cursor else style)
            if self.size.width >= len(row) + 1 + each:
                row.append(" " + "".join(chr(b) if 0x20 <= b < 0x7F else "·" for b in part), QUIET)
            rows.append(row)
        return rows

    def action_move(self, rows: int, columns: int) -> None:
        moved = self.cursor + rows * self.row_bytes + columns
        self.cursor = max(0, min((1 << 32) - 1, moved))
        self.post_message(self.Wanted())


class ListPane(ScrollView, can_focus=True):
    """Lines of text that can be scrolled."""

    def __init__(self, title: str, id: str) -> None:
        super().__init__(id=id)
        self.border_title = title
        self._lines: list[Text] = []

    def on_resize(self) -> None:
        self.post_message(Resized())

    def set_lines(self, lines: list[Text], middle: int | None = None) -> None:
        """Shows these lines; middle: the one to be seen in any case."""
        self._lines = lines
        self.virtual_size = Size(max((len(line) for line in lines), default=0), len(lines))
        if middle is not None:
            self.scroll_to(y=max(0, middle - self.size.height // 2), animate=False, immediate=True)
        self.refresh(Region(0, 0, *self.size))

    def render_line(self, y: int) -> Strip:
        index = y + self.scroll_offset.y
        if index >= len(self._lines):
            return Strip.blank(self.size.width, self.rich_style)
        line = self._lines[index].copy()
        line.stylize_before(line.style)  # which `render` would leave out
        left = self.scroll_offset.x
        strip = Strip(line.render(self.app.console)).crop_extend(left, left + self.size.width, None)
        return strip.apply_style(self.rich_style)


Lines = tuple[list[Text], int | None]
"""Lines of text, and which of them is to be seen in any case."""


def window_lines(session: Session) -> Lines:
    """The windows in use, one a line."""
    lines = [Text(" w slot     base   length", NAME)]
    for index, window in enumerate(session.state.windows):
        if window.permissions:
            rights = ("r" if window.permissions & 1 else "-") + ("w" if window.permissions & 2 else "-")
            name = "table" if index == TABLE_WINDOW else f"w{index}"
            row = Text.assemble((f"{name:>5}", ADDRESS))
            row.append(f" {window.slot:3} {window.base:08x} {window.length:8x} {rights}")
            lines.append(row)
    return lines, None


def breakpoint_lines(session: Session) -> Lines:
    """The breakpoints, one a line."""
    rows = [
        Text.assemble((f"{number:3} ", ADDRESS), breakpoint.text) for number, breakpoint in session.breakpoints.items()
    ]
    return rows or [Text("none; t in the code, or: break CONDITION", QUIET)], None


def event_lines(session: Session) -> Lines:
    """Landmarks around the cursor, which has a line of its own among them."""
    tick = session.tick
    landmarks = session.landmarks.near(tick, 64)
    lines = [Text.assemble((f"{each.tick:>15,} ", ADDRESS), each.text) for each in landmarks]
    here = sum(landmark.tick < tick for landmark in landmarks)
    end = session.landmarks.end()
    lines.insert(here, Text(f"▶{tick:>14,} {end.text if end else ''}".rstrip(), CHANGED))
    return lines, here


def output_lines(session: Session) -> Lines:
    """What the program had written to its console."""
    text = session.output().decode(errors="replace")
    lines = [Text("".join(c if c.isprintable() else "·" for c in line.expandtabs())) for line in text.split("\n")]
    return lines, len(lines)


def mismatch_lines(session: Session) -> Lines:
    """Both states where two engines part."""
    comparison = session.program.comparison
    if comparison is None:
        return [Text("this run is compared with no other", QUIET)], None
    rows: list[Text] = []
    for line in comparison.lines():
        is_marked = line.startswith("≠")
        rows.append(Text(line, CHANGED if is_marked else NAME if len(rows) == len(comparison.notes) else ""))
    return rows, None
