"""A run as a place to move about in: any tick, forwards and backwards, on any engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..checkpoint.capture import MemoryCapture
from ..checkpoint.memory_map import MemoryMap
from ..checkpoint.point import Point, moment_of
from ..engines.registry import create_machine
from ..host.input_log import Entry
from ..image.decode import Decoded, decode
from ..image.image import Image
from ..isa.limits import CODE_SLOT, DISPLACEMENT_MASK, LEAF_BITS, LEAF_BYTES, POINTER_DISPLACEMENT_BITS
from ..machine.protocol import Event, Leaf, StopReason
from ..machine.state import State, Status
from ..recording.playback import Playback
from .errors import HistoryError, Interrupted
from .timeline import Limits, Timeline
from .tracing import Beams, Tracer

if TYPE_CHECKING:
    from ..host.session import Host
    from .conditions import Condition
    from .last_write import Write

_NEAR = (1 << 22, 1 << 17, 1 << 12)
"""Ticks before a place that is visited where points are left, so that going back from there is quick."""
_LIVE_SLICE = 1 << 16
_NEVER = (1 << 64) - 1
_UNKNOWN_SPAN = 1 << 22
"""Ticks of a run whose end is not known that are looked through at once."""


class History:
    """A run that can be visited at any tick. It stands at one, its cursor, at first the first.

    A trap takes no tick, but a place of its own: where a machine trapped at tick N, N is the state before the trap and
    N + 1, the last tick of the run, the state after it.

    image, log: determine the run, with `origin`, where it begins, by default before the first tick. last_tick: where
    the recorded run ended, None where that is not known yet. points: known already, as from the checkpoints of a
    recording. engine: name of the engine that visits; every one gives the same answers.

    Methods that move raise ReplayError when the run asks for something else than the log holds, CheckpointError where
    a checkpoint's memory cannot be read, EngineError when the engine cannot run here. Not for use by two threads.
    """

    def __init__(
        self,
        image: Image,
        log: Sequence[Entry],
        *,
        origin: Point | None = None,
        last_tick: int | None = None,
        points: Sequence[Point] = (),
        engine: str = "fast",
        limits: Limits | None = None,
    ) -> None:
        self.image = image
        self.log = log
        self.engine = engine
        self.events: dict[int, Event] = {}
        """The machine's requests by index in `log`, as far as the run has been passed through."""
        origin = origin or Point.initial(image)
        self.timeline = Timeline(origin, limits or Limits(), points)
        self._end: int | None = last_tick
        self._host: Host | None = None
        self.pending: Event | None = None
        """What a live run asks, where it was stopped before the answer."""
        self.is_interrupted: Callable[[], bool] | None = None
        """Asked every few milliseconds in whatever takes long; True ends that with Interrupted, and is asked no more
        until it is set again."""
        self._host_capture: MemoryCapture | None = None
        self._playback = Playback(create_machine(engine, keeps_beams=False), image, origin, log, self._note)
        self._tick = origin.moment
        self._reason = StopReason.TICK
        self._since: frozenset[int] = frozenset()
        """Keys written since the kept point before the cursor, maybe more."""
        self._tracer: Tracer | None = None

    @staticmethod
    def following(
        host: Host, image: Image, engine: str = "fast", limits: Limits | None = None, origin: Point | None = None
    ) -> History:
        """The history of a live run from where its host stands now, which must be the beginning of its log. Moving
        beyond what has been run runs the host on; nothing is asked of it a second time, and `run_to` asks nothing of
        it behind the place where it stops. origin: where the host was put, if not at the image's first tick."""
        if host.input_log.entries or host.answered:
            raise HistoryError("a history can follow a host only from the beginning of its input log")
        origin = origin or Point(host.machine.state(), MemoryMap.of_segments(host.memory.segments))
        history = History(image, host.input_log.entries, origin=origin, engine=engine, limits=limits)
        history._host = host
        history._host_capture = MemoryCapture(host.machine, host.memory.residency, origin.memory)
        return history

    # ---- where the cursor is -------------------------------------------------------------------------------------

    @property
    def tick(self) -> int:
        return self._tick

    @property
    def first_tick(self) -> int:
        return self.timeline.kept[0].moment

    @property
    def last_tick(self) -> int | None:
        """The last tick that can be visited; None as long as no end is known."""
        return self._end

    @property
    def reason(self) -> StopReason:
        """TICK in mid-run; HALTED or TRAPPED where the machine has; EVENT where the recording ends at a request that
        was not answered in it."""
        return self._reason

    @property
    def position(self) -> int:
        """Entries of the log before the cursor."""
        return self._playback.position

    @property
    def state(self) -> State:
        """Registers and stacks before the instruction at the cursor."""
        return self._playback.machine.state()

    def leaf(self, slot: int, number: int) -> Leaf:
        """4 KiB of memory and their labels. Raises ValueError when no such leaf can exist."""
        return self._playback.leaf(slot, number)

    def read(self, slot: int, offset: int, length: int) -> bytes:
        """Bytes of a shard slot; what was never written is zero. Raises ValueError beyond its 4 GiB."""
        if length <= 0:
            return b""
        first, last = offset >> LEAF_BITS, offset + length - 1 >> LEAF_BITS
        data = b"".join(self.leaf(slot, number).data for number in range(first, last + 1))
        return data[offset % LEAF_BYTES :][:length]

    def place(self, pointer: int) -> tuple[int, int]:
        """Shard slot and offset that a program's pointer (u32) names here. Raises HistoryError when its window is
        empty, whatever the window's permissions and length."""
        window = self.state.windows[pointer >> POINTER_DISPLACEMENT_BITS]
        if not window.permissions:
            raise HistoryError(f"window {pointer >> POINTER_DISPLACEMENT_BITS} is empty at tick {self.tick}")
        return window.slot, window.base + (pointer & DISPLACEMENT_MASK)

    def instruction(self) -> Decoded | None:
        """The instruction at the cursor, None where there is no legal one."""
        state = self.state
        length = max(0, min(5, state.code_length - state.pc))
        return decode(self.read(CODE_SLOT, state.pc, length), 0, state.pc)

    def root(self) -> bytes:
        """State root at the cursor."""
        return self.point().root()

    def point(self) -> Point:
        """The cursor as a point: registers, stacks, memory and position in the log, to keep."""
        point = self._playback.capture()
        self._since |= point.written or frozenset()
        return replace(point, written=self._since)

    # ---- moving --------------------------------------------------------------------------------------------------

    def seek(self, tick: int) -> State:
        """Moves the cursor to a tick, or to the end of the run where that comes before. Raises HistoryError before the
        first tick."""
        if tick < self.first_tick:
            raise HistoryError(f"tick {tick} is before this history, which begins at tick {self.first_tick}")
        if self._host:
            self._run_host(tick)
            # An interrupted host has not come that far.
            tick = min(tick, moment_of(self._host.machine.state()))
        if self._end is not None:
            tick = min(tick, self._end)
        if tick != self._tick:
            point = self._nearest(tick)
            if not point.moment <= self._tick < tick:
                self._restore(point)
            self._go_on(tick)
        return self.state

    def step(self, ticks: int = 1) -> State:
        """So many ticks on."""
        return self.seek(self.tick + ticks)

    def step_back(self, ticks: int = 1) -> State:
        """So many ticks back, at most to the first."""
        return self.seek(max(self.first_tick, self.tick - ticks))

    def end(self) -> State:
        """Moves to the end of the run; of a live run, on until it halts or traps."""
        return self.seek(_NEVER)

    def run_to(self, condition: Condition, limit: int | None = None) -> bool:
        """Moves on to the next tick, after this one, at which the condition holds: True. False when it never does up
        to `limit`, by default the end, where the cursor is then; and where a live run waits, asked twice, for others:
        the cursor is before that request."""
        first, last = self.tick + 1, _NEVER if limit is None else limit
        has_waited = False
        while first <= last:
            upper = min(last, self._end if self._end is not None else first + _UNKNOWN_SPAN)
            if self._end is None:
                if self._host:
                    upper = self._run_host_to_request(first, upper)
                self.seek(upper)
                upper = self.tick
                if upper < first and self._host and self._host.waits_for:
                    if has_waited:
                        return False
                    has_waited = True
                    continue
                has_waited = False
            found = condition.first(self, first, upper) if first <= upper else None
            if found is not None:
                self.seek(found)
                return True
            if upper == self._end:
                break
            first = upper + 1
        self.seek(last)
        return False

    def run_back_to(self, condition: Condition, limit: int | None = None) -> bool:
        """Moves back to the last tick before this one at which the condition holds: True. False when there is none
        down to `limit`, by default the first, where the cursor is then."""
        lowest = self.first_tick if limit is None else max(limit, self.first_tick)
        upper, span = self.tick - 1, 1 << 18
        while upper >= lowest:
            lower = max(lowest, upper - span + 1)
            found = condition.last(self, lower, upper)
            if found is not None:
                self.seek(found)
                return True
            upper, span = lower - 1, min(2 * span, 1 << 24)
        self.seek(lowest)
        return False

    # ---- looking -------------------------------------------------------------------------------------------------

    def beams(self, first: int, last: int) -> Iterator[tuple[int, Beams]]:
        """The beams of the ticks from `first` to `last` - 1, made again; the cursor stays. As `Tracer.spans`."""
        if self._tracer is None:
            machine = create_machine(self.engine, keeps_beams=True)
            playback = Playback(machine, self.image, self.timeline.kept[0], self.log)
            self._tracer = Tracer(playback, self._nearest, self.check)
        return self._tracer.spans(first, last)

    def last_write(self, slot: int, offset: int, length: int = 1, before: int | None = None) -> Write | None:
        """Who wrote these bytes: the last write to any of them before a tick, by default the cursor's. None where
        they are as the run found them. The cursor stays."""
        from .last_write import find_last_write

        return find_last_write(self, slot, offset, length, self.tick if before is None else before)

    def entries(self, first: int, last: int) -> list[tuple[int, Entry]]:
        """The input log between two ticks, both included, with each entry's index."""
        from bisect import bisect_left, bisect_right

        low = bisect_left(self.log, first, key=lambda entry: entry.tick)
        high = bisect_right(self.log, last, key=lambda entry: entry.tick)
        return [(index, self.log[index]) for index in range(low, high)]

    # ---- inside --------------------------------------------------------------------------------------------------

    def _note(self, index: int, event: Event) -> None:
        self.events[index] = event

    def _nearest(self, tick: int) -> Point:
        return self.timeline.at_or_before(tick)

    def _restore(self, point: Point) -> None:
        self._playback.restore(point)
        self._tick = point.moment
        self._reason = StopReason.TICK
        kept = self.timeline.at_or_before(point.moment, with_near=False)
        self._since = frozenset() if kept.moment == point.moment else point.written or frozenset()

    def _go_on(self, target: int) -> None:
        """Runs from the cursor to a tick, leaving points on the way."""
        marks = [target - distance for distance in _NEAR if target - distance > self._tick]
        timeline, begun = self.timeline, time.process_time()
        while self._tick < target:
            self.check()
            before = self._tick
            kept = timeline.at_or_before(before, with_near=False).moment
            following = timeline.next_kept(before)
            is_open = following is None or following.moment - kept > 4 * timeline.spacing
            goal = min([target, *(mark for mark in marks if mark > before)])
            if is_open:
                goal = min(goal, max(kept + timeline.spacing, before + 1))
            if following and following.written is None:
                goal = min(goal, following.moment)
            preparing, began = time.process_time() - begun, time.thread_time()
            self._reason = self._playback.run(goal)
            running, begun = time.thread_time() - began, time.process_time()
            if self._reason is not StopReason.TICK:
                self._tick = moment_of(self.state)
                timeline.spend(running, preparing)
                self._found_end(kept, running)
                return
            self._tick = goal
            is_due = is_open and goal >= kept + timeline.spacing
            if is_due or (following and following.moment == goal):
                timeline.keep(self.point())
                self._since = frozenset()
                now = time.process_time()
                timeline.measure(goal - before, running, preparing + now - begun)
                begun = now
            else:
                if goal in marks:
                    timeline.add_near(self.point())
                timeline.spend(running, preparing)
        self._reason = self._final_reason() if self._tick == self._end else StopReason.TICK

    def _found_end(self, kept: int, running: float) -> None:
        """The machine stopped for good. The first time, it comes here again and leaves points close before, where that
        is cheap against the run; `running` is what the last stretch took."""
        is_new = self._end is None
        reason, self._end = self._reason, self._tick
        if is_new and self._tick - kept > _NEAR[-1] and self.timeline.allows(running):
            begun = time.process_time()
            self._restore(self.timeline.at_or_before(self._tick - 1))
            self._go_on(self._end)
            self.timeline.spend(0, time.process_time() - begun)
        self._reason = reason

    def check(self) -> None:
        """Raises Interrupted where `is_interrupted` says so."""
        if self.is_interrupted and self.is_interrupted():
            # What has to be put in order on the way out is not interrupted again.
            self.is_interrupted = None
            raise Interrupted("interrupted")

    def _final_reason(self) -> StopReason:
        status = self._playback.machine.state().status
        return {Status.HALTED: StopReason.HALTED, Status.TRAPPED: StopReason.TRAPPED}.get(status, StopReason.TICK)

    def _run_host_to_request(self, first: int, target: int) -> int:
        """Runs the live host on to a tick, at most to the first request from `first` on, which it does not answer yet:
        nobody can take back what was asked of the world. Where it is then."""
        host = self._host
        assert host
        self._run_host(first)
        while moment_of(host.machine.state()) < target:
            stop = host.machine.run(target)
            if stop.miss:
                host.memory.serve(stop.miss)
                continue
            if stop.reason in (StopReason.HALTED, StopReason.TRAPPED):
                self._end = moment_of(host.machine.state())
            self.pending = stop.event
            break
        return max(first, min(target, moment_of(host.machine.state())))

    def _run_host(self, target: int) -> None:
        """Runs the live host on to a tick."""
        host, capture = self._host, self._host_capture
        assert host and capture
        timeline = self.timeline
        tick = moment_of(host.machine.state())
        while tick < target and self._end is None:
            self.check()
            goal = min(target, tick + max(timeline.spacing, _LIVE_SLICE))
            began = time.thread_time()
            stop = host.run(goal)
            running, begun = time.thread_time() - began, time.process_time()
            state, before = host.machine.state(), tick
            tick = moment_of(state)
            memory, written = capture.take()
            timeline.keep(Point(state, memory, len(host.input_log.entries), written))
            timeline.measure(tick - before, running, time.process_time() - begun)
            if stop.reason is not StopReason.TICK:
                self._end = tick
            elif tick < goal:
                return
