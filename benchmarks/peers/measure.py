"""Measures the peer cores: cycles of each kernel, and simulation speed."""

from statistics import mean

from benchmarks.peers import simulation
from benchmarks.peers.cores import PEERS, SERV, PeerCore
from benchmarks.results import Result
from benchmarks.riscv_kernels import KernelCode
from benchmarks.workloads import WORKLOADS, Workload

MEAN = "mean"
"""Stands for a kernel's name in records that average the four of them."""


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


def measure_peers(quick: bool, kernels: KernelCode, command: str) -> list[Result]:
    """All records of the peers. quick: SERV, which takes about fifty cycles an instruction, runs `fib` alone."""
    results = retired_instructions(kernels, command)
    for core in PEERS:
        results += simulated(core, kernels, quick, command)
    return results
