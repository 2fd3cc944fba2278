"""The core next to its peers on equal work under Verilator, and lockstep: `python -m benchmarks.cores`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.markdown import markdown_table
from benchmarks.measurement import Measurement
from benchmarks.own import TOTAL, KernelFailed, in_lockstep, on_rtl, under_cocotb
from benchmarks.peers.cores import PeerMissing
from benchmarks.peers.measure import MEAN, measure_peers
from benchmarks.peers.simulation import PeerFailed
from benchmarks.results import Result, with_ratios
from benchmarks.riscv_kernels import KernelError, kernels
from benchmarks.workloads import WORKLOADS
from vac.fast.compiler import EngineBuildError
from vac_sim.bench.runner import BenchFailed
from vac_sim.mismatch import LockstepMismatch
from vac_sim.model import BuildFailed
from vac_sim.toolchain import ToolMissing

_PER_INSTRUCTION = "cycles_per_rv_instruction"
_COLUMNS = (
    *((workload.name, f"{workload.name}.{_PER_INSTRUCTION}", 2) for workload in WORKLOADS),
    ("mean", f"{MEAN}.{_PER_INSTRUCTION}", 3),
    ("total", f"{TOTAL}.{_PER_INSTRUCTION}", 3),
    ("Mcycles/s", "simulation.speed", 1),
)


def _with_totals(peers: Sequence[Result]) -> list[Result]:
    """The peers' records, each peer with its cycles of all four kernels per RV instruction."""
    instructions = sum(workload.reference_instructions for workload in WORKLOADS)
    cycles = {(record.name, record.peer): record.value for record in peers}
    added = []
    for peer, command in {record.peer: record.command for record in peers}.items():
        found = [cycles.get((f"{workload.name}.cycles", peer)) for workload in WORKLOADS]
        total = sum(value for value in found if value is not None) / instructions
        if None not in found:
            added.append(Result(f"{TOTAL}.{_PER_INSTRUCTION}", total, "cycles", peer, command))
    return [*peers, *added]


def mean_cycles(results: Sequence[Result]) -> dict[str | None, float]:
    """Cycles per RV instruction for equal work, the mean of the kernels, by peer; of None for VAC's core."""
    return {record.peer: record.value for record in results if record.name == f"{MEAN}.{_PER_INSTRUCTION}"}


def measure_cores(quick: bool, command: str) -> list[Result]:
    """All records. quick: shorter lockstep, fewer repetitions, SERV runs fib alone."""
    code = kernels()
    print(f"RISC-V kernels {code.origin}: {code.compiler}", file=sys.stderr)
    own = [*on_rtl(command), *in_lockstep(quick, command), *under_cocotb(command)]
    return with_ratios([*own, *_with_totals(measure_peers(quick, code, command))])


def _by_subject(results: Sequence[Result]) -> dict[str | None, dict[str, float]]:
    found: dict[str | None, dict[str, float]] = {}
    for record in results:
        found.setdefault(record.peer, {})[record.name] = record.value
    return found


def rows(results: Sequence[Result]) -> list[list[str]]:
    """A row for each core: its name, and what `_COLUMNS` says."""
    return [
        [peer or "VAC", *(f"{values[name]:.{digits}f}" if name in values else "–" for _, name, digits in _COLUMNS)]
        for peer, values in _by_subject(results).items()
        if "simulation.speed" in values
    ]


def markdown(results: Sequence[Result]) -> str:
    """The table as the documentation shows it."""
    return markdown_table(["cycles per RV instruction", *(heading for heading, _, _ in _COLUMNS)], rows(results))


def print_cores(results: Sequence[Result]) -> None:
    """Cycles of all cores, and lockstep."""
    # Piped output has no width of its own, and a figure cut short is worse than a long line.
    console = Console(width=None if sys.stdout.isatty() else 110)
    table = Table(title="Cycles per RV instruction for equal work", title_justify="left", box=box.SIMPLE)
    table.add_column("", no_wrap=True)
    for heading, _, _ in _COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows(results):
        table.add_row(*row)
    console.print(table)
    own = _by_subject(results)[None]
    console.print(f"ticks per RV instruction: {own[f'{TOTAL}.ticks_per_rv_instruction']:.3f}", highlight=False)
    for reference, label in (("golden", "golden"), ("fast", "fast"), ("cocotb", "fast, through cocotb")):
        compared = own[f"lockstep.{reference}"]
        console.print(f"lockstep with {label}: {compared:,.0f} instructions/s compared", highlight=False)


_FAILURES = (
    BenchFailed, BuildFailed, EngineBuildError, KernelError, KernelFailed, LockstepMismatch, PeerFailed, PeerMissing,
    ToolMissing,
)  # fmt: skip
CORES = Measurement(
    "cores", __doc__, "shorter lockstep, fewer repetitions, SERV runs fib alone", measure_cores, print_cores, _FAILURES
)

if __name__ == "__main__":
    sys.exit(CORES.main())
