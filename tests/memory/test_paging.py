"""Paging is invisible: beams, digest and state root are those of a run with all memory in the engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore

from vac.commitment.state_root import StateCommitment
from vac.devices.console import Console
from vac.engines.registry import create_machine
from vac.golden.model import GoldenMachine
from vac.host.session import Host
from vac.image.image import Image
from vac.machine.protocol import StopReason
from vac.memory.compressed_tier import CompressedTier
from vac.memory.file_tier import FileTier
from vac.memory.object_tier import ObjectTier
from vac.memory.page_store import Level, PageStore
from vac.memory.pager import Pager, least_frames
from vac.memory.policy import PolicyOptions
from vac.memory.prefetch import PrefetchOptions
from vac.memory.tier import RamTier, Tier
from vac.randomised.program import Program
from vac.randomised.strategies import programs

from .programs import Outcome, SmallMachine, run_paged, run_unpaged, walk

SIZES = (4096, 8192, 65536)


@cache
def expected(size: int, count: int, seed: int) -> tuple[Image, Outcome]:
    image = walk(size, count, seed)
    return image, run_unpaged(image)


def ram_only(page_bytes: int, folder: Path) -> list[Level]:
    return [Level(RamTier(page_bytes))]


def compressed_over_file(page_bytes: int, folder: Path) -> list[Level]:
    return [Level(CompressedTier(page_bytes), 4096), Level(FileTier(folder / "pages", page_bytes, threads=2))]


def three_levels(page_bytes: int, folder: Path) -> list[Level]:
    upper: Tier = FileTier(folder / "upper", page_bytes, "upper", threads=2)
    return [
        Level(CompressedTier(page_bytes), 2000),
        Level(upper, 4 * page_bytes),
        Level(FileTier(folder / "lower", page_bytes, "lower", threads=2)),
    ]


def file_over_objects(page_bytes: int, folder: Path) -> list[Level]:
    objects = ObjectTier(LocalStore(folder / "bucket", mkdir=True), page_bytes, object_bytes=4096, threads=2)
    file = FileTier(folder / "file", page_bytes, threads=2)
    return [Level(CompressedTier(page_bytes), 1500), Level(file, 3 * page_bytes), Level(objects)]


STACKS: tuple[Callable[[int, Path], list[Level]], ...] = (
    ram_only, compressed_over_file, three_levels, file_over_objects,
)  # fmt: skip
OPTIONS = (
    PolicyOptions(),
    PolicyOptions(prefetch=None),
    PolicyOptions(prefetch=PrefetchOptions(depth=64, stream_depth=64, trend_depth=16, history_depth=16)),
    PolicyOptions(small_share=0.5, is_adaptive=False, drops_behind=False),
)


@contextmanager
def store_of(stack: Callable[[int, Path], list[Level]], page_bytes: int) -> Iterator[PageStore]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as closing:
        store = PageStore(stack(page_bytes, Path(folder)))
        closing.callback(store.close)
        yield store


@settings(max_examples=24)
@given(
    st.sampled_from(SIZES),
    st.integers(0, 40),
    st.sampled_from(STACKS),
    st.sampled_from((1 << 18, 1 << 20)),
    st.integers(1, 3),
    st.sampled_from((77, 1 << 40)),
    st.sampled_from(OPTIONS),
)
def test_frames_page_size_tiers_prefetcher_and_slices_do_not_show(
    page_bytes: int,
    more: int,
    stack: Callable[[int, Path], list[Level]],
    size: int,
    seed: int,
    slice_ticks: int,
    options: PolicyOptions,
) -> None:
    image, unpaged = expected(size, 120, seed)
    with store_of(stack, page_bytes) as store:
        pager = Pager(store, least_frames(page_bytes) + more, options)
        assert run_paged(image, pager, slice_ticks=slice_ticks) == unpaged


def root_of_all_memory(host: Host) -> bytes:
    """Leaf by leaf, those that no engine ever held as well."""
    commitment = StateCommitment()
    for segment in host.memory._segments:
        for number in range(segment.offset >> 12, (segment.offset + segment.length + 4095) >> 12):
            commitment.put(segment.slot, number, host.memory.leaf(segment.slot, number))
    return commitment.take(host.machine)


@settings(max_examples=40)
@given(programs(40), st.sampled_from(SIZES), st.sampled_from(STACKS), st.sampled_from(OPTIONS), st.integers(20, 400))
def test_random_programs_cannot_tell(
    program: Program,
    page_bytes: int,
    stack: Callable[[int, Path], list[Level]],
    options: PolicyOptions,
    slice_ticks: int,
) -> None:
    """With labels, traps, granted shards and self-modifying code."""

    def run(pager: Pager | None) -> tuple[bytes, bytes, bytes]:
        machine = GoldenMachine()
        output = bytearray()
        console = Console(program.console_input, output.extend)
        host = Host(
            machine, program.image, console=console, seed=program.entropy_seed, shards=program.shards, pager=pager
        )
        while host.run(machine.state().tick + slice_ticks).reason is StopReason.TICK:
            if pager and host.memory.paged and machine.state().tick % 3 == 0:
                pager.demote(host.memory.paged)
                pager.restore(host.memory.paged)
        root = host.memory.paged.state_root() if host.memory.paged else root_of_all_memory(host)
        return machine.drain_beams(), bytes(output), root

    with store_of(stack, page_bytes) as store:
        assert run(Pager(store, least_frames(page_bytes), options)) == run(None)


@pytest.mark.rtl
@pytest.mark.parametrize(("page_bytes", "frames"), [(4096, 19), (65536, 4), (65536, 40)])
def test_the_core_cannot_tell_either(page_bytes: int, frames: int) -> None:
    """40 frames are more leaves than the core has frames, so that it gets single ones."""
    image, unpaged = expected(1 << 22, 300, 1)
    pager = Pager(PageStore.in_ram(page_bytes), frames)
    assert run_paged(image, pager, machine=create_machine("rtl")) == unpaged
    assert pager.statistics().misses > 50


@pytest.mark.parametrize("engine", ["golden", "fast"])
def test_a_machine_larger_than_its_frames_runs_over_a_file(engine: str, tmp_path: Path) -> None:
    image, unpaged = expected(1 << 21, 300, 5)
    store = PageStore([Level(FileTier(tmp_path, 1 << 16))])
    pager = Pager(store, least_frames(1 << 16))
    assert run_paged(image, pager, machine=create_machine(engine)) == unpaged
    counts = pager.statistics()
    assert counts.stalls > 100 and counts.write_backs > 20
    assert store.statistics()["file"].pages_read >= counts.stalls
    pager.close()


def test_an_engine_smaller_than_one_page_gets_single_leaves() -> None:
    image, unpaged = expected(1 << 20, 120, 2)
    machine = SmallMachine()
    assert run_paged(image, Pager(PageStore.in_ram(1 << 16), 6), machine=machine) == unpaged
    assert 0 < len(machine.leaves()) <= 8


def test_machines_share_frames_and_contents_but_not_what_they_write() -> None:
    images = [expected(1 << 18, 120, seed) for seed in (1, 2, 1)]
    pager = Pager(PageStore.in_ram(1 << 16), 5)
    machines = [GoldenMachine() for _ in images]
    hosts = [
        Host(machine, image, allocation_limit=1 << 30, pager=pager)
        for machine, (image, _) in zip(machines, images, strict=True)
    ]
    running = list(hosts)
    while running:
        running = [host for host in running if host.run(host.machine.state().tick + 50).reason is StopReason.TICK]
    for host, machine, (_, unpaged) in zip(hosts, machines, images, strict=True):
        assert machine.drain_beams() == unpaged.beams
        assert host.memory.paged and host.memory.paged.state_root() == unpaged.root
    assert pager.statistics().stalls > 0
    for host in hosts:
        assert host.memory.paged
        pager.detach(host.memory.paged)
    assert pager.store.held_keys() == set()


def test_frames_too_few_for_an_instruction_are_refused() -> None:
    with pytest.raises(ValueError, match="give 19 or more"):
        Pager(PageStore.in_ram(4096), 16)
