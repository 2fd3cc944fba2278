"""How `vac schedule` runs a scheduler: progress on a terminal, Ctrl-C, statistics, processes that are killed."""

from __future__ import annotations

import io
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .failure import write_whole
from .run import NEVER

if TYPE_CHECKING:
    from ..scheduler.accounts import Report
    from ..scheduler.scheduler import Scheduler
    from ..scheduler.virtual_machine import VirtualMachine

_QUIET_SECONDS = 2.0
_DEATHS_IN_A_ROW = 3
_TIER_PAUSE_SECONDS = 0.5


class ScheduleRun:
    """Runs a scheduler with progress and statistics. tier_patience: seconds for which a tier of memory that failed is
    tried again, anew each time that machines have come further.

    is_interrupted: by Ctrl-C. is_cut_short: by a second one, which waited for nothing.
    """

    def __init__(
        self, scheduler: Scheduler, stack: ExitStack, statistics: Path | None, every: int, tier_patience: float = 0.0
    ) -> None:
        self.scheduler = scheduler
        self.is_interrupted = self.is_cut_short = False
        self.seconds = 0.0
        self.restarts = 0
        self._stack = stack
        self._statistics = statistics
        self._every = every
        self._tier_patience = tier_patience
        self._tier_failed_at: float | None = None

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C ends the run after the present slices; a second one at once."""

        def interrupt(signal_number: int, frame: object) -> None:
            if self.is_interrupted:
                raise KeyboardInterrupt
            self.is_interrupted = True
            self.scheduler.interrupt()

        previous = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)

    def go(self, until: int) -> None:
        """Until all have stopped, the clock is there, or Ctrl-C. A machine whose process was killed goes on in another
        one; one that a tier of memory has failed tries again as long as there is patience."""
        from ..scheduler.errors import QuotaError
        from ..scheduler.quota import StopCause

        samples = io.StringIO() if self._statistics else None
        began = time.monotonic()
        show = self._shown(until, began)
        deaths = 0
        try:
            watch = self._watcher(samples, show)
            while not self.is_interrupted and deaths < _DEATHS_IN_A_ROW:
                clock = self.scheduler.clock
                self.scheduler.run(until if until < NEVER else None, on_progress=watch, progress_slices=self._every)
                lost = [vm for vm in self.scheduler.machines if vm.stop is StopCause.WORKER]
                has_moved = self.scheduler.clock != clock
                deaths = 0 if has_moved or not lost else deaths + 1
                if lost:
                    typer.echo(str(lost[0].error), err=True)
                    self.restarts += 1
                waiting = self._tried_again(has_moved)
                if not lost and not waiting:
                    break
                for vm in lost + waiting:
                    with suppress(QuotaError):  # it stands where its quota ends as well
                        self.scheduler.resume(vm)
            watch(None)
        except KeyboardInterrupt:
            self.is_interrupted = self.is_cut_short = True
        finally:
            self.seconds = time.monotonic() - began
            if self._statistics and samples:
                write_whole(self._statistics, samples.getvalue().encode())

    def _tried_again(self, has_moved: bool) -> list[VirtualMachine]:
        """Machines that a tier has failed, after a moment; none once patience is over, or after Ctrl-C."""
        from ..scheduler.quota import StopCause

        failed = [vm for vm in self.scheduler.machines if vm.stop is StopCause.PAGING]
        now = time.monotonic()
        if not failed or not self._tier_patience or self.is_interrupted:
            return []
        if has_moved or self._tier_failed_at is None:
            self._tier_failed_at = now
            typer.echo(f"{failed[0].error}; trying again for {self._tier_patience:g} s", err=True)
        if now - self._tier_failed_at > self._tier_patience:
            return []
        time.sleep(min(_TIER_PAUSE_SECONDS, self._tier_patience))
        return [] if self.is_interrupted else failed

    def _watcher(self, samples: io.StringIO | None, show: Callable[[], None]) -> Callable[[Any], None]:
        if samples is None:
            return lambda report: show()
        from ..scheduler.statistics_file import StatisticsWriter

        writer = StatisticsWriter(self.scheduler, samples)

        def watch(report: Report | None) -> None:
            writer.take()
            show()

        return watch

    def _shown(self, until: int, began: float) -> Callable[[], None]:
        """What shows progress on a terminal, once the run has taken two seconds."""
        if not sys.stderr.isatty():
            return lambda: None
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), *([BarColumn()] if until < NEVER else []),
            console=Console(stderr=True), transient=True, refresh_per_second=4,
        )  # fmt: skip
        task = bar.add_task("", total=until if until < NEVER else None)
        is_started = False

        def show() -> None:
            nonlocal is_started
            passed = time.monotonic() - began
            if passed < _QUIET_SECONDS:
                return
            if not is_started:
                is_started = True
                self._stack.enter_context(bar)
            clock, machines = self.scheduler.clock, self.scheduler.machines
            stopped = sum(vm.stop is not None for vm in machines)
            rate = clock / passed / 1e6
            words = f"{clock:,} ticks, {rate:.1f} M ticks/s, {stopped} of {len(machines)} machines stopped"
            bar.update(task, completed=clock, description=words)

        return show
