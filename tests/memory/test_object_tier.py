"""The object tier over a real S3 server: what it writes, what it survives."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore

from vac.campaigns.object_server import SeaweedServer, seaweed_server
from vac.campaigns.paging import run_campaign
from vac.memory.address import PageKey
from vac.memory.compressed_tier import CompressedTier
from vac.memory.errors import PageAbsent, PageDamaged, TierFormatError, TierUnavailable
from vac.memory.object_tier import ObjectTier, open_bucket
from vac.memory.page import Page
from vac.memory.page_store import Level, PageStore
from vac.memory.pager import Pager
from vac.memory.retry import RetryLimits

from .bad_network import bad_network
from .programs import run_paged, run_unpaged, walk

SIZE = 4096
HASTY = RetryLimits(attempts=2, seconds=1.0, first_delay=0.01)


def pages(first: int, count: int, seed: int = 0) -> list[tuple[PageKey, Page]]:
    draw = random.Random(seed)
    return [(PageKey(7, number), Page.seal(draw.randbytes(SIZE))) for number in range(first, first + count)]


def objects(store: LocalStore) -> list[str]:
    return sorted(each["path"] for batch in obstore.list(store, "pages/objects") for each in batch)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path, mkdir=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    with seaweed_server(tmp_path_factory.mktemp("seaweed")) as running:
        yield running


def test_pages_are_packed_into_objects_and_come_back(store: LocalStore) -> None:
    tier = ObjectTier(store, SIZE, object_bytes=8 * SIZE)
    kept = pages(0, 20)
    labelled = PageKey(9, 1 << 40), Page.seal(bytes(range(256)) * 16, b"\x03\x00")
    tier.put_pages([*kept, labelled])
    assert len(objects(store)) == 2
    assert tier.get_pages([key for key, _ in kept[::-1]]) == [page for _, page in kept[::-1]]
    tier.flush()
    assert len(objects(store)) == 3
    assert tier.get_page(labelled[0]) == labelled[1] and tier.hash(labelled[0]) == labelled[1].hash
    with pytest.raises(PageAbsent, match="page 20 of shard 0x7"):
        tier.get_page(PageKey(7, 20))


def test_another_writer_takes_over_the_latest_versions(store: LocalStore) -> None:
    tier = ObjectTier(store, SIZE, object_bytes=4 * SIZE)
    tier.put_pages(pages(0, 8))
    tier.put_pages(pages(0, 3, seed=1))
    tier.close()
    expected = dict(pages(0, 8)) | dict(pages(0, 3, seed=1))
    second = ObjectTier(store, SIZE)
    assert {key: second.get_page(key) for key in second.held_keys()} == expected
    second.put_pages(pages(5, 1, seed=2))
    second.close()
    assert ObjectTier(store, SIZE).get_page(PageKey(7, 5)) == pages(5, 1, seed=2)[0][1]
    assert {name.split("/")[-1].split("-")[0] for name in objects(store)} == {"00000001", "00000002"}


def test_objects_without_current_pages_go_and_sparse_ones_are_packed_anew(store: LocalStore) -> None:
    tier = ObjectTier(store, SIZE, object_bytes=8 * SIZE)
    tier.put_pages(pages(0, 8))
    first = objects(store)
    tier.put_pages(pages(0, 7, seed=1))
    tier.put_pages(pages(10, 8, seed=2))
    tier.flush()
    tier.flush()
    assert not set(first) & set(objects(store))
    tier = ObjectTier(store, SIZE)
    assert tier.get_page(PageKey(7, 7)) == pages(0, 8)[7][1]
    assert tier.get_page(PageKey(7, 0)) == pages(0, 7, seed=1)[0][1]
    tier.drop(tier.held_keys())
    tier.flush()
    assert objects(store) == []


def test_a_damaged_object_is_named(store: LocalStore, tmp_path: Path) -> None:
    tier = ObjectTier(store, SIZE)
    (key, page), *_ = kept = pages(0, 3)
    over = PageStore([Level(tier)])
    over.put(kept)
    over.flush()
    (name,) = objects(store)
    content = bytearray((tmp_path / name).read_bytes())
    content[5] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PageDamaged, match="page 0 of shard 0x7 came back damaged from tier s3: expected") as caught:
        over.get([key])
    assert caught.value.expected == page.hash != caught.value.found
    assert over.get([kept[1][0]]) == [kept[1][1]]
    content[-30] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TierFormatError, match=name):
        ObjectTier(store, SIZE)


def test_another_page_size_is_refused(store: LocalStore) -> None:
    tier = ObjectTier(store, SIZE)
    tier.put_pages(pages(0, 1))
    tier.close()
    with pytest.raises(TierFormatError, match="for pages of 4096 bytes, not 8192"):
        ObjectTier(store, 2 * SIZE)


@pytest.mark.slow
def test_a_machine_goes_on_after_its_server_was_killed(server: SeaweedServer) -> None:
    image = walk(1 << 21, 300, 3)
    expected = run_unpaged(image)
    bucket = open_bucket(server.bucket, server.endpoint, prefix="killed", seconds=5.0)
    tier = ObjectTier(bucket, 1 << 14, object_bytes=1 << 11, limits=HASTY)
    pager = Pager(PageStore([Level(CompressedTier(1 << 14), 2000), Level(tier)]), 7)
    stopped: list[TierUnavailable] = []

    def restart(error: Exception) -> None:
        assert isinstance(error, TierUnavailable)
        stopped.append(error)
        if len(stopped) == 2:
            server.start()

    assert run_paged(image, pager, slice_ticks=500, at_slice={4: server.kill}, on_failure=restart) == expected
    assert len(stopped) >= 2 and "failed 2 times" in str(stopped[0])
    assert pager.store.statistics()["s3"].pages_read > 50
    pager.close()
    assert ObjectTier(bucket, 1 << 14).held_keys()


@pytest.mark.slow
def test_conditional_creation_keeps_two_writers_apart(server: SeaweedServer) -> None:
    bucket = open_bucket(server.bucket, server.endpoint, prefix="twice")
    writers = [ObjectTier(bucket, SIZE) for _ in range(2)]
    for writer, first in zip(writers, (0, 100), strict=True):
        writer.put_pages(pages(first, 4, seed=first))
        writer.close()
    assert len(ObjectTier(bucket, SIZE).held_keys()) == 8


@pytest.mark.slow
def test_an_answer_that_got_lost_does_not_make_a_second_object(server: SeaweedServer) -> None:
    direct = open_bucket(server.bucket, server.endpoint, prefix="lost")
    with bad_network(server.port) as network:
        bucket = open_bucket(server.bucket, f"http://127.0.0.1:{network.port}", prefix="lost")
        tier = ObjectTier(bucket, SIZE, object_bytes=4 * SIZE)
        network.lost_answers = 1
        tier.put_pages(pages(0, 4))
        assert network.requests == 2
        assert len(list(obstore.list(direct, "pages/objects").collect())) == 1
        assert tier.get_page(PageKey(7, 2)) == pages(0, 4)[2][1]
    assert len(ObjectTier(direct, SIZE).held_keys()) == 4


@pytest.mark.slow
def test_a_slow_server_is_waited_for_and_one_that_is_too_slow_is_given_up(server: SeaweedServer) -> None:
    with bad_network(server.port) as network:
        bucket = open_bucket(server.bucket, f"http://127.0.0.1:{network.port}", prefix="slow", seconds=1.0)
        tier = ObjectTier(bucket, SIZE, object_bytes=4 * SIZE, limits=HASTY)
        network.delay_seconds = 0.3
        tier.put_pages(pages(0, 4))
        assert tier.get_page(PageKey(7, 1)) == pages(0, 4)[1][1]
        network.delay_seconds = 3.0
        with pytest.raises(TierUnavailable, match=r"tier s3: writing pages/objects/\d+-\d+ failed \d times in"):
            tier.put_pages(pages(4, 4, seed=1))
        with pytest.raises(TierUnavailable, match="tier s3: reading pages/objects"):
            tier.get_page(PageKey(7, 1))
        assert tier.get_page(PageKey(7, 5)) == pages(4, 4, seed=1)[1][1]
        network.delay_seconds = 0.0
        tier.flush()
        everything = pages(0, 4) + pages(4, 4, seed=1)
        assert tier.get_pages([key for key, _ in everything]) == [page for _, page in everything]


@pytest.mark.slow
def test_the_campaign_in_small(server: SeaweedServer) -> None:
    report = run_campaign(1 << 23, 1 << 21, 200, server)
    assert report["ram_mib"] == 2 and report["stops"]
