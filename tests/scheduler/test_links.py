"""A board that does not answer stops its own machine, and nobody else's."""

from __future__ import annotations

import pytest

from vac.golden.model import GoldenMachine
from vac.link.session import LinkError
from vac.machine.protocol import Leaf, Stop
from vac.machine.state import State
from vac.memory.errors import PageLost
from vac.memory.page_store import PageStore
from vac.memory.pager import Pager
from vac.scheduler.errors import MachineEnded, SchedulerError
from vac.scheduler.executors import OneEach, SharedCore
from vac.scheduler.quota import StopCause
from vac.scheduler.scheduler import Scheduler

from .loads import alone, among, mix, toucher


class Unplugged(GoldenMachine):
    """A core whose cable can be pulled: from then on it answers nothing."""

    is_pulled = False

    def _need(self) -> None:
        if self.is_pulled:
            raise LinkError("no answer to READ after 8 attempts")

    def run(self, until_tick: int) -> Stop:
        self._need()
        return super().run(until_tick)

    def state(self) -> State:
        self._need()
        return super().state()

    def leaves(self) -> list[tuple[int, int]]:
        self._need()
        return super().leaves()

    def evict(self, slot: int, number: int) -> Leaf:
        self._need()
        return super().evict(slot, number)

    def read_leaf(self, slot: int, number: int) -> Leaf:
        self._need()
        return super().read_leaf(slot, number)

    def drain_beams(self) -> bytes:
        self._need()
        return super().drain_beams()


@pytest.mark.parametrize("is_paged", [False, True])
def test_a_failed_link_stops_its_machine_by_name(is_paged: bool) -> None:
    boards: list[Unplugged] = []

    def board() -> Unplugged:
        boards.append(Unplugged())
        return boards[-1]

    pager = Pager(PageStore.in_ram(4096), 19) if is_paged else None
    with Scheduler(OneEach("fast", keeps_beams=True), pager=pager, slice_ticks=60) as scheduler:
        bad = scheduler.add(mix(1), executor=OneEach(board, keeps_beams=True), seed=1)
        good = [scheduler.add(mix(seed), seed=seed) for seed in (2, 3, 4)]
        scheduler.run(500)
        boards[0].is_pulled = True
        report = scheduler.run()
        assert bad.stop is StopCause.LINK and "no answer to READ" in str(bad.error)
        assert report.accounts[0].stop is StopCause.LINK and report.runnable == 0
        assert [among(vm) for vm in good] == [alone(seed) for seed in (2, 3, 4)]
        with pytest.raises(MachineEnded, match="the link to its engine failed"):
            scheduler.resume(bad)
        if bad.paged:
            with pytest.raises((LinkError, PageLost)):
                bad.paged.state_root()
    if pager:
        pager.close()


def test_others_pages_are_served_when_a_silent_board_holds_the_frames() -> None:
    board = Unplugged()
    pager = Pager(PageStore.in_ram(4096), 19)
    with Scheduler(OneEach("fast", keeps_beams=True), pager=pager, slice_ticks=100, turn_slices=1000) as scheduler:
        bad = scheduler.add(toucher(4), executor=OneEach(lambda: board, keeps_beams=True))
        scheduler.run(300)
        assert bad.paged and pager.resident_pages(bad.paged) >= 5
        board.is_pulled = True
        bad.account.stop = StopCause.DEADLINE  # never asked again: only its frames are
        good = scheduler.add(toucher(14))
        assert bad.stop
        scheduler._settle(bad)
        scheduler.run()
        assert good.stop is StopCause.HALTED
        with pytest.raises((LinkError, PageLost)):
            bad.paged.state_root()


def test_machines_saved_from_a_shared_core_can_move_when_its_link_fails() -> None:
    core = Unplugged()
    shared = SharedCore(core, keeps_beams=True)
    with Scheduler(shared, slice_ticks=60) as scheduler:
        vms = [scheduler.add(mix(seed), name=f"m{seed}", seed=seed) for seed in range(4)]
        scheduler.run(600)
        core.is_pulled = True
        scheduler.run()
        assert all(vm.stop is StopCause.LINK for vm in vms)
        lost = [vm for vm in vms if vm.machine.is_lost]
        assert len(lost) == 1
        elsewhere = OneEach("fast", keeps_beams=True)
        for vm in vms:
            if vm in lost:
                with pytest.raises(MachineEnded):
                    scheduler.resume(vm)
                continue
            scheduler.move(vm, elsewhere)
            scheduler.resume(vm)
        scheduler.run()
        for seed, vm in enumerate(vms):
            assert vm in lost or (vm.stop is StopCause.HALTED and among(vm) == alone(seed))


def test_a_pager_is_looked_at_before_it_is_taken() -> None:
    pager = Pager(PageStore.in_ram(4096), 19)
    with pytest.raises(SchedulerError, match="a PageStore is no pager"):
        Scheduler(pager=pager.store)  # pyright: ignore[reportArgumentType]
    pager.attach(GoldenMachine())
    with pytest.raises(SchedulerError, match="serves 1 machines already"):
        Scheduler(pager=pager)
    pager.close()
    with pytest.raises(SchedulerError, match="the pager is closed"):
        Scheduler(pager=pager)
    other = Pager(PageStore.in_ram(4096), 19)
    with Scheduler(pager=Pager(PageStore.in_ram(4096), 19)) as scheduler:
        with pytest.raises(SchedulerError, match="memory of vm0 is under another pager"):
            scheduler.add(mix(1), pager=other)
        assert scheduler.machines == []
