"""Earliest eligible virtual deadline first, in integers.

Every client has a virtual time, its service divided by its weight. The queue's virtual time is the mean of these,
weighted; a client's lag is the service that it is owed: weight * (queue's virtual time - its own). A client that is
owed something, or nothing, is eligible; of these the one goes first whose next slice has to end first. So a lag stays
within one slice in either direction, however many clients there are: nobody starves.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

from .weight import MAX_WEIGHT, ONE

_TICK = ONE << 32
"""Virtual time that one tick takes at the weight 1/ONE. Divided by a weight it is rounded down: what is lost in a slice
is less than 2**-32 ticks."""


@dataclass(slots=True)
class _Client:
    weight: int
    time: int
    deadline: int
    version: int = 0
    """Entries of the heaps with another version are void."""


class FairQueue:
    """slice_ticks: length of the slices that deadlines reckon with, 1 and more. lag_slices: bounds the lag that a
    client brings and takes along, or keeps when its weight changes. Ties go to the smaller client number.
    """

    def __init__(self, slice_ticks: int, lag_slices: int = 1) -> None:
        if slice_ticks < 1:
            raise ValueError(f"slices of {slice_ticks} ticks; give 1 or more")
        self.slice_ticks = slice_ticks
        self._most_lag = lag_slices * slice_ticks * _TICK
        self._clients: dict[int, _Client] = {}
        self._weights = 0
        self._weighted_times = 0
        self._time_when_empty = 0
        self._eligible: list[tuple[int, int, int]] = []
        """(deadline, client, version)."""
        self._ahead: list[tuple[int, int, int]] = []
        """(virtual time, client, version) of clients that had more than their share when they were looked at."""
        self._version = 0
        self._ideal = 0

    def __len__(self) -> int:
        return len(self._clients)

    def __contains__(self, client: int) -> bool:
        return client in self._clients

    @property
    def weights(self) -> int:
        """Of all clients together."""
        return self._weights

    @property
    def ideal_time(self) -> int:
        """Virtual time of an engine that served all clients at once, each by its weight: never goes back."""
        return self._ideal

    def service_time(self, ticks: int, weight: int) -> int:
        """Virtual time that a service takes."""
        return ticks * _TICK // weight

    def service_ticks(self, time: int, weight: int) -> int:
        """Ticks of service that take this virtual time, rounded down."""
        return time * weight // _TICK

    def lag(self, client: int) -> int:
        """Ticks that the client is owed, rounded down; negative when it has had more than its share."""
        each = self._clients[client]
        return each.weight * (self._time() - each.time) // _TICK

    def join(self, client: int, weight: int, lag: int = 0) -> None:
        """One more client. weight: ONE to MAX_WEIGHT. lag: ticks, what an earlier `leave` returned.

        Raises ValueError when the weight is out of range or the client is there already.
        """
        self._check(weight)
        if client in self._clients:
            raise ValueError(f"client {client} is in the queue already")
        owed = self._bounded(lag * _TICK)
        if self._weights:  # the newcomer's lag moves the mean, which would take part of the lag away again
            owed = owed * (self._weights + weight) // self._weights
        self._add(client, weight, self._time() - owed // weight)
        self._enter(client)

    def leave(self, client: int) -> int:
        """Takes a client out, also the one that was picked last. Returns its lag in ticks, within `lag_slices`."""
        each = self._clients[client]
        lag = self._bounded(each.weight * (self._time() - each.time))
        self._drop(client)
        return lag // _TICK

    def pick(self) -> int:
        """Who runs next; it must be charged before the next pick. Raises LookupError when there is no client."""
        for _ in range(2):  # when all that seemed eligible was not, the mean has fallen and others are
            while self._ahead and self._is_eligible(self._ahead[0][0]):
                _, client, version = heappop(self._ahead)
                each = self._clients.get(client)
                if each is not None and each.version == version:
                    heappush(self._eligible, (each.deadline, client, version))
            while self._eligible:
                _, client, version = heappop(self._eligible)
                each = self._clients.get(client)
                if each is None or each.version != version:
                    continue
                if self._is_eligible(each.time):
                    return client
                heappush(self._ahead, (each.time, client, version))
        raise LookupError("nobody is waiting in the queue")

    def charge(self, client: int, ticks: int, weight: int | None = None) -> None:
        """The picked client has run for so many ticks. weight: its weight from now on, the same when None."""
        each = self._clients[client]
        self._ideal += ticks * _TICK // self._weights
        used = self.service_time(ticks, each.weight)
        each.time += used
        self._weighted_times += each.weight * used
        if weight is not None and weight != each.weight:
            self._check(weight)
            time = self._time()
            lag = self._bounded(each.weight * (time - each.time))
            self._drop(client)
            self._add(client, weight, time - lag // weight)
        else:  # each slice is a request of its own, also after one that ended early
            each.deadline = each.time + self.service_time(self.slice_ticks, each.weight)
        self._enter(client)

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _time(self) -> int:
        return self._weighted_times // self._weights if self._weights else self._time_when_empty

    def _is_eligible(self, time: int) -> bool:
        return time * self._weights <= self._weighted_times

    def _bounded(self, lag: int) -> int:
        return max(-self._most_lag, min(lag, self._most_lag))

    def _add(self, client: int, weight: int, time: int) -> None:
        self._clients[client] = _Client(weight, time, time + self.service_time(self.slice_ticks, weight))
        self._weights += weight
        self._weighted_times += weight * time

    def _drop(self, client: int) -> None:
        each = self._clients.pop(client)
        self._time_when_empty = self._time()
        self._weights -= each.weight
        self._weighted_times -= each.weight * each.time

    def _enter(self, client: int) -> None:
        each = self._clients[client]
        self._version += 1
        each.version = self._version
        heappush(self._ahead, (each.time, client, each.version))

    @staticmethod
    def _check(weight: int) -> None:
        if not ONE <= weight <= MAX_WEIGHT:
            raise ValueError(f"weight {weight} is outside of {ONE} to {MAX_WEIGHT}")
