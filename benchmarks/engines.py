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
_BEAM_SLICE = 1 << 16
_REPEATS = {"crc32": 1, "fib": 2000, "sieve": 8, "copy": 100}
_SOURCE_LINES = {"fib": "li      runs, 2000", "sieve": "li      runs, 8", "copy": "li      runs, 100"}
"""Where the sources say how often a kernel repeats its work."""
_LONGER = 50
"""Kernels repeat their work so many times as often for engines that are through with it in microseconds."""
_MACHINES = 64
_NAIVE_TICKS = 400_000
"""Enough to measure the naive loop by; all of crc32 would be a gigabyte of dicts."""
_SLICES = (10_000, 100_000, 1_000_000)

Maker = Callable[[], FastMachine]


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


def _ticks_per_second(make: Maker, workload: Workload, rounds: int) -> float:
    """Best of whole runs behind a first one, which brings pages, decoded and compiled code into place."""
    machine = make()
    machine.load(_image(workload, _LONGER))
    fresh, best = machine.state(), 0.0
    for turn in range(rounds + 1):
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
        best = max(best, state.tick / seconds if turn else 0.0)
    return best


def _own_ticks(workload: Workload) -> int:
    machine = FastMachine(Trace.NOTHING)
    machine.load(_image(workload, 1))
    _prepare(machine, workload)
    machine.run(_FOR_EVER)
    return machine.state().tick


def _wasm_seconds(kernel: WasmKernel, workload: Workload, rounds: int) -> float:
    longer = _LONGER if workload.name in _SOURCE_LINES else 1
    best = float("inf")
    for _ in range(rounds):
        kernel.write(workload.data)
        begun = time.thread_time()
        result = kernel.run(_REPEATS[workload.name] * longer)
        best = min(best, time.thread_time() - begun)
        wrong = workload.check(kernel.read())
        if result != workload.result or wrong:
            raise Wrong(f"{workload.name} in WebAssembly: {result:#x}, {wrong}")
    return best / longer


def _python_seconds(workload: Workload, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        memory = bytearray(workload.data[:DATA_BYTES])
        begun = time.thread_time()
        result = PYTHON_KERNELS[workload.name](memory)
        best = min(best, time.thread_time() - begun)
        if result != workload.result:
            raise Wrong(f"{workload.name} in Python: {result:#x}")
    return best


def _naive_ticks_per_second(workload: Workload, rounds: int) -> float:
    best, image = 0.0, _image(workload, 1)
    for _ in range(rounds):
        begun = time.thread_time()
        _, beams = naive_loop.run(image, workload, _NAIVE_TICKS)
        best = max(best, len(beams) / (time.thread_time() - begun))
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


def measure(rounds: int, command: str) -> list[Result]:
    """All figures. Raises Wrong where an engine computes something else, EngineBuildError, CompilerMissing."""
    engines: dict[str, Maker] = {
        "plain": lambda: FastMachine(Trace.NOTHING),
        "digest": lambda: FastMachine(Trace.DIGEST),
        "beams": lambda: FastMachine(Trace.BEAMS),
        "jit": lambda: JitMachine(Trace.NOTHING),
        "jit_digest": lambda: JitMachine(Trace.DIGEST),
        "jit_beams": lambda: JitMachine(Trace.BEAMS),
    }
    results: list[Result] = []

    def record(name: str, value: float, peer: str | None = None, unit: str = "G ticks/s") -> None:
        results.append(Result(name, value / 1e9 if unit == "G ticks/s" else value, unit, peer, command))

    for workload in WORKLOADS:
        ticks = _own_ticks(workload)
        with step(f"{workload.name} on VAC's engines"):
            for name, make in engines.items():
                record(f"{workload.name}.{name}", _ticks_per_second(make, workload, rounds))
        with step(f"{workload.name} on its peers"):
            compiled = on_wasmtime(workload, False)
            record(f"{workload.name}.jit", ticks / _wasm_seconds(compiled, workload, rounds), "wasmtime")
            charged = on_wasmtime(workload, True)
            record(f"{workload.name}.jit", ticks / _wasm_seconds(charged, workload, rounds), "wasmtime, ticks charged")
            try:
                record(f"{workload.name}.plain", ticks / _wasm_seconds(on_wasm3(workload), workload, rounds), "wasm3")
            except ImportError:  # no wheel of it exists: `pip install pywasm3` compiles it
                print("wasm3 is not installed; it is left out", file=sys.stderr)
            best = min(unicorn_seconds(workload) for _ in range(max(1, rounds // 3)))
            record(f"{workload.name}.plain", ticks / best, "unicorn, bounded by instructions")
            record(f"{workload.name}.plain", ticks / _python_seconds(workload, max(1, rounds // 3)), "CPython")
            naive = _naive_ticks_per_second(workload, max(1, rounds // 3))
            for name in ("plain", "jit"):
                record(f"{workload.name}.{name}", naive, "Python, one dict a beam")
    with step(f"{_MACHINES} machines from Python"):
        fib = next(workload for workload in WORKLOADS if workload.name == "fib")
        for name in ("plain", "jit"):
            single = _ticks_per_second(engines[name], fib, rounds)
            for span in _SLICES:
                record(f"many.{name}.{span}", _many(engines[name], fib, span) / single, unit="of one machine's rate")
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
    lines = ["| G ticks/s | " + " | ".join(workload.name for workload in WORKLOADS) + " |"]
    lines.append("|---" * (len(WORKLOADS) + 1) + "|")
    for label, values in rows(results):
        cells = ["–" if value is None else f"{value:.3g}" for value in values]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def measure_engines(quick: bool, command: str) -> list[Result]:
    """All records. quick: fewer repetitions. Raises as `measure`."""
    return measure(3 if quick else 15, command)


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
