"""The API in the shape that people know, on real engines."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vac
from vac.beams.opening import open_store
from vac.devices.device import BaseDevice, Reply
from vac.devices.message_bus import MessageBus, PeersBehind
from vac.host.address_space import Shard
from vac.image.image import Image
from vac.memory.address import LA128
from vac.runtime.errors import (
    CheckpointFailed,
    InvalidAddress,
    InvalidImage,
    InvalidOption,
    MachineStopped,
    NothingMoves,
    VacError,
)
from vac.runtime.machine_handle import Vm
from vac.runtime.vac import VAC
from vac.runtime.vac_image import VacImage
from vac.runtime.vac_runtime import VacRuntime

COUNT = VacImage.from_source(
    """
.memory 8192
        li l0, 0
again:  addi l0, l0, 1
        liw s, 4096
        get0
        st32 s, s
        lit 46; out 0
        bltui l0, again, 50
        halt
""",
    "count.vasm",
)


def run_to_end(runtime: VacRuntime, vm: Vm, ticks: int = 1000) -> None:
    while vm.state == "running":
        runtime.step(vm, ticks=ticks)


def test_start_step_checkpoint(tmp_path: Path) -> None:
    COUNT.image.save(tmp_path / "boot.vacimg")
    rt = vac.VacRuntime()
    vm = rt.start(
        image=vac.VacImage.load(tmp_path / "boot.vacimg"), caps={"console": True}, quotas={"max_ticks": 10_000}
    )
    while vm.state == "running":
        rt.step(vm, ticks=1000)
    assert vm.state == "halted" and vm.cause is None and vm.output == b"." * 50
    path = rt.checkpoint(vm, tmp_path / "end")
    assert path == tmp_path / "end.dc.json" and path.exists()
    assert rt.read(vm, vac.LA128(1, 4096), 4) == (50).to_bytes(4, "little")
    again = vac.VacRuntime(engine="golden").restore(path, COUNT)
    assert again.state == "halted" and again.registers.differences(vm.registers) == []


@settings(max_examples=20)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.sampled_from(["golden", "fast"]))
def test_a_restored_machine_ends_the_same(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], engine: str
) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    with VacRuntime("golden") as straight:
        whole = straight.start(COUNT)
        run_to_end(straight, whole)
        expected, root = whole.registers, whole.point().root()
    shown, vm = b"", None
    for number, ticks in enumerate(steps):
        with VacRuntime(engine) as rt:
            vm = rt.start(COUNT) if vm is None else rt.restore(folder / f"{number - 1}.dc.json", COUNT)
            rt.step(vm, ticks)
            rt.checkpoint(vm, folder / str(number))
            shown += vm.output
    with VacRuntime("fast") as rt:
        last = rt.restore(folder / f"{len(steps) - 1}.dc.json", COUNT)
        run_to_end(rt, last)
        assert last.registers.differences(expected) == [] and last.point().root() == root
        assert shown + last.output == b"." * 50


def test_quotas_stop_and_can_be_extended() -> None:
    with VacRuntime("golden") as rt:
        vm = rt.start(COUNT, quotas={"max_ticks": 100, "max_io_per_slice": None})
        assert rt.step(vm, 1000) == 100
        assert (vm.state, vm.cause, vm.tick) == ("stopped", "max_ticks reached", 100)
        assert rt.step(vm, 1000) == 0
        rt.extend(vm, max_ticks=150)
        assert rt.step(vm, 1000) == 50 and vm.state == "stopped"
        rt.extend(vm, max_ticks=None)
        run_to_end(rt, vm)
        assert vm.state == "halted"
        with pytest.raises(MachineStopped, match="has halted"):
            rt.extend(vm, max_ticks=1)


def test_a_quota_counts_what_ran_before_a_checkpoint(tmp_path: Path) -> None:
    with VacRuntime("golden") as rt:
        vm = rt.start(COUNT, quotas={"max_ticks": 100})
        rt.step(vm, 60)
        path = rt.checkpoint(vm, tmp_path / "a")
        other = rt.restore(path, COUNT, quotas={"max_ticks": 100})
        assert rt.step(other, 1000) == 40 and other.state == "stopped"


def test_what_was_not_given_is_denied() -> None:
    with VacRuntime("golden") as rt:
        vm = rt.start(COUNT, caps={"console": False, "clock": True})
        run_to_end(rt, vm)
        assert (vm.state, vm.cause) == ("trapped", "DENIED") and "out 0x00 denied: not granted" in vm.denials[0]
        governed = rt.start(COUNT, policy='permit(principal == VM::"me", action, resource);', vm_id="me")
        run_to_end(rt, governed)
        assert governed.state == "halted"
        other = rt.start(COUNT, policy='permit(principal == VM::"me", action, resource);', vm_id="you")
        run_to_end(rt, other)
        assert other.state == "trapped" and other.denials[0].endswith("no policy permits it")


def test_usage_is_counted() -> None:
    source = (
        ".memory 4096\nin 0; lit 65; out 0; k0; k0; lit 9; sys 0; k0; k0; k8; sys 1; k0; k4; sys 5; in 0xF; "
        "k2; lit 5000; sys 2; in 0x60"
    )
    with VacRuntime("golden") as rt:
        vm = rt.start(VacImage.from_source(source), input=b"abcde")
        run_to_end(rt, vm)
        assert vm.usage == {
            "ticks": 18, "requests": 8, "refused": 2, "denied": 1, "bytes_in": 4 + 4, "bytes_out": 4 + 8 + 4,
            "allocated": 8192,
        }  # fmt: skip


TALK = VacImage.from_source(
    """
.memory 4096
        in 0x41; eqz; out 0x42          # the other one of two
        lit 0x40; k0; k4; sys 1; drop
wait:   liw s, 2000; sys 4; drop
        in 0x40; bzs wait
        in 0x43; lit 48; add; out 0
        halt
"""
)


def test_machines_talk() -> None:
    with VacRuntime("golden") as rt:
        one, two = (rt.start(TALK, caps={"net": True, "console": True, "clock": True}) for _ in range(2))
        rt.run(slice_ticks=7)
        assert (one.state, two.state, one.output, two.output) == ("halted", "halted", b"1", b"0")


def test_waiting_for_a_machine_that_does_not_go_on_is_noticed() -> None:
    with VacRuntime("golden") as rt:
        one = rt.start(TALK, caps={"net": True, "console": True, "clock": True})
        two = rt.start(TALK, caps={"net": True, "console": True, "clock": True}, quotas={"max_ticks": 3})
        with pytest.raises(NothingMoves, match="it waits for 1"):
            rt.run()
        assert one.is_waiting and two.state == "stopped"
        rt.close(two)
        rt.run(max_ticks=100)
        assert two.state == "closed" and not one.is_waiting
        with pytest.raises(MachineStopped, match="closed"):
            rt.step(two)


def test_memory_from_outside() -> None:
    shard = Shard(1 << 40, bytes(range(200)))
    with VacRuntime("golden") as rt:
        vm = rt.start(COUNT, shards=[shard])
        rt.step(vm, 30)
        data = bytes(range(256)) * 20
        rt.write(vm, LA128(1, 4000), data)
        assert rt.read(vm, LA128(1, 4000), len(data)) == data
        assert rt.read(vm, LA128(1 << 40, 100), 4) == bytes(range(100, 104))
        assert rt.read(vm, LA128(0, 0), 2) == COUNT.image.code[:2]
        assert [(patch.tick, len(patch.data)) for patch in vm.patches] == [(30, len(data))]
        for address, length in [(LA128(1 << 41, 0), 1), (LA128(300, 0), 1), (LA128(1, 1 << 32), 1), (LA128(1, 0), -1)]:
            with pytest.raises(InvalidAddress):
                rt.read(vm, address, length)


@pytest.mark.parametrize("engine", ["golden", "fast"])
def test_what_was_written_is_in_a_checkpoint(tmp_path: Path, engine: str) -> None:
    with VacRuntime(engine) as rt:
        vm = rt.start(COUNT)
        rt.step(vm, 100)
        rt.checkpoint(vm, tmp_path / "before")
        rt.write(vm, LA128(1, 4200), b"from outside")
        other = rt.restore(rt.checkpoint(vm, tmp_path / "after"), COUNT)
        assert rt.read(other, LA128(1, 4200), 12) == b"from outside"
        assert other.point().root() == vm.point().root()


def test_vac_ticks_and_gives_beams(tmp_path: Path) -> None:
    with (
        open_store(tmp_path / "beams.jsonl") as store,
        VAC(COUNT, {"max_ticks": 200}, store=store, run="r1") as machine,
    ):
        beams = machine.tick(max_steps=5)
        assert len(beams) == 5 and [beam.pc for beam in beams] == sorted(beam.pc for beam in beams)
        while more := machine.tick(64):
            beams += more
        assert len(beams) == 200 and machine.state == "stopped"
        machine.checkpoint()
        assert store.run("r1").next_tick == 200
        machine.write(LA128(1, 0), b"abcd")
        assert machine.read(la=LA128(1, 0), n=4) == b"abcd"
    with pytest.raises(MachineStopped):
        machine.tick(1)


def test_vac_on_a_qwave_bus() -> None:
    source = ".memory 4096\nlit 5; out 0x21; lit 0x20; k0; k4; sys 1; drop; halt"
    bus = MessageBus(1)
    listener = bus.join(9)
    machine = VAC(VacImage.from_source(source), qwave=bus, number=3)
    machine.tick(100)
    assert machine.state == "halted"
    assert [(message.sender, message.topic, len(message.data)) for message in listener.coming] == [(3, 5, 4)]
    running = VAC(VacImage.from_source(source), qwave=bus, number=4)
    with pytest.raises(PeersBehind):
        listener.arrived(50)
    running.close()
    assert len(listener.arrived(50)) == 1


def test_denials_and_packets_stand_between_the_beams(tmp_path: Path) -> None:
    bus = MessageBus(1)
    sender = bus.join(9)
    policy = """permit(principal, action, resource);
        @id("no-drafts") forbid(principal, action == Action::"ingest", resource)
            when { context.labels.contains("l3") };"""
    source = """.memory 4096
        lit 5; out 0x21; lit 5; out 0x22; lit 0x20; k0; k4; sys 1; drop
        nop; in 0x20; drop; lit 0x20; k8; k4; sys 0; drop
        in 0x60"""
    with open_store(tmp_path / "beams.jsonl") as store:
        machine = VAC(
            VacImage.from_source(source), qwave=bus, store=store, number=3, run="r", policy=policy, engine="golden"
        )
        for labels in (8, 0):
            sender.send(None, 5, labels, b"data", 5)
        bus.note_time(9, 1 << 40)
        beams = machine.tick(100)
        assert machine.vm.cause == "DENIED"
        events = store.beam_events("r", store.range("r"))
        beside = [(event.tick, event.stage, event.token) for event in events if event.stage != "cpu"]
        assert beside == [
            (7, "publish", "qwave"),
            (10, "policy", "denied"),
            (15, "ingest", "qwave"),
            (17, "policy", "denied"),
        ]
        assert len(events) == len(beams) + 4 == 21
        eids = [event.eid for event in events if event.token == "qwave"]
        assert len(store.ghost_replay_for_eid(str(eids[1]))) == 1 and eids[0] != eids[1]


class Counter(BaseDevice):
    def __init__(self) -> None:
        self.asked = 0

    def read_register(self, register: int, tick: int) -> Reply:
        self.asked += 1
        return Reply(self.asked)


def test_devices_of_ones_own() -> None:
    with VacRuntime("golden") as rt:
        vm = rt.start(VacImage.from_source("in 0x50; in 0x50; halt"), devices={0x50: Counter()})
        run_to_end(rt, vm)
        assert vm.registers.data_stack == [1, 2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"caps": {"root": True}}, "no capability 'root'"),
        ({"quotas": {"max_fun": 1}}, "no quota 'max_fun'; there are max_ticks"),
        ({"quotas": {"max_ticks": 0}}, "max_ticks is 0"),
        ({"quotas": {"max_ticks": "many"}}, "max_ticks|not supported"),
        ({"policy": "permit("}, "unexpected end"),
        ({"labels": {"x": 99}, "policy": ""}, "has bit 99"),
        ({"devices": {0x33: Counter()}}, "no device can be given at 0x33"),
        ({"colour": "red"}, "colour.*options are caps, quotas"),
        ({"vm_id": "a/b"}, "no name"),
        ({"caps": {}, "shards": [Shard(1, b"x")]}, "`map` is not among"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], words: str) -> None:
    with VacRuntime("golden") as rt, pytest.raises(InvalidOption, match=words):
        rt.start(COUNT, **options)


def test_other_mistakes(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="latency"):
        VacRuntime(latency=0)
    with pytest.raises(InvalidOption, match="steam"):
        VacRuntime("steam").start(COUNT)
    with VacRuntime("golden") as rt:
        vm = rt.start(COUNT, vm_id="a")
        with pytest.raises(InvalidOption, match="is taken"):
            rt.start(COUNT, vm_id="a")
        with pytest.raises(InvalidOption, match="1 or more"):
            rt.step(vm, 0)
        with pytest.raises(CheckpointFailed, match="cannot read"):
            rt.restore(tmp_path / "none.dc.json", COUNT)
        other = rt.checkpoint(rt.start(COUNT, caps={"storage": True}), tmp_path / "b")
        with pytest.raises(CheckpointFailed, match="does not fit: saved with the devices 0x00, 0x10, 0x30"):
            rt.restore(other, COUNT, vm_id="c")
        assert "c" not in rt.machines
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(CheckpointFailed):
            rt.checkpoint(vm, tmp_path / "file" / "x")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.vacimg", None, "cannot read"),
        ("bad.vacimg", b"VACIMG\0\1 no", "image"),
        ("bad.vasm", b"fly", "unknown instruction 'fly'"),
        ("bad.vcpu", b"FLY", "unknown operation 'FLY'"),
        ("bad.vcpu", b"\xff", "no text in UTF-8"),
        ("bad.vac", b"", "bad.vac"),
    ],
)
def test_files_that_are_no_programs(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidImage, match=words):
        VacImage.load(tmp_path / name)


def test_names_are_imported_when_asked_for() -> None:
    code = "import sys, vac; assert not any(n.startswith('vac.') for n in sys.modules); print(vac.VAC.__name__)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"VAC\n"
    with pytest.raises(AttributeError, match="no attribute 'Vacuum'"):
        vac.Vacuum  # noqa: B018
    assert issubclass(InvalidImage, VacError) and isinstance(COUNT.image, Image)
