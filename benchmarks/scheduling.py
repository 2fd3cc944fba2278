"""What a slice costs beside the instructions in it: `python -m benchmarks.scheduling`. Prints a table."""

from __future__ import annotations

import time

from vac.assembler.assemble import assemble
from vac.engines.registry import create_machine
from vac.scheduler.executors import Executor, OneEach, SharedCore
from vac.scheduler.scheduler import Scheduler
from vac.scheduler.worker_pool import WorkerPool

LOOP = assemble(".frame 1\n.local left\nagain:  let left, 1000000\nloop:   djnz left, loop\n        jmp again\n")
SLICES = 3000


def cost(executor: Executor, machines: int, slice_ticks: int) -> tuple[float, float]:
    """Processor time of a slice in microseconds, and million ticks a second of processor time."""
    with Scheduler(executor, slice_ticks=slice_ticks) as scheduler:
        for _ in range(machines):
            scheduler.add(LOOP)
        scheduler.run(machines * slice_ticks)
        first, started = scheduler.clock, time.process_time()
        scheduler.run(first + SLICES * slice_ticks)
        seconds, ticks = time.process_time() - started, scheduler.clock - first
    return seconds * slice_ticks / ticks * 1e6, ticks / seconds / 1e6


def cost_in_processes(processes: int, slice_ticks: int) -> tuple[float, float]:
    """This process's own processor time of a slice in microseconds, and million ticks a second of elapsed time, of 64
    machines in worker processes."""
    with WorkerPool("fast", processes) as pool, Scheduler(pool, slice_ticks=slice_ticks) as scheduler:
        for _ in range(64):
            scheduler.add(LOOP)
        scheduler.run(64 * slice_ticks)
        first, own, began = scheduler.clock, time.process_time(), time.perf_counter()
        scheduler.run(first + SLICES // 3 * slice_ticks)
        own, passed, ticks = time.process_time() - own, time.perf_counter() - began, scheduler.clock - first
    return own * slice_ticks / ticks * 1e6, ticks / passed / 1e6


def main() -> None:
    """Machines that only count, on the fast engine, with the digest of their beams."""
    print("machines  slice ticks  an engine each: us/slice  M ticks/s  one core: us/slice  M ticks/s")
    for machines in (64, 1000):
        for slice_ticks in (1_000, 10_000, 100_000):
            each = cost(OneEach("fast"), machines, slice_ticks)
            core = cost(SharedCore(create_machine("fast", keeps_beams=False)), machines, slice_ticks)
            print(f"{machines:8}  {slice_ticks:11}  {each[0]:24.1f}  {each[1]:9.0f}  {core[0]:18.1f}  {core[1]:9.0f}")
    print("processes  slice ticks  us/slice here  M ticks/s elapsed")
    for processes in (1, 2):
        for slice_ticks in (10_000, 100_000, 1_000_000):
            own, rate = cost_in_processes(processes, slice_ticks)
            print(f"{processes:9}  {slice_ticks:11}  {own:13.1f}  {rate:17.0f}")


if __name__ == "__main__":
    main()
