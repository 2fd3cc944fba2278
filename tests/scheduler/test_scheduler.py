"""Quotas, accounts, shares and what the scheduler refuses."""

from __future__ import annotations

import pytest

from vac.assembler.assemble import assemble
from vac.engines.registry import create_machine
from vac.golden.model import GoldenMachine
from vac.host.session import Host
from vac.image.image import Image
from vac.machine.protocol import Leaf, MachineError, Stop
from vac.memory.address import PageKey
from vac.memory.errors import TierUnavailable
from vac.memory.page import Page
from vac.memory.page_store import Level, PageStore
from vac.memory.pager import Pager
from vac.memory.policy import PolicyOptions
from vac.memory.tier import RamTier
from vac.scheduler.accounts import Report
from vac.scheduler.errors import MachineEnded, QuotaError, SchedulerClosed, SchedulerError
from vac.scheduler.executors import OneEach, SharedCore
from vac.scheduler.quota import Quota, StopCause
from vac.scheduler.scheduler import Scheduler
from vac.scheduler.weight import ONE

from .loads import CALM, ERRATIC, TALKER, alone, among, mix, toucher

CALM_IMAGE, ERRATIC_IMAGE = assemble(CALM), assemble(ERRATIC)


def beams_kept() -> OneEach:
    return OneEach("fast", keeps_beams=True)


# ---- shares ----------------------------------------------------------------------------------------------------------


def test_a_calm_machine_gets_more_than_an_erratic_one_and_none_starves() -> None:
    with Scheduler(slice_ticks=1000) as scheduler:
        vms = [scheduler.add(CALM_IMAGE if number % 2 else ERRATIC_IMAGE) for number in range(8)]
        report = scheduler.run(4_000_000)
        erratic, calm = vms[0].account, vms[1].account
        assert ONE <= vms[0].weight < 2.5 * ONE and vms[1].weight > 3.9 * ONE
        assert calm.ticks > 1.6 * erratic.ticks > 0
        assert report.jain >= 0.999
        assert 0 < report.largest_gap <= 2 * 4 * 8 * 1000
        assert report.clock == sum(account.ticks for account in report.accounts) >= 4_000_000
        assert str(report).startswith("8 machines, 4000000 ticks, 8 can go on (none stopped)")


def test_accounts_say_who_waited_how_long() -> None:
    with Scheduler(OneEach("golden"), slice_ticks=100) as scheduler:
        first, second = scheduler.add(CALM_IMAGE, name="first"), scheduler.add(CALM_IMAGE, name="second")
        scheduler.run(400)
        assert (first.account.slices, second.account.slices) == (2, 2)
        assert (first.account.waits, first.account.waited, first.account.largest_gap) == (1, 100, 100)
        assert (second.account.waits, second.account.waited, second.account.largest_gap) == (2, 200, 100)


# ---- quotas ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "quota", "larger", "cause"),
    [
        (mix(1), Quota(max_ticks=200), Quota(), StopCause.TICKS),
        (mix(1), Quota(deadline=300), Quota(deadline=100_000), StopCause.DEADLINE),
        (mix(1), Quota(max_beams=100), Quota(max_beams=1000), StopCause.BEAMS),
        (assemble(TALKER), Quota(max_io_per_slice=3), Quota(max_io_per_slice=50), StopCause.IO),
        (toucher(6), Quota(max_resident_pages=3), Quota(max_resident_pages=8), StopCause.RESIDENT_PAGES),
    ],
)
@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("is_paged", [False, True])
def test_a_machine_over_its_quota_stops_by_name_and_goes_on_with_a_larger_one(
    program: Image, quota: Quota, larger: Quota, cause: StopCause, is_shared: bool, is_paged: bool
) -> None:
    machine = create_machine("golden")
    host = Host(machine, program, seed=1)
    host.run(1 << 40)
    expected = machine.drain_beams(), repr(machine.state().sqi), machine.state().data_stack
    assert len(expected[0]) > 150 * 16
    executor = SharedCore(create_machine("fast"), keeps_beams=True) if is_shared else beams_kept()
    pager = Pager(PageStore.in_ram(4096), 64) if is_paged else None
    with Scheduler(executor, pager=pager, slice_ticks=1000) as scheduler:
        vm = scheduler.add(program, quota=quota, seed=1)
        other = scheduler.add(mix(2), seed=2)
        scheduler.run()
        assert vm.stop is cause
        assert 0 < vm.account.ticks < len(expected[0]) // 16
        if quota.max_ticks:
            assert vm.account.ticks == quota.max_ticks
        if quota.max_beams:
            assert vm.account.ticks == quota.max_beams
        if quota.max_io_per_slice:
            assert vm.account.answers == quota.max_io_per_slice
        assert other.stop is StopCause.HALTED and among(other) == alone(2)
        if cause in (StopCause.TICKS, StopCause.DEADLINE, StopCause.BEAMS):
            with pytest.raises(QuotaError, match="would stop at once"):
                scheduler.resume(vm, quota)
            assert vm.stop is cause
        scheduler.resume(vm, larger)
        scheduler.run()
        assert vm.stop is StopCause.HALTED
        state = vm.machine.state()
        assert (vm.take_beams(), repr(state.sqi), state.data_stack) == expected


def test_no_more_beams_are_kept_than_the_quota_says_and_taking_them_makes_room() -> None:
    with Scheduler(beams_kept(), slice_ticks=64) as scheduler:
        vm = scheduler.add(mix(1), quota=Quota(max_beams=100), seed=1)
        beams = b""
        while vm.stop is not StopCause.HALTED:
            scheduler.run()
            part = vm.take_beams()
            assert len(part) <= 100 * 16
            beams += part
            if vm.stop is StopCause.BEAMS:
                scheduler.resume(vm)
        assert beams == alone(1).beams


def test_a_consumer_gets_the_beams_of_each_slice() -> None:
    parts: list[bytes] = []
    with Scheduler(SharedCore(create_machine("fast"), keeps_beams=True), slice_ticks=64) as scheduler:
        vm = scheduler.add(mix(1), quota=Quota(max_beams=64), on_beams=parts.append, seed=1)
        scheduler.add(mix(2), seed=2)
        scheduler.run()
        assert vm.stop is StopCause.HALTED and vm.take_beams() == b""
    assert b"".join(parts) == alone(1).beams and max(map(len, parts)) == 64 * 16


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_machines_take_turns_when_their_working_sets_do_not_fit_together() -> None:
    pager = Pager(PageStore.in_ram(4096), 19, PolicyOptions(prefetch=None))
    shared: list[int] = []
    with Scheduler(beams_kept(), pager=pager, slice_ticks=100, turn_slices=2) as scheduler:
        vms = [scheduler.add(toucher(8), seed=1) for _ in range(9)]

        def watch(report: Report) -> None:
            running = [vm.paged for vm in vms if vm.paged and pager.resident_pages(vm.paged)]
            shared.append(len(running))
            assert sum(map(pager.working_set, running)) <= pager.frames or len(running) == 1

        report = scheduler.run(on_progress=watch, progress_slices=1)
        alone_machine = create_machine("golden")
        Host(alone_machine, toucher(8)).run(1 << 40)
        expected = alone_machine.drain_beams()
        assert all(vm.stop is StopCause.HALTED and vm.take_beams() == expected for vm in vms)
        assert all(account.dismissals for account in report.accounts[:5])
        assert 1 <= max(shared) <= 4
        assert pager.statistics().fetched > 0  # nothing is fetched ahead here: these are working sets that came back
        # Whoever waits is passed by the turns of those in front, each of at most two slices by weight and one more.
        assert report.largest_gap <= 9 * (2 * 4 + 2) * 100


def test_frames_are_free_when_a_machine_has_stopped() -> None:
    pager = Pager(PageStore.in_ram(4096), 64)
    with Scheduler(beams_kept(), pager=pager) as scheduler:
        vm = scheduler.add(toucher(8))
        scheduler.run()
        assert vm.paged and pager.resident_pages(vm.paged) == 0
        root = vm.paged.state_root()
        assert root == vm.paged.state_root()
    assert pager.statistics().misses == 0  # nobody is attached any more


def test_a_tier_that_fails_stops_machines_that_can_go_on_later() -> None:
    class Tier(RamTier):
        is_down = False

        def get_page(self, key: PageKey) -> Page:
            if self.is_down:
                raise TierUnavailable(self.name, "down")
            return super().get_page(key)

    tier = Tier(4096)
    pager = Pager(PageStore([Level(tier)]), 19)
    with Scheduler(beams_kept(), pager=pager, slice_ticks=100, turn_slices=1) as scheduler:
        vms = [scheduler.add(toucher(8)) for _ in range(4)]
        scheduler.run(2000)
        tier.is_down = True
        report = scheduler.run()
        assert {account.stop for account in report.accounts} <= {StopCause.PAGING, StopCause.HALTED}
        stopped = [vm for vm in vms if vm.stop is StopCause.PAGING]
        assert stopped and "down" in str(stopped[0].error)
        tier.is_down = False
        for vm in stopped:
            scheduler.resume(vm)
        scheduler.run()
        assert len({vm.take_beams() for vm in vms}) == 1
        assert all(vm.stop is StopCause.HALTED and vm.error is None for vm in vms)


# ---- failures --------------------------------------------------------------------------------------------------------


def test_an_engine_that_fails_stops_its_machine_only() -> None:
    class Broken(GoldenMachine):
        def run(self, until_tick: int) -> Stop:
            raise MachineError("the line is cut")

    with Scheduler(beams_kept(), slice_ticks=100) as scheduler:
        bad = scheduler.add(mix(1), executor=OneEach(Broken, keeps_beams=True))
        good = scheduler.add(mix(2), seed=2)
        scheduler.run()
        assert bad.stop is StopCause.FAILED and "the line is cut" in str(bad.error)
        assert among(good) == alone(2)
        with pytest.raises(MachineEnded, match="the engine failed"):
            scheduler.resume(bad)


def test_what_a_consumer_raises_comes_out_and_the_run_goes_on() -> None:
    parts: list[bytes] = []

    def consume(beams: bytes) -> None:
        parts.append(beams)
        if len(parts) == 3:
            raise OSError("disk full")

    with Scheduler(beams_kept(), slice_ticks=100) as scheduler:
        scheduler.add(mix(1), on_beams=consume, seed=1)
        with pytest.raises(OSError, match="disk full"):
            scheduler.run()
        assert scheduler.clock == 300
        scheduler.run()
    assert b"".join(parts) == alone(1).beams


class Small(GoldenMachine):
    """The definition with room for four leaves."""

    def install(self, slot: int, number: int, leaf: Leaf) -> None:
        if len(self.leaves()) >= 4:
            raise MachineError("all frames are taken")
        super().install(slot, number, leaf)


def test_a_core_without_room_leaves_the_machine_where_it_is() -> None:
    small = SharedCore(Small(), keeps_beams=True)
    with Scheduler(beams_kept(), slice_ticks=100) as scheduler:
        vm, tenant = scheduler.add(toucher(8)), scheduler.add(mix(1), executor=small, seed=1)
        scheduler.run(600)
        leaves = vm.machine.leaves()
        with pytest.raises(MachineError, match="all frames are taken"):
            scheduler.move(vm, small)
        assert vm.machine.leaves() == leaves and len(leaves) > 4 and small.core.leaves() == []
        scheduler.run()
        assert among(tenant) == alone(1) and vm.stop is StopCause.HALTED
        with pytest.raises(SchedulerError, match="one side only"):
            scheduler.move(vm, OneEach("fast"))


def test_a_pager_lets_a_machine_move_to_a_core_with_less_room() -> None:
    small = SharedCore(Small(), keeps_beams=True)
    machine = create_machine("golden")
    Host(machine, toucher(8)).run(1 << 40)
    with Scheduler(beams_kept(), pager=Pager(PageStore.in_ram(4096), 19), slice_ticks=100) as scheduler:
        vm = scheduler.add(toucher(8))
        scheduler.run(600)
        assert len(vm.machine.leaves()) > 4
        scheduler.move(vm, small)
        scheduler.run()
        assert vm.stop is StopCause.HALTED and vm.take_beams() == machine.drain_beams()


# ---- the interface ------------------------------------------------------------------------------------------------


def test_a_run_can_be_interrupted_watched_and_continued() -> None:
    seen: list[Report] = []
    with Scheduler(OneEach("golden"), slice_ticks=50) as scheduler:
        scheduler.add(CALM_IMAGE)

        def watch(report: Report) -> None:
            seen.append(report)
            scheduler.interrupt()

        assert scheduler.run(on_progress=watch, progress_slices=4).clock == 200
        assert scheduler.run(1000).clock == 1000
        assert [report.clock for report in seen] == [200]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="turns of 0"):
        Scheduler(turn_slices=0)
    scheduler = Scheduler(OneEach("golden"))
    with pytest.raises(QuotaError, match="max_ticks is 0"):
        scheduler.add(mix(1), quota=Quota(max_ticks=0))
    with pytest.raises(SchedulerError, match="seed"):
        scheduler.add(lambda machine: Host(machine, mix(1)), seed=1)
    assert scheduler.machines == []
    vm = scheduler.add(lambda machine: Host(machine, mix(1), seed=1))
    with pytest.raises(SchedulerError, match="has not stopped"):
        scheduler.resume(vm)
    scheduler.run()
    with pytest.raises(MachineEnded, match="halted"):
        scheduler.resume(vm, Quota())
    scheduler.close()
    scheduler.close()
    for call in (scheduler.run, lambda: scheduler.add(mix(1)), lambda: scheduler.resume(vm)):
        with pytest.raises(SchedulerClosed):
            call()
