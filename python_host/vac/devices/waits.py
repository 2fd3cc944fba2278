"""Machines that wait for a message, and how early they can go on: before that they send nothing.

A wait ends at the first of these: a message that it is for has arrived; its longest time is over; MOST_TICKS are over
and there is someone who could have sent such a message. One that hears only machines that have ended, or that wait for
each other, does not end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from ..isa.limits import CELL_MASK

if TYPE_CHECKING:
    from .message_bus import MessageBus

ENDED = 1 << 80
"""Time of a machine that sends nothing any more."""
FOREVER = CELL_MASK
"""The longest wait, in a cell: until a message comes."""
MOST_TICKS = CELL_MASK - 1
"""That one request waits; so how long it took fits a cell that is no refusal."""


@dataclass(frozen=True, eq=False)
class Wait:
    """bus, number: where it waits. since: virtual time. longest: ticks, None for ever. topics: of messages that end it,
    None for any."""

    bus: MessageBus
    number: int
    since: int
    longest: int | None = None
    topics: frozenset[int] | None = None

    def is_for(self, topic: int) -> bool:
        return self.topics is None or topic in self.topics

    def end(self, arrival: int) -> int:
        """When it ends, if the first message that it is for arrives then; ENDED and later for none."""
        ends = [] if self.longest is None else [self.since + self.longest]
        if arrival < ENDED:
            ends += [max(self.since, arrival), self.since + MOST_TICKS]
        return min(ends, default=ENDED)


def earliest_times(bus: MessageBus) -> dict[int, int]:
    """For each member the virtual time before which it sends nothing any more: where it has come to, or where its wait
    can end at the earliest; ENDED where it never does."""
    places = {number: bus.time_of(number) for number in bus.members}
    if not bus.waits:
        return {number: place for number, place in places.items() if isinstance(place, int)}
    ends = _earliest_ends(bus)
    return {number: place if isinstance(place, int) else ends[place] for number, place in places.items()}


def _earliest_ends(bus: MessageBus) -> dict[Wait, int]:
    """Of all waits that can have to do with each other. The one that ends first depends on no other: as in Dijkstra's
    shortest paths, each is final when it is the least of those that are left."""
    waits = list(_related(bus))
    found: dict[Wait, int] = {}
    followers: dict[Wait, list[Wait]] = {wait: [] for wait in waits}
    for wait in waits:
        first = wait.bus.first_awaited(wait)
        arrivals = [] if first is None else [first]
        for number in wait.bus.heard_by(wait.number):
            place = wait.bus.time_of(number)
            if isinstance(place, Wait):
                followers[place].append(wait)
            else:
                arrivals.append(place + wait.bus.latency)
        found[wait] = wait.end(min(arrivals, default=ENDED))
    # Waits cannot be compared: their places in the list stand for them.
    numbers = {wait: number for number, wait in enumerate(waits)}
    queue = [(end, numbers[wait]) for wait, end in found.items() if end < ENDED]
    heapify(queue)
    while queue:
        end, number = heappop(queue)
        if end > found[waits[number]]:
            continue
        for follower in followers[waits[number]]:
            if (earlier := follower.end(end + follower.bus.latency)) < found[follower]:
                found[follower] = earlier
                heappush(queue, (earlier, numbers[follower]))
    return found


def _related(bus: MessageBus) -> Iterator[Wait]:
    """Each wait once: those on this bus, and on those where its members wait."""
    seen: set[Wait] = set()
    left, known = [bus], {bus}
    while left:
        for wait in left.pop().waits:
            if wait not in seen:
                seen.add(wait)
                yield wait
            if wait.bus not in known:
                known.add(wait.bus)
                left.append(wait.bus)
