"""Where slices run side by side: a queue for this process, and one for each worker process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from ..engines.registry import EngineError
from ..machine.protocol import MachineError
from .fair_queue import FairQueue
from .virtual_machine import VirtualMachine
from .weight import ONE
from .worker_pool import WorkerSlot

_SLICES_BETWEEN_BALANCES = 32
"""Of each lane. Moving a machine costs about as much as two slices."""
_WORTH_MOVING = 8
"""Slices that lanes may be apart."""
_LAG_SLICES = 64
"""What a machine that changes over may be owed."""


@dataclass(eq=False, slots=True)
class Lane:
    """slot: the worker's; None for this process. running: whose slice is under way."""

    slot: WorkerSlot | None
    queue: FairQueue
    running: VirtualMachine | None = None


class Lanes:
    """Who is next in each lane, and who is to change over so that all get their shares.

    Inside a lane shares are the queue's. Lanes of a pool get apart where one has less weight in it, or a faster
    processor: then the machine that is owed most changes over to the lane that is ahead, and is served there first.
    """

    def __init__(self, slice_ticks: int) -> None:
        self._slice_ticks = slice_ticks
        self._lanes: dict[WorkerSlot | None, Lane] = {None: Lane(None, FairQueue(slice_ticks))}
        self._lane_of: dict[int, Lane] = {}
        self._members: dict[int, VirtualMachine] = {}
        self._ideal = 0
        self._slices = 0

    def __len__(self) -> int:
        return len(self._lane_of)

    def __contains__(self, vm: VirtualMachine) -> bool:
        return vm.number in self._lane_of

    def __iter__(self) -> Iterator[Lane]:
        yield from self._lanes.values()

    @property
    def ideal_time(self) -> int:
        """Virtual time of an engine that served the machines of all lanes at once, each by its weight."""
        return self._ideal

    def lane_of(self, vm: VirtualMachine) -> Lane:
        """The lane that it waits or runs in."""
        return self._lane_of[vm.number]

    def running(self) -> list[Lane]:
        """Lanes with a slice under way."""
        return [lane for lane in self._lanes.values() if lane.running]

    def service_time(self, ticks: int, weight: int) -> int:
        """Virtual time that a service takes."""
        return self._lanes[None].queue.service_time(ticks, weight)

    def join(self, vm: VirtualMachine, lag: int) -> None:
        """Waits from now on, in the lane of its engine; one that is new may be moved to an emptier one."""
        if vm.remote:
            loads = {slot: self._load(slot) for slot in vm.remote.slot.pool.slots}
            lightest = min(loads, key=lambda slot: loads[slot])
            if loads[vm.remote.slot] - loads[lightest] >= vm.weight:
                with suppress(MachineError, EngineError):  # it stays where it is, and its next slice says why
                    vm.remote.move_to_slot(lightest)
        self._enter(vm, lag)

    def leave(self, vm: VirtualMachine) -> int:
        """Returns its lag in ticks."""
        self._members.pop(vm.number)
        return self._lane_of.pop(vm.number).queue.leave(vm.number)

    def charge(self, vm: VirtualMachine, ticks: int, weight: int | None) -> None:
        """The slice of the machine that ran in this lane is over."""
        weights = sum(lane.queue.weights for lane in self._lanes.values())
        self._ideal += self.service_time(ticks, weights)
        lane = self._lane_of[vm.number]
        lane.queue.charge(vm.number, ticks, weight)
        lane.running = None
        self._slices += 1

    def is_balance_due(self) -> bool:
        """Whether it is time for `balance`."""
        return len(self._lanes) > 1 and self._slices >= _SLICES_BETWEEN_BALANCES * len(self._lanes)

    def balance(self, owed: dict[int, int]) -> None:
        """Moves one machine of each pool, where that helps. owed: to each, in virtual time, by number."""
        self._slices = 0
        for pool in {lane.slot.pool for lane in self._lanes.values() if lane.slot}:
            waiting: dict[WorkerSlot, list[VirtualMachine]] = {slot: [] for slot in pool.slots}
            for vm in self._members.values():
                lane = self._lane_of[vm.number]
                if lane.slot in waiting:
                    waiting[lane.slot].append(vm)
            means = {slot: sum(owed[vm.number] for vm in vms) // len(vms) for slot, vms in waiting.items() if vms}
            if not means:
                continue
            behind = max((slot for slot in means if len(waiting[slot]) > 1), key=means.__getitem__, default=None)
            ahead = next((slot for slot in pool.slots if slot not in means), None) or min(means, key=means.__getitem__)
            if behind is None or behind is ahead:
                continue
            apart = means[behind] - means.get(ahead, means[behind])
            if ahead in means and apart < self.service_time(_WORTH_MOVING * self._slice_ticks, ONE):
                continue
            movable = [vm for vm in waiting[behind] if self._lanes[behind].running is not vm]
            chosen = max(movable, key=lambda vm: owed[vm.number])
            self.leave(chosen)
            assert chosen.remote
            with suppress(MachineError, EngineError):
                chosen.remote.move_to_slot(ahead)
            self._enter(chosen, self._lanes[None].queue.service_ticks(owed[chosen.number], chosen.weight))

    def _load(self, slot: WorkerSlot) -> int:
        lane = self._lanes.get(slot)
        return lane.queue.weights if lane else 0

    def _enter(self, vm: VirtualMachine, lag: int) -> None:
        slot = vm.remote.slot if vm.remote else None
        lane = self._lanes.get(slot)
        if lane is None:
            lane = self._lanes[slot] = Lane(slot, FairQueue(self._slice_ticks, _LAG_SLICES))
        lane.queue.join(vm.number, vm.weight, lag)
        self._lane_of[vm.number] = lane
        self._members[vm.number] = vm
