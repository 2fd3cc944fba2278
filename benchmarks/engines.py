"""Measure VAC's software engines and their peers on the same kernels: `python -m benchmarks.engines`.

Every figure is VAC's ticks of a kernel divided by the thread's processor seconds for the same work, best of several
runs in one process, so that all compare. Writes `benchmarks/results/engines.json`.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import naive_loop
from benchmarks.engines_python import PYTHON_KERNELS
from benchmarks.engines_unicorn import unicorn_seconds
from benchmarks.engines_wasm import WasmKernel, on_wasm3, on_wasmtime
from benchmarks.markdown import markdown_table
from benchmarks.measurement import Measurement
from benchmarks.progress import step
from benchmarks.results import Result, with_ratios
from benchmarks.workloads import DATA_BYTES, WORKLOADS, Workload
from vac.assembler.assemble import assemble
from vac.fast.machine import FastMachine, Trace
from vac.image.image import Image
from vac.isa.limits import LEAF_BYTES
from vac.jit.machine import JitMachine
from vac.machine.protocol import Leaf, StopReason

_KERNELS_FOLDER = Path(__file__).resolve().parents[1] / "firmware" / "kernels"
_DATA_SLOT = 1
_FOR_EVER = 1 << 60
_BEAM_SLICE = 1 << 17
_REPEATS = {"crc32": 1, "fib": 2000, "sieve": 8, "copy": 100}
_SOURCE_LINES = {"fib": "li      runs, 2000", "sieve": "li      runs, 8", "copy": "li      runs, 100"}
"""Where the sources say how often a kernel repeats its work."""
_LONGER = 50
"""Kernels repeat their work so many times as often for engines that are through with it in microseconds."""
_MACHINES = 64
_NAIVE_TICKS = 400_000
"""Enough to measure the naive loop by; all of crc32 would be a gigabyte of dicts."""
_SLICES = (10_000, 100_000, 1_000_000)

_SLOW_EVERY = 3
"""Peers run in every third round: some take seconds."""

Maker = Callable[[], FastMachine]
_ENGINES: dict[str, Maker] = {
    "plain": lambda: FastMachine(Trace.NOTHING),
    "digest": lambda: FastMachine(Trace.DIGEST),
    "beams": lambda: FastMachine(Trace.BEAMS),
    "jit": lambda: JitMachine(Trace.NOTHING),
    "jit_digest": lambda: JitMachine(Trace.DIGEST),
    "jit_beams": lambda: JitMachine(Trace.BEAMS),
}
_COMPARED = {
    "wasmtime": ("jit",),
    "wasmtime, ticks charged": ("jit",),
    "Python, one dict a beam": ("plain", "jit"),
}
"""Engines that a peer stands beside; the interpreter unless named."""


class Wrong(RuntimeError):
    """An engine computed something else than the workload says."""


def _image(workload: Workload, longer: int) -> Image:
    source = (_KERNELS_FOLDER / f"{workload.name}.vasm").read_text(encoding="utf-8")
    line = _SOURCE_LINES.get(workload.name)
    if line and longer > 1:
        assert line in source, f"{workload.name}.vasm no longer says `{line}`"
        source = source.replace(line, f"liw     runs, {_REPEATS[workload.name] * longer}")
    return assemble(source)


def _prepare(machine: FastMachine, workload: Workload) -> None:
    for slot, number in machine.leaves():
        if slot == _DATA_SLOT:
            machine.install(slot, number, Leaf(workload.data[number * LEAF_BYTES : (number + 1) * LEAF_BYTES]))


Run = Callable[[], float]
"""One run of a kernel: ticks a second."""


def _run_of(make: Maker, workload: Workload) -> Run:
    """Whole runs behind a first one, which brings pages, decoded and compiled code into place."""
    machine = make()
    machine.load(_image(workload, _LONGER))
    fresh = machine.state()

    def run() -> float:
        machine.set_state(fresh)
        _prepare(machine, workload)
        begun = time.thread_time()
        until = _BEAM_SLICE if machine.trace is Trace.BEAMS else _FOR_EVER
        while (stop := machine.run(until)).reason is StopReason.TICK:
            machine.drain_beams_into(len)
            until += _BEAM_SLICE
        if machine.trace is Trace.BEAMS:
            machine.drain_beams_into(len)
        seconds = time.thread_time() - begun
        state = machine.state()
        if stop.reason is not StopReason.HALTED or state.cells[state.sp - 1] != workload.result:
            raise Wrong(f"{workload.name}: {stop.reason.value}, stack {state.data_stack}")
        return state.tick / seconds

    run()
    return run


def _own_ticks(workload: Workload) -> int:
    machine = FastMachine(Trace.NOTHING)
    machine.load(_image(workload, 1))
    _prepare(machine, workload)
    machine.run(_FOR_EVER)
    return machine.state().tick


def _wasm_run(kernel: WasmKernel, workload: Workload, ticks: int) -> Run:
    longer = _LONGER if workload.name in _SOURCE_LINES else 1

    def run() -> float:
        kernel.write(workload.data)
        begun = time.thread_time()
        result = kernel.run(_REPEATS[workload.name] * longer)
        seconds = time.thread_time() - begun
        wrong = workload.check(kernel.read())
        if result != workload.result or wrong:
            raise Wrong(f"{workload.name} in WebAssembly: {result:#x}, {wrong}")
        return ticks * longer / seconds

    return run


def _python_run(workload: Workload, ticks: int) -> Run:
    def run() -> float:
        memory = bytearray(workload.data[:DATA_BYTES])
        begun = time.thread_time()
        result = PYTHON_KERNELS[workload.name](memory)
        seconds = time.thread_time() - begun
        if result != workload.result:
            raise Wrong(f"{workload.name} in Python: {result:#x}")
        return ticks / seconds

    return run


def _naive_run(workload: Workload) -> Run:
    image = _image(workload, 1)

    def run() -> float:
        begun = time.thread_time()
        _, beams = naive_loop.run(image, workload, _NAIVE_TICKS)
        return len(beams) / (time.thread_time() - begun)

    return run


def _best(runs: dict[str, Run], rounds: int, every: int = 1) -> dict[str, float]:
    """Best of so many rounds. All take their turn in each, so that what slows the machine for a while slows all."""
    best = dict.fromkeys(runs, 0.0)
    for turn in range(rounds):
        for name, run in runs.items():
            if turn % every == 0 or name in _ENGINES:
                best[name] = max(best[name], run())
    return best


def _many(make: Maker, workload: Workload, span: int) -> float:
    """Ticks a second of 64 machines that take turns, from Python."""
    machines = [make() for _ in range(_MACHINES)]
    image = _image(workload, _LONGER)
    for machine in machines:
        machine.load(image)
        _prepare(machine, workload)
        machine.run(200_000)
    turns = max(2, 40_000_000 // (span * _MACHINES))
    begun = time.thread_time()
    for turn in range(1, turns + 1):
        until = 200_000 + turn * span
        for machine in machines:
            machine.run(until)
    return turns * span * _MACHINES / (time.thread_time() - begun)


def _peers(workload: Workload) -> dict[str, Run]:
    """The peers' runs by name, those that are there."""
    ticks = _own_ticks(workload)
    runs = {
        "wasmtime": _wasm_run(on_wasmtime(workload, False), workload, ticks),
        "wasmtime, ticks charged": _wasm_run(on_wasmtime(workload, True), workload, ticks),
    }
    try:
        runs["wasm3"] = _wasm_run(on_wasm3(workload), workload, ticks)
    except ImportError:  # no wheel of it exists: `make bench` tries to compile it
        print("wasm3 is not installed; it is left out", file=sys.stderr)
    runs["unicorn, bounded by instructions"] = lambda: ticks / unicorn_seconds(workload)
    runs["CPython"] = _python_run(workload, ticks)
    runs["Python, one dict a beam"] = _naive_run(workload)
    return runs


def measure(rounds: int, command: str) -> list[Result]:
    """All figures. Raises Wrong where an engine computes something else, EngineBuildError, CompilerMissing."""
    results: list[Result] = []

    def record(name: str, value: float, peer: str | None = None, unit: str = "G ticks/s") -> None:
        results.append(Result(name, value / 1e9 if unit == "G ticks/s" else value, unit, peer, command))

    for workload in WORKLOADS:
        with step(f"{workload.name} on all engines"):
            own = {name: _run_of(make, workload) for name, make in _ENGINES.items()}
            best = _best({**own, **_peers(workload)}, rounds, _SLOW_EVERY)
        for name, value in best.items():
            if name in own:
                record(f"{workload.name}.{name}", value)
                continue
            for engine in _COMPARED.get(name, ("plain",)):
                record(f"{workload.name}.{engine}", value, name)
    with step(f"{_MACHINES} machines from Python"):
        fib = next(workload for workload in WORKLOADS if workload.name == "fib")
        for name in ("plain", "jit"):
            single = _best({name: _run_of(_ENGINES[name], fib)}, rounds)[name]
            for span in _SLICES:
                record(f"many.{name}.{span}", _many(_ENGINES[name], fib, span) / single, unit="of one machine's rate")
    return with_ratios(results)


def rows(results: Sequence[Result]) -> list[tuple[str, list[float | None]]]:
    """The table: a label, and G ticks/s on each workload in their order."""
    labels = {
        "plain": "interpreter, plain", "digest": "interpreter, beams digested", "beams": "interpreter, beams kept",
        "jit": "JIT, plain", "jit_digest": "JIT, beams digested", "jit_beams": "JIT, beams kept",
    }  # fmt: skip
    found = {(record.peer, record.name): record.value for record in results}
    peers = dict.fromkeys(record.peer for record in results if record.peer)
    table: list[tuple[str, list[float | None]]] = []
    for key, label in labels.items():
        table.append((label, [found.get((None, f"{workload.name}.{key}")) for workload in WORKLOADS]))
    for peer in peers:
        values = [
            found.get((peer, f"{workload.name}.jit"), found.get((peer, f"{workload.name}.plain")))
            for workload in WORKLOADS
        ]
        table.append((str(peer), values))
    return table


def markdown(results: Sequence[Result]) -> str:
    """The table as the documentation shows it."""
    lines = [
        [label, *("–" if value is None else f"{value:.3g}" for value in values)] for label, values in rows(results)
    ]
    return markdown_table(["G ticks/s", *(workload.name for workload in WORKLOADS)], lines)


def measure_engines(quick: bool, command: str) -> list[Result]:
    """All records. quick: fewer repetitions. Raises as `measure`."""
    return measure(3 if quick else 30, command)


def print_engines(results: Sequence[Result]) -> None:
    """The table, and what many machines reach."""
    Console().print(markdown(results), highlight=False, markup=False)
    for record in results:
        if record.name.startswith("many."):
            print(f"{record.name}: {record.value:.2f} {record.unit}")


ENGINES = Measurement(
    "engines", __doc__, "fewer repetitions", measure_engines, print_engines, (Wrong, RuntimeError, ImportError)
)

if __name__ == "__main__":
    sys.exit(ENGINES.main())
