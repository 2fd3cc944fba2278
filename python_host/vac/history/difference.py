"""Where two runs part: by bisection over the ends of their segments, then by running the one segment again."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from ..checkpoint.memory_map import place_of
from ..host.input_log import Entry
from ..machine.state import State
from ..recording.errors import RecordingError, ReplayMismatch
from ..recording.recording import Recording
from ..recording.segments import Segment
from .history import History
from .recorded import history_of
from .tracing import Beams


@dataclass(frozen=True)
class Side:
    """What one of the runs has where they part. state: before the instruction; None where the run has ended.
    instruction: its text. entry: what it was answered there, None where it asked nothing. beams: the last records
    before, as (tick, beam)."""

    state: State | None
    instruction: str | None
    entry: Entry | None
    beams: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True)
class Parting:
    """tick: of the first instruction that is not the same in both runs. what: "start" (they never were the same),
    "input", "beam" or "end" (one goes on where the other has ended). differences: of the states before that
    instruction, one line each. leaves: (slot, leaf) whose contents differ there. searched: ticks run again."""

    tick: int
    what: str
    sides: tuple[Side, Side]
    differences: tuple[str, ...]
    leaves: tuple[tuple[int, int], ...]
    searched: int


CONTEXT_BEAMS = 8


def find_parting(one: Recording, other: Recording, engine: str = "fast") -> Parting | None:
    """Where two recorded runs part; None when one is the other, or goes on where the other was cut off.

    Raises RecordingError when they have no tick in common, ReplayMismatch when they say of themselves that they part
    but do not, and what `History` raises.
    """
    histories = history_of(one, engine), history_of(other, engine)
    start = max(history.first_tick for history in histories)
    for recording, history in zip((one, other), histories, strict=True):
        if start > recording.known_tick:
            raise RecordingError(f"{recording.folder} ends at tick {recording.known_tick:,}, before the other begins")
        history.seek(start)
    if histories[0].root() != histories[1].root():
        return _parting(histories, start, "start", 0)
    low, high = _bisected(one, other, start)
    is_apart = high < 1 << 64
    last = [recording.last_moment for recording in (one, other)]
    known = min(recording.known_tick if end is None else end for recording, end in zip((one, other), last, strict=True))
    high = min(high, known)
    found = _first_difference(histories, low, high)
    if found:
        return _parting(histories, *found, high - low)
    if is_apart:
        raise ReplayMismatch(
            f"{one.folder} and {other.folder} say different things of tick {high:,}, but run again they are the same: "
            "one of them is not what its program does; `vac replay` tells which"
        )
    if None in last or last[0] == last[1]:
        return None
    for history in histories:
        history.seek(known)
    is_cut = [_is_cut(recording) for recording in (one, other)]
    shorter = 0 if (last[0] or 0) < (last[1] or 0) else 1
    return None if is_cut[shorter] else _parting(histories, known, "end", high - low)


def _is_cut(recording: Recording) -> bool:
    end = recording.about.end
    return end is None or end.reason not in ("halted", "trapped")


def _bisected(one: Recording, other: Recording, start: int) -> tuple[int, int]:
    """Ticks between which the runs part, if they do: the last common end of a segment at which they were still the
    same, and the next."""
    theirs = {segment.tick: segment for segment in other.segments}
    common = [(segment, theirs[segment.tick]) for segment in one.segments if segment.tick in theirs]
    common = [pair for pair in common if pair[0].tick > start]
    # Digests and log hashes speak of all that was before, so that the runs part once and for good.
    index = bisect_left(common, True, key=lambda pair: not _is_same_so_far(*pair))
    low = common[index - 1][0].tick if index else start
    return low, common[index][0].tick if index < len(common) else 1 << 64


def _is_same_so_far(one: Segment, other: Segment) -> bool:
    if one.digest is not None and other.digest is not None and one.digest != other.digest:
        return False
    is_digested = one.digest is not None and other.digest is not None
    return one.chain == other.chain and (is_digested or one.root == other.root)


def _first_difference(histories: tuple[History, History], low: int, high: int) -> tuple[int, str] | None:
    entries = [history.entries(low, high) for history in histories]
    at_input: int | None = None
    for mine, theirs in zip(entries[0], entries[1], strict=False):
        if mine[1] != theirs[1]:
            at_input = min(mine[1].tick, theirs[1].tick)
            break
    else:
        shorter = min(len(entries[0]), len(entries[1]))
        surplus = [listed[shorter][1].tick for listed in entries if len(listed) > shorter]
        at_input = surplus[0] if surplus else None
    limit = high if at_input is None else min(high, at_input + 1)
    tick = low
    for (_, mine), (_, theirs) in zip(histories[0].beams(low, limit), histories[1].beams(low, limit), strict=False):
        size = min(len(mine), len(theirs))
        unequal = np.flatnonzero(
            mine[:size].view(np.uint64).reshape(-1, 2) != theirs[:size].view(np.uint64).reshape(-1, 2)
        )
        if len(unequal):
            beam = tick + int(unequal[0]) // 2
            return (beam, "beam") if at_input is None or beam < at_input else (at_input, "input")
        tick += size
        if len(mine) != len(theirs):
            return tick, "end"
    return None if at_input is None else (at_input, "input")


def _parting(histories: tuple[History, History], tick: int, what: str, searched: int) -> Parting:
    for history in histories:
        history.seek(tick)
    points = [history.point() for history in histories]
    leaves = points[0].memory.differences(points[1].memory)
    differing = [key for key in leaves if points[0].memory.leaf(key) != points[1].memory.leaf(key)]
    sides = [_side(history, tick) for history in histories]
    return Parting(
        tick,
        what,
        (sides[0], sides[1]),
        tuple(points[0].state.differences(points[1].state)),
        tuple(map(place_of, differing)),
        searched,
    )


def _side(history: History, tick: int) -> Side:
    if history.tick != tick:
        return Side(None, None, None, _last_beams(history, tick))
    instruction = history.instruction()
    entries = history.entries(tick, tick)
    return Side(
        history.state,
        instruction.text() if instruction else None,
        entries[0][1] if entries else None,
        _last_beams(history, tick),
    )


def _last_beams(history: History, tick: int) -> tuple[tuple[int, bytes], ...]:
    first = max(history.first_tick, tick - CONTEXT_BEAMS)
    found: list[tuple[int, bytes]] = []
    for at, beams in history.beams(first, tick):
        found += [(at + index, _record(beams, index)) for index in range(len(beams))]
    return tuple(found)


def _record(beams: Beams, index: int) -> bytes:
    return beams[index : index + 1].tobytes()
