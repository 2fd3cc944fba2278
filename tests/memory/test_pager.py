"""The pager with real machines: what it counts, gangs, forks, shards that are mapped, tiers that fail in mid-run."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vac.assembler.assemble import assemble
from vac.commitment.state_root import StateCommitment
from vac.devices.console import Console
from vac.devices.storage import Storage
from vac.engines.registry import create_machine
from vac.golden.model import GoldenMachine
from vac.host.address_space import Shard
from vac.host.session import Host
from vac.image.image import Segment
from vac.machine.protocol import StopReason
from vac.memory.address import PageKey
from vac.memory.compressed_tier import CompressedTier
from vac.memory.errors import PageDamaged, PagingError, ShardError, TierUnavailable
from vac.memory.file_tier import FileTier
from vac.memory.image_shards import page_source
from vac.memory.page import Page
from vac.memory.page_store import Level, PageStore
from vac.memory.pager import Pager
from vac.memory.policy import PolicyOptions
from vac.memory.tier import RamTier

from .programs import SmallMachine, run_paged, run_unpaged, scan, walk

SIZE = 4096


class FailingTier(RamTier):
    """Refuses reads or writes while it is told to."""

    def __init__(self) -> None:
        super().__init__(SIZE, "failing")
        self.refuses_reads = False
        self.refuses_writes = False

    def get_pages(self, keys: Sequence[PageKey]) -> list[Page]:
        if self.refuses_reads:
            raise TierUnavailable(self.name, "does not read")
        return super().get_pages(keys)

    def put_pages(self, pages: Sequence[tuple[PageKey, Page]]) -> None:
        if self.refuses_writes:
            raise TierUnavailable(self.name, "does not write")
        super().put_pages(pages)


def check_frames(pager: Pager) -> None:
    """What has a frame is what the policy says, and no more than there are."""
    pager.settle()
    assert set(pager._frames) == set(pager.policy._queue) | set(pager.policy._ahead) | set(pager.policy._behind)
    assert len(pager._frames) <= pager.frames


def host_of(source: str, pager: Pager, **options: object) -> Host:
    return Host(GoldenMachine(), assemble(source), pager=pager, allocation_limit=1 << 24, **options)  # pyright: ignore[reportArgumentType]


def test_a_scan_is_fetched_ahead_and_counted() -> None:
    image = scan(1 << 20, 1024)
    expected = run_unpaged(image)
    plain = Pager(PageStore.in_ram(SIZE), 64, PolicyOptions(prefetch=None))
    assert run_paged(image, plain) == expected
    pager = Pager(PageStore.in_ram(SIZE), 64)
    assert run_paged(image, pager) == expected
    check_frames(pager)
    counts, without = pager.statistics(), plain.statistics()
    assert without.stalls >= 190 and without.fetched == 0 and without.prefetch_accuracy is None
    assert counts.stalls <= 12
    assert counts.fetched >= 190 and counts.prefetch_accuracy is not None and counts.prefetch_accuracy > 0.9
    assert counts.reads == counts.stalls + counts.fetched
    assert counts.soft_faults >= counts.fetched_used
    assert counts.write_backs >= 190 <= without.write_backs


@pytest.mark.parametrize("engine", ["golden", "fast"])
def test_frames_follow_the_policy(engine: str) -> None:
    pager = Pager(PageStore([Level(CompressedTier(1 << 14), 20000), Level(RamTier(1 << 14))]), 12)
    for seed in (1, 2):
        image = walk(1 << 20, 200, seed)
        assert run_paged(image, pager, machine=create_machine(engine)) == run_unpaged(image)
        check_frames(pager)
    counts = pager.statistics()
    assert counts.evictions >= counts.write_backs > 0 and counts.hits > 0


@pytest.mark.parametrize("is_background", [False, True])
@pytest.mark.parametrize("kind", ["reads", "writes"])
def test_a_failing_tier_stops_the_run_which_then_goes_on(kind: str, is_background: bool) -> None:
    image = walk(1 << 19, 120, 4)
    tier = FailingTier()
    pager = Pager(PageStore([Level(tier)]), 24, is_ahead_in_background=is_background)
    failures: list[PagingError] = []

    def fail() -> None:
        setattr(tier, f"refuses_{kind}", True)

    def recover(error: PagingError) -> None:
        failures.append(error)
        setattr(tier, f"refuses_{kind}", len(failures) % 4 != 0)

    at_slice = {5: fail, 12: fail, 20: fail, 30: fail}
    assert run_paged(image, pager, slice_ticks=60, at_slice=at_slice, on_failure=recover) == run_unpaged(image)
    assert len(failures) >= 12 and "does not" in str(failures[0])
    check_frames(pager)


def test_an_answer_is_given_once_though_its_pages_had_to_wait() -> None:
    source = """
        k1; lit32 40000; sys SYS_ALLOC; drop
        lit 0x30; lit32 0x10000005; lit 20000; sys SYS_READ
        lit 0x30; lit32 0x10000005; lit 20000; sys SYS_READ
        halt"""
    data = bytes(range(1, 251)) * 120
    tier = FailingTier()
    pager = Pager(PageStore([Level(tier)]), 19)
    host = host_of(source, pager, storage=Storage(io.BytesIO(data)))
    other = Host(GoldenMachine(), walk(1 << 18, 60, 1), pager=pager, allocation_limit=1 << 24)
    stops, reason = 0, StopReason.TICK
    for tick in range(1, 16):
        tier.refuses_writes = True
        while True:
            try:
                reason = host.run(tick).reason
                break
            except TierUnavailable:
                stops += 1
                tier.refuses_writes = stops % 2 == 0
        tier.refuses_writes = False
        other.run(other.machine.state().tick + 100)
    assert reason is StopReason.HALTED and stops > 0
    assert host.machine.state().data_stack == [20000, 10000]
    assert [entry.answer.value for entry in host.input_log.entries][1:] == [20000, 10000]
    assert host.memory.read(host.machine.state().windows[1].slot, 5, 20000) == data[20000:] + data[10000:20000]


def test_damage_below_stops_the_machine_that_needs_the_page(tmp_path: Path) -> None:
    store = PageStore([Level(FileTier(tmp_path, SIZE))])
    pager = Pager(store, 19)
    host = Host(GoldenMachine(), walk(1 << 18, 100, 1), pager=pager, allocation_limit=1 << 24)
    host.run(1200)
    store.flush()
    size = (tmp_path / "pages").stat().st_size
    kept = (tmp_path / "pages").read_bytes()
    (tmp_path / "pages").write_bytes(bytes(size))
    with pytest.raises(PageDamaged, match=r"page \d+ of shard 0x8000000000000\S+ came back damaged from tier file"):
        host.run(1 << 40)
    (tmp_path / "pages").write_bytes(kept)
    assert host.run(1 << 40).reason is StopReason.HALTED
    assert host.memory.paged
    assert host.memory.paged.state_root() == run_unpaged(walk(1 << 18, 100, 1)).root
    store.close()


def test_gangs_take_their_working_sets_with_them() -> None:
    image = walk(1 << 18, 100, 3)
    pager = Pager(PageStore.in_ram(SIZE), 80)
    hosts = [Host(GoldenMachine(), image, pager=pager, allocation_limit=1 << 24) for _ in range(4)]
    memories = [host.memory.paged for host in hosts if host.memory.paged]
    running = list(zip(hosts, memories, strict=True))
    restored, working_sets = 0, set[int]()
    while running:
        for host, memory in list(running):
            restored += pager.restore(memory)
            stalls = memory.statistics.stalls
            if host.run(host.machine.state().tick + 400).reason is not StopReason.TICK:
                running.remove((host, memory))
            elif restored:
                assert memory.statistics.stalls - stalls < 80
            assert pager.demote(memory) > 0 and pager.resident_pages(memory) == 0 and not host.machine.leaves()
            working_sets.add(pager.working_set(memory))
            check_frames(pager)
    assert restored > 100 and max(working_sets) > 20
    expected = run_unpaged(image)
    for host, memory in zip(hosts, memories, strict=True):
        assert host.machine.drain_beams() == expected.beams and memory.state_root() == expected.root


def root_of_leaves(host: Host) -> bytes:
    """The root computed from nothing but leaves, one by one."""
    assert host.memory.paged
    commitment = StateCommitment()
    for slot in host.memory.paged._bound:
        for number in range((1 << 19) // 4096 + 1):
            commitment.put(slot, number, host.memory.paged.leaf(slot, number))
    return commitment.take(host.machine)


def test_a_fork_keeps_the_memory_as_it_was(tmp_path: Path) -> None:
    image = walk(1 << 19, 120, 6)
    store = PageStore([Level(CompressedTier(SIZE), 10000), Level(FileTier(tmp_path, SIZE))])
    pager = Pager(store, 30)
    host = Host(GoldenMachine(), image, pager=pager, allocation_limit=1 << 24)
    memory = host.memory.paged
    assert memory
    host.run(1500)
    state, root = host.machine.state(), memory.state_root()
    assert root == root_of_leaves(host)
    before = len(set(store.held_keys()))
    frozen = pager.fork(memory)
    slot, shard = host.machine.state().windows[1].slot, frozen[host.machine.state().windows[1].slot]
    assert pager.shards.is_frozen(shard)
    assert len(set(store.held_keys())) - before <= 30
    assert host.run(1 << 40).reason is StopReason.HALTED
    expected = run_unpaged(image)
    assert memory.state_root() == expected.root != root

    # The frozen shards are all that another machine needs to go on from there.
    machine = GoldenMachine()
    second = pager.attach(machine)
    for each, parent in frozen.items():
        second.bind(each, 1 << 20, parent)
    machine.set_state(state)
    assert second.state_root() == root
    while True:
        stop = machine.run(1 << 40)
        if stop.miss is None:
            break
        second.serve(stop.miss.slot, stop.miss.number)
    assert stop.reason is StopReason.HALTED and second.state_root() == expected.root
    assert memory.leaf(slot, 0) == second.leaf(slot, 0)
    store.close()


def test_granted_shards_are_shared_until_somebody_writes() -> None:
    source = """
        lit 3; lit 7; k0; k0; k0; lit 40; lit 3; sys SYS_MAP; drop
        lit32 0x30000000; ld32 s, s
        lit32 0x30000000; in CONSOLE_DATA; st32 s, s
        lit32 0x30000000; ld32 s, s
        halt"""
    shard = Shard(7, bytes(range(1, 41)), 3)
    pager = Pager(PageStore.in_ram(SIZE), 19)
    for text in (b"a", b"b"):
        host = host_of(source, pager, shards=[shard], console=Console(text, lambda data: None))
        assert host.run(1000).reason is StopReason.HALTED
        assert host.machine.state().data_stack == [0x04030201, text[0]]
    assert len(pager._contents) == 3  # code, data, the shard: each once


def test_slots_are_bound_once() -> None:
    memory = Pager(PageStore.in_ram(SIZE), 19).attach(GoldenMachine())
    memory.bind(3, 4096)
    with pytest.raises(ShardError, match="slot 3 is bound"):
        memory.bind(3, 4096)
    with pytest.raises(ShardError, match="slot 4 of machine 0 is bound to no shard"):
        memory.serve(4, 0)


@pytest.mark.parametrize("create", [GoldenMachine, SmallMachine])
@pytest.mark.parametrize(("page_bytes", "frames"), [(4096, 19), (16384, 7), (65536, 4)])
def test_labels_travel_with_their_leaves(create: Callable[[], GoldenMachine], page_bytes: int, frames: int) -> None:
    source = """
        .labels
        k1; lit32 0x100000; sys SYS_ALLOC; drop
        lit32 0x10003000; k1; k2; join; st32 s, s
        {away}
        lit32 0x10003000; ld32 s, s
        halt"""
    away = "\n".join(f"lit32 {0x10000000 + (page << 14):#x}; k1; st32 s, s" for page in range(1, 30))
    image = assemble(source.format(away=away))
    pager = Pager(PageStore([Level(CompressedTier(page_bytes))]), frames)
    host = Host(create(), image, pager=pager, allocation_limit=1 << 24)
    assert host.run(1 << 20).reason is StopReason.HALTED
    state = host.machine.state()
    assert state.labels[0] != 0
    slot = state.windows[1].slot
    assert host.memory.leaf(slot, 3).labels == state.labels[0] and host.memory.leaf(slot, 2).labels == 0
    assert pager.statistics().evictions > 0


def test_segments_come_at_their_offsets_whatever_the_page_size() -> None:
    segments = [Segment(1, 5000, 9000, b"a" * 6000), Segment(1, 9100, 20, b"b" * 10), Segment(1, 70000, 4, b"cd")]
    memory = bytearray(1 << 17)
    for segment in segments:
        memory[segment.offset : segment.offset + len(segment.data)] = segment.data
    for page_bytes in (4096, 16384, 65536):
        source = page_source(page_bytes, segments)
        pages = [source(number) for number in range((1 << 17) // page_bytes)]
        assert b"".join(page.data if page else bytes(page_bytes) for page in pages) == memory
        assert source(1 << 10) is None
