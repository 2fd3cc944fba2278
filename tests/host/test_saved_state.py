"""A host saved at any tick goes on elsewhere as if nothing had happened."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.assembler.assemble import assemble
from vac.devices.console import Console
from vac.devices.device import DeviceStateError
from vac.devices.key_value import KeyValueStorage
from vac.devices.storage import Storage
from vac.engines.registry import create_machine
from vac.golden.model import GoldenMachine
from vac.host.residency import HeldLeaves
from vac.host.session import Host
from vac.machine.protocol import Leaf, MachineError, StopReason

PROGRAM = """
.memory 8192
        in 0; emit; in 1; emit; in 0x10; emit; lit 50; sys 4; drop; in 0x11; drop
        sys 6; emit
        lit 0x30; lit 4094; lit 6; sys 0; emit
        lit 0x30; lit 4095; lit 3; sys 1; emit
        k0; lit 4094; lit 6; sys 1; drop
        k2; lit 64; sys 2; drop
        lit32 0x20000010; lit 7; st32 s, s
        lit 3; lit 5000; sys 2; drop
        lit32 0x30001000; ld32 s, s; emit
        in 0; emit; sys 6; emit; in 0x10; emit
        lit 66; out 0
        halt
"""
IMAGE = assemble(PROGRAM)
INPUT, STORED = b"abc", b"123456789"


class Parts:
    """What stands outside: in another process they would be opened again."""

    def __init__(self) -> None:
        self.file = io.BytesIO(STORED)
        self.output = bytearray()

    def host(self, **options: Any) -> Host:
        console = Console(INPUT, self.output.extend)
        return Host(create_machine("golden"), IMAGE, console=console, storage=Storage(self.file, True), **options)


def moved(host: Host, parts: Parts, **options: Any) -> Host:
    """The same run in a host made anew from what a checkpoint would hold."""
    saved = json.loads(json.dumps(host.save()))
    other = parts.host(**options)
    copy_machine(host, other)
    other.restore(saved)
    assert other.save() == saved
    return other


def copy_machine(host: Host, other: Host) -> None:
    assert isinstance(host.memory.residency, HeldLeaves) and isinstance(other.memory.residency, HeldLeaves)
    for slot, number in host.memory.residency.touched():
        other.memory.residency.put(slot, number, host.memory.leaf(slot, number))
    other.machine.set_state(host.machine.state())


def test_restored_at_every_tick_the_run_ends_the_same() -> None:
    whole = Parts()
    straight = whole.host()
    assert straight.run(1000).reason is StopReason.HALTED
    parts = Parts()
    host = parts.host()
    output, entries = bytearray(), list(host.input_log.entries)
    for tick in range(1, straight.machine.state().tick + 1):
        host.run(tick)
        output += parts.output
        entries += host.input_log.entries
        parts.output.clear()
        host = moved(host, parts)
    assert host.machine.state().differences(straight.machine.state()) == []
    assert output == whole.output and entries == straight.input_log.entries
    assert parts.file.getvalue() == whole.file.getvalue() != STORED
    assert host.answered == len(entries)


@given(st.integers(0, 80))
def test_a_replay_goes_on_from_a_saved_host(tick: int) -> None:
    recorded = Parts().host()
    recorded.run(1000)
    parts = Parts()
    host = parts.host(replay=recorded.input_log)
    host.run(tick)
    other = moved(host, parts, replay=recorded.input_log)
    assert other.run(1000).reason is StopReason.HALTED
    assert other.machine.state().differences(recorded.machine.state()) == []
    assert other.memory.allocated == recorded.memory.allocated


def test_storage_that_programs_may_change_gets_its_bytes_back() -> None:
    parts = Parts()
    host = parts.host()
    host.run(40)
    saved = host.save()
    host.run(1000)
    parts.file.truncate(2)
    again = parts.host()
    again.restore(saved)
    assert again.save() == saved


class Failing(GoldenMachine):
    """Takes nothing but code once `is_full`, and gives nothing back."""

    is_full = False

    def install(self, slot: int, number: int, leaf: Leaf) -> None:
        if self.is_full and slot:
            raise MachineError("no room")
        super().install(slot, number, leaf)

    def evict(self, slot: int, number: int) -> Leaf:
        raise MachineError("kept")


def test_an_answer_that_waits_to_be_given_is_kept() -> None:
    image = assemble(".memory 8192\nk0; lit 4096; lit 3; sys 0; in 0; halt")
    machine = Failing()
    host = Host(machine, image, console=Console(b"abcd"))
    host.run(3)
    machine.is_full = True
    with pytest.raises(MachineError):
        host.run(100)
    saved = host.save()
    assert saved["held"] and saved["answered"] == 0
    other = Host(create_machine("golden"), image, console=Console(b"abcd"))
    other.machine.set_state(machine.state())
    other.restore(json.loads(json.dumps(saved)))
    assert other.run(100).reason is StopReason.HALTED
    assert other.machine.state().data_stack == [3, ord("d")]
    assert other.memory.read(1, 4096, 3) == b"abc"


def test_what_does_not_fit_is_refused() -> None:
    host = Parts().host()
    saved = host.save()
    for change, words in [
        ({"version": 2}, "version 2"),
        ({"devices": {"0x00": {}}}, "saved with the devices 0x00"),
        ({"devices": saved["devices"] | {"0x10": {"slept": -1}}}, "device 0x10: slept is -1"),
        ({"devices": saved["devices"] | {"0x00": {"taken": 0, "given": 0, "ahead": "?"}}}, "no Base64"),
        ({"entropy": {"words": [1, 2, 3]}}, "four words"),
        ({"allocated": None}, "allocated is None"),
        ({"held": {"entry": "{}", "is_output_due": True}}, "damaged"),
    ]:
        with pytest.raises(DeviceStateError, match=words):
            Parts().host().restore(saved | change)
    with pytest.raises(DeviceStateError, match="another file"):
        short = Host(create_machine("golden"), IMAGE, storage=Storage(io.BytesIO(STORED)))
        longer = Host(create_machine("golden"), IMAGE, storage=Storage(io.BytesIO(STORED + b"x")))
        longer.restore(short.save())


def test_input_goes_on_with_what_was_read_ahead() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    console = Console(Pipe(b"first second"))
    assert console.read(6) == b"first "
    other = Console(Pipe(b" third"))
    other.restore(console.save())
    assert other.read(100) + other.read(100) == b"second third"


FOLLOWED = """
.memory 8192
        in 0; drop; in 0x10; drop; lit 50; sys 4; drop; k1; out 0x12; lit 5; out 0x13
        sys 6; drop; lit 0x50; k0; k4; sys 1; drop
        lit 7; out 0x56; lit 0x50; k0; k4; sys 1; drop
        lit 0x30; lit 4094; lit 3; sys 0; drop; k1; out 0x32; in 0x30; drop
        k0; k0; k4; sys 1; drop; lit 66; out 0; k0; out 0x12
        k2; lit 64; sys 2; drop; sys 6; emit; in 0x10; emit; in 0; emit; in 0x30; emit
        lit 0x50; k8; k4; sys 0; emit
        halt
"""


def followed_host(**options: Any) -> Host:
    devices = {0x50: KeyValueStorage()}
    return Host(
        create_machine("golden"), assemble(FOLLOWED), console=Console(INPUT), devices=devices,
        storage=Storage(io.BytesIO(STORED)), seed=3, **options,
    )  # fmt: skip


def test_a_replay_moves_the_devices_as_the_run_did() -> None:
    def state(host: Host) -> dict[str, Any]:
        saved = host.save()
        saved["devices"]["0x00"]["ahead"] = ""  # what was read ahead is no business of a replay
        return saved

    straight = followed_host()
    straight.run(1000)
    live, replay = followed_host(), followed_host(replay=straight.input_log)
    for tick in range(straight.machine.state().tick + 1):
        live.run(tick)
        replay.run(tick)
        assert state(replay) == state(live), tick
        onward = followed_host()
        copy_machine(replay, onward)
        onward.restore(replay.save())
        onward.run(1000)
        assert onward.machine.state().differences(straight.machine.state()) == [], tick
