"""Measures VAC's core itself: kernels under Verilator, and lockstep.

Speeds are by processor time, as the peers' are: what else the machine does must not count.
"""

import time
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from benchmarks.peers.measure import MEAN
from benchmarks.progress import step
from benchmarks.results import Result
from benchmarks.workloads import DATA_BYTES, WORKLOADS, Workload
from vac.assembler.assemble import assemble, assemble_file
from vac.image.image import Image
from vac.isa.limits import LEAF_BYTES
from vac.machine.protocol import Leaf, Machine, StopReason
from vac_sim.bench.job import Job
from vac_sim.bench.runner import run_bench
from vac_sim.disturbance import Disturbance
from vac_sim.engine import RtlMachine, RtlOptions
from vac_sim.lockstep import LockstepMachine
from vac_sim.reference import create_reference

_ROOT = Path(__file__).resolve().parents[1]
KERNELS_FOLDER = _ROOT / "firmware" / "kernels"
_DEMO, _DEMO_INPUT = _ROOT / "firmware" / "demos" / "crc32_file.vasm", _ROOT / "LICENSE"
TOTAL = "total"
"""Stands for a kernel's name in records of all four run one after the other."""

_DATA_SLOT = 1
_TICK_LIMIT = 1 << 40


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
    ratios, speeds, all_cycles, all_ticks = [], [], 0, 0
    machine = RtlMachine(RtlOptions(keeps_beams=False))
    for workload in WORKLOADS:
        _load(machine, _image(workload), workload)
        before = machine.cycles
        with step(f"{workload.name} on the Verilated core"):
            seconds = _run(machine, workload, "the Verilated core")
        cycles = machine.cycles - before
        ticks = machine.state().tick
        all_cycles, all_ticks = all_cycles + cycles, all_ticks + ticks
        ratios.append(cycles / workload.reference_instructions)
        speeds.append(cycles / seconds / 1e6)
        results += [
            Result(f"{workload.name}.ticks", ticks, "ticks", None, command),
            Result(
                f"{workload.name}.ticks_per_rv_instruction",
                ticks / workload.reference_instructions,
                "ticks",
                None,
                command,
            ),
            Result(f"{workload.name}.cycles", cycles, "cycles", None, command),
            Result(f"{workload.name}.cycles_per_rv_instruction", ratios[-1], "cycles", None, command),
            Result(f"{workload.name}.simulation.speed", speeds[-1], "Mcycles/s", None, command),
        ]
    instructions = sum(workload.reference_instructions for workload in WORKLOADS)
    return [
        *results,
        Result(f"{MEAN}.cycles_per_rv_instruction", mean(ratios), "cycles", None, command),
        Result(f"{TOTAL}.ticks_per_rv_instruction", all_ticks / instructions, "ticks", None, command),
        Result(f"{TOTAL}.cycles_per_rv_instruction", all_cycles / instructions, "cycles", None, command),
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


def under_cocotb(command: str) -> list[Result]:
    """Instructions compared a processor second as `make sim` compares them: through cocotb, with the host's devices.

    Raises BenchFailed, ToolMissing, BuildFailed.
    """
    with TemporaryDirectory() as folder:
        image = Path(folder) / "program.vacimg"
        assemble_file(_DEMO).save(image)
        job = Job(str(image), str(_DEMO_INPUT), "fast", _TICK_LIMIT, folder, Disturbance(slice_ticks=1 << 16))
        with step(f"{_DEMO.name} under cocotb"):
            done = run_bench(job)
    return [Result("lockstep.cocotb", done.counts["compared"] / done.seconds, "instructions/s", None, command)]
