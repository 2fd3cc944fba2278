"""The stack of tiers, shards over parents, and errors on the way: nothing is lost."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vac.memory.address import LA128, PageKey
from vac.memory.compressed_tier import CompressedTier
from vac.memory.errors import PageDamaged, ShardError, TierUnavailable
from vac.memory.file_tier import FileTier
from vac.memory.page import Page, page_hash, zero_page
from vac.memory.page_store import Level, PageStore
from vac.memory.shards import FIRST_PRIVATE, ShardTable
from vac.memory.tier import RamTier

SIZE = 4096


def content(seed: int) -> Page:
    """Half random, half zeros: lz4 halves it."""
    return Page.seal(random.Random(seed).randbytes(SIZE // 2) + bytes(SIZE // 2), bytes([seed % 3, 0]))


class FailingTier(RamTier):
    """Stops working when told to."""

    is_durable = True

    def __init__(self, name: str = "bottom") -> None:
        super().__init__(SIZE, name)
        self.is_down = False

    def put_pages(self, pages: Sequence[tuple[PageKey, Page]]) -> None:
        if self.is_down:
            raise TierUnavailable(self.name, "is down")
        super().put_pages(pages)


def test_pages_move_down_in_order_of_use(tmp_path: Path) -> None:
    top, bottom = CompressedTier(SIZE), RamTier(SIZE)
    store = PageStore([Level(top, 150 * SIZE), Level(bottom)])
    keys = [PageKey(1, number) for number in range(290)]
    store.put([(key, content(key.number)) for key in keys])
    assert not bottom.held_keys()
    store.get(keys[:20])
    store.put([(PageKey(2, number), content(number)) for number in range(40)])
    gone = set(bottom.held_keys())
    assert gone and not gone & set(keys[:20]) and gone <= set(keys[20:])
    assert store.get(keys) == [content(key.number) for key in keys]
    assert top.used_bytes() <= 150 * SIZE


def test_a_damaged_copy_is_replaced_by_one_from_further_down() -> None:
    top, bottom = CompressedTier(SIZE), FailingTier()
    store = PageStore([Level(top, 1 << 20), Level(bottom)])
    key = PageKey(1, 2)
    store.put([(key, content(1))])
    store.flush()
    packed, labels, found = top._pages[key]
    top._pages[key] = packed[:-9] + b"\x00" + packed[-8:], labels, found
    assert store.get([key]) == [content(1)]
    assert store.statistics()["lz4"].damaged == 1 and top.hash(key) is None
    bottom.put_page(key, Page(content(2).data, b"", content(1).hash))
    with pytest.raises(PageDamaged, match="tier bottom"):
        store.get([key])


def test_a_tier_that_is_down_loses_nothing() -> None:
    top, bottom = CompressedTier(SIZE), FailingTier()
    store = PageStore([Level(top, 10 * SIZE), Level(bottom)])
    bottom.is_down = True
    kept: dict[PageKey, Page] = {}
    with pytest.raises(TierUnavailable, match="tier bottom: is down"):
        for number in range(100):
            kept[PageKey(1, number)] = content(number)
            store.put([(PageKey(1, number), content(number))])
    assert store.get(list(kept)) == list(kept.values())
    with pytest.raises(TierUnavailable):
        store.flush()
    bottom.is_down = False
    store.put([(PageKey(1, 0), content(0))])
    assert top.used_bytes() <= 10 * SIZE and bottom.held_keys()
    assert store.get(list(kept)) == list(kept.values())


def test_an_acknowledged_version_outlives_its_successors_until_they_are_as_safe(tmp_path: Path) -> None:
    upper = FileTier(tmp_path / "upper", SIZE, "upper")
    lower = FileTier(tmp_path / "lower", SIZE, "lower")
    store = PageStore([Level(CompressedTier(SIZE), 50 * SIZE), Level(upper, 8 * SIZE), Level(lower)])
    keys = [PageKey(1, number) for number in range(8)]
    store.put([(key, content(key.number)) for key in keys])
    store.flush()
    store.put([(key, content(100 + key.number)) for key in keys])
    assert [upper.get_page(key) for key in keys] == [content(key.number) for key in keys]
    store.put([(PageKey(2, number), content(number)) for number in range(90)])
    store.flush()
    on_disk = {key: tier.get_page(key) for tier in (lower, upper) for key in tier.held_keys()}
    assert all(on_disk[key] == content(100 + key.number) for key in keys)
    store.close()
    again = PageStore([
        Level(FileTier(tmp_path / "upper", SIZE, "upper"), 8 * SIZE),
        Level(FileTier(tmp_path / "lower", SIZE, "lower")),
    ])  # fmt: skip
    assert again.get(keys) == [content(100 + key.number) for key in keys]
    again.close()


def test_a_crash_between_two_durable_levels_loses_nothing(tmp_path: Path) -> None:
    """Pages that were acknowledged above are written anew, pushed out by others, and moved down; at each moment the
    folders hold them as they were acknowledged or later."""
    folders = {name: tmp_path / name for name in ("upper", "lower")}
    upper, lower = (FileTier(folder, SIZE, name) for name, folder in folders.items())
    store = PageStore([Level(CompressedTier(SIZE), 30 * SIZE), Level(upper, 80 * SIZE), Level(lower)])
    keys = [PageKey(1, number) for number in range(60)]
    store.put([(key, content(key.number)) for key in keys])
    store.flush()
    for moment in range(12):
        first = 10 * moment
        store.put([(PageKey(1, number % 60), content(1000 + number)) for number in range(first, first + 10)])
        store.put([(PageKey(2, number), content(number)) for number in range(2 * first, 2 * first + 20)])
        # As it does by itself when many slots wait to become free.
        upper.flush()
        for name, folder in folders.items():
            shutil.copytree(folder, tmp_path / f"crash{moment}" / name)
        tiers = [FileTier(tmp_path / f"crash{moment}" / name, SIZE, name) for name in folders]
        crashed = PageStore([Level(tiers[0], 80 * SIZE), Level(tiers[1])])
        for key, found in zip(keys, crashed.get(keys), strict=True):
            versions = [key.number, *(1000 + key.number + 60 * turn for turn in range(3))]
            assert found in [content(version) for version in versions]
        crashed.close()
    assert lower.held_keys() and store.statistics()["lower"].pages_written > 30
    store.close()


def test_an_acknowledged_page_leaves_its_level_only_when_its_successor_is_safe(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("upper", "lower")}
    upper, lower = (FileTier(folder, SIZE, name) for name, folder in folders.items())
    store = PageStore([Level(CompressedTier(SIZE), 40 * SIZE), Level(upper, 10 * SIZE), Level(lower)])
    keys = [PageKey(1, number) for number in range(8)]
    store.put([(key, content(key.number)) for key in keys])
    store.flush()
    store.put([(PageKey(2, number), content(number)) for number in range(70)])
    store.put([(key, content(1000 + key.number)) for key in keys])
    store.put([(PageKey(3, number), content(number)) for number in range(8)])
    upper.flush()
    assert not set(keys) & set(upper.held_keys())
    for name, folder in folders.items():
        shutil.copytree(folder, tmp_path / "crash" / name)
    tiers = [FileTier(tmp_path / "crash" / name, SIZE, name) for name in folders]
    crashed = PageStore([Level(tiers[0], 10 * SIZE), Level(tiers[1])])
    assert crashed.get(keys) == [content(1000 + key.number) for key in keys]
    for each in (crashed, store):
        each.close()


def test_compressed_pages_are_counted_once() -> None:
    tier = CompressedTier(SIZE)
    for seed in range(5):
        tier.put_page(PageKey(1, 1), content(seed))
    assert SIZE // 2 < tier.used_bytes() < SIZE
    noise = Page.seal(random.Random(1).randbytes(SIZE))
    tier.put_page(PageKey(1, 2), noise)
    assert tier.get_page(PageKey(1, 2)) == noise
    tier.drop([PageKey(1, 1), PageKey(1, 2)])
    assert tier.used_bytes() == 0


class StoreMachine(RuleBasedStateMachine):
    """Whatever is put, read, flushed, discarded and interrupted: every page reads as it was last put."""

    def __init__(self) -> None:
        super().__init__()
        self.bottom = FailingTier()
        self.middle = FailingTier("middle")
        levels = [Level(CompressedTier(SIZE), 6 * SIZE), Level(self.middle, 9 * SIZE), Level(self.bottom)]
        self.store = PageStore(levels)
        self.expected: dict[PageKey, Page] = {}

    @rule(number=st.integers(0, 30), version=st.integers(0, 50), count=st.integers(1, 5))
    def put(self, number: int, version: int, count: int) -> None:
        pages = [(PageKey(1, number + index), content(version + index)) for index in range(count)]
        try:
            self.store.put(pages)
        except TierUnavailable:
            assert self.bottom.is_down or self.middle.is_down
        self.expected.update(pages)

    @rule(number=st.integers(0, 35))
    def get(self, number: int) -> None:
        key = PageKey(1, number)
        assert (key in self.store) == (key in self.expected)
        if key in self.expected:
            assert self.store.get([key]) == [self.expected[key]]
            assert self.store.hash(key) == self.expected[key].hash

    @rule(number=st.integers(0, 35))
    def discard(self, number: int) -> None:
        self.store.discard([PageKey(1, number)])
        self.expected.pop(PageKey(1, number), None)

    @rule()
    def flush(self) -> None:
        try:
            self.store.flush()
        except TierUnavailable:
            assert self.bottom.is_down or self.middle.is_down
        else:
            durable = {k: t.get_page(k) for t in (self.bottom, self.middle) for k in t.held_keys()}
            assert {key: durable[key] for key in self.expected} == self.expected

    @rule(is_down=st.booleans())
    def switch_bottom(self, is_down: bool) -> None:
        self.bottom.is_down = is_down

    @rule(is_down=st.booleans())
    def switch_middle(self, is_down: bool) -> None:
        self.middle.is_down = is_down

    @invariant()
    def everything_is_there(self) -> None:
        keys = list(self.expected)
        assert self.store.get(keys) == [self.expected[key] for key in keys]


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=40, stateful_step_count=40)


def test_levels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="different page sizes"):
        PageStore([Level(RamTier(4096)), Level(RamTier(8192))])
    with pytest.raises(ValueError, match=r"bottom level \(ram\) has a capacity"):
        PageStore([Level(RamTier(4096), 4096)])
    with pytest.raises(ValueError, match="no level at all"):
        PageStore([])
    with pytest.raises(ValueError, match="page size 5000"):
        RamTier(5000)


def test_a_shard_reads_through_to_its_parents() -> None:
    table = ShardTable(PageStore.in_ram(SIZE))
    base = table.create(7)
    table.write([(PageKey(7, 0), content(1)), (PageKey(7, 1), content(2))])
    child = table.create(parent=base)
    assert child == FIRST_PRIVATE
    table.write([(PageKey(child, 1), content(3)), (PageKey(child, 2), content(4))])
    grandchild = table.fork(child)
    table.write([(PageKey(grandchild, 0), zero_page(SIZE))])
    read = table.read([PageKey(grandchild, number) for number in range(4)])
    assert read == [zero_page(SIZE), content(3), content(4), zero_page(SIZE)]
    assert table.read([PageKey(child, 0)]) == [content(1)]
    for frozen in (base, child):
        with pytest.raises(ShardError, match="is frozen"):
            table.write([(PageKey(frozen, 9), content(9))])
        with pytest.raises(ShardError, match="is the parent of"):
            table.discard(frozen)
    table.discard(grandchild)
    table.discard(child)
    assert set(table.store.held_keys()) == {PageKey(7, 0), PageKey(7, 1)}


def test_shards_that_do_not_exist_or_exist_already_are_named() -> None:
    table = ShardTable(PageStore.in_ram(SIZE))
    table.create(7)
    with pytest.raises(ShardError, match="0x7 exists already"):
        table.create(7)
    with pytest.raises(ShardError, match="there is no shard 0x8"):
        table.read([PageKey(8, 0)])
    with pytest.raises(ShardError, match="there is no shard 0x9"):
        table.create(8, parent=9)
    with pytest.raises(ShardError):
        table.create(1 << 64)


def test_a_table_made_again_gives_out_fresh_numbers(tmp_path: Path) -> None:
    store = PageStore([Level(FileTier(tmp_path, SIZE))])
    table = ShardTable(store)
    number = table.create()
    table.write([(PageKey(number, 3), content(1))])
    store.close()
    table = ShardTable(PageStore([Level(FileTier(tmp_path, SIZE))]))
    assert table.create() == number + 1
    assert table.create(number) == number
    assert table.read([PageKey(number, 3)]) == [content(1)]
    table.store.close()


@pytest.mark.parametrize("address", [LA128(0, 0), LA128(7, 4096), LA128((1 << 64) - 1, (1 << 64) - 1)])
def test_addresses_pack_into_sixteen_bytes(address: LA128) -> None:
    assert len(address.to_bytes()) == 16 and LA128.from_bytes(address.to_bytes()) == address
    assert str(LA128(7, 4096)) == "0x7:0x1000" and LA128(7, 4000) + 96 == LA128(7, 4096)


def test_addresses_beyond_64_bits_are_refused() -> None:
    for shard, offset in ((1 << 64, 0), (0, 1 << 64), (-1, 0)):
        with pytest.raises(ValueError, match="64 bits"):
            LA128(shard, offset)
    with pytest.raises(ValueError, match="64 bits"):
        assert LA128(0, 5) + -6
    with pytest.raises(ValueError, match="16 bytes, not 3"):
        LA128.from_bytes(b"abc")


def test_labels_are_part_of_the_hash() -> None:
    data = bytes(SIZE)
    assert Page.seal(data, b"\x00\x00") == Page.seal(data) == zero_page(SIZE)
    assert Page.seal(data, b"\x01\x00").hash == page_hash(data, b"\x01\x00") != zero_page(SIZE).hash
    assert Page.seal(data, b"\x01\x02").labels_of(0) == 0x0201
    with pytest.raises(ValueError, match="3 bytes of labels"):
        Page.seal(data, b"abc")
