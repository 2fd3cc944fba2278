"""Recording: a host's run with its log, its segments and now and then a checkpoint, made safe as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..checkpoint.capture import MemoryCapture
from ..checkpoint.memory_map import MemoryMap, place_of
from ..checkpoint.point import Point, moment_of
from ..files.durable import PART_SUFFIX
from ..host.input_log import InputLog
from ..host.session import Host
from ..machine.protocol import Machine, Stop, StopReason
from ..memory.pager import Pager
from ..scheduler.quota import QuotaReached, StopCause
from .errors import RecordingError, ReplayMismatch
from .held_quota import HeldQuota, restore_pages, saved_pages
from .input_log_file import InputLogFile, chained
from .recording import End, Recording
from .segments import Segment, SegmentFile

Build = Callable[[Machine, InputLog | None], Host]
"""Makes the host of a run, on a machine that is fresh; with a log one that takes its answers from there and lets
nothing out."""

COMMIT_SECONDS = 1.0
"""How long an entry waits at most, while the machine runs, until it is safe against the computer failing."""
_CHECKPOINT_SECONDS = 0.5
"""Of the processor, not of the clock: what a checkpoint costs and what it saves is both work."""
_CHECKPOINT_SHARE = 0.04
_REASONS = {StopReason.HALTED: "halted", StopReason.TRAPPED: "trapped", StopReason.TICK: "limit"}


class Recorder:
    """Runs a live host and records it, held to the quota that the recording was made with. recording: fresh, or one
    whose run is continued. memory: what the host's machine holds. pager: that of the host. scheduled_on: the engine
    under a machine of a scheduler, which must stay there; that one runs it by `advance`, and sees to quotas and waits.
    Raises RecordingError and CheckpointError where the disk refuses; the run stopped then, and what was acknowledged is
    there."""

    def __init__(
        self,
        recording: Recording,
        host: Host,
        memory: MemoryMap,
        pager: Pager | None = None,
        scheduled_on: Machine | None = None,
    ) -> None:
        self.recording = recording
        self.host = host
        self.log = InputLogFile(recording.log_path, recording.chain)
        self.segments = SegmentFile(recording.segment_path, len(self.log.entries))
        host.input_log = self.log
        # The engine itself can say what was stored to; a machine that is held to a quota cannot.
        self._capture = MemoryCapture(scheduled_on or host.machine, host.memory.residency, memory)
        self._held = HeldQuota(recording.quota, host, recording.origin.tick, pager, is_enforced=scheduled_on is None)
        self._cause: StopCause | None = None
        self._is_scheduled = scheduled_on is not None
        self._size = recording.about.segment_ticks
        self._last_name = (recording.checkpoints.names() or [None])[-1]
        self._since: frozenset[int] = frozenset()
        self._committed = time.monotonic()
        self._checked = time.process_time()
        self._cost = 0.0

    @property
    def tick(self) -> int:
        return self.host.machine.state().tick

    @property
    def cause(self) -> StopCause | None:
        """Why a machine that neither halted nor trapped does not go on by itself: the quota, or that it waits for what
        does not come (`Host.waits_for`). None where it could."""
        return self._cause or self._held.cause_at(self.tick)

    def run(self, until_tick: int) -> Stop:
        """As `Host.run`, but it comes back with the reason TICK also where there is a `cause`. What a machine waits for
        is asked for twice."""
        self._cause, waited_at = None, -1
        until_tick = self._held.limit(until_tick)
        if self.tick >= until_tick:
            return Stop(StopReason.TICK)
        while True:
            try:
                stop = self.advance(until_tick)
            except QuotaReached as reached:
                self._cause = reached.cause
                return Stop(StopReason.TICK)
            if self.host.waits_for is None:
                return stop
            if (tick := self.tick) == waited_at:
                self._cause = StopCause.PEERS
                return stop
            waited_at = tick

    def advance(self, until_tick: int) -> Stop:
        """As `Host.run`. What is raised where a segment ends leaves the machine there; the segment is kept by the next
        call."""
        tick = self.tick
        if tick % self._size == 0 and tick > self._last_boundary:
            self._close_segment()
        while True:
            boundary = (tick // self._size + 1) * self._size
            stop = self.host.run(min(until_tick, boundary))
            tick = self.tick
            if stop.reason is StopReason.TICK and tick == boundary:
                self._close_segment()
            if stop.reason is not StopReason.TICK or tick >= until_tick or tick < boundary:
                return stop

    @property
    def _last_boundary(self) -> int:
        segments = self.segments.segments
        return segments[-1].tick if segments else self.recording.origin.tick

    def _close_segment(self) -> None:
        point = self._point()
        self.segments.append(_segment(point, self.log.chain))
        now = time.process_time()
        if now - self._checked > max(_CHECKPOINT_SECONDS, self._cost / _CHECKPOINT_SHARE):
            self.checkpoint(point)
            self._cost = time.process_time() - now
        elif time.monotonic() - self._committed > COMMIT_SECONDS:
            self.commit()

    def _point(self) -> Point:
        memory, written = self._capture.take()
        self._since |= written
        return Point(self.host.machine.state(), memory, len(self.log.entries), self._since)

    def commit(self) -> None:
        """Everything so far is safe when this returns."""
        self.log.commit()
        self.segments.commit()
        self._committed = time.monotonic()

    def checkpoint(self, point: Point | None = None, name: str | None = None) -> str:
        """Keeps a checkpoint of where the machine is now; its name. The log is made safe first."""
        point = point or self._point()
        self.commit()
        name = name or f"tick-{point.moment:020d}"
        held = self.host.save() | self._held.saved()
        with_host = Point(point.state, point.memory, point.position, point.written, held)
        self.recording.checkpoints.save(name, with_host, self._last_name)
        self._last_name, self._since = name, frozenset()
        self._checked = time.process_time()
        return name

    def finish(self, stop: Stop, is_interrupted: bool = False, cause: StopCause | None = None) -> End:
        """Ends the recording where the machine is now: halted, trapped, at its `cause` or that which a scheduler says,
        interrupted, or at the limit of the last `run`. One that neither halted nor trapped gets a checkpoint, to go on
        from."""
        point = self._point()
        # Under a scheduler something may be on its way to a machine that has not run at all.
        if stop.reason is StopReason.TICK and (point.tick > self.recording.origin.tick or self._is_scheduled):
            self.checkpoint(point)
        self.commit()
        digest = point.state.digest
        reason = _REASONS[stop.reason]
        if stop.reason is StopReason.TICK:
            cause = cause or self.cause
            reason = cause.value if cause else "interrupted" if is_interrupted else reason
        end = End(
            point.tick, moment_of(point.state), reason, None if digest is None else f"{digest:016x}",
            point.root().hex(), len(self.log.entries),
        )  # fmt: skip
        self.recording.set_end(end)
        self.close()
        return end

    def close(self) -> None:
        self.log.close()
        self.segments.close()


def _segment(point: Point, chain: bytes) -> Segment:
    return Segment(point.tick, point.position, point.state.digest, chain, point.root())


def continue_recording(
    recording: Recording, build: Build, create: Callable[[], Machine], pager: Pager | None = None
) -> Recorder:
    """A recorder that goes on where a recording ends, after a crash as well as after a limit.

    The run is played from its last checkpoint to the last answer that the log kept, against the segments on the way.
    build: a host as the first one was; its console goes on in its input where the run was. create: fresh machines.
    pager: that of the host which `build` makes without a log.
    Raises ReplayMismatch when this run is another than the one that was recorded, RecordingError when it has ended,
    DeviceStateError when the devices are others.
    """
    end = recording.about.end
    if end and end.reason in ("halted", "trapped"):
        raise RecordingError(f"{recording.folder}: the run has {end.reason} at tick {end.tick:,}; it cannot go on")
    # Opened for writing and closed again: torn tails are cut before anything is read.
    log = InputLogFile(recording.log_path, recording.chain)
    log.close()
    SegmentFile(recording.segment_path, len(log.entries)).close()
    if end:
        recording.set_end(None)
    for leftover in recording.folder.rglob(f"*{PART_SUFFIX}"):
        leftover.unlink()
    recording = Recording(recording.folder)
    size = recording.about.segment_ticks
    last = recording.segments[-1].tick if recording.segments else recording.origin.tick
    # From where no segment is missing.
    start = [point for point in recording.points() if point.tick < (last // size + 1) * size][-1]
    point, missing = catch_up(recording, start, build, create())
    host = build(create(), None)
    place_host(host, point)
    recorder = Recorder(recording, host, point.memory, pager)
    for segment in missing:
        recorder.segments.append(segment)
    return recorder


def catch_up(
    recording: Recording, start: Point, build: Build, machine: Machine, target: int | None = None
) -> tuple[Point, list[Segment]]:
    """The run from a point of it to a tick, by default behind the last answer of the log and the last segment, with
    what the devices then hold; and the segments on the way that the recording lacks. Raises ReplayMismatch where one
    that it has is another."""
    entries, size = recording.entries, recording.about.segment_ticks
    if target is None:
        ticks = [segment.tick for segment in recording.segments[-1:]]
        ticks += [entry.tick + 1 for entry in entries[start.position :][-1:]]
        target = max([start.tick, *ticks])
    host = build(machine, InputLog(entries))
    place_host(host, start)
    capture = MemoryCapture(machine, host.memory.residency, start.memory)
    known = {segment.tick: segment for segment in recording.segments}
    missing: list[Segment] = []
    chain, position = recording.chain, 0
    for boundary in range((start.tick // size + 1) * size, target + 1, size):
        if host.run(boundary).reason is not StopReason.TICK:
            break
        memory, _ = capture.take()
        taken = start.position + len(host.input_log.entries)
        for entry in entries[position:taken]:
            chain = chained(chain, entry)
        position = taken
        found = _segment(Point(machine.state(), memory, taken), chain)
        if boundary not in known:
            missing.append(found)
        elif not agree(found, known[boundary]):
            raise ReplayMismatch(
                f"{recording.folder}: run again up to tick {boundary:,} the machine is not where it was: another "
                "program or other options than were recorded"
            )
    host.run(target)
    memory, _ = capture.take()
    taken = start.position + len(host.input_log.entries)
    held = host.save()
    if recording.quota.max_resident_pages is not None:
        held |= saved_pages(machine.leaves())
    return Point(machine.state(), memory, taken, None, held), missing


def agree(one: Segment, other: Segment) -> bool:
    """Whether two segment ends are the same, as far as both know."""
    is_digest_known = one.digest is not None and other.digest is not None
    if is_digest_known and one.digest != other.digest:
        return False
    return (one.tick, one.position, one.chain, one.root) == (other.tick, other.position, other.chain, other.root)


def place_host(host: Host, point: Point) -> None:
    """Puts a host that has not run yet at a point: its machine, its memory and, where the point says, its devices.

    Raises DeviceStateError where the devices are others, PagingError where a tier under a pager fails.
    """
    if point.host is not None:
        host.restore(dict(point.host))
    for key in MemoryMap.of_segments(host.memory.segments).differences(point.memory):
        host.memory.residency.put(*place_of(key), point.memory.leaf(key))
    restore_pages(point.host or {}, host.memory.residency)
    host.machine.set_state(point.state)
