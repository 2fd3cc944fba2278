"""What machines of a run send each other does not depend on slices, on their order, or on processes."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vac.assembler.assemble import assemble
from vac.devices.console import Console
from vac.devices.device import REFUSAL, Access, DeviceStateError
from vac.devices.message_bus import BusError, Message, MessageBus
from vac.devices.net import Net
from vac.devices.qwave import QWave
from vac.engines.registry import create_machine
from vac.host.input_log import InputLog
from vac.host.residency import HeldLeaves
from vac.host.session import Host
from vac.image.image import Image
from vac.isa.traps import Trap
from vac.machine.protocol import StopReason

LATENCY = 20
TALK = """
.memory 4096
        lit {peer}; out 0x42
        li l0, 0
        li l1, {rounds}
again:  st32 l0, l1
        lit 0x40; k0; k4; sys 1; emit           # one message of four bytes
        in 0x40; emit                           # how many wait
        in 0x43; emit                           # from whom
        lit 0x40; lit 64; lit 9; sys 0; emit
        lit 64; ld32 s, s; emit
        lit {pause}; sys 4; drop
        djnz l1, again
        lit {last}; sys 4; drop
        in 0x40; emit
        halt
"""
PUBLISH = """
.memory 4096
        lit {topic}; out 0x21
        lit {other}; out 0x22
        li l1, {rounds}
again:  k0; get1; st32 s, s
        lit 0x20; k0; k8; sys 1; emit
        in 0x20; emit; in 0x24; emit; in 0x25; emit; in 0x26; emit; in 0x27; emit
        lit 0x20; lit 64; lit 5; sys 0; emit    # a part, then the rest
        lit 0x20; lit 64; lit 9; sys 0; emit
        lit {other}; out 0x23
        lit {pause}; sys 4; drop
        lit {other}; out 0x22
        djnz l1, again
        in 0x29; emit
        halt
"""


def images() -> list[Image]:
    return [
        assemble(TALK.format(peer=1, rounds=9, pause=3, last=50)),
        assemble(TALK.format(peer=2, rounds=6, pause=17, last=30)),
        assemble(TALK.format(peer=0, rounds=4, pause=40, last=90)),
        assemble(PUBLISH.format(topic=5, other=6, rounds=7, pause=9)),
        assemble(PUBLISH.format(topic=6, other=5, rounds=5, pause=25)),
    ]


IMAGES = images()


@dataclass
class Ensemble:
    """Five machines on one pair of busses, or on one pair in each of several processes' places."""

    places: int = 1
    capacity: int = 9
    hosts: list[Host] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.busses = [(MessageBus(LATENCY), MessageBus(LATENCY)) for _ in range(self.places)]
        for number, image in enumerate(IMAGES):
            home = number % self.places
            for place, (net, qwave) in enumerate(self.busses):
                if place != home:
                    (net if number < 3 else qwave).expect(number)
            self.hosts.append(Host(create_machine("golden"), image, devices=self.devices(number, home)))

    def devices(self, number: int, home: int = 0) -> dict[int, Any]:
        net, qwave = self.busses[home]
        if number < 3:
            return {0x40: Net(net, number, {(number + 1) % 3}, capacity=self.capacity)}
        return {0x20: QWave(qwave, number, capacity=self.capacity)}

    def carry_news(self) -> None:
        for kind in (0, 1):
            for place, busses in enumerate(self.busses):
                news = json.loads(json.dumps(busses[kind].take_news()))
                for other, others in enumerate(self.busses):
                    if other != place:
                        others[kind].give_news(news)

    def result(self) -> list[tuple[int | None, str]]:
        return [(host.machine.state().digest, host.input_log.to_text()) for host in self.hosts]

    def run(self, turns: list[tuple[int, int]]) -> None:
        """turns: machine and ticks, again and again until all have halted."""
        running = set(range(len(self.hosts)))
        rounds = 0
        while running:
            moved = False
            everyone = [(number, 30) for number in sorted(running)]  # whatever the turns leave out gets on as well
            for number, ticks in [*turns, *everyone]:
                if number in running:
                    host = self.hosts[number]
                    before = host.machine.state().tick
                    stop = host.run(before + ticks)
                    assert stop.reason in (StopReason.TICK, StopReason.HALTED)
                    moved |= host.machine.state().tick > before or stop.reason is StopReason.HALTED
                    if stop.reason is StopReason.HALTED:
                        running.remove(number)
                if self.places > 1:
                    self.carry_news()
            rounds += 1
            assert moved, "all machines wait for each other"


def straight() -> Ensemble:
    ensemble = Ensemble()
    ensemble.run([(number, 50) for number in range(5)])
    return ensemble


STRAIGHT = straight()
EXPECTED = STRAIGHT.result()
TURNS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 200)), min_size=1, max_size=12)


def test_the_machines_do_hear_each_other() -> None:
    texts = [text for _, text in EXPECTED]
    assert all('"writes"' in text for text in texts)
    lost = [host._devices[0x40]._mailbox.lost for host in STRAIGHT.hosts[:3]]  # pyright: ignore
    assert any(lost), "some messages must find no room, or the capacity is not tested"


@settings(max_examples=25)
@given(TURNS)
def test_slices_change_nothing(turns: list[tuple[int, int]]) -> None:
    ensemble = Ensemble()
    ensemble.run(turns)
    assert ensemble.result() == EXPECTED


@settings(max_examples=25)
@given(TURNS, st.integers(2, 5))
def test_processes_change_nothing(turns: list[tuple[int, int]], places: int) -> None:
    ensemble = Ensemble(places)
    ensemble.run(turns)
    assert ensemble.result() == EXPECTED


@settings(max_examples=25)
@given(TURNS)
def test_restored_machines_go_on_with_what_was_on_the_way(turns: list[tuple[int, int]]) -> None:
    first = Ensemble()
    for number, ticks in turns:
        if first.hosts[number].machine.state().status == 0:
            first.hosts[number].run(first.hosts[number].machine.state().tick + ticks)
    second = Ensemble()
    for number, (old, new) in enumerate(zip(first.hosts, second.hosts, strict=True)):
        assert isinstance(new.memory.residency, HeldLeaves)
        for leaf in old.machine.leaves():
            new.memory.residency.put(*leaf, old.machine.read_leaf(*leaf))
        new.machine.set_state(old.machine.state())
        new.restore(json.loads(json.dumps(old.save())))
        assert new.save() == old.save(), number
    second.run([])
    together = [
        (new[0], old[1] + new[1]) for old, new in zip(first.result(), second.result(), strict=True)
    ]  # fmt: skip
    assert together == EXPECTED


def test_each_machine_replays_alone() -> None:
    for number, (digest, log) in enumerate(EXPECTED):
        alone = Host(create_machine("golden"), IMAGES[number], replay=InputLog.from_text(log))
        assert alone.run(100_000).reason is StopReason.HALTED
        assert alone.machine.state().digest == digest


def test_entanglement_ids_are_the_same_at_both_ends() -> None:
    ends = [host._devices[0x20].entanglements for host in STRAIGHT.hosts[3:]]  # pyright: ignore
    published = {end.eid for machine in ends for end in machine if end.is_source}
    ingested = [end.eid for machine in ends for end in machine if not end.is_source]
    assert ingested and set(ingested) <= published and len(published) == 12
    assert all(eid.startswith("eid::run::") for eid in published)


def test_a_peer_that_was_not_granted_is_denied_and_gets_nothing() -> None:
    bus = MessageBus()
    other = Net(bus, 7)
    image = assemble(".memory 4096\nlit 7; out 0x42; lit 0x40; k0; k4; sys 1; halt")
    host = Host(create_machine("golden"), image, devices={0x40: Net(bus, 0, peers={3})})
    assert host.run(100).reason is StopReason.TRAPPED
    assert host.machine.state().trap is Trap.DENIED
    assert host.denials == [
        "tick 5, pc 0x8: sys write(device 0x40, pointer 0x0, length 0x4) denied: peer 7 was not granted"
    ]
    assert other._mailbox.port.coming == []


def test_a_machine_is_not_heard_by_those_that_do_not_listen() -> None:
    bus = MessageBus(1)
    speaker, deaf, open_minded = bus.join(0), bus.join(1, hears=[2]), bus.join(2)
    speaker.send(None, 0, 0, b"hello", 5)
    bus.note_time(2, 20)
    assert deaf.coming == [] == deaf.arrived(20)
    assert [message.data for message in open_minded.coming] == [b"hello"]


def test_members_are_checked() -> None:
    bus = MessageBus()
    bus.join(1)
    for number, words in [(1, "already"), (-1, "no machine can"), (1 << 16, "no machine can")]:
        with pytest.raises(BusError, match=words):
            bus.join(number)
    with pytest.raises(BusError, match="not expected"):
        bus.give_news({"times": {"5": 3}, "messages": []})
    with pytest.raises(ValueError, match="1 tick or more"):
        MessageBus(0)


@given(st.builds(Message, *[st.integers(0, 1 << 70)] * 4, st.integers(0, 0xFFFF), st.binary(max_size=20)))
def test_messages_survive_json(message: Message) -> None:
    assert Message.from_json(json.loads(json.dumps(message.to_json()))) == message


@pytest.mark.parametrize(
    "row", [None, [], [1, 2, 3, 4, 5], [1, 2, 3, 4, 1 << 16, ""], [1, 2, 3, 4, 5, "?"], [1, 2, 3, -4, 5, ""]]
)
def test_damaged_messages_are_refused(row: object) -> None:
    with pytest.raises(DeviceStateError):
        Message.from_json(row)


def test_console_and_clock_cannot_be_given_twice() -> None:
    for address in (0, 0x10, 0x21, 0x100):
        with pytest.raises(ValueError, match="no device can be given"):
            Host(create_machine("golden"), IMAGES[0], devices={address: Console()})


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["net", "qwave"]), st.integers(0, 9), st.integers(0, 3)), max_size=20))
def test_a_device_that_follows_a_recording_has_what_its_machine_set(requests: list[tuple[str, int, int]]) -> None:
    """Continued from there, it sends to the same peer, on the same topic, with the same count of what was sent."""

    class Alone:
        """All that the devices ask of a machine here."""

        time, tick = 0, 0

        def labels(self) -> int:
            return 0

    def devices() -> dict[str, Net | QWave]:
        made: dict[str, Net | QWave] = {"net": Net(MessageBus(), 1, peers=[0, 2]), "qwave": QWave(MessageBus(), 1)}
        for device in made.values():
            device.machine = Alone()  # pyright: ignore[reportAttributeAccessIssue]
        return made

    asked, following = devices(), devices()
    for name, register, value in requests:
        if register == 9:
            if name == "net" and asked["net"].save()["peer"] not in (0, 2):
                continue
            asked[name].write(b"data")
            following[name].follow(Access(True, None, 4, b"data", 0))
        elif asked[name].write_register(register, value, 0) is not REFUSAL:
            following[name].follow(Access(True, register, value, b"", 0))
    for name, device in asked.items():
        assert following[name].save() == device.save()
