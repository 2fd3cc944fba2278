"""Runs many virtual machines, a slice at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any

from ..host.session import Host
from ..image.image import Image
from ..machine.protocol import Machine
from ..memory.pager import Pager
from .accounts import Report
from .errors import MachineEnded, QuotaError, SchedulerClosed, SchedulerError
from .executors import Executor, OneEach
from .fair_queue import FairQueue
from .gangs import Gangs
from .guarded_machine import GuardedMachine
from .quota import Quota
from .virtual_machine import VirtualMachine

DEFAULT_SLICE_TICKS = 10_000
"""Shorter slices cost more in changing over than they give."""
DEFAULT_TURN_SLICES = 256
_SLICES_BETWEEN_WEIGHTS = 8


class Scheduler:
    """Shares engines between machines by their weights; no machine can tell.

    executor: where machines run unless they are added with another; by default each has a fast engine that keeps no
    beams. pager: of machines that are added as images; only as many run at a time as their working sets fit into it.
    slice_ticks: 1 and more. turn_slices: slices that a machine of weight 1 has before it makes way for those that wait
    for frames. The order of slices depends on ticks and states alone, never on the time of day.

    Not for use by two threads at a time. As a context manager it takes its machines off the pager at the end.
    Raises ValueError.
    """

    def __init__(
        self,
        executor: Executor | None = None,
        *,
        pager: Pager | None = None,
        slice_ticks: int = DEFAULT_SLICE_TICKS,
        turn_slices: int = DEFAULT_TURN_SLICES,
    ) -> None:
        if turn_slices < 1:
            raise ValueError(f"turns of {turn_slices} slices; give 1 or more")
        self.clock = 0
        """Ticks that all machines together have run."""
        self.machines: list[VirtualMachine] = []
        self._executor = executor or OneEach()
        self._pager = pager
        self._slice_ticks = slice_ticks
        self._queue = FairQueue(slice_ticks)
        self._gangs = Gangs(pager, turn_slices * slice_ticks) if pager else None
        self._lags: dict[int, int] = {}
        self._ready_since: dict[int, int] = {}
        self._ideal_since: dict[int, int] = {}
        self._ideal: dict[int, int] = {}
        self._served: dict[int, int] = {}
        self._is_interrupted = False
        self._is_closed = False

    # ---- machines ------------------------------------------------------------------------------------------------

    def add(
        self,
        program: Image | Callable[[Machine], Host],
        *,
        name: str | None = None,
        quota: Quota | None = None,
        executor: Executor | None = None,
        on_beams: Callable[[bytes], object] | None = None,
        **host_options: Any,
    ) -> VirtualMachine:
        """One more machine, ready to run.

        program: an image, whose host is made with `host_options` and the scheduler's pager; or what makes the host for
        a machine. on_beams: gets the beams after each slice, where the executor keeps them; without it they are kept
        until `take_beams`. Raises QuotaError, SchedulerClosed, EngineError, and what the host raises.
        """
        self._check_open()
        quota = quota or Quota()
        quota.check()
        executor = executor or self._executor
        machine = GuardedMachine(executor.machine())
        if isinstance(program, Image):
            host = Host(machine, program, **{"pager": self._pager, **host_options})
        elif host_options:
            raise SchedulerError(f"{', '.join(host_options)}: of no use where `program` makes the host itself")
        else:
            host = program(machine)
        number = len(self.machines)
        vm = VirtualMachine(
            number, name or f"vm{number}", machine, host, quota,
            pager=self._pager, keeps_beams=executor.keeps_beams, on_beams=on_beams,
        )  # fmt: skip
        self.machines.append(vm)
        self._ideal[number] = self._served[number] = 0
        self._arrive(vm)
        return vm

    def resume(self, vm: VirtualMachine, quota: Quota | None = None) -> None:
        """Lets a stopped machine go on. quota: the new one, complete; None keeps the old one.

        Raises MachineEnded, QuotaError when the quota would stop it at once, SchedulerError when it is not stopped.
        """
        self._check_open()
        if vm.stop is None:
            raise SchedulerError(f"{vm.name} has not stopped")
        if vm.stop.is_final:
            raise MachineEnded(f"{vm.name} cannot go on: {vm.stop.value}")
        new = quota or vm.quota
        new.check()
        old, vm.quota = vm.quota, new
        if (cause := vm.quota_cause(self.clock)) is not None:
            vm.quota = old
            raise QuotaError(f"{vm.name} would stop at once: {cause.value}; give it a larger quota")
        vm.account.stop = vm.error = None
        self._arrive(vm)

    def move(self, vm: VirtualMachine, executor: Executor) -> None:
        """The machine goes on elsewhere, from the very tick. Raises MachineError when it does not fit there, and
        SchedulerError when its beams would be kept on one side only; it stays where it is then."""
        self._check_open()
        if executor.keeps_beams != vm.keeps_beams:
            raise SchedulerError(f"{vm.name} cannot move: beams are kept on one side only")
        vm.move_to(executor.machine())

    # ---- running -------------------------------------------------------------------------------------------------

    def run(
        self,
        until: int | None = None,
        *,
        on_progress: Callable[[Report], object] | None = None,
        progress_slices: int = 1000,
    ) -> Report:
        """Runs until the clock is at `until` (the last slice may go beyond), or no machine can go on.

        on_progress: called after every `progress_slices` slices; it may call `interrupt`. Whatever it, or a consumer of
        beams, raises comes out of here, and `run` can be called again. Raises SchedulerClosed.
        """
        self._check_open()
        slices = 0
        self._admit()
        while len(self._queue) and not self._is_interrupted and (until is None or self.clock < until):
            self._run_slice()
            slices += 1
            if on_progress and slices % progress_slices == 0:
                on_progress(self.report())
        self._is_interrupted = False
        return self.report()

    def interrupt(self) -> None:
        """Makes `run` come back after the present slice; may be called by a signal handler."""
        self._is_interrupted = True

    def report(self) -> Report:
        """Accounts as of now."""
        for vm in self.machines:
            ideal = self._ideal[vm.number]
            if vm.number in self._queue:
                ideal += self._queue.ideal_time - self._ideal_since[vm.number]
            vm.account.weighted_share = self._served[vm.number] / ideal if ideal else 1.0
        runnable = sum(vm.stop is None for vm in self.machines)
        return Report(self.clock, runnable, tuple(replace(vm.account) for vm in self.machines))

    # ---- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Takes all machines off the pager, which is not closed. Accounts, states and beams can still be read, memory
        under the pager cannot."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._pager:
            for vm in self.machines:
                if vm.paged:
                    self._pager.detach(vm.paged)

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # ---- inside --------------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._is_closed:
            raise SchedulerClosed("the scheduler is closed")

    def _run_slice(self) -> None:
        number = self._queue.pick()
        vm = self.machines[number]
        gap = self.clock - self._ready_since[number]
        account = vm.account
        account.waits += gap > 0
        account.waited += gap
        account.largest_gap = max(account.largest_gap, gap)
        before = account.ticks
        try:
            vm.run_slice(self._slice_ticks, self.clock)
        finally:
            used = account.ticks - before
            self.clock += used
            self._ready_since[number] = self.clock
            self._served[number] += self._queue.service_time(used, vm.weight)
            is_due = account.slices % _SLICES_BETWEEN_WEIGHTS == 0
            self._queue.charge(number, used, vm.reweigh() if is_due and vm.stop is None else None)
            self._settle(vm)

    def _settle(self, vm: VirtualMachine) -> None:
        """Makes way for others after a slice."""
        if vm.stop is not None:
            self._retire(vm)
            self._lags.pop(vm.number, None)
            if self._gangs and vm.paged:
                self._gangs.leave(vm)
            self._admit()
        elif self._gangs and vm.paged:
            for gone in self._gangs.dismissed(vm):
                self._retire(gone)
            self._admit()

    def _arrive(self, vm: VirtualMachine) -> None:
        self._ready_since[vm.number] = self.clock
        if self._gangs and vm.paged:
            self._gangs.arrive(vm)
        else:
            self._join(vm)

    def _admit(self) -> None:
        if self._gangs:
            for vm in self._gangs.admitted():
                self._join(vm)

    def _join(self, vm: VirtualMachine) -> None:
        self._queue.join(vm.number, vm.weight, self._lags.pop(vm.number, 0))
        self._ideal_since[vm.number] = self._queue.ideal_time

    def _retire(self, vm: VirtualMachine) -> None:
        self._lags[vm.number] = self._queue.leave(vm.number)
        self._ideal[vm.number] += self._queue.ideal_time - self._ideal_since[vm.number]
