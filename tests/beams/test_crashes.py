"""Kills, torn ends, full disks and read-only file systems: what was committed is there and whole."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.disks import mounted, remount

from vac.beams.errors import (
    BeamStoreError,
    OutOfOrder,
    StoreBusy,
    StoreDamaged,
    StoreFormatError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from vac.beams.jsonl_store import JsonlStore
from vac.beams.opening import open_store
from vac.beams.segments import run_folder, segment, segment_store
from vac.beams.segments.commit_log import ENTRY_BYTES
from vac.beams.segments.segment_store import SegmentStore
from vac.beams.store import BeamStore
from vac.campaigns.beam_crashes import CampaignFailed, beams_from, check, run_campaign

RUN = "crash"
KILLS = {"segments": 20, "jsonl": 4, "sqlite": 4}


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the campaign's writers have them."""
    monkeypatch.setattr(segment, "SEGMENT_BITS", 12)
    for module in (run_folder, segment, segment_store):
        monkeypatch.setattr(module, "SEGMENT_RECORDS", 1 << 12)
    monkeypatch.setattr(segment_store, "SEALED_SEGMENTS", 3)


def name_of(kind: str, folder: Path) -> str:
    return {"segments": f"{folder}/store", "jsonl": f"{folder}/store.jsonl", "sqlite": f"sqlite:///{folder}/store.db"}[
        kind
    ]


@pytest.mark.parametrize("kind", KILLS)
def test_killed_at_random_moments(kind: str, tmp_path: Path) -> None:
    outcome = run_campaign(name_of(kind, tmp_path), KILLS[kind], seed=7, most_seconds=0.08)
    assert outcome.events > 0
    assert kind != "segments" or outcome.repairs > 0, "nothing was ever torn: the kills come too late"


def test_the_campaign_sees_a_loss(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        ingest(store, 100)
        store.commit()
        with pytest.raises(CampaignFailed, match="101 events were acknowledged, 100 are there"):
            check(store, 101)


def ingest(store: BeamStore, count: int) -> None:
    store.add_run(RUN)
    first = store.run(RUN).next_tick
    store.ingest(RUN, first, beams_from(first, count))


# ---- torn ends -----------------------------------------------------------------------------------------------------

SIZES = (5000, 300, 4000)


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A store whose last beams were taken and not committed, and the number of those that were."""
    folder = tmp_path_factory.mktemp("torn") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_folder, "SEGMENT_RECORDS", 1 << 12)
        patch.setattr(segment, "SEGMENT_BITS", 12)
        patch.setattr(segment, "SEGMENT_RECORDS", 1 << 12)
        with SegmentStore(folder) as store:
            for size in SIZES:
                ingest(store, size)
                store.commit()
            ingest(store, 2000)
    return folder, sum(SIZES)


@settings(max_examples=40)
@given(data=st.data())
def test_torn_ends_are_cut_off(
    torn: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder, committed = torn
    copy = tmp_path_factory.mktemp("copy") / "store"
    shutil.copytree(folder, copy)
    with SegmentStore(folder, writable=False) as store:
        run = store._folders[1]
        ends = {"commits": run._commits * ENTRY_BYTES, "joins": run._end.joins, "names": run._end.names,
                "000002.rec": run._end.records * 40}  # fmt: skip
    for name, end in ends.items():
        path = copy / "000001" / name
        size = path.stat().st_size if path.exists() else 0
        keep = data.draw(st.integers(end, max(size, end)), label=name)
        garbage = data.draw(st.binary(max_size=50), label=f"behind {name}")
        with path.open("ab") as file:
            file.truncate(keep)
            file.write(garbage)
    with SegmentStore(copy, writable=False) as reader:
        assert check(reader, committed) == committed
    with SegmentStore(copy) as store:
        assert check(store, committed) == committed
        for name, end in ends.items():
            path = copy / "000001" / name
            assert not path.exists() or path.stat().st_size == end
        ingest(store, 700)
        store.commit()
    with SegmentStore(copy) as store:
        assert store.repairs == [] and check(store, committed + 700) == committed + 700
    shutil.rmtree(copy.parent)


@settings(max_examples=30)
@given(st.integers(0, 400))
def test_a_torn_last_line_is_left_out(cut: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.jsonl"
        with JsonlStore(path) as store:
            ingest(store, 3)
            store.commit()
        whole = path.read_bytes()
        with JsonlStore(path) as store:
            ingest(store, 1)
            store.commit()
        longer = path.read_bytes()
        path.write_bytes(longer[: min(len(whole) + cut, len(longer) - 1)])
        with JsonlStore(path) as store:
            assert store.cut == min(cut, len(longer) - 1 - len(whole)) and check(store, 3) == 3
            ingest(store, 5)
            store.commit()
        with JsonlStore(path, writable=False) as store:
            assert store.cut == 0 and check(store, 8) == 8


@pytest.mark.parametrize("name", ["000000.rec", "joins", "commits", "run.json"])
def test_committed_files_that_are_too_short_are_damage(name: str, tmp_path: Path) -> None:
    with SegmentStore(tmp_path / "store") as store:
        ingest(store, 1000)
        store.commit()
    path = tmp_path / "store" / "000001" / name
    os.truncate(path, path.stat().st_size // 2)
    try:
        with SegmentStore(tmp_path / "store", writable=False) as store:
            assert name == "commits" and store.run(RUN).events == 0
    except StoreDamaged as error:
        assert name != "commits" and str(tmp_path) in str(error)


@settings(max_examples=20)
@given(data=st.data())
def test_a_changed_byte_in_a_sealed_segment_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("sealed")
    with SegmentStore(folder / "store") as store:
        ingest(store, 6000)
        store.seal(RUN)
    parts = sorted((folder / "store" / "000001").glob("sealed-*/*"))
    path = data.draw(st.sampled_from([part for part in parts if part.name != "sealed.json"]))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with SegmentStore(folder / "store", writable=False) as store:
        assert any(str(path) in damage for damage in store.verify())
        try:
            for _ in store.batches(RUN):
                pass
            store.lineage(RUN, "mem:?:0x5", 3)
            store.ghost(store.eids(RUN, 1)[0])
        except StoreDamaged:
            pass
    shutil.rmtree(folder)


# ---- full and read-only file systems -------------------------------------------------------------------------------


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """Writing beyond this many bytes of a file fails with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", KILLS)
def test_no_room_for_more(kind: str, tmp_path: Path) -> None:
    name = name_of(kind, tmp_path)
    with open_store(name) as store:
        ingest(store, 1000)
        store.commit()
        with files_at_most(60_000), pytest.raises((StoreFull, StoreUnavailable)) as raised:
            for _ in range(20):
                ingest(store, 1000)
                store.commit()
        assert kind == "sqlite" or raised.type is StoreFull
        if kind != "sqlite":
            before = store.run(RUN).events
            ingest(store, 1000)
            store.commit()
            assert check(store, 1000) == before + 1000
    with open_store(name) as store:
        assert check(store, 1000) >= 1000


def test_no_room_to_seal(tmp_path: Path) -> None:
    with SegmentStore(tmp_path / "store") as store:
        ingest(store, 9000)
        store.commit()
        with files_at_most(20_000), pytest.raises(StoreFull):
            store.seal(RUN)
        assert check(store, 9000) == 9000
        assert not list((tmp_path / "store" / "000001").glob("*.part"))
        assert store.seal(RUN) == 9000 and check(store, 9000) == 9000


def test_a_full_disk(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=2m") as disk:
        kept = 0
        with SegmentStore(disk / "store") as store, pytest.raises(StoreFull, match="make room"):
            while True:
                ingest(store, 5000)
                store.commit()
                kept = store.run(RUN).events
        assert kept >= 5000
        with SegmentStore(disk / "store", writable=False) as reader:
            assert check(reader, kept) == kept
        with SegmentStore(disk / "store") as store:
            assert check(store, kept) == kept
            with pytest.raises(StoreFull, match="make room"):
                store.seal(RUN)
            assert check(store, kept) == kept
            remount(disk, "size=8m")
            ingest(store, 5000)
            assert store.seal(RUN) == kept + 5000 and check(store, kept) == kept + 5000


def test_a_read_only_disk(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=4m") as disk:
        for kind in KILLS:
            with open_store(name_of(kind, disk)) as store:
                ingest(store, 1000)
                store.commit()
        remount(disk, "ro")
        for kind in KILLS:
            with open_store(name_of(kind, disk), writable=False) as reader:
                assert check(reader, 1000) == 1000
            with pytest.raises(StoreReadOnly):
                open_store(name_of(kind, disk))


# ---- one writer, and what is no store ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["segments", "jsonl"])
def test_a_second_writer_is_refused(kind: str, tmp_path: Path) -> None:
    name = name_of(kind, tmp_path)
    with open_store(name) as store:
        ingest(store, 10)
        store.commit()
        with pytest.raises(StoreBusy):
            open_store(name)
        with open_store(name, writable=False) as reader:
            assert check(reader, 10) == 10
            with pytest.raises(StoreReadOnly):
                ingest(reader, 1)
            with pytest.raises(StoreReadOnly):
                reader.commit()


def test_two_writers_of_one_run_in_a_database(postgres_url: str) -> None:
    from .conftest import fresh_database

    name = fresh_database(postgres_url)
    with open_store(name) as first:
        ingest(first, 10)
        first.commit()
        with open_store(name) as second:
            ingest(second, 10)
            second.commit()
            with pytest.raises(OutOfOrder, match="another process wrote"):
                first.ingest(RUN, 10, beams_from(10, 5))
            assert first.run(RUN).events == 20
            ingest(first, 5)
            first.commit()
            assert check(first, 25) == 25


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff\xfe", b'{"format": "vac beam store", "version": 2}'])
def test_what_is_no_store_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "store.json").write_bytes(content)
    (tmp_path / "store.jsonl").write_bytes(content + b"\n")
    (tmp_path / "store.db").write_bytes(content * 100 or b"x" * 2000)
    for kind in KILLS:
        with pytest.raises(BeamStoreError):
            open_store(name_of(kind, tmp_path), writable=False)
    with pytest.raises(BeamStoreError):
        open_store(tmp_path / "store")


def test_a_folder_with_other_things_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    with pytest.raises(StoreFormatError, match="not empty"):
        open_store(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]
