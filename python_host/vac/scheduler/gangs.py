"""Which machines may use memory at the same time: as many as their working sets fit into the pager's frames."""

from __future__ import annotations

from collections import deque
from contextlib import suppress

from ..memory.errors import PagingError
from ..memory.pager import Pager
from .quota import StopCause
from .virtual_machine import VirtualMachine
from .weight import ONE

LEAST_PAGES = 4
"""What a machine is taken to need before it has run: code, its table, two pages of data."""


class Gangs:
    """Machines are admitted in the order they came; one that has had its turn goes to the end when others wait.

    turn_ticks: what a machine of weight ONE runs while it is admitted and others wait; by weight more. Nobody passes
    the head of the line, and every turn ends: so each wait is bounded by the turns of those in front.
    """

    def __init__(self, pager: Pager, turn_ticks: int) -> None:
        self._pager = pager
        self._turn_ticks = turn_ticks
        self._waiting: deque[VirtualMachine] = deque()
        self._admitted: dict[int, VirtualMachine] = {}
        self._turn_ends: dict[int, int] = {}

    def arrive(self, vm: VirtualMachine) -> None:
        """To the end of the line."""
        self._waiting.append(vm)

    def leave(self, vm: VirtualMachine) -> None:
        """It has stopped: its frames are free for others."""
        if self._admitted.pop(vm.number, None):
            self._demote(vm)
        else:
            self._waiting.remove(vm)

    def dismissed(self, vm: VirtualMachine) -> list[VirtualMachine]:
        """Who has to go after a slice of this machine: itself when its turn is over, the latest when all together have
        come to need too much."""
        gone: list[VirtualMachine] = []
        if self._waiting and vm.number in self._admitted and vm.account.ticks >= self._turn_ends[vm.number]:
            gone.append(self._admitted.pop(vm.number))
            self._waiting.append(vm)
        while len(self._admitted) > 1 and self._needed() > self._pager.frames:
            _, last = self._admitted.popitem()
            gone.append(last)
            self._waiting.appendleft(last)
        for each in gone:
            each.account.dismissals += 1
            self._demote(each)
        return gone

    def admitted(self) -> list[VirtualMachine]:
        """Who comes in now. One whose memory cannot be read stops with the cause PAGING instead."""
        come: list[VirtualMachine] = []
        needed = self._needed()
        while self._waiting:
            vm = self._waiting[0]
            if self._admitted and needed + self._need(vm) > self._pager.frames:
                break
            self._waiting.popleft()
            assert vm.paged
            try:
                self._pager.restore(vm.paged)
            except PagingError as error:
                vm.account.stop, vm.error = StopCause.PAGING, error
                continue
            needed += self._need(vm)
            self._admitted[vm.number] = vm
            self._turn_ends[vm.number] = vm.account.ticks + vm.weight * self._turn_ticks // ONE
            come.append(vm)
        return come

    def _needed(self) -> int:
        return sum(map(self._need, self._admitted.values()))

    def _need(self, vm: VirtualMachine) -> int:
        assert vm.paged
        return max(LEAST_PAGES, self._pager.working_set(vm.paged))

    def _demote(self, vm: VirtualMachine) -> None:
        assert vm.paged
        with suppress(PagingError):  # what could not be written is kept and goes with the next page
            self._pager.demote(vm.paged)
