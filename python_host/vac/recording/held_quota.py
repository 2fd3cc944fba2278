"""What a recording is held to, so that it stops at the same place however often it was cut off and resumed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from ..checkpoint.memory_map import key_of
from ..devices.device import DeviceStateError
from ..host.residency import Residency
from ..host.session import Host
from ..machine.protocol import Stop
from ..memory.pager import Pager
from ..scheduler.guarded_machine import GuardedMachine
from ..scheduler.quota import DEFAULT_SLICE_TICKS, Quota, QuotaReached, StopCause
from ..scheduler.resident_pages import Place, pages_with, used_pages

QUOTA = "quota"
"""Among the options in `recording.json`: the limits by name."""
PAGES = "pages"
"""In a checkpoint, beside what the host holds: the pages in use where their number is limited."""


class HeldQuota:
    """Stops a host that is being recorded where its quota does not let it go on.

    All that counts is in the recording: ticks, beams from `first_tick` on (one a tick), and requests as its log has
    them, in slices that end at each multiple of DEFAULT_SLICE_TICKS. For pages in use the host's machine is asked.
    is_enforced: False where another one stops the host; then it only says what to save.
    """

    def __init__(
        self, quota: Quota, host: Host, first_tick: int, pager: Pager | None, is_enforced: bool = True
    ) -> None:  # fmt: skip
        self.quota = quota
        self._host = host
        self._pager = pager
        self._end: tuple[int, StopCause] | None = None
        if not is_enforced:
            return
        ends: list[tuple[int, StopCause]] = []
        if quota.max_ticks is not None:
            ends.append((quota.max_ticks, StopCause.TICKS))
        if quota.max_beams is not None:
            ends.append((first_tick + quota.max_beams, StopCause.BEAMS))
        self._end = min(ends, key=lambda end: end[0], default=None)
        if quota.max_io_per_slice is not None or quota.max_resident_pages is not None:
            machine = GuardedMachine(host.machine)
            machine.guard = self._check
            host.machine = machine

    def limit(self, tick: int) -> int:
        """The last tick that the machine may come to on its way to this one."""
        return tick if self._end is None else min(tick, self._end[0])

    def cause_at(self, tick: int) -> StopCause | None:
        """What keeps a machine at this tick from one more."""
        return self._end[1] if self._end and tick >= self._end[0] else None

    def saved(self) -> dict[str, Any]:
        """What it takes beside `Host.save` to count on from here, as JSON values."""
        if self.quota.max_resident_pages is None:
            return {}
        return saved_pages(used_pages(self._host.machine, self._host.memory.paged, self._pager))

    def _check(self, stop: Stop) -> None:
        """Raises QuotaReached."""
        quota, host = self.quota, self._host
        if stop.miss:
            most = quota.max_resident_pages
            if most is not None and pages_with(host.machine, host.memory.paged, self._pager, stop.miss) > most:
                raise QuotaReached(StopCause.RESIDENT_PAGES)
        elif stop.event and quota.max_io_per_slice is not None:
            entries, slice_start = host.input_log.entries, stop.event.tick // DEFAULT_SLICE_TICKS * DEFAULT_SLICE_TICKS
            if len(entries) - bisect_left(entries, slice_start, key=lambda entry: entry.tick) >= quota.max_io_per_slice:
                raise QuotaReached(StopCause.IO)


def saved_pages(places: Iterable[Place]) -> dict[str, Any]:
    """Pages in use, as what `restore_pages` takes: for each run of neighbours slot, first leaf and last leaf."""
    runs: list[list[int]] = []
    for slot, leaf in sorted(places):
        if runs and (runs[-1][0], runs[-1][2]) == (slot, leaf - 1):
            runs[-1][2] = leaf
        else:
            runs.append([slot, leaf, leaf])
    return {PAGES: runs}


def restore_pages(saved: Mapping[str, Any], residency: Residency) -> None:
    """Gives a machine again what it had. Raises DeviceStateError where that cannot be, PagingError."""
    try:
        places = [(slot, leaf) for slot, first, last in saved.get(PAGES, ()) for leaf in range(first, last + 1)]
        for slot, leaf in places:
            key_of(slot, leaf)
    except (TypeError, ValueError) as error:
        raise DeviceStateError(f"the pages in use are damaged: {error}") from error
    for slot, leaf in places:
        residency.make_resident([(slot, leaf, leaf)])


def limits_to_json(quota: Quota) -> dict[str, int]:
    """The limits that there are, by name."""
    return {field.name: limit for field in fields(quota) if (limit := getattr(quota, field.name)) is not None}


def limits_from_json(limits: Mapping[str, Any]) -> Quota:
    """Raises TypeError or ValueError for what `limits_to_json` does not give."""
    for name, limit in limits.items():
        if type(limit) is not int or not 0 < limit < 1 << 64:
            raise ValueError(f"a quota {name} of {limit!r}")
    return Quota(**limits)
