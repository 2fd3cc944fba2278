"""A scheduler lets machines wait for each other, and notices when none of them can go on."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from vac.devices.message_bus import MessageBus
from vac.devices.net import Net
from vac.devices.qwave import QWave
from vac.golden.model import GoldenMachine
from vac.memory.page_store import PageStore
from vac.memory.pager import Pager, least_frames
from vac.scheduler.executors import Executor, OneEach, SharedCore
from vac.scheduler.quota import Quota, StopCause
from vac.scheduler.scheduler import Scheduler
from vac.scheduler.worker_pool import WorkerPool

from .test_bus import EXPECTED, IMAGES, LATENCY


def scheduled(
    slice_ticks: int,
    order: Sequence[int],
    quotas: dict[int, Quota] | None = None,
    executor: Executor | None = None,
    pager: Pager | None = None,
) -> Scheduler:
    scheduler = Scheduler(executor or OneEach(GoldenMachine), slice_ticks=slice_ticks, pager=pager, turn_slices=2)
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


def test_engines_in_worker_processes_change_nothing() -> None:
    with WorkerPool("fast", 2) as pool, scheduled(37, range(5), executor=pool) as scheduler:
        scheduler.run()
        assert results(scheduler) == EXPECTED


def test_one_core_for_all_changes_nothing() -> None:
    with scheduled(37, range(5), executor=SharedCore(GoldenMachine())) as scheduler:
        scheduler.run()
        assert results(scheduler) == EXPECTED


def test_machines_that_wait_for_memory_do_not_stop_those_that_wait_for_them() -> None:
    pager = Pager(PageStore.in_ram(4096), frames=least_frames(4096))
    with pager, scheduled(10, range(5), pager=pager) as scheduler:
        scheduler.run()
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


PING = """
.memory 4096
        lit {peer}; out 0x42
        k0; lit {letter}; st32 s, s
        lit 0x40; k0; k4; sys 1; drop
wait:   liw s, 5000; sys 4; drop
        in 0x40; bzs wait
        lit 0x40; k8; k4; sys 0; drop
        k8; ld32 s, s; out 0
        halt
"""


def vac(*words: object) -> None:
    command = [sys.executable, "-c", "from vac.cli import main; main()", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_packages_that_are_scheduled_together_talk(tmp_path: Path) -> None:
    caps = [word for name in ("console", "clock", "net") for word in ("--cap", name)]
    for name, peer in (("a", 1), ("b", 0)):
        (tmp_path / f"{name}.vasm").write_text(PING.format(peer=peer, letter=ord(name)))
        package = tmp_path / f"{name}.vac"
        vac("pack", tmp_path / f"{name}.vasm", "-o", package, *caps, "--device", f"0x40=net,peers={peer}",
            "--device", "0x00=console", "--device", "0x10=clock")  # fmt: skip
    vac("schedule", tmp_path / "a.vac", tmp_path / "b.vac", "--slice", 3, "--output", tmp_path / "shown")
    shown = {path.stem: path.read_bytes() for path in (tmp_path / "shown").iterdir()}
    assert shown == {"a": b"b", "b": b"a"}
