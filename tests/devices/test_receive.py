"""A machine that waits for a message: the same ticks are waited in whatever slices, order and processes."""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vac import VacImage, VacRuntime
from vac.assembler.assemble import assemble
from vac.devices.message_bus import MessageBus
from vac.devices.net import Net
from vac.devices.qwave import QWave
from vac.devices.waits import FOREVER, MOST_TICKS
from vac.engines.registry import create_machine
from vac.golden.model import GoldenMachine
from vac.host.input_log import InputLog
from vac.host.session import Host
from vac.image.image import Image
from vac.isa.ports import REFUSED
from vac.machine.protocol import StopReason
from vac.memory.page_store import PageStore
from vac.memory.pager import Pager, least_frames
from vac.policy.soul_law import SoulLaw
from vac.runtime.errors import NothingMoves
from vac.scheduler.executors import OneEach
from vac.scheduler.quota import StopCause
from vac.scheduler.scheduler import Scheduler
from vac.scheduler.worker_pool import WorkerPool

MACHINES = 4
LATENCY = 20

PEER = st.integers(0, MACHINES - 1)
LONGEST = st.sampled_from([0, 1, 19, 20, 21, 150, 700, FOREVER])
STEP = st.one_of(
    PEER.map(lambda peer: f"lit {peer}; out 0x42; lit 0x40; k0; k4; sys 1; emit"),
    st.integers(5, 6).map(lambda topic: f"lit {topic}; out 0x21; lit 0x20; k0; k4; sys 1; emit"),
    LONGEST.map(lambda ticks: f"lit32 {ticks}; out 0x46; in 0x46; emit; in 0x40; emit; lit 0x40; k0; k4; sys 0; emit"),
    LONGEST.map(lambda ticks: f"lit32 {ticks}; out 0x2A; in 0x2A; emit; in 0x20; emit; lit 0x20; k0; k4; sys 0; emit"),
    st.sampled_from([1, 30, 300]).map(lambda ticks: f"liw s, {ticks}; sys 4; drop"),
    st.just("in 0x40; emit; in 0x20; emit"),
)
PROGRAMS = st.lists(
    st.lists(STEP, max_size=6).map("\n".join), min_size=MACHINES, max_size=MACHINES
)  # fmt: skip
TURNS = st.lists(st.tuples(PEER, st.integers(1, 60)), max_size=10)


@dataclass
class Run:
    """All machines on both busses; with places, spread over so many pairs of busses that exchange their news."""

    images: list[Image]
    places: int = 1

    def __post_init__(self) -> None:
        self.busses = [(MessageBus(LATENCY), MessageBus(2 * LATENCY)) for _ in range(self.places)]
        self.hosts: list[Host] = []
        for number, image in enumerate(self.images):
            for place, busses in enumerate(self.busses):
                for bus in busses if place != number % self.places else ():
                    bus.expect(number)
            net, qwave = self.busses[number % self.places]
            devices: dict[int, Any] = {
                0x40: Net(net, number, range(MACHINES)),
                0x20: QWave(qwave, number, [5 + number % 2]),
            }
            self.hosts.append(Host(create_machine("golden"), image, devices=devices))

    def go(self, turns: list[tuple[int, int]]) -> list[tuple[StopReason, int | None, str]]:
        """Until nothing moves any more; how each machine ended, its digest and its log."""
        reasons = [StopReason.TICK] * len(self.hosts)
        quiet = 0
        while quiet < (60 if self.places > 1 else 2):  # other processes hear of each other's waits step by step
            has_moved = False
            for number, ticks in [*turns, *((number, 25) for number in range(len(self.hosts)))]:
                host = self.hosts[number]
                before = host.machine.state().tick
                if reasons[number] is StopReason.TICK:
                    reasons[number] = host.run(before + ticks).reason
                has_moved |= host.machine.state().tick > before or host.is_wait_new
                for kind in (0, 1) if self.places > 1 else ():
                    for place, busses in enumerate(self.busses):
                        news = json.loads(json.dumps(busses[kind].take_news()))
                        for other in range(self.places):
                            if other != place:
                                self.busses[other][kind].give_news(news)
            turns = []
            quiet = 0 if has_moved else quiet + 1
        return [
            (reason, host.machine.state().digest, host.input_log.to_text())
            for reason, host in zip(reasons, self.hosts, strict=True)
        ]


def images(programs: list[str]) -> list[Image]:
    return [assemble(f".memory 4096\n{program}\nhalt") for program in programs]


@settings(max_examples=30)
@given(PROGRAMS, TURNS, st.integers(2, 4))
def test_slices_and_processes_change_nothing(programs: list[str], turns: list[tuple[int, int]], places: int) -> None:
    loaded = images(programs)
    straight = Run(loaded).go([])
    assert Run(loaded).go(turns) == straight
    assert Run(loaded, places).go(turns) == straight
    for (reason, digest, log), image in zip(straight, loaded, strict=True):
        if reason is StopReason.HALTED:
            alone = Host(create_machine("fast"), image, replay=InputLog.from_text(log))
            assert alone.run(1 << 40).reason is StopReason.HALTED and alone.machine.state().digest == digest


@settings(max_examples=40)
@given(PROGRAMS, st.integers(1, 80), st.booleans())
def test_a_scheduler_parks_those_that_wait(programs: list[str], slice_ticks: int, is_paged: bool) -> None:
    loaded = images(programs)
    pager = Pager(PageStore.in_ram(4096), frames=least_frames(4096)) if is_paged else None
    with Scheduler(OneEach(GoldenMachine), slice_ticks=slice_ticks, pager=pager, turn_slices=2) as scheduler:
        assert_as_straight(scheduler, loaded)


@settings(max_examples=12)
@given(st.lists(PROGRAMS, min_size=3, max_size=3), st.integers(1, 80))
def test_engines_in_worker_processes_wait_as_well(several: list[list[str]], slice_ticks: int) -> None:
    with WorkerPool("fast", 2) as pool:
        for programs in several:
            with Scheduler(pool, slice_ticks=slice_ticks) as scheduler:
                assert_as_straight(scheduler, images(programs))


def assert_as_straight(scheduler: Scheduler, loaded: list[Image]) -> None:
    straight = Run(loaded).go([])
    net, qwave = MessageBus(LATENCY), MessageBus(2 * LATENCY)
    for number, image in enumerate(loaded):
        devices = {0x40: Net(net, number, range(MACHINES)), 0x20: QWave(qwave, number, [5 + number % 2])}
        scheduler.add(image, devices=devices)
    scheduler.run()
    for vm, (reason, digest, log) in zip(scheduler.machines, straight, strict=True):
        assert vm.stop is (StopCause.HALTED if reason is StopReason.HALTED else StopCause.PEERS)
        assert (vm.machine.state().digest, vm.host.input_log.to_text()) == (digest, log)


ASK = "k1; out 0x42; lit 0x40; k0; k4; sys 1; drop; in 0x46; in 0x40; halt"
ANSWER = "k0; out 0x42; in 0x46; lit 0x40; k0; k4; sys 0; drop; lit 0x40; k0; k4; sys 1; drop; halt"


def started(runtime: VacRuntime, *programs: str, **options: Any) -> list[Any]:
    loaded = [VacImage.from_source(f".memory 4096\n{program}") for program in programs]
    return [runtime.start(image, caps={"net": True, "clock": True}, **options) for image in loaded]


def test_a_question_and_its_answer() -> None:
    with VacRuntime("golden") as rt:
        ask, answer = started(rt, ASK, ANSWER)
        rt.run()
        # Sent at tick 5, there 1000 ticks later; answered 9 ticks after that, back after another 1000.
        assert answer.registers.data_stack == [1005 - 2]
        assert ask.registers.data_stack == [1005 + 9 + 1000 - 7, 1]


def test_machines_that_wait_for_each_other_are_named() -> None:
    with VacRuntime("golden") as rt:
        one, two = started(rt, "in 0x46; halt", "nop; nop; in 0x46; halt")
        with pytest.raises(NothingMoves, match=r"machine 0 waits from virtual time 0 on.*machine 1 waits from .* 2 on"):
            rt.run()
        assert one.is_waiting and two.is_waiting and one.tick == 0 and two.tick == 2
        rt.close(one)
        with pytest.raises(NothingMoves):
            rt.run()


def test_the_longest_wait_ends_one_that_nobody_ends() -> None:
    with VacRuntime("golden") as rt:
        one, _ = started(rt, "liw s, 500; out 0x46; in 0x46; in 0x40; halt", "in 0x46; in 0x40; halt")
        with pytest.raises(NothingMoves, match="machine 1 waits"):
            rt.run()
        assert one.registers.data_stack == [500, 0] and one.state == "halted"


def test_one_request_waits_only_so_long() -> None:
    late = "lit32 0xFFFFFFFF; sys 4; lit32 0x1000; sys 4; k0; out 0x42; lit 0x40; k0; k4; sys 1; halt"
    with VacRuntime("golden") as rt:
        waiting, _ = started(rt, "in 0x46; in 0x40; in 0x46; in 0x40; halt", late)
        rt.run()
        first, none, second, one = waiting.registers.data_stack
        assert (first, none, one) == (MOST_TICKS, 0, 1) and first + second == 0xFFFFFFFF + 0x1000 + 9 + 1000 - 2
        assert REFUSED not in (first, second)


def test_a_machine_alone_is_refused_to_wait_for_ever() -> None:
    with VacRuntime("golden") as rt:
        (alone,) = started(rt, "in 0x46; k8; out 0x46; in 0x46; in 0x40; halt")
        rt.run()
        assert alone.registers.data_stack == [REFUSED, 8, 0]


def test_a_packet_that_nobody_wants_ends_no_wait() -> None:
    with VacRuntime("golden", latency=10) as rt:
        publish = "lit {}; out 0x21; lit 0x20; k0; k4; sys 1; drop;"
        sender = VacImage.from_source(f".memory 4096\n{publish.format(5)} {publish.format(6)} halt")
        reader = VacImage.from_source("lit 6; out 0x22; in 0x2A; in 0x24; halt")
        _, reading = (rt.start(image, caps={"qwave": True}) for image in (sender, reader))
        rt.run()
        assert reading.registers.data_stack == [5 + 7 + 10 - 2, 6]


def test_a_veto_ends_the_wait_without_a_packet() -> None:
    bus = MessageBus(1)
    sender, qwave = bus.join(1), QWave(bus, 0, [5])
    law = SoulLaw.parse('permit(principal, action == Action::"in", resource);')
    sender.send(None, 5, 0, b"data", 40)
    bus.note_time(1, 1 << 40)
    host = Host(
        create_machine("golden"), assemble("in 0x2A; in 0x20; halt"), devices={0x20: qwave},
        guard=law.tables("boot", devices=["qwave"]),
    )  # fmt: skip
    assert host.run(100).reason is StopReason.HALTED
    assert host.machine.state().data_stack == [41, 0] and len(host.denials) == 1


@given(st.integers(0, FOREVER), st.integers(0, 3000))
def test_the_longest_wait_is_part_of_a_checkpoint(longest: int, slept: int) -> None:
    first = Net(MessageBus(), 0)
    first.write_register(6, longest, 0)
    second = Net(MessageBus(), 0)
    second.restore(json.loads(json.dumps(first.save())))
    assert second.save() == first.save()
    old = first.save()
    del old["longest"]
    second.restore(old)
    assert second.save()["longest"] == FOREVER


def test_a_replay_waits_as_long() -> None:
    bus = MessageBus(1)
    sender, image, net = bus.join(1), assemble("in 0x46; in 0x10; halt"), Net(bus, 0)
    sender.send([0], 0, 0, b"data", 40)
    bus.note_time(1, 1 << 40)
    host = Host(create_machine("golden"), image, devices={0x40: net})
    host.run(100)
    again = Host(create_machine("golden"), image, devices={0x40: Net(MessageBus(), 0)}, replay=host.input_log)
    again.run(100)
    assert again.clock.slept == host.clock.slept == 41


@settings(max_examples=15)
@given(PROGRAMS, TURNS)
def test_machines_that_wait_are_kept_and_restored_together(
    tmp_path_factory: pytest.TempPathFactory, programs: list[str], turns: list[tuple[int, int]]
) -> None:
    loaded = {f"m{number}": VacImage(image) for number, image in enumerate(images(programs))}
    options: dict[str, Any] = {name: {"caps": {"net": True, "qwave": True, "clock": True}} for name in loaded}

    def ended(runtime: VacRuntime) -> list[tuple[str, int | None]]:
        with suppress(NothingMoves):
            runtime.run(slice_ticks=17)
        return [(vm.state, vm.registers.digest) for vm in runtime.machines.values()]

    with VacRuntime("golden", latency=LATENCY) as straight, VacRuntime("golden", latency=LATENCY) as first:
        for runtime in (straight, first):
            for name, image in loaded.items():
                runtime.start(image, vm_id=name, **options[name])
        for number, ticks in turns:
            first.step(first.machines[f"m{number}"], ticks)
        path = first.checkpoint_all(tmp_path_factory.mktemp("joint") / "all")
        with VacRuntime("fast", latency=LATENCY) as second:
            second.restore_all(path, loaded, options)
            assert ended(second) == ended(straight) == ended(first)
