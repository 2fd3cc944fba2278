"""A run beside an event loop: tiers, boards and devices make it wait for long, which is not to hold up other tasks."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from .accounts import Report

if TYPE_CHECKING:
    from .scheduler import Scheduler

Progress = Callable[[Report], object] | Callable[[Report], Awaitable[object]]
"""A function, or one that is to be awaited."""


async def run_beside(scheduler: Scheduler, until: int | None, on_progress: Progress | None, slices: int) -> Report:
    """`Scheduler.run` in a thread, with `on_progress` called in the event loop's. Raises what `run` and it raise."""
    loop = asyncio.get_running_loop()

    async def show(report: Report) -> None:
        assert on_progress
        shown = on_progress(report)
        if inspect.isawaitable(shown):
            await shown

    def hand_over(report: Report) -> None:
        asyncio.run_coroutine_threadsafe(show(report), loop).result()

    with ThreadPoolExecutor(1, thread_name_prefix="vac-scheduler") as thread:
        run = loop.run_in_executor(
            thread,
            lambda: scheduler.run(until, on_progress=hand_over if on_progress else None, progress_slices=slices),
        )
        try:
            return await asyncio.shield(run)
        except asyncio.CancelledError:
            scheduler.interrupt()
            await asyncio.wait((run,))  # the slices under way end first; nothing is cut short
            raise
