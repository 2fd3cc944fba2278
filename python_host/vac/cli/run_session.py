"""A program's run in slices: progress on a terminal, Ctrl-C, quotas, beams."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ..isa.beam import BEAM_BYTES
from ..machine.protocol import MachineError
from ..machine.state import Status
from ..scheduler.guarded_machine import GuardedMachine
from ..scheduler.quota import DEFAULT_SLICE_TICKS, Quota, QuotaReached, StopCause
from ..scheduler.virtual_machine import VirtualMachine

if TYPE_CHECKING:
    from ..host.session import Host
    from ..machine.protocol import Stop
    from ..machine.state import State
    from ..memory.pager import Pager

_SLICE_SECONDS = (0.1, 0.4)
_BEAM_SLICE_TICKS = 1 << 18
_QUIET_SECONDS = 2.0
_PROGRESS_SECONDS = 0.25

TakeBeams = Callable[[int, bytes], object]
"""Gets the tick of the first beam, and the beams."""


class _Interrupted(Exception):
    pass


class RunSession:
    """host: on `machine`. limit: tick to stop at. quota: `max_beams` counts the beams of this run that go to
    `on_beams`; for `max_io_per_slice` a slice ends at each multiple of DEFAULT_SLICE_TICKS.

    first_tick: that it began at. cause: why it stopped; None at the limit, and when it was interrupted. error: what
    went wrong, where the cause is no other. seconds: of the run.
    """

    def __init__(
        self,
        host: Host,
        machine: GuardedMachine,
        limit: int,
        quota: Quota,
        pager: Pager | None,
        on_beams: TakeBeams | None,
    ) -> None:
        self.host = host
        self.is_interrupted = False
        self.seconds = 0.0
        self.first_tick = 0
        self._limit = limit
        self._quota = quota
        self._machine = machine
        self._on_beams = on_beams
        self._beams = 0
        self._vm = VirtualMachine(
            0, "vm0", machine, host, quota, pager=pager, keeps_beams=on_beams is not None, on_beams=None
        )
        self._ticks_before = 0
        self._shown = _QUIET_SECONDS

    @property
    def state(self) -> State:
        return self._machine.state()

    @property
    def cause(self) -> StopCause | None:
        return self._vm.stop

    @property
    def error(self) -> Exception | None:
        return self._vm.error

    def run(self) -> None:
        """Up to the limit, or until something stops it. Raises what `on_beams` raises."""
        started = time.monotonic()
        previous = signal.signal(signal.SIGINT, self._interrupt)
        try:
            self._vm.stand()
            self._ticks_before = self.first_tick = self._vm.account.ticks
            self._run_slices(started)
        except _Interrupted:
            self.is_interrupted = True
            self._drain(self._ticks_before)
        finally:
            signal.signal(signal.SIGINT, previous)
            self.seconds = time.monotonic() - started
            if self._shown > _QUIET_SECONDS:
                sys.stderr.write("\r\x1b[K")

    def visit(self, go: Callable[[int], bool | None]) -> bool:
        """Lets another one move the host, at most up to the tick that it is given; what that says. False as well where
        a quota stopped the machine, or it waits for what does not come."""
        most, per_slice, pages = self._quota.max_ticks, self._quota.max_io_per_slice, self._quota.max_resident_pages
        limit = self._limit if most is None else min(self._limit, most)
        if per_slice is None and pages is None:
            self.host.machine = self._machine.engine  # which can say what was stored to
            try:
                return self._gone(go, limit)
            finally:
                self.host.machine = self._machine
        tick = -1

        def check(stop: Stop) -> None:
            nonlocal tick
            if stop.event and stop.event.tick // DEFAULT_SLICE_TICKS != tick:
                tick = stop.event.tick // DEFAULT_SLICE_TICKS
                self._vm.count_requests()
            self._vm.check_stop(stop)

        self._machine.guard = check
        try:
            return self._gone(go, limit)
        except QuotaReached as reached:
            self._vm.account.stop = reached.cause
            return False
        finally:
            self._machine.guard = self._vm.check_stop

    def _gone(self, go: Callable[[int], bool | None], limit: int) -> bool:
        if go(limit):
            return True
        if self.host.waits_for:
            self._vm.account.stop = StopCause.PEERS
        return False

    def _run_slices(self, started: float) -> None:
        size, vm, waited_at = 4096, self._vm, -1
        while not self.is_interrupted and vm.stop is None:
            before, tick = time.monotonic(), vm.account.ticks
            if tick >= self._limit and vm.quota_cause(0) is None and self.state.status is Status.RUNNING:
                return
            self._ticks_before = tick
            if self._quota.max_beams is not None and self._on_beams:
                vm.quota = replace(self._quota, max_beams=self._quota.max_beams - self._beams)
            slice_ticks = min(self._slice_ticks(tick, size), max(self._limit - tick, 1))
            vm.begin_slice(slice_ticks, 0)
            while not vm.advance():
                pass
            self._drain(tick)
            if vm.stop is None and self.host.waits_for:  # asked for again, wherever a slice happened to begin
                if vm.account.ticks == waited_at:
                    vm.account.stop = StopCause.PEERS
                waited_at = vm.account.ticks
            now = time.monotonic()
            if now - before < _SLICE_SECONDS[0]:
                size = min(2 * size, _BEAM_SLICE_TICKS) if self._on_beams else 2 * size
            elif now - before > _SLICE_SECONDS[1]:
                size = max(size // 2, 1)
            self._show(vm.account.ticks, now - started)

    def _slice_ticks(self, tick: int, size: int) -> int:
        if self._quota.max_io_per_slice is None:
            return size
        return DEFAULT_SLICE_TICKS - tick % DEFAULT_SLICE_TICKS

    def _interrupt(self, signal_number: int, frame: object) -> None:
        """Nothing is cut short but waiting for input: the machine is then before the waiting instruction."""
        self.is_interrupted = True
        if self.host.console.is_waiting:
            raise _Interrupted
        self.host.interrupt()

    def _drain(self, first: int) -> None:
        if self._on_beams:
            records = self._vm.take_beams()
            self._beams += len(records) // BEAM_BYTES
            self._on_beams(first, records)
        else:
            with suppress(MachineError):  # the golden model keeps beams though nobody asked; others say they have none
                self._machine.drain_beams()

    def _show(self, tick: int, seconds: float) -> None:
        if sys.stderr.isatty() and seconds > self._shown:
            self._shown = seconds + _PROGRESS_SECONDS
            sys.stderr.write(f"\r\x1b[K{tick:,} ticks, {rate((tick - self.first_tick) / seconds)}")
            sys.stderr.flush()


def rate(ticks_per_second: float) -> str:
    """Such as 340.1 M ticks/s."""
    for scale, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if ticks_per_second >= scale:
            return f"{ticks_per_second / scale:.1f} {unit} ticks/s"
    return f"{ticks_per_second:.0f} ticks/s"
