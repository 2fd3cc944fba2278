"""Area and Fmax of the core and its peers by one flow, each with its memory: `python -m benchmarks.placement`.

The pipelined core and the peers are placed on an ECP5-25F with 8 KiB, the compact core and the peers on an iCE40 UP5K.
It takes a quarter of an hour. The time that one takes for equal work follows with cycles per RV instruction as
`python -m benchmarks.cores` last counted them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.core_area import place_on_ecp5, place_on_up5k
from benchmarks.cores import CORES, mean_cycles
from benchmarks.markdown import markdown_table
from benchmarks.measurement import Measurement
from benchmarks.peers.cores import MEMORY_UP5K, PEERS, PeerMissing
from benchmarks.place_and_route import SEEDS, PlaceAndRouteError, PnrResult, ecp5, ice40_up5k
from benchmarks.results import RESULTS_FOLDER, Result, ResultsUnreadable, read_results, with_ratios

_COLUMNS = (
    ("ECP5 COMB", "ecp5.comb", 0),
    ("FF", "ecp5.ff", 0),
    ("BRAM", "ecp5.bram", 0),
    ("DSP", "ecp5.dsp", 0),
    ("MHz", "ecp5.fmax", 1),
    ("ns/RV", "ecp5.ns_per_rv_instruction", 1),
    ("UP5K LC", "up5k.comb", 0),
    ("MHz on it", "up5k.fmax", 1),
)


def _records(device: str, result: PnrResult, peer: str | None, cycles: float | None, command: str) -> list[Result]:
    """One record for each figure of a placed design. cycles: per RV instruction for equal work, where known."""
    cells = [("comb", result.comb), ("ff", result.ff), ("bram", result.bram), ("spram", result.spram)]
    records = [
        Result(f"{device}.{name}", count, "cells", peer, command) for name, count in [*cells, ("dsp", result.dsp)]
    ]
    records.append(Result(f"{device}.fmax", result.median, "MHz", peer, command))
    if cycles:
        nanoseconds = cycles / result.median * 1000
        records.append(Result(f"{device}.ns_per_rv_instruction", nanoseconds, "ns", peer, command))
    return records


def measure_placement(quick: bool, command: str) -> list[Result]:
    """All records. quick: one placer seed. Raises PeerMissing, PlaceAndRouteError, ResultsUnreadable."""
    seeds = SEEDS[:1] if quick else SEEDS
    cycles = mean_cycles(read_results(RESULTS_FOLDER / f"{CORES.name}.json"))
    results = _records("ecp5", place_on_ecp5(seeds), None, cycles.get(None), command)
    # The compact core takes other cycles, which nobody compares with the peers'.
    results += _records("up5k", place_on_up5k(seeds), None, None, command)
    for core in PEERS:
        known = cycles.get(core.name)
        on_ecp5 = ecp5(core.sources(), "peer_top", seeds, parameters=core.parameters, label=core.name)
        results += _records("ecp5", on_ecp5, core.name, known, command)
        small = core.sources(MEMORY_UP5K)
        on_up5k = ice40_up5k(small, "peer_top", seeds, parameters=core.parameters, label=core.name)
        results += _records("up5k", on_up5k, core.name, known, command)
    return with_ratios(results)


def rows(results: Sequence[Result]) -> list[list[str]]:
    """A row for each core: its name, and what `_COLUMNS` says."""
    found: list[list[str]] = []
    for peer in dict.fromkeys(record.peer for record in results):
        values = {record.name: record.value for record in results if record.peer == peer}
        cells = (f"{values[name]:.{digits}f}" if name in values else "–" for _, name, digits in _COLUMNS)
        found.append([peer or "VAC", *cells])
    return found


def markdown(results: Sequence[Result]) -> str:
    """The table as the documentation shows it."""
    return markdown_table(["", *(heading for heading, _, _ in _COLUMNS)], rows(results))


def print_placement(results: Sequence[Result]) -> None:
    """The table."""
    table = Table(title="Area and median Fmax over seeds", title_justify="left", box=box.SIMPLE)
    table.add_column("", no_wrap=True)
    for heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows(results):
        table.add_row(*row)
    # Piped output has no width of its own, and a figure cut short is worse than a long line.
    Console(width=None if sys.stdout.isatty() else 120).print(table)


PLACEMENT = Measurement(
    "placement", __doc__, "one placer seed", measure_placement, print_placement,
    (PeerMissing, PlaceAndRouteError, ResultsUnreadable),
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(PLACEMENT.main())
