"""Measures the peer cores: cycles of each kernel, simulation speed, area and Fmax."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from benchmarks.peers import simulation
from benchmarks.peers.cores import MEMORY_UP5K, PEERS, SERV, PeerCore
from benchmarks.place_and_route import SEEDS, PnrResult, ecp5, ice40_up5k
from benchmarks.results import Result
from benchmarks.riscv_kernels import KernelCode
from benchmarks.workloads import WORKLOADS, Workload

MEAN = "mean"
"""Stands for a kernel's name in records that average the four of them."""


@dataclass(frozen=True)
class Selection:
    """What to measure.

    Attributes
    ----------
    cores: which peers
    simulate: run the kernels
    place: synthesise, place and route
    quick: SERV, which takes about fifty cycles an instruction, runs `fib` alone
    seeds: seeds of the placer
    """

    cores: Sequence[PeerCore] = PEERS
    simulate: bool = True
    place: bool = True
    quick: bool = False
    seeds: Sequence[int] = SEEDS


def _kernels_of(core: PeerCore, quick: bool) -> list[Workload]:
    return [workload for workload in WORKLOADS if not quick or core is not SERV or workload.name == "fib"]


def simulated(core: PeerCore, kernels: KernelCode, quick: bool, command: str) -> list[Result]:
    """Records of the cycles of each kernel on one core, of their arithmetic mean, and of the simulation's speed.

    The mean is there only if all four kernels ran. The speed is that of the fastest run: what differs between runs (see
    `simulation.run`) only slows. Raises as `simulation.build` and `simulation.run`.
    """
    executable = simulation.build(core)
    results: list[Result] = []
    equal_work: list[float] = []
    speeds: list[float] = []
    for workload in _kernels_of(core, quick):
        ran = simulation.run(executable, core.name, workload, kernels.code[workload.name])
        speeds.append(ran.cycles / ran.cpu_seconds / 1e6)
        equal_work.append(ran.cycles / workload.reference_instructions)
        results.append(Result(f"{workload.name}.cycles", ran.cycles, "cycles", core.name, command))
        results.append(_per_instruction(workload.name, equal_work[-1], core.name, command))
    if len(equal_work) == len(WORKLOADS):
        results.append(_per_instruction(MEAN, mean(equal_work), core.name, command))
    results.append(Result("simulation.speed", max(speeds), "Mcycles/s", core.name, command))
    return results


def _per_instruction(kernel: str, value: float, peer: str, command: str) -> Result:
    return Result(f"{kernel}.cycles_per_rv_instruction", value, "cycles", peer, command)


def retired_instructions(kernels: KernelCode, command: str) -> list[Result]:
    """Records of the RV32I instructions that this compiler's code really retires, counted on a running core."""
    core = next(core for core in PEERS if core.reports_retirement)
    executable = simulation.build(core, count_retired=True)
    results = []
    for workload in WORKLOADS:
        ran = simulation.run(executable, f"{core.name}, counting", workload, kernels.code[workload.name])
        assert ran.retired is not None
        name = f"{workload.name}.retired_instructions"
        results.append(Result(name, ran.retired, "instructions", kernels.compiler, command))
    return results


def placed(core: PeerCore, seeds: Sequence[int], command: str) -> list[Result]:
    """Records of area and median Fmax of one core with its 8 KiB memory on both devices. Raises as `ecp5`."""
    on_ecp5 = ecp5(core.sources(), "peer_top", seeds, parameters=core.parameters, label=core.name)
    on_up5k = ice40_up5k(core.sources(MEMORY_UP5K), "peer_top", seeds, parameters=core.parameters, label=core.name)
    return [*area_records("ecp5", on_ecp5, core.name, command), *area_records("up5k", on_up5k, core.name, command)]


def area_records(device: str, result: PnrResult, peer: str | None, command: str) -> list[Result]:
    """One record for each figure of a placed design; `peer` is None for VAC's core."""
    cells = [("comb", result.comb), ("ff", result.ff), ("bram", result.bram), ("spram", result.spram)]
    records = [
        Result(f"{device}.{name}", count, "cells", peer, command) for name, count in [*cells, ("dsp", result.dsp)]
    ]
    return [*records, Result(f"{device}.fmax", result.median, "MHz", peer, command)]


def time_per_instruction(results: Sequence[Result], peer: str | None, command: str) -> list[Result]:
    """Records of ns per RV instruction for equal work on each device, from the mean cycles and the Fmax in `results`.

    Empty where either is not there.
    """
    figures = {result.name: result.value for result in results if result.peer == peer}
    cycles = figures.get(f"{MEAN}.cycles_per_rv_instruction")
    records = []
    for device in ("ecp5", "up5k"):
        fmax = figures.get(f"{device}.fmax")
        if cycles is not None and fmax is not None:
            records.append(Result(f"{device}.ns_per_rv_instruction", cycles / fmax * 1000, "ns", peer, command))
    return records


def measure(selection: Selection, kernels: KernelCode, command: str) -> list[Result]:
    """All records of the selected peers, in the order of `selection.cores`."""
    results: list[Result] = []
    if selection.simulate:
        results += retired_instructions(kernels, command)
    for core in selection.cores:
        if selection.simulate:
            results += simulated(core, kernels, selection.quick, command)
        if selection.place:
            results += placed(core, selection.seeds, command)
            results += time_per_instruction(results, core.name, command)
    return results
