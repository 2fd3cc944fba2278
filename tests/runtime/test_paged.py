"""Machines of the API whose memory is larger than the frames that they share."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vac import LA128, VacImage, VacRuntime
from vac.memory.address import PageKey
from vac.memory.errors import TierUnavailable
from vac.memory.file_tier import FileTier
from vac.memory.page import Page
from vac.runtime.errors import CheckpointFailed, InvalidOption, MemoryFailed

LEAVES = 60
LARGE = VacImage.from_source(
    f"""
.labels
.memory {LEAVES * 4096}
        li l0, 0
        li l1, {LEAVES}
fill:   st32 l0, l1                     # a number into each leaf
        addw l0, l0, 4096
        djnz l1, fill
        li l1, {LEAVES}
        li l2, 0
back:   addw l0, l0, -4096              # and their sum, from the last one to the first
        get0; ld32 s, s; get2; add; set2
        djnz l1, back
        get2; emit
        halt
""",
    "large.vasm",
)
PAGED: dict[str, Any] = {"frames": 20, "page_size": 4096}
TOTAL = LEAVES * (LEAVES + 1) // 2


def whole(**options: Any) -> tuple[Any, bytes]:
    with VacRuntime("golden", **options) as rt:
        vm = rt.start(LARGE)
        rt.run()
        assert vm.registers.data_stack == [] and vm.state == "halted"
        return vm.registers, vm.point().root()


EXPECTED = whole()


@pytest.mark.parametrize("tiers", [None, "lz4@16KiB,ram", "ram@32KiB,file:{folder}"])
@pytest.mark.parametrize("engine", ["golden", "fast"])
def test_paging_changes_nothing(tmp_path: Path, engine: str, tiers: str | None) -> None:
    named = tiers and tiers.format(folder=tmp_path / "pages")
    with VacRuntime(engine, **PAGED, tiers=named) as rt:
        one, two = rt.start(LARGE), rt.start(LARGE)
        rt.run(slice_ticks=30)
        for vm in (one, two):
            assert vm.registers.differences(EXPECTED[0]) == [] and vm.point().root() == EXPECTED[1]
            assert vm.paging["evictions"] > LEAVES / 2 and vm.paging["write_backs"] > 0
        assert rt.read(one, LA128(1, 4096 * 7), 4) == (LEAVES - 7).to_bytes(4, "little")
    if tiers and "file" in tiers:
        assert any((tmp_path / "pages").iterdir())


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(1, 250), st.booleans()), min_size=1, max_size=4))
def test_checkpoints_go_in_and_out_of_paged_memory(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    path: Path | None = None
    for number, (ticks, is_paged) in enumerate(steps):
        with VacRuntime("fast", **PAGED if is_paged else {}) as rt:
            vm = rt.start(LARGE) if path is None else rt.restore(path, LARGE)
            rt.step(vm, ticks)
            path = rt.checkpoint(vm, folder / str(number))
    assert path
    with VacRuntime("golden", **PAGED) as rt:
        last = rt.restore(path, LARGE)
        rt.run()
        assert last.registers.differences(EXPECTED[0]) == [] and last.point().root() == EXPECTED[1]


def test_memory_under_a_pager_can_be_written_from_outside() -> None:
    data = bytes(range(256)) * 64
    roots: set[bytes] = set()
    for options in ({}, PAGED):
        with VacRuntime("fast", **options) as rt:
            vm = rt.start(LARGE)
            rt.step(vm, 100)
            rt.write(vm, LA128(1, 4090), data)
            assert rt.read(vm, LA128(1, 4090), len(data)) == data
            assert rt.read(vm, LA128(77, 1 << 31), 5) == bytes(5)
            rt.write(vm, LA128(78, (1 << 32) - 4), b"last")
            assert rt.read(vm, LA128(78, (1 << 32) - 5), 5) == b"\0last"
            rt.step(vm, 150)
            assert vm.state == "running"
            roots.add(vm.point().root())
    assert len(roots) == 1


def test_a_quota_of_pages_stops_and_can_be_extended() -> None:
    with VacRuntime("fast", **PAGED) as rt:
        vm = rt.start(LARGE, quotas={"max_resident_pages": 5})
        rt.run()
        assert (vm.state, vm.cause) == ("stopped", "max_resident_pages reached")
        rt.extend(vm, max_resident_pages=None)
        rt.run()
        assert vm.state == "halted" and vm.point().root() == EXPECTED[1]


def test_a_closed_machine_frees_its_frames() -> None:
    with VacRuntime("fast", **PAGED) as rt:
        first = rt.start(LARGE)
        rt.step(first, 100)
        rt.close(first)
        second = rt.start(LARGE)
        rt.run()
        assert second.point().root() == EXPECTED[1]
    with pytest.raises(InvalidOption, match="the runtime is closed"):
        rt.start(LARGE)


def test_a_tier_that_fails_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_broken = False
    put = FileTier.put_pages

    def refuse(tier: FileTier, pages: list[tuple[PageKey, Page]]) -> None:
        if is_broken:
            raise TierUnavailable("file", "no space left on device")
        put(tier, pages)

    monkeypatch.setattr(FileTier, "put_pages", refuse)
    with VacRuntime("fast", **PAGED, tiers=f"file:{tmp_path / 'pages'}") as rt:
        vm = rt.start(LARGE)
        rt.step(vm, 50)
        is_broken = True
        while vm.state == "running":
            rt.step(vm, 50)
        assert vm.state == "stopped" and "no space left" in str(vm.cause)
        with pytest.raises(MemoryFailed, match="no space left"):
            for leaf in range(LEAVES):
                rt.read(vm, LA128(1, 4096 * leaf), 4)
        with pytest.raises(CheckpointFailed, match="no space left"):
            rt.checkpoint(vm, tmp_path / "a")
        is_broken = False
        rt.extend(vm)
        assert vm.cause is None
        rt.run()
        assert vm.state == "halted" and vm.point().root() == EXPECTED[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"frames": 2}, "frames: 2 frames of 65536 bytes; give"),
        ({"frames": 0}, "frames: 0 frames"),
        ({"page_size": "huge"}, "page_size: 'huge' is no size"),
        ({"page_size": 5000}, "page_size: .*5000"),
        ({"tiers": "paper"}, "tiers: 'paper' is no kind of tier"),
        ({"tiers": "file:/proc/no/such"}, "tiers: cannot open '/proc/no"),
    ],
)
def test_pagers_that_cannot_be_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        VacRuntime(**options)
