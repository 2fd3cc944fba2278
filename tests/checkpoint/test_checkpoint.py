"""Checkpoints and leaf stores on disk: what comes back, what they cost, what is damaged, what a crash leaves."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vac.assembler.assemble import assemble
from vac.checkpoint.checkpoint import (
    CheckpointFolder,
    load_checkpoint,
    save_checkpoint,
)
from vac.checkpoint.encoding import encode_checkpoint
from vac.checkpoint.errors import CheckpointError, StoreError
from vac.checkpoint.leaf_store import LeafStore
from vac.checkpoint.memory_map import MemoryMap
from vac.checkpoint.point import Point
from vac.checkpoint.state_json import state_from_json, state_to_json
from vac.engines.registry import create_machine
from vac.machine.protocol import Leaf, StopReason
from vac.machine.state import State
from vac.randomised.restless import restless_image
from vac.recording.playback import Playback

FILLING = """
.memory 1048576
.frame 3
        let     l0, 60000
        li      l1, 0
again:  st32p   l1, l0
        djnz    l0, again
        halt
"""


def leaf(number: int) -> Leaf:
    return Leaf(Random(number).randbytes(64) * 64)


def points(count: int) -> list[Point]:
    """Of a program that fills memory, evenly spread over the start of its run."""
    image = assemble(FILLING)
    playback = Playback(create_machine("fast", keeps_beams=False), image, Point.initial(image), [])
    found = [playback.capture()]
    for number in range(1, count):
        playback.run(number * 3000)
        found.append(playback.capture())
    return found


def test_every_state_comes_back() -> None:
    for seed in range(30):
        image = restless_image(seed, has_labels=seed % 3 == 2)
        machine = create_machine("golden")
        machine.load(image)
        machine.run(20 + seed)
        state = machine.state()
        again = state_from_json(json.loads(json.dumps(state_to_json(state))))
        assert again.differences(state) == []
        state.digest = None
        assert state_from_json(state_to_json(state)).digest is None


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5), lambda x: st.lists(x) | st.dictionaries(st.text(max_size=8), x)
    )
)
def test_any_json_is_a_state_or_refused(fields: object) -> None:
    with contextlib.suppress(CheckpointError):
        state_from_json({**state_to_json(State()), **fields} if isinstance(fields, dict) else {"sp": fields})


def test_a_run_goes_on_from_any_checkpoint_on_any_engine(tmp_path: Path) -> None:
    image = assemble(FILLING)
    folder = CheckpointFolder(tmp_path)
    for number, point in enumerate(points(5)):
        folder.save(f"c{number}", point, f"c{number - 1}" if number else None)
    expected = None
    for checkpoint in CheckpointFolder(tmp_path).all():
        for engine in ("fast", "golden", "jit"):
            playback = Playback(create_machine(engine), image, checkpoint.point, [])
            assert playback.run(30_000) is StopReason.TICK
            root = playback.capture().root()
            assert expected in (None, root)
            expected = root


def test_a_checkpoint_costs_what_changed(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    memory = MemoryMap().with_leaves({number: leaf(number) for number in range(2000)})
    folder.save("first", Point(State(), memory))
    first, objects = folder.store.bytes, len(folder.store)
    changed = memory.with_leaves({700: leaf(9999)})
    folder.save("second", Point(State(tick=5), changed), "first")
    # One leaf and the seven nodes on its way up.
    assert len(folder.store) == objects + 8
    assert folder.store.bytes - first < 5000
    folder.save("third", Point(State(tick=6), memory.with_leaves({700: leaf(700)})), "second")
    assert len(folder.store) == objects + 8
    assert CheckpointFolder(tmp_path).load("third").parent == "second"


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    point, created = points(2)[1], datetime(2026, 1, 2, tzinfo=UTC)
    checkpoints = [CheckpointFolder(tmp_path / name).save("x", point, created=created) for name in "ab"]
    assert encode_checkpoint(checkpoints[0]) == encode_checkpoint(checkpoints[1])
    files = [sorted((p.relative_to(tmp_path / n), p.read_bytes()) for p in (tmp_path / n).rglob("*.*")) for n in "ab"]
    assert files[0] == files[1]


def test_every_changed_byte_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.dc.json"
    save_checkpoint(path, points(2)[1])
    whole = path.read_bytes()
    for position in range(0, len(whole) - 1, 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"x\.dc\.json"):
            load_checkpoint(path)


def test_every_changed_byte_of_a_pack_is_noticed(tmp_path: Path) -> None:
    memory = MemoryMap().with_leaves({number: leaf(number) for number in (1, 2, 70_000)})
    LeafStore(tmp_path).add(memory)
    (pack,) = tmp_path.iterdir()
    whole = pack.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        pack.write_bytes(damaged)
        try:
            found = dict(LeafStore(tmp_path).memory(memory.root()).items())
        except StoreError:
            continue
        # zstd has bits that mean nothing.
        assert found == dict(memory.items())


def test_what_is_missing_or_of_another_version(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    with pytest.raises(CheckpointError, match="cannot read"):
        folder.load("none")
    with pytest.raises(CheckpointError, match="no name"):
        folder.load("../none")
    folder.save("x", points(1)[0])
    path = folder.path("x")
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":9'))
    with pytest.raises(CheckpointError, match="version 9; version 1 is known"):
        folder.load("x")
    with pytest.raises(CheckpointError, match="does not end in"):
        save_checkpoint(tmp_path / "x.json", points(1)[0])


MAPS = st.lists(st.dictionaries(st.integers(0, 5000), st.integers(0, 30), max_size=30), min_size=1, max_size=5)


@settings(max_examples=40)
@given(MAPS, st.sets(st.integers(0, 4)))
def test_pruning_keeps_what_is_needed_and_nothing_else(steps: list[dict[int, int]], kept: set[int]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store = LeafStore(Path(folder))
        memory, maps = MemoryMap(), []
        for step in steps:
            memory = memory.with_leaves({key: leaf(value) for key, value in step.items()})
            store.add(memory)
            maps.append(memory)
        wanted = [memory for number, memory in enumerate(maps) if number in kept]
        store.prune(memory.root() for memory in wanted)
        again = LeafStore(Path(folder))
        for memory in wanted:
            assert dict(again.memory(memory.root()).items()) == dict(memory.items())
        fresh = LeafStore(Path(folder) / "fresh")
        for memory in wanted:
            fresh.add(memory)
        assert set(store._places) == set(fresh._places)
        if not wanted:
            assert not store.packs


def test_removing_checkpoints_gives_space_back(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    taken = points(6)
    for number, point in enumerate(taken):
        folder.save(f"c{number}", point)
    before = folder.store.bytes
    pruned = folder.remove(["c1", "c2", "c4", "c5"])
    assert folder.names() == ["c0", "c3"]
    assert pruned.bytes == before - folder.store.bytes > 0
    again = CheckpointFolder(tmp_path)
    assert dict(again.load("c3").point.memory.items()) == dict(taken[3].memory.items())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_refuses_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    folder = CheckpointFolder(tmp_path)
    first, second = points(2)
    folder.save("first", first)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    real = os.fsync
    for allowed in range(5):
        left = [allowed]

        def fsync(file: int, left: list[int] = left) -> None:
            if not left[0]:
                raise OSError(code, os.strerror(code))
            left[0] -= 1
            real(file)

        monkeypatch.setattr(os, "fsync", fsync)
        try:
            CheckpointFolder(tmp_path).save("second", second)
        except CheckpointError as error:
            assert os.strerror(code) in str(error)
        else:
            assert allowed >= 2
        monkeypatch.setattr(os, "fsync", real)
        again = CheckpointFolder(tmp_path)
        assert dict(again.load("first").point.memory.items()) == dict(first.memory.items())
        for path, content in files.items():
            assert path.read_bytes() == content
        if "second" in again.names():
            assert again.load("second").point.root() == second.root()
        assert not list(tmp_path.rglob("*.part"))


def test_written_and_position_come_back(tmp_path: Path) -> None:
    point = replace(points(2)[1], position=7, written=frozenset({5, 1 << 20}), host={"devices": {"0x00": {"a": "ä"}}})
    save_checkpoint(tmp_path / "x.dc.json", point)
    again = load_checkpoint(tmp_path / "x.dc.json").point
    assert (again.position, again.written, again.host) == (7, point.written, point.host)
    assert again.tick == point.tick
