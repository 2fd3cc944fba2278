"""A timing diagram: rows of blocks and levels over the cycles of a waveform, long waits folded."""

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

from .decoding import CORE
from .mismatch import instruction_text
from .trace import Trace

COLUMNS = 58
"""Cycles in the picture, a folded wait counting as `_FOLD_COLUMNS`."""
LEAD = 16
"""Cycles before the one that the picture is about."""
_FOLD_FROM, _FOLD_COLUMNS = 8, 5
_COLUMN_INCHES, _ROW_INCHES = 0.36, 0.36
_FONT = {"family": "DejaVu Sans Mono", "size": 6.2}
_INK, _SOFT, _GRID = "#1d2433", "#6b7485", "#e3e7ee"
PLAIN, READ_WRITE, RETIRED, FAULT = "#f4f6fa", "#fbdcb4", "#eaf2fc", "#d1495b"
_KINDS = {
    "arithmetic": ("#cfe3f7", (Unit.ALU, Unit.SWAP, Unit.NOP)),
    "load, store": ("#fbdcb4", (Unit.LOAD, Unit.STORE)),
    "branch, call": ("#d8d2f2", (Unit.BRANCH, Unit.JUMP, Unit.CALL, Unit.RETURN, Unit.TABLE_CALL, Unit.TABLE_JUMP)),
    "host, registers, windows": ("#cdeccf", ()),
}


@dataclass(frozen=True)
class Column:
    """A cycle, or a fold of `count` cycles that look the same."""

    cycle: int
    x: float
    width: float
    count: int


class TimingDiagram:
    """What all diagrams share. One kind of core is one subclass, which says what its rows are.

    first: cycle that it begins with; None for those around the first page fault of a load or store, or the beginning
    where there is none. row_count: how many rows `draw_rows` draws.
    """

    row_count = 0

    def __init__(self, trace: Trace, image: Image, title: str, first: int | None) -> None:
        self._trace, self._image = trace, image
        self._times = [edge - 1 for edge in trace.edges[1:]]
        """A cycle's signals are those just before the edge that ends it."""
        self._columns = self._lay_out(self.first_cycle() if first is None else first)
        width, rows = self._columns[-1].x + self._columns[-1].width, self.row_count
        self._figure = Figure(figsize=(width * _COLUMN_INCHES + 1.9, rows * _ROW_INCHES + 1.35), facecolor="white")
        FigureCanvasAgg(self._figure)
        self._axes: Axes = self._figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self._axes.set_xlim(-4.9, width + 0.4)
        self._axes.set_ylim(rows + 1.9, -1.75)
        self._axes.axis("off")
        self._y = 0.0
        self._axes.text(-4.7, -1.15, title, fontsize=11, color=_INK, weight="bold", va="center")
        self._draw_ruler(rows)
        self.draw_rows()
        self._draw_legend()

    def save(self, png: Path, svg: Path) -> None:
        self._figure.savefig(png, dpi=130)
        # A fixed salt and no date: the same picture is the same bytes.
        with mpl.rc_context({"svg.hashsalt": "vac", "svg.fonttype": "none"}):
            self._figure.savefig(svg, metadata={"Date": None})

    # ---- what a subclass says ----------------------------------------------------------------------------------

    def first_cycle(self) -> int:
        """Cycle that the diagram begins with where nobody names one."""
        raise NotImplementedError

    def is_stopped(self, cycle: int) -> bool:
        """Whether the core waits for its host; long waits are folded."""
        raise NotImplementedError

    def draw_rows(self) -> None:
        raise NotImplementedError

    # ---- what a cycle holds ------------------------------------------------------------------------------------

    @property
    def cycles(self) -> int:
        return len(self._times)

    def number(self, name: str, cycle: int) -> int:
        """A signal of the core."""
        return self._trace[f"{CORE}.{name}"].number_at(self._times[cycle])

    def port(self, name: str, cycle: int) -> int:
        """A signal of the top level."""
        return self._trace[f"vac_core.{name}"].number_at(self._times[cycle])

    def retired_value(self, cycle: int) -> tuple[int, int, int]:
        """Whether an instruction retires, its value, and the cycle, so that equal ones in a row stay apart."""
        value = self._trace["vac_core.retire__payload.beam.value"].number_at(self._times[cycle])
        return (1, value, cycle) if self.port("retire_valid", cycle) else (0, 0, 0)

    def bus_access(self, cycle: int) -> tuple[str, int, int]:
        """R, W or nothing, the byte address, and the cycle."""
        address = 4 * self.number("data_bus__address", cycle)
        if self.number("data_bus__write_mask", cycle):
            return "W", address, cycle
        if self.number("data_bus__read", cycle):
            return "R", address, cycle
        return "", 0, 0

    def instruction(self, pc: int) -> str:
        code = self._image.code
        return instruction_text(lambda address: code[address : address + MAX_LENGTH], pc)

    def instruction_color(self, pc: int) -> str:
        decoded = decode(self._image.code, pc)
        for color, units in _KINDS.values():
            if decoded and (decoded.row.unit in units or not units):
                return color
        return "#ffffff"

    # ---- drawing -----------------------------------------------------------------------------------------------

    def _lay_out(self, first: int) -> list[Column]:
        columns: list[Column] = []
        x, cycle = 0.0, first
        while cycle < self.cycles and x < COLUMNS:
            end = cycle
            while end < self.cycles and self.is_stopped(end):
                end += 1
            if end - cycle >= _FOLD_FROM:
                columns.append(Column(cycle, x, _FOLD_COLUMNS, end - cycle))
                x, cycle = x + _FOLD_COLUMNS, end
            else:
                columns.append(Column(cycle, x, 1, 1))
                x, cycle = x + 1, cycle + 1
        return columns

    def row(self, label: str) -> None:
        """Begins the next row."""
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

    def runs(self, value_of: Callable[[int], object]) -> Iterator[tuple[object, list[Column]]]:
        """Neighbouring columns of one value."""
        run: list[Column] = []
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

    def blocks(self, value_of: Callable, text_of: Callable, color_of: Callable) -> None:
        """A box for each run of one value; none where `color_of` gives None."""
        for value, run in self.runs(value_of):
            color = color_of(value)
            if color is not None:
                wide = max(run, key=lambda column: column.count)
                self.box(run[0].x, run[-1].x + run[-1].width - run[0].x, text_of(value, wide), color)

    def gap(self) -> None:
        """A little room between two groups of rows."""
        self._y += 0.35

    def instructions(self, held: Callable[[int], tuple[int, int, bool]]) -> None:
        """held: of a cycle, whether there is an instruction, its pc, and whether it is drawn firmly."""
        for (valid, pc, is_firm), run in self.runs(held):  # pyright: ignore[reportGeneralTypeIssues]
            if not valid:
                continue
            text, width = self.instruction(pc), run[-1].x + run[-1].width - run[0].x
            shown = text if len(text) <= 6.6 * width else text.split()[0]
            self.box(run[0].x, width, shown, self.instruction_color(pc), 1.0 if is_firm else 0.3)

    def box(self, x: float, width: float, text: str, color: str, alpha: float = 1.0) -> None:
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

    def level(self, value_of: Callable[[int], int], color: str = "#2b6cb0") -> None:
        """One line, high where the value is not 0."""
        xs: list[float] = []
        ys: list[float] = []
        for column in self._columns:
            y = self._y + (0.28 if not value_of(column.cycle) else -0.28)
            xs += [column.x, column.x + column.width]
            ys += [y, y]
        self._axes.plot(xs, ys, color=color, linewidth=1.1, solid_joinstyle="miter")

    def _draw_legend(self) -> None:
        handles = [Patch(facecolor=color, edgecolor=_SOFT, label=name) for name, (color, _) in _KINDS.items()]
        self._axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.1, 0.005), ncol=len(handles),
                          frameon=False, fontsize=7.5)  # fmt: skip
