"""Measure VAC next to its peers and write its records into `benchmarks/results`: `make bench`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import engines
from benchmarks.beams import BEAMS
from benchmarks.checkpoints import CHECKPOINTS
from benchmarks.own import NAIVE, TOTAL, KernelFailed, in_lockstep, on_fast_engine, on_rtl
from benchmarks.packages import PACKAGES
from benchmarks.paging import PAGING
from benchmarks.peers.cores import PEERS, PeerMissing
from benchmarks.peers.measure import MEAN, Selection, area_records, measure, time_per_instruction
from benchmarks.peers.simulation import PeerFailed
from benchmarks.place_and_route import SEEDS, PlaceAndRouteError
from benchmarks.results import RESULTS_FOLDER, Machine, Result, with_ratios, write_results
from benchmarks.riscv_kernels import KernelError, kernels
from benchmarks.scheduling import SCHEDULING
from benchmarks.workloads import WORKLOADS
from vac.fast.compiler import EngineBuildError
from vac_sim.mismatch import LockstepMismatch
from vac_sim.model import BuildFailed
from vac_sim.toolchain import ToolMissing

_COMMAND = "python -m benchmarks.run"
_OWN_PATH = RESULTS_FOLDER / "vac.json"
_PEERS_PATH = RESULTS_FOLDER / "peers.json"
_PLACED_PREFIXES = ("ecp5.", "up5k.")

_CYCLES = (
    *((workload.name, f"{workload.name}.cycles_per_rv_instruction", 2) for workload in WORKLOADS),
    ("mean", f"{MEAN}.cycles_per_rv_instruction", 3),
    ("total", f"{TOTAL}.cycles_per_rv_instruction", 3),
    ("Mcycles/s", "simulation.speed", 1),
)
_PLACED = (
    ("COMB", "ecp5.comb", 0),
    ("FF", "ecp5.ff", 0),
    ("BRAM", "ecp5.bram", 0),
    ("DSP", "ecp5.dsp", 0),
    ("MHz", "ecp5.fmax", 1),
    ("ns/RV", "ecp5.ns_per_rv_instruction", 1),
)
_FAST = tuple((name, f"{name}", 3) for name in (*(workload.name for workload in WORKLOADS), TOTAL))


class ResultsUnreadable(RuntimeError):
    """A file of records is missing or not one."""


_PARTS = (PAGING, SCHEDULING, BEAMS, PACKAGES, CHECKPOINTS)
_FAILURES = (
    BuildFailed,
    EngineBuildError,
    KernelError,
    KernelFailed,
    LockstepMismatch,
    PeerFailed,
    PeerMissing,
    PlaceAndRouteError,
    ResultsUnreadable,
    ToolMissing,
    *(failure for part in _PARTS for failure in part.failures),
)


def read_results(path: Path) -> list[Result]:
    """Records that `write_results` wrote. Raises ResultsUnreadable."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [Result(**{**row, "machine": Machine(**row["machine"])}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ResultsUnreadable(f"cannot read benchmarks/results/{path.name}: {error}") from error


def _with_totals(peers: Sequence[Result]) -> list[Result]:
    """The peers' records, each peer with its cycles of all four kernels per RV instruction."""
    instructions = sum(workload.reference_instructions for workload in WORKLOADS)
    cycles = {(record.name, record.peer): record for record in peers}
    added = []
    for peer in dict.fromkeys(record.peer for record in peers):
        runs = [cycles.get((f"{workload.name}.cycles", peer)) for workload in WORKLOADS]
        found = [run for run in runs if run is not None]
        if len(found) == len(WORKLOADS):
            total = sum(run.value for run in found) / instructions
            name, first = f"{TOTAL}.cycles_per_rv_instruction", found[0]
            added.append(Result(name, total, "cycles", peer, first.command, machine=first.machine))
    return [*peers, *added]


def _placed(seeds: Sequence[int], command: str) -> list[Result]:
    # Elaborating the core is not needed for anything else.
    from benchmarks.core_area import place_on_ecp5, place_on_up5k

    records = area_records("ecp5", place_on_ecp5(seeds), None, command)
    try:
        return [*records, *area_records("up5k", place_on_up5k(seeds), None, command)]
    except PlaceAndRouteError as error:
        print(f"iCE40 UP5K: no figures.\n{error}", file=sys.stderr)
        return records


def _kept_placement(path: Path) -> list[Result]:
    """Placed records of an earlier run, which only `--place` measures again."""
    if not path.is_file():
        return []
    kept = [record for record in read_results(path) if record.name.startswith(_PLACED_PREFIXES)]
    return [record for record in kept if not record.name.endswith("ns_per_rv_instruction")]


def _table(title: str, columns: Sequence[tuple[str, str, int]], rows: Sequence[tuple[str, dict[str, float]]]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    table.add_column("", no_wrap=True)
    for heading, _, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for label, values in rows:
        cells = [(values.get(name), digits) for _, name, digits in columns]
        table.add_row(label, *("–" if value is None else f"{value:.{digits}f}" for value, digits in cells))
    return table


def _print_tables(results: Sequence[Result]) -> None:
    by_subject: dict[str | None, dict[str, float]] = {}
    for record in results:
        by_subject.setdefault(record.peer, {})[record.name] = record.value
    cores = [
        (peer or "VAC", values)
        for peer, values in by_subject.items()
        if f"{MEAN}.cycles_per_rv_instruction" in values or "ecp5.comb" in values
    ]
    # Piped output has no width of its own, and a figure cut short is worse than a long line.
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(_table("Cycles per RV instruction for equal work", _CYCLES, cores))
    console.print(_table("ECP5 with 8 KiB of memory, median Fmax over seeds", _PLACED, cores))

    own = by_subject[None]
    speeds = [
        (trace, {kernel: own[f"{kernel}.{trace}"] for _, kernel, _ in _FAST})
        for trace in ("fast_plain", "fast_digested", "fast_beams")
    ]
    speeds.append((NAIVE, {"fib": by_subject[NAIVE]["fib.fast_beams"]}))
    console.print(_table("Fast engine, G ticks/s", _FAST, speeds))
    for reference in ("golden", "fast"):
        compared = own[f"lockstep.{reference}"]
        console.print(f"lockstep with {reference}: {compared:,.0f} instructions/s compared", highlight=False)


def _measure_peers(quick: bool, seeds: Sequence[int], command: str) -> list[Result]:
    """The peers' records. seeds: as for `_measure`."""
    selection = Selection(place=bool(seeds), quick=quick, seeds=seeds)
    code = kernels()
    print(f"RISC-V kernels {code.origin}: {code.compiler}", file=sys.stderr)
    measured = measure(selection, code, command)
    if seeds:
        return measured
    measured += _kept_placement(_PEERS_PATH)
    return measured + [record for core in PEERS for record in time_per_instruction(measured, core.name, command)]


def _measure_own(quick: bool, seeds: Sequence[int], command: str) -> list[Result]:
    """VAC's records. seeds: of the placer; none to keep the placement of an earlier run."""
    own = [*on_rtl(command), *in_lockstep(quick, command), *on_fast_engine(quick, command)]
    if seeds:
        own += _placed(seeds, command)
    else:
        kept = [record for record in _kept_placement(_OWN_PATH) if record.peer is None]
        if kept:
            print("area and Fmax are of an earlier run; --place measures them again", file=sys.stderr)
        own += kept
    return own + time_per_instruction(own, None, command)


def main(arguments: list[str] | None = None) -> int:
    """Run the measurement. Returns the exit status: 0, or 1 with one message on standard error."""
    parser = argparse.ArgumentParser(prog=_COMMAND, description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="shorter lockstep, fewer repetitions, SERV runs fib alone; writes no file"
    )
    parser.add_argument(
        "--place", action="store_true", help="synthesise, place and route the core and its peers too: half an hour"
    )
    parser.add_argument("--seeds", type=int, default=len(SEEDS), metavar="N", help="placer seeds 1 to N (default 3)")
    given = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(given)
    if options.seeds < 1:
        print(f"error: --seeds is {options.seeds}; give 1 or more", file=sys.stderr)
        return 1
    seeds = range(1, options.seeds + 1) if options.place else ()
    try:
        command = " ".join([_COMMAND, *given])
        peers = _measure_peers(options.quick, seeds, command)
        results = with_ratios([*_measure_own(options.quick, seeds, command), *_with_totals(peers)])
        others = [(part, part.measure(options.quick, command)) for part in _PARTS]
    except _FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _print_tables(results)
    for part, records in others:
        part.show(records)
    if not options.quick:
        for path, records in ((_OWN_PATH, results), (_PEERS_PATH, peers)):
            write_results(path, records)
            print(f"written: benchmarks/results/{path.name}", file=sys.stderr)
        for part, records in others:
            part.keep(records)
    return engines.main(["--quick"] if options.quick else [])


if __name__ == "__main__":
    sys.exit(main())
