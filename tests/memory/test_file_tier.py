"""The file tier: what was acknowledged is there after a crash at any moment, and a full disk loses nothing."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vac.memory.address import PageKey
from vac.memory.errors import PageAbsent, PageDamaged, TierFormatError, TierFull, TierUnavailable
from vac.memory.file_tier import FileTier
from vac.memory.page import Page
from vac.memory.page_store import Level, PageStore

SIZE = 4096


def page(version: int, number: int = 0) -> Page:
    return Page.seal(random.Random(f"{version} {number}").randbytes(SIZE), bytes([version % 256, number % 256]))


def key(number: int) -> PageKey:
    return PageKey(1 << 63, number)


def is_whole(content: Page) -> bool:
    return Page.seal(content.data, content.labels) == content


def test_pages_and_labels_come_back_after_closing(tmp_path: Path) -> None:
    tier = FileTier(tmp_path, SIZE)
    many = [(key(number), page(1, number)) for number in range(100)]
    tier.put_pages(many)
    assert tier.get_pages([k for k, _ in many[::-3]]) == [p for _, p in many[::-3]]
    tier.put_page(key(5), page(2, 5))
    tier.drop([key(6), key(1000)])
    tier.close()
    tier = FileTier(tmp_path, SIZE)
    assert tier.get_page(key(5)) == page(2, 5) and tier.hash(key(7)) == page(1, 7).hash
    assert len(tier.held_keys()) == 99 and tier.used_bytes() == 99 * SIZE
    with pytest.raises(PageAbsent, match="tier file does not hold page 6"):
        tier.get_page(key(6))
    tier.close()


def test_slots_of_replaced_pages_are_used_again(tmp_path: Path) -> None:
    tier = FileTier(tmp_path, SIZE)
    for version in range(100):
        tier.put_pages([(key(number), page(version, number)) for number in range(16)])
    tier.flush()
    assert (tmp_path / "pages").stat().st_size <= (16 + 256 + 16) * SIZE
    assert all(tier.get_page(key(number)) == page(99, number) for number in range(16))
    tier.close()


def test_what_is_not_acknowledged_overwrites_nothing_that_is(tmp_path: Path) -> None:
    """Put, flushed, put again: a copy of the folder at each moment is what a crash would leave."""
    tier = FileTier(tmp_path / "live", SIZE)
    tier.put_pages([(key(number), page(1, number)) for number in range(20)])
    tier.flush()
    for version in (2, 3, 4):
        tier.put_pages([(key(number), page(version, number)) for number in range(20)])
    shutil.copytree(tmp_path / "live", tmp_path / "crashed")
    crashed = FileTier(tmp_path / "crashed", SIZE)
    assert [crashed.get_page(key(number)) for number in range(20)] == [page(1, number) for number in range(20)]
    tier.close()


@settings(max_examples=40)
@given(st.integers(0, 400), st.integers(0, 255))
def test_a_torn_journal_loses_only_what_was_not_acknowledged(cut: int, garbage: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        tier = FileTier(Path(folder), SIZE, threads=1)
        tier.put_pages([(key(number), page(1, number)) for number in range(8)])
        tier.flush()
        safe = (Path(folder) / "journal").stat().st_size
        tier.put_pages([(key(number), page(2, number)) for number in range(8)])
        tier.close()
        journal = (Path(folder) / "journal").read_bytes()
        torn = journal[: safe + cut] + bytes([garbage]) * (len(journal) - safe - cut)
        (Path(folder) / "journal").write_bytes(torn)
        tier = FileTier(Path(folder), SIZE, threads=1)
        found = [tier.get_page(key(number)) for number in range(8)]
        assert all(each in (page(1, number), page(2, number)) for number, each in enumerate(found))
        tier.put_page(key(9), page(3, 9))
        tier.close()
        tier = FileTier(Path(folder), SIZE, threads=1)
        assert [tier.get_page(key(number)) for number in range(8)] == found and tier.get_page(key(9)) == page(3, 9)
        tier.close()


_WRITER = """
    import sys
    sys.path[:0] = {path!r}
    from pathlib import Path
    from tests_memory_writer import key, page
    from vac.memory.file_tier import FileTier
    tier = FileTier(Path({folder!r}), 4096)
    version = 0
    while True:
        version += 1
        tier.put_pages([(key(number), page(version, number)) for number in range(version % 7, 40)])
        tier.flush()
        print(version, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("acknowledged", [1, 5, 40])
def test_a_killed_process_has_kept_what_it_acknowledged(acknowledged: int, tmp_path: Path) -> None:
    shutil.copy(__file__, tmp_path / "tests_memory_writer.py")
    code = textwrap.dedent(_WRITER.format(path=[str(tmp_path)], folder=str(tmp_path / "tier")))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        with pytest.raises(TierUnavailable, match="another process holds"):
            while int(writer.stdout.readline()) < acknowledged:
                pass
            FileTier(tmp_path / "tier", SIZE)
        writer.send_signal(signal.SIGKILL)
        last = acknowledged
        for line in writer.stdout:
            last = int(line)
    tier = FileTier(tmp_path / "tier", SIZE)
    for number in range(6, 40):
        found = tier.get_page(key(number))
        assert is_whole(found) and found in (page(last, number), page(last + 1, number))
    tier.close()


_FILLER = """
    import resource, sys
    from pathlib import Path
    sys.path[:0] = {path!r}
    from tests_memory_writer import key, page
    from vac.memory.errors import TierFull
    from vac.memory.file_tier import FileTier
    tier = FileTier(Path({folder!r}), 4096)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50 * 4096, resource.RLIM_INFINITY))
    kept = 0
    try:
        while True:
            tier.put_page(key(kept), page(1, kept))
            kept += 1
    except TierFull as error:
        print(error)
    assert all(tier.get_page(key(number)) == page(1, number) for number in range(kept))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    tier.put_page(key(kept), page(1, kept))
    tier.close()
    print(kept)
"""


def test_a_full_disk_stops_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """The kernel refuses to let the file grow, as it does when the disk is full; then it allows it again."""
    shutil.copy(__file__, tmp_path / "tests_memory_writer.py")
    code = textwrap.dedent(_FILLER.format(path=[str(tmp_path)], folder=str(tmp_path / "tier")))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["tier file: cannot write: File too large", "50"]
    assert (tmp_path / "tier" / "pages").stat().st_size == 51 * SIZE
    tier = FileTier(tmp_path / "tier", SIZE)
    assert [tier.get_page(key(number)) for number in range(51)] == [page(1, number) for number in range(51)]
    tier.close()


def test_the_limit_counts_pages_and_freed_ones_can_be_used(tmp_path: Path) -> None:
    tier = FileTier(tmp_path, SIZE, limit_bytes=10 * SIZE)
    tier.put_pages([(key(number), page(1, number)) for number in range(10)])
    with pytest.raises(TierFull, match="all 10 pages of its limit are taken"):
        tier.put_page(key(10), page(1, 10))
    tier.drop([key(3)])
    tier.put_page(key(10), page(1, 10))
    assert tier.get_page(key(10)) == page(1, 10)
    tier.close()


def test_a_flipped_bit_is_found_and_named(tmp_path: Path) -> None:
    tier = FileTier(tmp_path, SIZE)
    store = PageStore([Level(tier)])
    store.put([(key(number), page(1, number)) for number in range(3)])
    store.flush()
    with open(tmp_path / "pages", "r+b") as file:
        file.seek(SIZE + 100)
        byte = file.read(1)[0]
        file.seek(SIZE + 100)
        file.write(bytes([byte ^ 4]))
    with pytest.raises(PageDamaged) as caught:
        store.get([key(1)])
    assert caught.value.key == key(1) and caught.value.tier == "file"
    assert caught.value.expected == page(1, 1).hash and caught.value.found != caught.value.expected
    for part in ("page 1 of shard 0x8000000000000000", "tier file", caught.value.expected.hex()):
        assert part in str(caught.value)
    assert caught.value.found.hex() in str(caught.value)
    assert store.get([key(0), key(2)]) == [page(1, 0), page(1, 2)]
    store.close()


def test_damage_in_labels_is_found_too(tmp_path: Path) -> None:
    tier = FileTier(tmp_path, SIZE)
    store = PageStore([Level(tier)])
    store.put([(key(0), page(1))])
    place = tier._places[key(0)]
    tier._places[key(0)] = type(place)(place.slot, b"\x00\x00", place.hash)
    with pytest.raises(PageDamaged):
        store.get([key(0)])
    store.close()


def test_other_files_are_refused(tmp_path: Path) -> None:
    FileTier(tmp_path / "a", SIZE).close()
    with pytest.raises(TierFormatError, match="for pages of 4096 bytes, not 8192"):
        FileTier(tmp_path / "a", 8192)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "journal").write_bytes(b"something else entirely")
    with pytest.raises(TierFormatError, match="is no journal of pages"):
        FileTier(tmp_path / "b", SIZE)


def test_reading_a_file_that_is_gone_is_reported(tmp_path: Path) -> None:
    tier = FileTier(tmp_path, SIZE)
    tier.put_page(key(0), page(1))
    os.truncate(tmp_path / "pages", 0)
    with pytest.raises(PageDamaged):
        PageStore([Level(tier)]).get([key(0)])
    tier.close()
