"""Runs many virtual machines, a slice at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any

from ..host.session import Host
from ..image.image import Image
from ..machine.protocol import Machine
from ..memory.pager import Pager
from .accounts import Report
from .background import Progress, run_beside
from .errors import MachineEnded, QuotaError, SchedulerClosed, SchedulerError
from .executors import Executor, OneEach
from .gangs import Gangs
from .guarded_machine import GuardedMachine
from .lanes import Lane, Lanes
from .quota import DEFAULT_SLICE_TICKS, Quota, StopCause
from .remote_machine import RemoteMachine
from .virtual_machine import VirtualMachine

DEFAULT_TURN_SLICES = 256
_SLICES_BETWEEN_WEIGHTS = 8


class Scheduler:
    """Shares engines between machines by their weights; no machine can tell.

    executor: where machines run unless they are added with another; by default each has a fast engine that keeps no
    beams. A `WorkerPool` runs as many slices at a time as it has processes. pager: of machines that are added as
    images; only as many run at a time as their working sets fit into it. It must be open, and serve no machine that
    this scheduler does not know. slice_ticks: 1 and more. turn_slices: slices that a machine of weight 1 has before it
    makes way for those that wait for frames. Without worker processes the order of slices depends on ticks and states
    alone, never on the time of day.

    Not for use by two threads at a time. As a context manager it takes its machines off the pager at the end.
    Raises ValueError, and SchedulerError for a pager that will not do.
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
        if pager is not None:
            _check_pager(pager)
        self.clock = 0
        """Ticks that all machines together have run."""
        self.machines: list[VirtualMachine] = []
        self._executor = executor or OneEach()
        self._pager = pager
        self._slice_ticks = slice_ticks
        self._lanes = Lanes(slice_ticks)
        self._gangs = Gangs(pager, turn_slices * slice_ticks) if pager else None
        self._lags: dict[int, int] = {}
        self._ready_since: dict[int, int] = {}
        self._ideal_since: dict[int, int] = {}
        self._ideal: dict[int, int] = {}
        self._served: dict[int, int] = {}
        self._ticks_before: dict[int, int] = {}
        self._waiting: list[VirtualMachine] = []
        """Machines that wait for others to come further; any progress lets them look again."""
        self._is_interrupted = False
        self._is_closed = False

    @property
    def pager(self) -> Pager | None:
        """Of the machines that were added as images."""
        return self._pager

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
        if host_options and not isinstance(program, Image):
            raise SchedulerError(f"{', '.join(host_options)}: of no use where `program` makes the host itself")
        number = len(self.machines)
        name = name or f"vm{number}"
        machine = GuardedMachine(executor.machine(name))
        try:
            if isinstance(program, Image):
                host = Host(machine, program, **{"pager": self._pager, **host_options})
            else:
                host = program(machine)
            if host.memory.paged and (self._pager is None or not self._pager.serves(host.memory.paged)):
                raise SchedulerError(f"the memory of {name} is under another pager; give the scheduler that one")
            vm = VirtualMachine(
                number, name, machine, host, quota,
                pager=self._pager, keeps_beams=executor.keeps_beams, on_beams=on_beams,
            )  # fmt: skip
        except BaseException:
            if isinstance(machine.engine, RemoteMachine):
                machine.engine.release()
            raise
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
        if vm.stop.is_final or vm.machine.is_lost:
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
        SchedulerError when its beams would be kept on one side only, or it is recorded; it stays where it is then."""
        self._check_open()
        if executor.keeps_beams != vm.keeps_beams:
            raise SchedulerError(f"{vm.name} cannot move: beams are kept on one side only")
        if vm.drive != vm.host.run:
            raise SchedulerError(f"{vm.name} cannot move: it is recorded, which counts on its engine")
        lane = self._lanes.lane_of(vm) if vm in self._lanes else None
        if lane and lane.running is vm:
            self._wait_for(lane)
        is_queued = vm in self._lanes
        lag = self._lanes.leave(vm) if is_queued else 0
        try:
            vm.move_to(executor.machine(vm.name))
        finally:
            if is_queued:
                self._lanes.join(vm, lag)

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
        slices = shown = 0
        try:
            self._admit()
            self._wake()
            while len(self._lanes):
                is_over = self._is_interrupted or (until is not None and self.clock >= until)
                slices += self._run_slices(starts=not is_over)
                if is_over and not self._lanes.running():
                    break
                if on_progress and slices - shown >= progress_slices:
                    shown = slices
                    on_progress(self.report())
        finally:
            for lane in self._lanes.running():
                if lane.running:
                    self._cut_short(lane.running)
        if not len(self._lanes):
            for vm in self._waiting:
                vm.account.stop = StopCause.PEERS
            self._waiting.clear()
        self._is_interrupted = False
        return self.report()

    async def run_async(
        self,
        until: int | None = None,
        *,
        on_progress: Progress | None = None,
        progress_slices: int = 1000,
    ) -> Report:
        """As `run`, in a thread, while other tasks of the event loop go on; nothing else of the scheduler may be used
        until it returns, but by `on_progress`, which is called in the loop's thread and may be a coroutine function.

        When the task is cancelled the run ends after the present slices, and can be continued.
        """
        return await run_beside(self, until, on_progress, progress_slices)

    def interrupt(self) -> None:
        """Makes `run` come back after the present slice; may be called by a signal handler."""
        self._is_interrupted = True

    def report(self) -> Report:
        """Accounts as of now."""
        for vm in self.machines:
            ideal = self._ideal_time(vm)
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

    async def __aenter__(self) -> Scheduler:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:  # fmt: skip
        await asyncio.to_thread(self.close)

    # ---- inside --------------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._is_closed:
            raise SchedulerClosed("the scheduler is closed")

    def _ideal_time(self, vm: VirtualMachine) -> int:
        ideal = self._ideal[vm.number]
        if vm in self._lanes:
            ideal += self._lanes.ideal_time - self._ideal_since[vm.number]
        return ideal

    def _owed(self, vm: VirtualMachine) -> int:
        return self._ideal_time(vm) - self._served[vm.number]

    def _run_slices(self, *, starts: bool) -> int:
        """Runs a slice here, and goes on with those of the worker processes; returns how many have ended. starts:
        whether new ones begin."""
        ended = 0
        for lane in list(self._lanes):
            if lane.running is None and starts and len(lane.queue):
                self._begin(lane)
                ended += self._advance(lane)
        if self._lanes.is_balance_due():
            self._lanes.balance({vm.number: self._owed(vm) for vm in self.machines if vm in self._lanes})
        under_way = self._lanes.running()
        ready = [lane for lane in under_way if _is_ready(lane)]
        if under_way and not ready and not ended:
            wait([lane.slot.process.pipe.fileno() for lane in under_way if lane.slot])
            ready = [lane for lane in under_way if _is_ready(lane)]
        for lane in ready:
            ended += lane.running is not None and self._advance(lane)  # another one's end may have ended it
        return ended

    def _begin(self, lane: Lane) -> None:
        number = lane.queue.pick()
        vm = lane.running = self.machines[number]
        gap = self.clock - self._ready_since[number]
        account = vm.account
        account.waits += gap > 0
        account.waited += gap
        account.largest_gap = max(account.largest_gap, gap)
        self._ticks_before[number] = account.ticks
        vm.begin_slice(self._slice_ticks, self.clock)

    def _advance(self, lane: Lane) -> bool:
        """Goes on with the slice of this lane; whether it has ended."""
        vm = lane.running
        assert vm
        is_over = True
        try:
            is_over = vm.advance()
        finally:
            if is_over:
                self._end(vm)
        return is_over

    def _wait_for(self, lane: Lane) -> None:
        while lane.running:
            assert lane.slot
            if not _is_ready(lane):
                wait([lane.slot.process.pipe.fileno()])
            self._advance(lane)

    def _cut_short(self, vm: VirtualMachine) -> None:
        """Ends a slice that is under way where the worker stops."""
        vm.cut_short()
        self._charge(vm)

    def _end(self, vm: VirtualMachine) -> None:
        used = self._charge(vm)
        self._settle(vm)
        if used or vm.stop is not None or vm.host.is_wait_new:
            self._wake()
        if not used and vm.stop is None and vm.host.waits_for is not None and vm in self._lanes:
            self._retire(vm)
            if self._gangs and vm.paged:
                self._gangs.leave(vm)
                self._admit()
            self._waiting.append(vm)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for vm in waiting:
            self._arrive(vm)
            self._admit()

    def _charge(self, vm: VirtualMachine) -> int:
        """Accounts for a slice; its ticks."""
        account, number = vm.account, vm.number
        used = account.ticks - self._ticks_before[number]
        self.clock += used
        self._ready_since[number] = self.clock
        self._served[number] += self._lanes.service_time(used, vm.weight)
        is_due = account.slices % _SLICES_BETWEEN_WEIGHTS == 0
        self._lanes.charge(vm, used, vm.reweigh() if is_due and vm.stop is None else None)
        return used

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
        self._lanes.join(vm, self._lags.pop(vm.number, 0))
        self._ideal_since[vm.number] = self._lanes.ideal_time

    def _retire(self, vm: VirtualMachine) -> None:
        if self._lanes.lane_of(vm).running is vm:
            self._cut_short(vm)
        self._lags[vm.number] = self._lanes.leave(vm)
        self._ideal[vm.number] += self._lanes.ideal_time - self._ideal_since[vm.number]


def _is_ready(lane: Lane) -> bool:
    return lane.running is None or lane.running.remote is None or lane.running.remote.is_ready()


def _check_pager(pager: Pager) -> None:
    if not isinstance(pager, Pager):
        raise SchedulerError(f"a {type(pager).__name__} is no pager")
    if pager.is_closed:
        raise SchedulerError("the pager is closed; open its store again and make a new one")
    if pager.machines:
        raise SchedulerError(
            f"the pager serves {pager.machines} machines already, whose frames admission could not reckon with; "
            f"give the scheduler a pager of its own"
        )
