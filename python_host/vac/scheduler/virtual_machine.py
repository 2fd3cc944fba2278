"""One machine under a scheduler: its host, its quota, its slices."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from ..engines.registry import EngineError
from ..host.input_log import ReplayError
from ..host.session import Host
from ..link.session import LinkError
from ..machine.protocol import Machine, MachineError, Stop, StopReason
from ..memory.errors import PagingError
from ..memory.pager import Pager
from .accounts import Account
from .errors import WorkerLost
from .guarded_machine import GuardedMachine
from .quota import Quota, QuotaReached, StopCause
from .remote_machine import RemoteMachine, SliceUnderway
from .resident_pages import pages_with
from .weight import weight_of

_CAUSES = {StopReason.HALTED: StopCause.HALTED, StopReason.TRAPPED: StopCause.TRAPPED, StopReason.TICK: None}


class VirtualMachine:
    """Made by `Scheduler.add`. host: for its console, payloads, memory and input log. error: what a machine with the
    cause PAGING, WORKER, LINK or FAILED met. account: what it got so far. weight: now, in units of `weight.ONE`.
    drive: takes the host up to a tick; `Host.run`, or a recorder's in its place, which no engine in a worker process
    can stand under. counts_beams: whether `max_beams` holds; where they are kept, unless said otherwise. on_beams: gets
    the beams after each slice; None: they are kept until `take_beams`."""

    def __init__(
        self,
        number: int,
        name: str,
        machine: GuardedMachine,
        host: Host,
        quota: Quota,
        *,
        pager: Pager | None,
        keeps_beams: bool,
        on_beams: Callable[[bytes], object] | None,
    ) -> None:
        self.number = number
        self.host = host
        self.quota = quota
        self.account = Account(name)
        self.error: Exception | None = None
        self.machine = machine
        self.weight = weight_of(machine.state().sqi)
        self.paged = host.memory.paged
        self._pager = pager
        self._keeps_beams = keeps_beams
        self.drive: Callable[[int], Stop] = host.run
        self.on_beams = on_beams
        self.counts_beams = keeps_beams
        self._beams: list[bytes] = []
        self._beam_count = 0
        self._tick = machine.state().tick
        self._until: int | None = None
        """Tick at which the slice ends that is being run."""
        self._clock = 0
        self._answered_before = 0
        machine.guard = self.check_stop

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def stop(self) -> StopCause | None:
        """Why it does not run; None while it can."""
        return self.account.stop

    @property
    def keeps_beams(self) -> bool:
        return self._keeps_beams

    def take_beams(self) -> bytes:
        """Its beams since the last call, oldest first; empty where a consumer gets them or none are kept."""
        self._collect_beams()
        beams = b"".join(self._beams)
        self._beams.clear()
        self._beam_count = 0
        return beams

    def move_to(self, engine: Machine) -> None:
        """Goes on there. Raises MachineError when the engine cannot take it; it stays where it is then."""
        self._collect_beams()
        if self.paged and self._pager:
            self._pager.demote(self.paged)  # an engine with little room gets its leaves one by one
        self.machine.move_to(engine)

    # ---- slices ----------------------------------------------------------------------------------------------------

    def quota_cause(self, clock: int) -> StopCause | None:
        """The limit that keeps it from one more tick now."""
        quota = self.quota
        if quota.deadline is not None and clock >= quota.deadline:
            return StopCause.DEADLINE
        if quota.max_ticks is not None and self.account.ticks >= quota.max_ticks:
            return StopCause.TICKS
        if quota.max_beams is not None and self.counts_beams and self._beam_count >= quota.max_beams:
            return StopCause.BEAMS
        return None

    def begin_slice(self, ticks: int, clock: int) -> None:
        """A slice of so many ticks, fewer where a quota ends before; `advance` runs it. Sets `stop` where not one tick
        is left."""
        self._clock, self._until = clock, None
        if (cause := self.quota_cause(clock)) is not None:
            self.account.stop = cause
            return
        limits = [ticks]
        if self.quota.deadline is not None:
            limits.append(self.quota.deadline - clock)
        if self.quota.max_ticks is not None:
            limits.append(self.quota.max_ticks - self.account.ticks)
        if self.quota.max_beams is not None and self.counts_beams:
            limits.append(self.quota.max_beams - self._beam_count)
        self._until = self._tick + min(limits)
        self.count_requests()
        self.machine.last_reason = None  # an interrupted host may not even begin

    def count_requests(self) -> None:
        """From here on, against `max_io_per_slice`."""
        self._answered_before = self.machine.answered

    def stand(self) -> None:
        """The machine was taken elsewhere, by other means than slices: the ticks before that count as run."""
        self._tick = self.account.ticks = self.machine.state().tick

    def advance(self) -> bool:
        """Goes on with the slice; True when it is over, False where a worker process is still at it. Sets `stop`.

        Raises what a consumer of beams raises, and what no engine should; the slice is over and the machine can go on
        after that.
        """
        if self._until is None:
            return True
        cause = None
        try:
            if self.remote:
                self.remote.blocks = False
            cause = _CAUSES[self.drive(self._until).reason]
        except SliceUnderway:
            return False
        except QuotaReached as reached:
            cause = reached.cause
        except PagingError as error:
            cause, self.error = StopCause.PAGING, error
        except WorkerLost as error:
            cause, self.error = StopCause.WORKER, error
        except LinkError as error:
            cause, self.error = StopCause.LINK, error
        except (MachineError, ReplayError, EngineError) as error:
            cause, self.error = StopCause.FAILED, error
        except BaseException:
            self.cut_short()
            raise
        used = self._count(cause)
        self.account.stop = cause
        if cause is not StopCause.LINK:
            self._collect_beams()
        self.account.stop = cause or self.quota_cause(self._clock + used)
        return True

    def cut_short(self) -> None:
        """Ends the slice where its engine stands, without serving what that waits for."""
        if self._until is not None:
            self._count(None)

    @property
    def remote(self) -> RemoteMachine | None:
        """Its engine, where that is in a worker process."""
        engine = self.machine.engine
        return engine if isinstance(engine, RemoteMachine) else None

    def reweigh(self) -> int:
        """Its weight by its present state; the old one where its engine cannot say."""
        with suppress(LinkError, MachineError, EngineError):
            self.weight = weight_of(self.machine.state().sqi)
        return self.weight

    def _count(self, cause: StopCause | None) -> int:
        # Reading the whole state costs more than a slice on a fast engine; a plain stop tells the tick as well.
        assert self._until is not None
        now, self._until = self._until, None
        if self.remote:
            self.remote.blocks = True
        if self.machine.last_reason is not StopReason.TICK:
            try:
                now = self.machine.state().tick
            except (LinkError, MachineError, EngineError) as error:
                if cause not in (StopCause.LINK, StopCause.FAILED):
                    self.account.stop, self.error = StopCause.FAILED, error
                now = self._tick
        used, self._tick = now - self._tick, now
        self.account.ticks += used
        self.account.slices += 1
        self.account.answers += self._answered_in_slice()
        self._beam_count += used
        return used

    def _collect_beams(self) -> None:
        if not self._keeps_beams:
            return
        beams = self.machine.drain_beams()
        if self.on_beams is None:
            self._beams.append(beams)
            return
        self._beam_count = 0
        if beams:
            self.on_beams(beams)

    def check_stop(self, stop: Stop) -> None:
        """Raises QuotaReached where a quota forbids what the machine asks its host for."""
        quota = self.quota
        if stop.miss is not None:
            most = quota.max_resident_pages
            if most is not None and pages_with(self.machine, self.paged, self._pager, stop.miss) > most:
                raise QuotaReached(StopCause.RESIDENT_PAGES)
        elif quota.max_io_per_slice is not None and self._answered_in_slice() >= quota.max_io_per_slice:
            raise QuotaReached(StopCause.IO)

    def _answered_in_slice(self) -> int:
        return self.machine.answered - self._answered_before
