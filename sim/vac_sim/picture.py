"""A picture of an interesting span of a waveform: what each pipeline stage holds, cycle by cycle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from vac.image.decode import decode
from vac.image.image import Image
from vac.isa.encoding import MAX_LENGTH
from vac.isa.instruction import Unit
from vac.isa.state_map import FaultKind, StopCode
from vac_hdl.pipeline import Mode

from .decoding import CORE, STAGES
from .mismatch import instruction_text
from .trace import Trace

COLUMNS = 58
"""Cycles in the picture, a folded wait counting as `_FOLD_COLUMNS`."""
_LEAD = 16
_FOLD_FROM, _FOLD_COLUMNS = 8, 5
_COLUMN_INCHES, _ROW_INCHES = 0.36, 0.36
_FONT = {"family": "DejaVu Sans Mono", "size": 6.2}
_INK, _SOFT, _GRID = "#1d2433", "#6b7485", "#e3e7ee"
_KINDS = {
    "arithmetic": ("#cfe3f7", (Unit.ALU, Unit.SWAP, Unit.NOP)),
    "load, store": ("#fbdcb4", (Unit.LOAD, Unit.STORE)),
    "branch, call": ("#d8d2f2", (Unit.BRANCH, Unit.JUMP, Unit.CALL, Unit.RETURN, Unit.TABLE_CALL, Unit.TABLE_JUMP)),
    "host, registers, windows": ("#cdeccf", ()),
}
_MODE_COLORS = {
    Mode.RUN: "#dff3e4",
    Mode.DRAIN: "#ffe9c2",
    Mode.STOPPED: "#e6e8ec",
    Mode.RESTART: "#fff6c9",
}


@dataclass(frozen=True)
class _Column:
    """A cycle, or a fold of `count` cycles that look the same."""

    cycle: int
    x: float
    width: float
    count: int


def draw(trace: Trace, image: Image, title: str, png: Path, svg: Path, first: int | None = None) -> None:
    """Draws the cycles from `first` of the trace; without it, those around the first page fault of a load or store, or
    the beginning where there is none."""
    _Picture(trace, image, title, first).save(png, svg)


class _Picture:
    def __init__(self, trace: Trace, image: Image, title: str, first: int | None) -> None:
        self._trace, self._image = trace, image
        self._times = [edge - 1 for edge in trace.edges[1:]]
        """A cycle's signals are those just before the edge that ends it."""
        self._columns = self._lay_out(self._first_cycle() if first is None else first)
        width = self._columns[-1].x + self._columns[-1].width
        rows = len(STAGES) + 9
        self._figure = Figure(figsize=(width * _COLUMN_INCHES + 1.9, rows * _ROW_INCHES + 1.35), facecolor="white")
        FigureCanvasAgg(self._figure)
        self._axes: Axes = self._figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self._axes.set_xlim(-4.9, width + 0.4)
        self._axes.set_ylim(rows + 1.9, -1.75)
        self._axes.axis("off")
        self._y = 0.0
        self._axes.text(-4.7, -1.15, title, fontsize=11, color=_INK, weight="bold", va="center")
        self._draw_ruler(rows)
        self._draw_rows()
        self._draw_legend(rows)

    def save(self, png: Path, svg: Path) -> None:
        self._figure.savefig(png, dpi=130)
        # A fixed salt and no date: the same picture is the same bytes.
        with mpl.rc_context({"svg.hashsalt": "vac", "svg.fonttype": "none"}):
            self._figure.savefig(svg, metadata={"Date": None})

    # ---- what is shown -----------------------------------------------------------------------------------------

    def _number(self, name: str, cycle: int) -> int:
        return self._trace[f"{CORE}.{name}"].number_at(self._times[cycle])

    def _top(self, name: str, cycle: int) -> int:
        return self._trace[f"vac_core.{name}"].number_at(self._times[cycle])

    def _first_cycle(self) -> int:
        """Some cycles before the first walk that misses; 0 where none is."""
        mode = self._trace[f"{CORE}.mode"]
        for cycle in range(_LEAD, len(self._times) - 1):
            if mode.number_at(self._times[cycle]) == Mode.WALK.value and self._number("m_valid", cycle - 1):
                return cycle - _LEAD
        return 0

    def _lay_out(self, first: int) -> list[_Column]:
        columns: list[_Column] = []
        x, cycle = 0.0, first
        while cycle < len(self._times) and x < COLUMNS:
            end = cycle
            while end < len(self._times) and self._number("mode", end) == Mode.STOPPED.value:
                end += 1
            if end - cycle >= _FOLD_FROM:
                columns.append(_Column(cycle, x, _FOLD_COLUMNS, end - cycle))
                x, cycle = x + _FOLD_COLUMNS, end
            else:
                columns.append(_Column(cycle, x, 1, 1))
                x, cycle = x + 1, cycle + 1
        return columns

    def _draw_rows(self) -> None:
        self._row("mode")
        self._blocks(lambda cycle: self._number("mode", cycle), self._mode_text, self._mode_color)
        for stage, label in STAGES.items():
            self._row(label)
            self._stage(stage)
        self._y += 0.35
        self._row("pc")
        self._blocks(lambda cycle: self._number("pc", cycle), lambda value, _: f"{value:06x}", lambda _: "#f4f6fa")
        self._row("data stack depth")
        self._blocks(lambda cycle: self._number("sp", cycle), lambda value, _: f"{value}", lambda _: "#f4f6fa")
        self._row("retired value")
        self._blocks(
            self._retired_value, lambda value, _: f"{value[1]:08x}", lambda value: "#eaf2fc" if value[0] else None
        )
        self._row("data bus")
        self._blocks(self._bus_access, lambda value, _: f"{value[0]} {value[1]:04x}",
                     lambda value: "#fbdcb4" if value[0] else None)  # fmt: skip
        for label, signal in (("retired", "retire_valid"), ("beam valid", "beam_valid")):
            self._row(label)
            self._level(lambda cycle, signal=signal: self._top(signal, cycle))
        self._row("page fault")
        self._level(self._is_fault, "#d1495b")

    def _retired_value(self, cycle: int) -> tuple[int, int, int]:
        valid = self._top("retire_valid", cycle)
        value = self._trace["vac_core.retire__payload.beam.value"].number_at(self._times[cycle])
        return (1, value, cycle) if valid else (0, 0, 0)

    def _bus_access(self, cycle: int) -> tuple[str, int, int]:
        address = 4 * self._number("data_bus__address", cycle)
        if self._number("mode", cycle) == Mode.RUN.value:
            if self._number("data_bus__write_mask", cycle):
                return "W", address, cycle
            if self._number("data_bus__read", cycle):
                return "R", address, cycle
        return "", 0, 0

    def _is_fault(self, cycle: int) -> int:
        mode = self._number("mode", cycle)
        is_page = self._number("stop_code", cycle) == StopCode.PAGE.value
        is_walking = mode not in {known.value for known in _MODE_COLORS}
        return int(is_walking or (is_page and mode in (Mode.DRAIN.value, Mode.STOPPED.value)))

    def _mode_text(self, value: int, column: _Column) -> str:
        name = Mode(value).name if value in {mode.value for mode in Mode} else str(value)
        if column.count == 1:
            return name
        last = column.cycle + column.count - 1
        if self._number("stop_code", last) != StopCode.PAGE.value:
            return f"STOPPED · {column.count} cycles"
        kind = FaultKind(self._number("fault_kind", last)).name.lower().replace("_", " ")
        slot, leaf = self._number("fault_slot", last), self._number("fault_leaf", last)
        return f"STOPPED {column.count} cycles\nleaf {leaf}, slot {slot}: {kind}"

    @staticmethod
    def _mode_color(value: int) -> str:
        return next((color for mode, color in _MODE_COLORS.items() if mode.value == value), "#ffd0c7")

    # ---- drawing -----------------------------------------------------------------------------------------------

    def _row(self, label: str) -> None:
        self._y += 1
        self._axes.text(-0.35, self._y, label, ha="right", va="center", color=_INK, fontsize=7.5)

    def _draw_ruler(self, rows: int) -> None:
        for column in self._columns:
            self._axes.plot([column.x, column.x], [0.35, rows + 0.75], color=_GRID, linewidth=0.5, zorder=0)
            if column.cycle % 5 == 0 and column.count == 1:
                self._axes.text(column.x + 0.5, 0.1, str(column.cycle), ha="center", color=_SOFT, **_FONT)
            if column.count > 1:
                self._axes.add_patch(
                    Rectangle((column.x, 0.45), column.width, rows + 0.2, color="#f7f7f9", linewidth=0, zorder=0)
                )
        self._axes.text(-0.35, 0.05, "cycle", ha="right", color=_SOFT, fontsize=7.5)

    def _runs(self, value_of: Callable[[int], object]) -> Iterator[tuple[object, list[_Column]]]:
        """Neighbouring columns of one value."""
        run: list[_Column] = []
        value: object = None
        for column in self._columns:
            present = value_of(column.cycle)
            if run and present == value:
                run.append(column)
            else:
                if run:
                    yield value, run
                value, run = present, [column]
        yield value, run

    def _blocks(self, value_of: Callable, text_of: Callable, color_of: Callable) -> None:
        for value, run in self._runs(value_of):
            color = color_of(value)
            if color is not None:
                wide = max(run, key=lambda column: column.count)
                self._box(run[0].x, run[-1].x + run[-1].width - run[0].x, text_of(value, wide), color)

    def _stage(self, stage: str) -> None:
        code = self._image.code

        def held(cycle: int) -> tuple[int, int, bool]:
            is_running = self._number("mode", cycle) == Mode.RUN.value
            return self._number(f"{stage}_valid", cycle), self._number(f"{stage}_pc", cycle), is_running

        for (valid, pc, is_running), run in self._runs(held):  # pyright: ignore[reportGeneralTypeIssues]
            if not valid:
                continue
            text = instruction_text(lambda address: code[address : address + MAX_LENGTH], pc)
            width = run[-1].x + run[-1].width - run[0].x
            shown = text if len(text) <= 6.6 * width else text.split()[0]
            self._box(run[0].x, width, shown, self._kind_color(pc), 1.0 if is_running else 0.3)

    def _kind_color(self, pc: int) -> str:
        decoded = decode(self._image.code, pc)
        for color, units in _KINDS.values():
            if decoded and (decoded.row.unit in units or not units):
                return color
        return "#ffffff"

    def _box(self, x: float, width: float, text: str, color: str, alpha: float = 1.0) -> None:
        """alpha: how firmly it is drawn; what waits to be dropped is drawn lightly."""
        self._axes.add_patch(
            Rectangle((x + 0.04, self._y - 0.38), width - 0.08, 0.76, facecolor=color, edgecolor=_SOFT, linewidth=0.5,
                      alpha=alpha)
        )  # fmt: skip
        longest = max(len(line) for line in text.split("\n"))
        size = min(_FONT["size"], width * _COLUMN_INCHES * 72 / (0.62 * max(longest, 1)) * 0.96)
        if size >= 3.4:
            self._axes.text(x + width / 2, self._y, text, ha="center", va="center", color=_INK, alpha=max(alpha, 0.55),
                            family=_FONT["family"], fontsize=size, linespacing=1.1)  # fmt: skip

    def _level(self, value_of: Callable[[int], int], color: str = "#2b6cb0") -> None:
        xs: list[float] = []
        ys: list[float] = []
        for column in self._columns:
            y = self._y + (0.28 if not value_of(column.cycle) else -0.28)
            xs += [column.x, column.x + column.width]
            ys += [y, y]
        self._axes.plot(xs, ys, color=color, linewidth=1.1, solid_joinstyle="miter")

    def _draw_legend(self, rows: int) -> None:
        handles = [Patch(facecolor=color, edgecolor=_SOFT, label=name) for name, (color, _) in _KINDS.items()]
        self._axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.1, 0.005), ncol=len(handles),
                          frameon=False, fontsize=7.5)  # fmt: skip
