"""Runs beside an event loop."""

from __future__ import annotations

import asyncio

import pytest

from vac.assembler.assemble import assemble
from vac.memory.page_store import PageStore
from vac.memory.pager import Pager
from vac.scheduler.accounts import Report
from vac.scheduler.errors import SchedulerClosed
from vac.scheduler.executors import OneEach
from vac.scheduler.quota import StopCause
from vac.scheduler.scheduler import Scheduler
from vac.scheduler.worker_pool import WorkerPool

from .loads import CALM, alone, among, mix


def test_a_run_leaves_the_event_loop_free() -> None:
    async def main() -> tuple[int, Report]:
        others = 0

        async def other() -> None:
            nonlocal others
            while True:
                await asyncio.sleep(0)
                others += 1

        async with (
            Pager(PageStore.in_ram(4096), 40) as pager,
            Scheduler(OneEach("golden", keeps_beams=True), pager=pager, slice_ticks=50) as scheduler,
        ):
            task = asyncio.create_task(other())
            vms = [scheduler.add(mix(seed), seed=seed) for seed in range(3)]
            report = await scheduler.run_async()
            task.cancel()
            assert [among(vm) for vm in vms] == [alone(seed) for seed in range(3)]
        assert pager.is_closed
        return others, report

    others, report = asyncio.run(main())
    assert others > 10 and report.runnable == 0


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_progress_is_told_in_the_loop_and_may_interrupt(is_coroutine: bool) -> None:
    async def main() -> None:
        clocks: list[int] = []
        loop = asyncio.get_running_loop()
        async with Scheduler(OneEach("golden"), slice_ticks=50) as scheduler:
            scheduler.add(assemble(CALM))

            def watch(report: Report) -> None:
                assert asyncio.get_running_loop() is loop
                clocks.append(report.clock)
                if len(clocks) == 3:
                    scheduler.interrupt()

            async def watch_slowly(report: Report) -> None:
                await asyncio.sleep(0.001)
                watch(report)

            report = await scheduler.run_async(
                on_progress=watch_slowly if is_coroutine else watch, progress_slices=4
            )  # fmt: skip
            assert report.clock == 600 and clocks == [200, 400, 600]

            def refuse(report: Report) -> None:
                raise RuntimeError("enough")

            with pytest.raises(RuntimeError, match="enough"):
                await scheduler.run_async(on_progress=refuse, progress_slices=1)
        with pytest.raises(SchedulerClosed):
            await scheduler.run_async()

    asyncio.run(main())


def test_a_cancelled_run_ends_between_slices_and_goes_on() -> None:
    async def main() -> None:
        with WorkerPool("fast", 2, keeps_beams=True) as pool:
            async with Scheduler(pool, slice_ticks=100) as scheduler:
                endless = scheduler.add(assemble(CALM), on_beams=len)
                short = scheduler.add(mix(1), seed=1)
                task = asyncio.create_task(scheduler.run_async())
                while not short.stop:
                    await asyncio.sleep(0.001)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert endless.account.ticks % 100 == 0 and endless.stop is None
                assert short.stop is StopCause.HALTED and among(short) == alone(1)
                report = await scheduler.run_async(scheduler.clock + 1000)
                assert report.clock >= 1000

    asyncio.run(main())
