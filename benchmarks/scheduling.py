"""What a slice costs beside the instructions in it, and who gets how many: `python -m benchmarks.scheduling`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext

from benchmarks.measurement import Measurement
from benchmarks.progress import step
from benchmarks.results import Result
from vac.assembler.assemble import assemble
from vac.engines.registry import create_machine
from vac.image.image import Image
from vac.memory.page_store import PageStore
from vac.memory.pager import Pager
from vac.scheduler.executors import Executor, OneEach, SharedCore
from vac.scheduler.scheduler import Scheduler
from vac.scheduler.worker_pool import WorkerPool

CALM = assemble(".frame 1\n.local left\nagain:  let left, 1000000\nloop:   djnz left, loop\n        jmp again\n")
_ROUND = """
# Rewrites one word in each of 300 leaves, again and again.
.memory 1228800
.frame 4
.local pointer, left, rounds, step
        let step, 4096
        let rounds, {rounds}
again:  li pointer, 0
        let left, 300
touch:  st32 pointer, left
        add3 pointer, pointer, step
        djnz left, touch
        djnz rounds, again
        halt
"""
_MACHINES = (64, 1000)
_SLICES = (1_000, 10_000, 100_000)
_PROCESSES = (1, 2)
_PROCESS_SLICES = (10_000, 100_000, 1_000_000)
_FAIR_MACHINES = 256
_FAIR_SLICE = 1_000


def erratic(seed: int, bits: int) -> Image:
    """Emits random words and branches by random bits, as many in a round as named: the more, the lower its score."""
    branches = "".join(
        f"        andi bit, state, {1 << bit}\n        beqi bit, on{bit}, 0\non{bit}:\n" for bit in range(bits)
    )
    return assemble(
        f".frame 3\n.local state, other, bit\n        let state, {seed}\n"
        "again:  shli other, state, 13\n        xor3 state, state, other\n        shrui other, state, 17\n"
        "        xor3 state, state, other\n        shli other, state, 5\n        xor3 state, state, other\n"
        f"        get state\n        emit\n{branches}        jmp again\n"
    )


def cost(executor: Executor, machines: int, slice_ticks: int, slices: int) -> tuple[float, float]:
    """Processor time of a slice in microseconds, and million ticks a second of processor time."""
    with Scheduler(executor, slice_ticks=slice_ticks) as scheduler:
        for _ in range(machines):
            scheduler.add(CALM)
        scheduler.run(machines * slice_ticks)
        first, started = scheduler.clock, time.process_time()
        scheduler.run(first + slices * slice_ticks)
        seconds, ticks = time.process_time() - started, scheduler.clock - first
    return seconds * slice_ticks / ticks * 1e6, ticks / seconds / 1e6


def cost_in_processes(processes: int, slice_ticks: int, slices: int) -> tuple[float, float]:
    """This process's own processor time of a slice in microseconds, and million ticks a second of elapsed time, of 64
    machines in worker processes."""
    with WorkerPool("fast", processes) as pool, Scheduler(pool, slice_ticks=slice_ticks) as scheduler:
        for _ in range(64):
            scheduler.add(CALM)
        scheduler.run(64 * slice_ticks)
        first, own, began = scheduler.clock, time.process_time(), time.perf_counter()
        scheduler.run(first + slices // 3 * slice_ticks)
        own, passed, ticks = time.process_time() - own, time.perf_counter() - began, scheduler.clock - first
    return own * slice_ticks / ticks * 1e6, ticks / passed / 1e6


def cost_of_faults(processes: int, rounds: int) -> tuple[float, float]:
    """This process's own processor time of a page fault in microseconds, and faults a second of elapsed time: four
    machines go round 300 pages of 4 KiB each, in 100 frames over RAM. processes: workers that run them; 0: here."""
    image = assemble(_ROUND.format(rounds=rounds))
    with (
        WorkerPool("fast", processes) if processes else nullcontext() as pool,
        Pager(PageStore.in_ram(4096), 100) as pager,
        Scheduler(pool, pager=pager, slice_ticks=20_000, turn_slices=4) as scheduler,
    ):
        for _ in range(4):
            scheduler.add(image)
        own, began = time.process_time(), time.perf_counter()
        scheduler.run()
        own, passed = time.process_time() - own, time.perf_counter() - began
        counts = pager.statistics()
    faults = counts.misses + counts.soft_faults
    return own / faults * 1e6, faults / passed


def _fairness(command: str) -> list[Result]:
    """256 machines of every temper: shares by weight, the longest wait, and how many times the fewest the most is."""
    with Scheduler(OneEach("fast"), slice_ticks=_FAIR_SLICE) as scheduler:
        images = [
            CALM if number % 8 == 0 else erratic(number * 2654435761 % 2**32, number % 8)
            for number in range(_FAIR_MACHINES)
        ]
        machines = [scheduler.add(image) for image in images]
        report = scheduler.run(_FAIR_MACHINES * 400 * _FAIR_SLICE)
        ticks = [machine.account.ticks for machine in machines]
    return [
        Result("scheduling.fair.jain", report.jain, "of 1", None, command),
        Result(
            "scheduling.fair.largest_gap", report.largest_gap / (_FAIR_MACHINES * _FAIR_SLICE), "rounds", None, command
        ),
        Result("scheduling.fair.most_over_least", max(ticks) / min(ticks), "ratio", None, command),
    ]


def measure_scheduling(quick: bool, command: str) -> list[Result]:
    """All records. quick: fewer slices."""
    results: list[Result] = []
    slices = 300 if quick else 3000

    def record(name: str, microseconds: float, rate: float) -> None:
        results.append(Result(f"scheduling.{name}.slice", microseconds, "us", None, command))
        results.append(Result(f"scheduling.{name}.rate", rate, "M ticks/s", None, command))

    for machines in _MACHINES:
        with step(f"{machines} machines"):
            for slice_ticks in _SLICES:
                shared = SharedCore(create_machine("fast", keeps_beams=False))
                record(f"each.{machines}.{slice_ticks}", *cost(OneEach("fast"), machines, slice_ticks, slices))
                record(f"shared.{machines}.{slice_ticks}", *cost(shared, machines, slice_ticks, slices))
    for processes in _PROCESSES:
        with step(f"64 machines on {processes} processes"):
            for slice_ticks in _PROCESS_SLICES:
                record(f"processes.{processes}.{slice_ticks}", *cost_in_processes(processes, slice_ticks, slices))
    for processes in (0, *_PROCESSES):
        with step(f"page faults on {processes} processes" if processes else "page faults"):
            own, rate = cost_of_faults(processes, 2 if quick else 20)
            results.append(Result(f"scheduling.faults.{processes}.own", own, "us", None, command))
            results.append(Result(f"scheduling.faults.{processes}.rate", rate, "1/s", None, command))
    with step(f"shares of {_FAIR_MACHINES} machines"):
        return results + _fairness(command)


def print_scheduling(results: Sequence[Result]) -> None:
    """The cost of slices, and the shares."""
    values = {record.name.removeprefix("scheduling."): record.value for record in results}
    print("machines  slice ticks  an engine each: us/slice  M ticks/s  one core: us/slice  M ticks/s")
    for machines in _MACHINES:
        for ticks in _SLICES:
            each, core = (
                [values[f"{kind}.{machines}.{ticks}.{what}"] for what in ("slice", "rate")]
                for kind in ("each", "shared")
            )
            print(f"{machines:8}  {ticks:11}  {each[0]:24.1f}  {each[1]:9.0f}  {core[0]:18.1f}  {core[1]:9.0f}")
    print("processes  slice ticks  us/slice here  M ticks/s elapsed")
    for processes in _PROCESSES:
        for ticks in _PROCESS_SLICES:
            own, rate = (values[f"processes.{processes}.{ticks}.{what}"] for what in ("slice", "rate"))
            print(f"{processes:9}  {ticks:11}  {own:13.1f}  {rate:17.0f}")
    print("page faults: engines in  us of this process  faults/s elapsed")
    for processes in (0, *_PROCESSES):
        own, rate = (values[f"faults.{processes}.{what}"] for what in ("own", "rate"))
        place = f"{processes} workers" if processes else "here"
        print(f"{place:>23}  {own:18.0f}  {rate:16.0f}")
    print(
        f"{_FAIR_MACHINES} machines of every temper: weighted Jain index {values['fair.jain']:.5f}, longest wait "
        f"{values['fair.largest_gap']:.2f} rounds; the calmest got {values['fair.most_over_least']:.2f} times what the "
        "wildest did"
    )


SCHEDULING = Measurement("scheduling", __doc__, "fewer slices", measure_scheduling, print_scheduling)

if __name__ == "__main__":
    sys.exit(SCHEDULING.main())
