"""A picture of recorded statistics: each machine's stalls, and its SQI score, over the ticks of all machines."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ..isa.sqi import FULL
from .statistics_file import Statistics

MOST_MACHINES = 10
"""More lines than this nobody can tell apart."""
_COLOURS = (
    "#1f6f8b",
    "#d1495b",
    "#edae49",
    "#30638e",
    "#66a182",
    "#8d5a97",
    "#7f7f7f",
    "#b5651d",
    "#3a3a3a",
    "#9acd32",
)
_INTERVALS = 120
"""Stalls are counted in so many intervals of the run."""


def picture(statistics: Statistics, machines: Sequence[int], kind: str) -> bytes:
    """The file. machines: which of them, by index, MOST_MACHINES at most. kind: "png" or "svg".

    Without paging there are no stalls, and only the scores are drawn. The same statistics give the same bytes.
    """
    content = BytesIO()
    with mpl.rc_context({"font.size": 9, "svg.hashsalt": "vac"}):
        metadata = {"Date": None} if kind == "svg" else None
        _figure(statistics, machines).savefig(content, format=kind, dpi=110, metadata=metadata)
    return content.getvalue()


def _figure(statistics: Statistics, machines: Sequence[int]) -> Figure:
    is_paged = any(any(statistics.series(machine, "misses")) for machine in machines)
    figure = Figure(figsize=(9.6, 5.4 if is_paged else 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    clocks = [sample.clock for sample in statistics.samples]
    axes: list[Axes] = list(figure.subplots(2 if is_paged else 1, 1, sharex=True, squeeze=False)[:, 0])
    if is_paged:
        _draw_stalls(axes[0], statistics, machines, clocks)
    _draw_scores(axes[-1], statistics, machines, clocks)
    axes[-1].set_xlabel("ticks of all machines")
    axes[-1].xaxis.set_major_formatter(FuncFormatter(_ticks))
    axes[-1].set_xlim(clocks[0], max(clocks[-1], clocks[0] + 1))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False)
    return figure


def _draw_stalls(axes: Axes, statistics: Statistics, machines: Sequence[int], clocks: Sequence[int]) -> None:
    edges = _edges(clocks)
    for colour, machine in zip(_COLOURS, machines, strict=False):
        stalls = statistics.series(machine, "stalls")
        rates = [
            1e6 * (stalls[last] - stalls[first]) / (clocks[last] - clocks[first]) for first, last in pairwise(edges)
        ]
        starts = [clocks[first] for first in edges]
        axes.stairs(rates, starts, color=colour, linewidth=1.2, label=statistics.machines[machine])
    axes.set_ylabel("stalls per 1 M ticks")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)


def _draw_scores(axes: Axes, statistics: Statistics, machines: Sequence[int], clocks: Sequence[int]) -> None:
    for colour, machine in zip(_COLOURS, machines, strict=False):
        scores = [value / FULL for value in statistics.series(machine, "sqi")]
        axes.step(clocks, scores, where="post", color=colour, linewidth=1.2, label=statistics.machines[machine])
    axes.set_ylabel("SQI score")
    axes.set_ylim(0, 1.03)
    axes.grid(alpha=0.25)


def _edges(clocks: Sequence[int]) -> list[int]:
    """Indices of samples that are far enough apart, the first and the last one among them."""
    least = max(1, (clocks[-1] - clocks[0]) // _INTERVALS)
    edges = [0]
    for index, clock in enumerate(clocks):
        if clock - clocks[edges[-1]] >= least:
            edges.append(index)
    if clocks[edges[-1]] < clocks[-1]:
        edges[-1 if len(edges) > 1 else 1 :] = [len(clocks) - 1]
    return edges


def _ticks(value: float, position: int | None) -> str:
    for scale, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= scale:
            return f"{value / scale:g}{unit}"
    return f"{value:g}"
