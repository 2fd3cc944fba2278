"""Measure the peer cores and write `benchmarks/results/peers.json`: `python -m benchmarks.peers`."""

import argparse
import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.peers.cores import PEERS, PeerMissing
from benchmarks.peers.measure import MEAN, Selection, measure
from benchmarks.peers.simulation import PeerFailed
from benchmarks.place_and_route import SEEDS, PlaceAndRouteError
from benchmarks.results import RESULTS_FOLDER, Result, write_results
from benchmarks.riscv_kernels import KernelError, kernels
from benchmarks.workloads import WORKLOADS
from vac_sim.toolchain import ToolMissing

_COMMAND = "python -m benchmarks.peers"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_COMMAND, description=__doc__)
    parser.add_argument("--quick", action="store_true", help="SERV runs fib only")
    parser.add_argument("--only", metavar="TEXT", default="", help="peers whose name contains TEXT")
    parser.add_argument("--no-simulation", dest="simulate", action="store_false", help="area and Fmax only")
    parser.add_argument("--no-place", dest="place", action="store_false", help="cycles only")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), metavar="N", help="placer seeds 1 to N (default 3)")
    return parser


_CYCLES = (
    *((workload.name, f"{workload.name}.cycles_per_rv_instruction", 2) for workload in WORKLOADS),
    ("mean", f"{MEAN}.cycles_per_rv_instruction", 2),
    ("Mcycles/s", "simulation.speed", 1),
)
_PLACED = (
    ("ECP5 COMB", "ecp5.comb", 0),
    ("FF", "ecp5.ff", 0),
    ("MHz", "ecp5.fmax", 1),
    ("ns/RV", "ecp5.ns_per_rv_instruction", 1),
    ("UP5K LC", "up5k.comb", 0),
    ("MHz", "up5k.fmax", 1),
    ("ns/RV", "up5k.ns_per_rv_instruction", 1),
)


def _table(title: str, columns: Sequence[tuple[str, str, int]], results: list[Result], peers: list[str]) -> Table:
    values = {(result.name, result.peer): result.value for result in results}
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    table.add_column("core", no_wrap=True)
    for heading, _, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for peer in peers:
        cells = [(values.get((name, peer)), digits) for _, name, digits in columns]
        table.add_row(peer, *("–" if value is None else f"{value:.{digits}f}" for value, digits in cells))
    return table


def _print_tables(results: list[Result], peers: list[str]) -> None:
    # Piped output has no width of its own, and a figure cut short is worse than a long line.
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(_table("Cycles per RV instruction for equal work", _CYCLES, results, peers))
    console.print(_table("Area and Fmax with an 8 KiB memory, median over seeds", _PLACED, results, peers))

    counted = [result for result in results if result.name.endswith(".retired_instructions")]
    for result, workload in zip(counted, WORKLOADS, strict=False):
        off = result.value / workload.reference_instructions - 1
        console.print(
            f"{workload.name}: {result.value:,.0f} RV32I instructions retired here, "
            f"{workload.reference_instructions:,} in the reference ({off:+.2%})",
            highlight=False,
        )


def main(arguments: list[str] | None = None) -> int:
    """Run the measurement. Returns the exit status: 0, or 1 with one message on standard error."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(given)
    cores = [core for core in PEERS if options.only.lower() in core.name.lower()]
    if not cores or options.seeds < 1:
        names = ", ".join(core.name for core in PEERS)
        print(f"error: --seeds must be 1 or more and --only must name one of: {names}", file=sys.stderr)
        return 1
    selection = Selection(cores, options.simulate, options.place, options.quick, range(1, options.seeds + 1))
    try:
        code = kernels()
        print(f"kernels {code.origin}: {code.compiler}", file=sys.stderr)
        results = measure(selection, code, " ".join([_COMMAND, *given]))
    except (KernelError, PeerMissing, PeerFailed, PlaceAndRouteError, ToolMissing) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _print_tables(results, [core.name for core in cores])
    path = RESULTS_FOLDER / "peers.json"
    if len(cores) == len(PEERS) and selection.simulate and selection.place:
        write_results(path, results)
        print(f"written: benchmarks/results/{path.name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
