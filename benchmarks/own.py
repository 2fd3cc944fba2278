"""Measures VAC itself: kernels on the Verilated core, lockstep, and the fast engine.

Speeds are by processor time, as the peers' are: what else the machine does must not count.
"""

import time
from pathlib import Path
from statistics import mean

from benchmarks import naive_loop
from benchmarks.peers.measure import MEAN
from benchmarks.progress import step
from benchmarks.results import Result
from benchmarks.workloads import DATA_BYTES, WORKLOADS, Workload
from vac.assembler.assemble import assemble
from vac.fast.machine import FastMachine, Trace
from vac.image.image import Image
from vac.isa.limits import LEAF_BYTES
from vac.machine.protocol import Leaf, Machine, StopReason
from vac_sim.engine import RtlMachine, RtlOptions
from vac_sim.lockstep import LockstepMachine
from vac_sim.reference import create_reference

KERNELS_FOLDER = Path(__file__).resolve().parents[1] / "firmware" / "kernels"
TOTAL = "total"
"""Stands for a kernel's name in records of all four run one after the other."""
NAIVE = "Python, one dict a beam"

_DATA_SLOT = 1
_TICK_LIMIT = 1 << 40
_TRACES = {"fast_plain": Trace.NOTHING, "fast_digested": Trace.DIGEST, "fast_beams": Trace.BEAMS}


class KernelFailed(RuntimeError):
    """A kernel did not halt, or computed something else than its workload says."""


def _load(machine: Machine, image: Image, workload: Workload) -> None:
    machine.load(image)
    for slot, number in machine.leaves():
        if slot == _DATA_SLOT:
            machine.install(slot, number, Leaf(workload.data[number * LEAF_BYTES : (number + 1) * LEAF_BYTES]))


def _image(workload: Workload) -> Image:
    return assemble((KERNELS_FOLDER / f"{workload.name}.vasm").read_text(encoding="utf-8"))


def _run(machine: Machine, workload: Workload, engine: str) -> float:
    """Processor seconds from the loaded kernel to its halt. Raises KernelFailed."""
    begun = time.process_time()
    stop = machine.run(_TICK_LIMIT)
    seconds = time.process_time() - begun

    state = machine.state()
    if stop.reason is not StopReason.HALTED:
        raise KernelFailed(f"{workload.name} on {engine}: stopped at tick {state.tick} ({stop.reason.value}), no halt")
    if state.cells[state.sp - 1] != workload.result:
        raise KernelFailed(
            f"{workload.name} on {engine}: computed {state.cells[state.sp - 1]:#x}, not {workload.result:#x}"
        )
    # What a kernel declares no memory for stays as it was given.
    after = bytearray(workload.data)
    for slot, number in machine.leaves():
        if slot == _DATA_SLOT:
            after[number * LEAF_BYTES : (number + 1) * LEAF_BYTES] = machine.read_leaf(slot, number).data
    wrong = workload.check(bytes(after[:DATA_BYTES]))
    if wrong:
        raise KernelFailed(f"{workload.name} on {engine}: {wrong}")
    return seconds


def on_rtl(command: str) -> list[Result]:
    """Ticks and cycles of each kernel on the Verilated core, per RV instruction, and the simulation's speed.

    Raises KernelFailed; ToolMissing or BuildFailed where the model cannot be built.
    """
    results: list[Result] = []
    ratios, speeds, all_cycles = [], [], 0
    machine = RtlMachine(RtlOptions(keeps_beams=False))
    for workload in WORKLOADS:
        _load(machine, _image(workload), workload)
        before = machine.cycles
        with step(f"{workload.name} on the Verilated core"):
            seconds = _run(machine, workload, "the Verilated core")
        cycles = machine.cycles - before
        all_cycles += cycles
        ratios.append(cycles / workload.reference_instructions)
        speeds.append(cycles / seconds / 1e6)
        results += [
            Result(f"{workload.name}.ticks", machine.state().tick, "ticks", None, command),
            Result(f"{workload.name}.cycles", cycles, "cycles", None, command),
            Result(f"{workload.name}.cycles_per_rv_instruction", ratios[-1], "cycles", None, command),
        ]
    total = all_cycles / sum(workload.reference_instructions for workload in WORKLOADS)
    return [
        *results,
        Result(f"{MEAN}.cycles_per_rv_instruction", mean(ratios), "cycles", None, command),
        Result(f"{TOTAL}.cycles_per_rv_instruction", total, "cycles", None, command),
        Result("simulation.speed", max(speeds), "Mcycles/s", None, command),
    ]


def in_lockstep(quick: bool, command: str) -> list[Result]:
    """Instructions compared a processor second, records and beams, of the Verilated core against each reference engine.

    Raises LockstepMismatch where they differ; ToolMissing, BuildFailed or EngineBuildError where one cannot be built.
    """
    results = []
    crc32 = WORKLOADS[0]
    for reference, ticks in (("golden", 20_000 if quick else 200_000), ("fast", 200_000 if quick else 2_000_000)):
        machine = LockstepMachine(create_reference(reference))
        _load(machine, _image(crc32), crc32)
        with step(f"{crc32.name} in lockstep with {reference}"):
            begun = time.process_time()
            machine.run(ticks)
            seconds = time.process_time() - begun
        results.append(
            Result(f"lockstep.{reference}", machine.counts.compared / seconds, "instructions/s", None, command)
        )
    return results


def on_fast_engine(quick: bool, command: str) -> list[Result]:
    """Speed of the fast engine on each kernel with nothing traced, beams digested, and beams kept; best of many runs.

    The naive loop's record stands beside fib with beams kept. Raises KernelFailed, EngineBuildError.
    """
    results = []
    for name, trace in _TRACES.items():
        machine = FastMachine(trace)
        ticks, best_seconds = 0, 0.0
        for workload in WORKLOADS:
            image, best = _image(workload), float("inf")
            for _ in range(3 if quick else 15):
                _load(machine, image, workload)
                best = min(best, _run(machine, workload, "the fast engine"))
            done = machine.state().tick
            results.append(Result(f"{workload.name}.{name}", done / best / 1e9, "G ticks/s", None, command))
            ticks, best_seconds = ticks + done, best_seconds + best
        results.append(Result(f"{TOTAL}.{name}", ticks / best_seconds / 1e9, "G ticks/s", None, command))

    fib = next(workload for workload in WORKLOADS if workload.name == "fib")
    begun = time.process_time()
    (value,), beams = naive_loop.run(_image(fib), fib, 1 << 60)
    seconds = time.process_time() - begun
    if value != fib.result:
        raise KernelFailed(f"fib in the naive loop: computed {value:#x}, not {fib.result:#x}")
    return [*results, Result("fib.fast_beams", len(beams) / seconds / 1e9, "G ticks/s", NAIVE, command)]
