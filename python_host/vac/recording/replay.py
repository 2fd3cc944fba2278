"""Replay: a recording run again, on any engine, against what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..checkpoint.point import Point, moment_of
from ..isa.ports import Device
from ..machine.protocol import Event, EventKind, Machine, StopReason
from .errors import ReplayMismatch
from .input_log_file import chained
from .playback import Playback
from .recorder import agree
from .recording import Recording
from .request import call_name, is_console_data, let_out
from .segments import Segment

_BEAM_SPAN = 1 << 18
"""Ticks between two times at which beams are taken: 4 MiB of them."""


@dataclass(frozen=True)
class Replayed:
    """segments: ends of segments that were found equal. is_end_checked: False where the recording says no end."""

    segments: int
    ticks: int
    reason: StopReason
    root: bytes
    digest: int | None
    is_end_checked: bool


def replay(
    recording: Recording,
    machine: Machine,
    on_progress: Callable[[int, int], object] = lambda tick, last: None,
    on_output: Callable[[bytes], object] | None = None,
    on_beams: Callable[[bytes], object] | None = None,
) -> Replayed:
    """Runs the recording from its origin on a fresh machine. on_progress: gets the tick and the last one at each
    segment. on_output: gets what the program wrote to the console. on_beams: gets the records of the beams, in order,
    of a machine that keeps them.

    Raises ReplayMismatch at the first segment whose digest, log or state root is another than was recorded, ReplayError
    where the run asks for something else, RecordingError and CheckpointError where the recording is damaged.
    """
    origin = recording.origin.point
    playback = Playback(machine, recording.image, origin, recording.entries)
    if on_output:
        output = _Output(playback, on_output)
        playback.on_event = output.take
    chain, position, reason = recording.chain, 0, StopReason.TICK
    last, before = recording.known_tick, origin.tick
    run = _draining(playback, origin.tick, on_beams) if on_beams else playback.run
    for count, segment in enumerate(recording.segments):
        reason = run(segment.tick)
        point = playback.capture()
        for entry in recording.entries[position : point.position]:
            chain = chained(chain, entry)
        position = point.position
        if reason is not StopReason.TICK:
            raise ReplayMismatch(f"the run ends at tick {point.tick:,} ({reason.value}); the recorded one went on")
        found = Segment(point.tick, point.position, point.state.digest, chain, point.root())
        if not agree(found, segment):
            raise ReplayMismatch(
                f"parts from the recording between tick {before:,} and tick {segment.tick:,}, in segment {count}: "
                f"{_difference(found, segment)}"
            )
        before = segment.tick
        on_progress(segment.tick, last)
    end = recording.about.end
    reason = run(end.moment if end else last + (bool(recording.entries) and last == recording.entries[-1].tick))
    point = playback.capture()
    if end:
        _check_end(recording, point, before)
    return Replayed(
        len(recording.segments), point.tick, reason, point.root(), point.state.digest, end is not None
    )  # fmt: skip


def _draining(playback: Playback, tick: int, take: Callable[[bytes], object]) -> Callable[[int], StopReason]:
    """Runs as `playback` does, in spans whose beams it hands on. tick: where it stands."""
    stands = tick

    def run(until: int) -> StopReason:
        nonlocal stands
        reason = StopReason.TICK
        for end in (*range(stands + _BEAM_SPAN, until, _BEAM_SPAN), until):
            reason = playback.run(end)
            take(playback.machine.drain_beams())
            if reason is not StopReason.TICK:
                break
        stands = until
        return reason

    return run


def _difference(found: Segment, recorded: Segment) -> str:
    if found.digest is not None and recorded.digest is not None and found.digest != recorded.digest:
        return f"the beams' digest is {found.digest:016x}, it was {recorded.digest:016x}"
    if (found.position, found.chain) != (recorded.position, recorded.chain):
        return f"{found.position} inputs were taken, it were {recorded.position}"
    return f"the state root is {found.root.hex()}, it was {recorded.root.hex()}"


def _check_end(recording: Recording, point: Point, before: int) -> None:
    end = recording.about.end
    assert end
    digest = None if point.state.digest is None else f"{point.state.digest:016x}"
    is_digest_other = None not in (digest, end.digest) and digest != end.digest
    if moment_of(point.state) != end.moment or point.root().hex() != end.root or is_digest_other:
        raise ReplayMismatch(
            f"parts from the recording behind tick {before:,}: it ends at tick {point.tick:,} with state root "
            f"{point.root().hex()} and digest {digest}; it was tick {end.tick:,}, {end.root} and {end.digest}"
        )


class _Output:
    """Console output of a run that is played back."""

    def __init__(self, playback: Playback, sink: Callable[[bytes], object]) -> None:
        self._playback = playback
        self._sink = sink

    def take(self, index: int, event: Event) -> None:
        answer = self._playback.log[index].answer
        if answer.refused or answer.trap:
            return
        if event.kind is EventKind.DEVICE_OUT and is_console_data(event):
            self._sink(bytes([event.arguments[0] & 0xFF]))
        elif call_name(event) == "write" and event.arguments[0] == Device.CONSOLE:
            self._sink(let_out(self._playback, event)[: answer.value])
