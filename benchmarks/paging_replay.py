"""Recorded accesses through VAC's own paging policy."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.paging_loads import Load, Pages
from vac.memory.policy import PageId, PagingPolicy, PolicyOptions


@dataclass(frozen=True)
class Replay:
    """Counts of one replay. stalls: accesses to a page that was not there, a working set brought back counted as one.
    batches: reads, of one page or of several together; without a read in the background the machine waits for each.
    reads: pages read in all. fetched, used: pages read ahead of their use, and those of them that were used."""

    accesses: int
    stalls: int
    batches: int
    reads: int
    fetched: int
    used: int
    seconds: float

    @property
    def stall_ratio(self) -> float:
        """Stalls per access."""
        return self.stalls / self.accesses


def replay(load: Load, frames: int, options: PolicyOptions | None = None) -> Replay:
    """Every access is seen by the policy."""
    policy = PagingPolicy(frames, options)
    stalls = batches = fetched = used = 0
    began = time.process_time()
    for machine, page in load.accesses():
        decision = policy.access(machine, page)
        stalls += not decision.is_hit
        used += decision.was_ahead
        fetched += len(decision.fetched)
        batches += not decision.is_hit or bool(decision.fetched)
    seconds = time.process_time() - began
    return Replay(len(load), stalls, batches, stalls + fetched, fetched, used, seconds)


def replay_faults(load: Load, frames: int, options: PolicyOptions | None = None) -> Replay:
    """As an engine makes it seen: a page that was used is mapped, and its further uses go unseen until it nears the end
    of its queue and is unmapped."""
    policy = PagingPolicy(frames, options)
    mapped: set[PageId] = set()
    stalls = batches = fetched = used = 0
    watched = max(1, frames // 16)
    recent: deque[PageId] = deque(maxlen=3)
    began = time.process_time()
    for access in load.accesses():
        if access in mapped:
            continue
        decision = policy.access(*access, recent)
        recent.append(access)
        mapped.difference_update(decision.evicted)
        mapped.add(access)
        mapped.difference_update(page for page in policy.next_victims(watched) if page not in recent)
        stalls += not decision.is_hit
        used += decision.was_ahead
        fetched += len(decision.fetched)
        batches += not decision.is_hit or bool(decision.fetched)
    seconds = time.process_time() - began
    return Replay(len(load), stalls, batches, stalls + fetched, fetched, used, seconds)


def replay_gangs(
    each: Sequence[Pages], frames: int, gang: int, epoch: int, slice_accesses: int, *, restores: bool = True
) -> Replay:
    """The tenants' accesses with `gang` of them admitted at a time, for `epoch` accesses each, in slices in turn; then
    the next ones. Who leaves is demoted, who comes is restored, or not."""
    policy = PagingPolicy(frames)
    places = [0] * len(each)
    waiting = deque(range(len(each)))
    stalls = batches = fetched = used = reads = accesses = 0
    began = time.process_time()
    while waiting:
        admitted = [waiting.popleft() for _ in range(min(gang, len(waiting)))]
        for machine in admitted:
            brought = len(policy.restore(machine).fetched) if restores else 0
            reads += brought
            stalls += brought > 0
            batches += brought > 0
        for _ in range(epoch // slice_accesses):
            for machine in admitted:
                place = places[machine]
                part = each[machine][place : place + slice_accesses].tolist()
                places[machine] = place + len(part)
                accesses += len(part)
                for page in part:
                    decision = policy.access(machine, page)
                    stalls += not decision.is_hit
                    used += decision.was_ahead
                    fetched += len(decision.fetched)
                    reads += len(decision.fetched) + (not decision.is_hit)
                    batches += not decision.is_hit or bool(decision.fetched)
        for machine in admitted:
            policy.demote(machine)
            if places[machine] < len(each[machine]):
                waiting.append(machine)
    return Replay(accesses, stalls, batches, reads, fetched, used, time.process_time() - began)
