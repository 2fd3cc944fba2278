"""No machine can tell that others ran beside it, on what, or in which slices."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vac.engines.registry import create_machine
from vac.golden.model import GoldenMachine
from vac.host.session import Host
from vac.memory.page_store import PageStore
from vac.memory.pager import Pager
from vac.randomised.program import Program
from vac.randomised.strategies import programs
from vac.scheduler.executors import Executor, OneEach, SharedCore
from vac.scheduler.quota import StopCause
from vac.scheduler.scheduler import Scheduler

from .loads import alone, among, mix

EXECUTORS: dict[str, Callable[[], Executor]] = {
    "golden": lambda: OneEach("golden", keeps_beams=True),
    "fast": lambda: OneEach("fast", keeps_beams=True),
    "one golden core": lambda: SharedCore(create_machine("golden"), keeps_beams=True),
    "one fast core": lambda: SharedCore(create_machine("fast"), keeps_beams=True),
}


@settings(max_examples=40)
@given(
    st.permutations(range(6)),
    st.integers(20, 700),
    st.sampled_from(sorted(EXECUTORS)),
    st.sampled_from(sorted(EXECUTORS)),
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 900)), max_size=6),
    st.sampled_from((None, 19, 40)),
)
def test_slices_order_executors_moves_and_paging_do_not_show(
    order: list[int], slice_ticks: int, first: str, second: str, moves: list[tuple[int, int]], frames: int | None
) -> None:
    pager = Pager(PageStore.in_ram(4096), frames) if frames else None
    executors = [EXECUTORS[first](), EXECUTORS[second]()]
    with Scheduler(executors[0], pager=pager, slice_ticks=slice_ticks, turn_slices=2) as scheduler:
        vms = {seed: scheduler.add(mix(seed), name=f"m{seed}", seed=seed) for seed in order}
        for number, (seed, more) in enumerate(moves):
            scheduler.run(scheduler.clock + more)
            scheduler.move(vms[seed], executors[(number + 1) % 2])
        report = scheduler.run()
        assert report.runnable == 0
        for seed, vm in vms.items():
            assert vm.stop is StopCause.HALTED
            assert among(vm) == alone(seed)
            assert vm.account.ticks == len(alone(seed).beams) // 16


@settings(max_examples=25)
@given(st.lists(programs(30), min_size=1, max_size=4), st.integers(10, 300), st.sampled_from(sorted(EXECUTORS)))
def test_random_programs_end_as_they_do_alone(found: list[Program], slice_ticks: int, executor: str) -> None:
    with Scheduler(EXECUTORS[executor](), slice_ticks=slice_ticks) as scheduler:
        vms = [scheduler.add(program.host) for program in found]
        scheduler.run()
    for program, vm in zip(found, vms, strict=True):
        machine = GoldenMachine()
        host = program.host(machine)
        host.run(1 << 40)
        assert machine.state().differences(vm.machine.state()) == []
        assert machine.drain_beams() == vm.take_beams()
        assert host.payloads == vm.host.payloads and host.input_log.entries == vm.host.input_log.entries


@pytest.mark.rtl
def test_one_verilated_core_serves_three_machines_and_hands_one_over() -> None:
    core = SharedCore(create_machine("rtl"), keeps_beams=True)
    golden = OneEach("golden", keeps_beams=True)
    with Scheduler(core, slice_ticks=150) as scheduler:
        vms = [scheduler.add(mix(seed), seed=seed) for seed in range(3)]
        scheduler.run(600)
        scheduler.move(vms[0], golden)
        scheduler.run(1000)
        scheduler.move(vms[0], core)
        scheduler.run()
        assert core.switches > 6
        assert [among(vm) for vm in vms] == [alone(seed) for seed in range(3)]


def test_a_thousand_micro_machines_in_one_process() -> None:
    def digest(seed: int) -> int | None:
        machine = create_machine("fast", keeps_beams=False)
        Host(machine, mix(seed, 100), seed=seed).run(1 << 40)
        return machine.state().digest

    with Scheduler(slice_ticks=400) as scheduler:
        vms = [scheduler.add(mix(seed % 50, 100), seed=seed % 50) for seed in range(1000)]
        report = scheduler.run()
        assert report.runnable == 0 and len(report.accounts) == 1000
        expected = [digest(seed) for seed in range(50)]
        assert len(set(expected)) == 50
        for number, vm in enumerate(vms):
            assert vm.stop is StopCause.HALTED and vm.account.slices > 2
            assert vm.machine.state().digest == expected[number % 50]


def test_the_same_machines_run_in_the_same_order() -> None:
    def order() -> list[str]:
        found: list[str] = []

        def record(name: str) -> Callable[[bytes], None]:
            return lambda beams: found.append(f"{name} {len(beams)}")

        with Scheduler(OneEach("golden", keeps_beams=True), slice_ticks=100) as scheduler:
            for seed in range(5):
                scheduler.add(mix(seed), name=f"m{seed}", on_beams=record(f"m{seed}"))
            scheduler.run()
        return found

    assert order() == order()
