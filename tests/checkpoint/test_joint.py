"""Machines of one run that talk to each other, kept as one and restored together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vac import VacImage, VacRuntime
from vac.checkpoint.checkpoint import CheckpointFolder, load_joint, save_joint
from vac.checkpoint.encoding import encode_joint
from vac.checkpoint.errors import CheckpointError
from vac.checkpoint.point import Point
from vac.engines.registry import create_machine
from vac.recording.playback import Playback
from vac.runtime.errors import CheckpointFailed, InvalidOption

NAMES: tuple[str, ...] = ("a", "b", "c")
LATENCY = 30
# To one of the others over the net, to all over QWave, waiting for either, sleeping, looking, storing what came.
STEP = st.one_of(
    st.integers(0, 2).map(lambda peer: f"lit {peer}; out 0x42; lit 0x40; k0; k4; sys 1; emit"),
    st.integers(5, 6).map(lambda topic: f"lit {topic}; out 0x21; lit 0x20; k0; k8; sys 1; emit"),
    st.sampled_from([0, 19, 150]).map(lambda ticks: f"lit32 {ticks}; out 0x46; in 0x46; emit; in 0x40; emit"),
    st.sampled_from([1, 300]).map(lambda ticks: f"liw s, {ticks}; sys 4; drop"),
    st.just(
        "in 0x26; emit; lit 0x40; k4; k4; sys 0; emit; lit 0x20; k8; k8; sys 0; emit; in 0x20; emit; in 0x26; emit"
    ),
    st.just("k8; ld32 s, s; k4; ld32 s, s; add; addi s, s, 3; k0; swap; st32 s, s"),
)
PROGRAM = st.lists(STEP, min_size=1, max_size=8).map(
    lambda steps: VacImage.from_source(".memory 4096\nlit 5; out 0x22; " + "\n".join(steps) + "\nhalt\n")
)
OPTIONS: dict[str, dict[str, Any]] = {
    name: {"caps": {"net": True, "qwave": True, "clock": True, "console": True}, "seed": number}
    for number, name in enumerate(NAMES)
}


def runtime(engine: str = "fast", latency: int = LATENCY) -> VacRuntime:
    return VacRuntime(engine, latency=latency)


def started(images: dict[str, VacImage]) -> VacRuntime:
    rt = runtime()
    for name, image in images.items():
        rt.start(image, vm_id=name, **OPTIONS[name])
    return rt


def ends(rt: VacRuntime) -> dict[str, tuple[str, int, int | None, bytes]]:
    """Of each machine: how it ended, where, the digest of its beams, its state root."""
    return {
        name: (vm.state, vm.tick, vm.registers.digest, vm.point().root()) for name, vm in rt.machines.items()
    }  # fmt: skip


@settings(max_examples=25)
@given(
    st.lists(PROGRAM, min_size=3, max_size=3),
    st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 25)), min_size=1, max_size=12),
    st.sampled_from(["fast", "golden"]),
)
def test_machines_restored_together_end_as_they_would_have(
    tmp_path_factory: pytest.TempPathFactory, programs: list[VacImage], turns: list[tuple[str, int]], engine: str
) -> None:
    folder = tmp_path_factory.mktemp("joint")
    images = dict(zip(NAMES, programs, strict=True))
    with started(images) as whole:
        whole.run()
        expected = ends(whole)
    with started(images) as rt:
        path, since = rt.checkpoint_all(folder / "0"), dict.fromkeys(NAMES, 0)
        for number, (name, ticks) in enumerate(turns, start=1):
            rt.step(rt.machines[name], ticks)
            path = rt.checkpoint_all(folder / str(number))
        since = {name: len(vm.host.input_log.entries) for name, vm in rt.machines.items()}
        kept = ends(rt)
        rt.run()
        assert ends(rt) == expected, "looking at it changed the run"
        logs = {name: vm.host.input_log.entries for name, vm in rt.machines.items()}
    with runtime(engine) as again:
        again.restore_all(path, dict(reversed(images.items())), OPTIONS)
        assert list(again.machines) == list(NAMES) and ends(again) == kept
        again.run(slice_ticks=7)
        assert ends(again) == expected
        for name, vm in again.machines.items():
            assert [e.to_json() for e in vm.host.input_log.entries] == [e.to_json() for e in logs[name][since[name] :]]
    # Each alone, from the joint checkpoint on, by its own log.
    for name, member in load_joint(path).machines.items():
        playback = Playback(create_machine(engine), images[name].image, member.point, logs[name])
        playback.run(1 << 40)
        point = playback.capture()
        assert (point.tick, point.state.digest, point.root()) == expected[name][1:]


PAIR = {
    name: VacImage.from_source(f".memory 4096\nk{peer}; out 0x42; lit 0x40; k0; k4; sys 1; drop; liw s, 500; sys 4\n"
                               "lit 0x40; k4; k4; sys 0; drop; halt")
    for name, peer in zip(NAMES[:2], (1, 0), strict=True)
}  # fmt: skip


def kept(folder: Path, ticks: int = 9) -> Path:
    with started(PAIR) as rt:
        rt.step(rt.machines["a"], ticks)
        return rt.checkpoint_all(folder / "pair")


def test_one_that_has_ended_is_waited_for_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "pair.joint.json"
    images = {"a": VacImage.from_source("halt"), "b": PAIR["b"]}
    with started(images) as rt:
        rt.step(rt.machines["a"], 5)
        rt.checkpoint_all(path)
    with runtime() as again:
        again.restore_all(path, images, OPTIONS)
        again.run()
        assert [vm.state for vm in again.machines.values()] == ["halted", "halted"]


def test_packets_after_it_have_the_entanglement_ids_that_they_would_have(tmp_path: Path) -> None:
    publish = "lit 5; out 0x21; lit 0x20; k0; k8; sys 1; drop; "
    images = {
        "a": VacImage.from_source(f".memory 4096\n{publish * 2} halt"),
        "b": VacImage.from_source("lit 5; out 0x22; liw s, 500; sys 4; drop; in 0x26; k0; out 0x20; in 0x26; halt"),
    }
    with started(images) as rt:
        rt.step(rt.machines["a"], 8)
        path = rt.checkpoint_all(tmp_path / "between")
        rt.run()
        expected = rt.machines["b"].registers.data_stack
    assert len(set(expected)) == 2
    with runtime() as again:
        again.restore_all(path, images, OPTIONS)
        again.run()
        assert again.machines["b"].registers.data_stack == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latency": 31}, "it is of .*'latency': 30.* this runtime of .*31"),
        ({"images": {"a": PAIR["a"]}}, "has the machines a, b; give the image of each"),
        ({"options": {**OPTIONS, "b": {}}}, "does not fit: saved with the devices"),
    ],
)
def test_what_does_not_fit_leaves_no_machine(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = kept(tmp_path)
    with runtime(latency=change.get("latency", LATENCY)) as rt:
        with pytest.raises((CheckpointFailed, InvalidOption), match=message):
            rt.restore_all(path, change.get("images", PAIR), change.get("options", OPTIONS))
        assert rt.machines == {}


def test_machines_are_restored_into_a_runtime_without_any(tmp_path: Path) -> None:
    path = kept(tmp_path)
    with started(PAIR) as rt, pytest.raises(InvalidOption, match="has machines already"):
        rt.restore_all(path, PAIR, OPTIONS)


def test_every_changed_byte_is_refused(tmp_path: Path) -> None:
    path = kept(tmp_path)
    whole = path.read_bytes()
    for position in range(0, len(whole) - 1, 11):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(CheckpointError, match=r"pair\.joint\.json"):
            load_joint(path)


def test_other_forms_are_refused(tmp_path: Path) -> None:
    path = kept(tmp_path)
    single = path.with_name("x.joint.json")
    for name, member in load_joint(path).machines.items():
        CheckpointFolder(tmp_path).save(name, member.point)
    single.write_bytes((tmp_path / "a.dc.json").read_bytes())
    with pytest.raises(CheckpointError, match="it says that it is 'vac-checkpoint'"):
        load_joint(single)
    with pytest.raises(CheckpointError, match=r"does not end in \.joint\.json"):
        save_joint(tmp_path / "a.dc.json", {})


def test_a_joint_checkpoint_keeps_its_leaves_when_others_are_removed(tmp_path: Path) -> None:
    path = kept(tmp_path)
    folder = CheckpointFolder(tmp_path)
    joint = folder.load_joint("pair")
    memories: dict[str, Point] = {name: member.point for name, member in joint.machines.items()}
    folder.save("single", memories["a"])
    assert json.loads(path.read_bytes())["machines"][0]["name"] == "a" and folder.joint_names() == ["pair"]
    folder.remove(["single"])
    again = CheckpointFolder(tmp_path).load_joint("pair")
    assert encode_joint(again) == encode_joint(joint) == path.read_bytes()
    for name, member in again.machines.items():
        assert dict(member.point.memory.items()) == dict(memories[name].memory.items())
    folder.remove(["pair"])
    assert folder.joint_names() == [] and not CheckpointFolder(tmp_path).store.packs
