"""A scheduler lets machines wait for each other, and notices when none of them can go on."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from vac.devices.message_bus import MessageBus
from vac.devices.net import Net
from vac.devices.qwave import QWave
from vac.golden.model import GoldenMachine
from vac.scheduler.executors import OneEach
from vac.scheduler.quota import Quota, StopCause
from vac.scheduler.scheduler import Scheduler

from .test_bus import EXPECTED, IMAGES, LATENCY


def scheduled(slice_ticks: int, order: Sequence[int], quotas: dict[int, Quota] | None = None) -> Scheduler:
    scheduler = Scheduler(OneEach(GoldenMachine), slice_ticks=slice_ticks)
    net, qwave = MessageBus(LATENCY), MessageBus(LATENCY)
    for number in order:
        device = Net(net, number, {(number + 1) % 3}, capacity=9) if number < 3 else QWave(qwave, number, capacity=9)
        scheduler.add(
            IMAGES[number],
            name=str(number),
            quota=(quotas or {}).get(number),
            devices={0x40 if number < 3 else 0x20: device},
        )
    return scheduler


def results(scheduler: Scheduler) -> list[tuple[int | None, str]]:
    machines = sorted(scheduler.machines, key=lambda vm: vm.name)
    return [(vm.host.machine.state().digest, vm.host.input_log.to_text()) for vm in machines]


@settings(max_examples=12)
@given(st.integers(1, 300), st.permutations(range(5)), st.lists(st.integers(1, 400), max_size=4))
def test_scheduling_changes_nothing(slice_ticks: int, order: list[int], stops: list[int]) -> None:
    with scheduled(slice_ticks, order) as scheduler:
        for until in sorted(stops):
            scheduler.run(until)
        scheduler.run()
        assert all(vm.stop is StopCause.HALTED for vm in scheduler.machines)
        assert results(scheduler) == EXPECTED


@settings(max_examples=8)
@given(st.integers(1, 100))
def test_machines_that_wait_for_one_that_stopped_stop_as_well(slice_ticks: int) -> None:
    with scheduled(slice_ticks, range(5), {2: Quota(max_ticks=10)}) as scheduler:
        scheduler.run()
        stops = [vm.stop for vm in scheduler.machines]
        assert stops == [StopCause.PEERS, StopCause.PEERS, StopCause.TICKS, StopCause.HALTED, StopCause.HALTED]
        scheduler.resume(scheduler.machines[2], Quota())
        for number in (0, 1):
            scheduler.resume(scheduler.machines[number])
        scheduler.run()
        assert results(scheduler) == EXPECTED
