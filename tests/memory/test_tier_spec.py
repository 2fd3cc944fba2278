"""Stacks of tiers in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.memory.address import PageKey
from vac.memory.errors import TierUnavailable
from vac.memory.page import Page
from vac.memory.tier_spec import TierSpecError, open_store, parse_size


@given(st.integers(0, 1 << 50), st.sampled_from(("", "K", "k", "KiB", "kb", "M", "MiB", "G", "GiB", "T", "TiB")))
def test_sizes_have_their_units(number: int, unit: str) -> None:
    scale = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}[unit[:1].lower()]
    assert parse_size(f"{number}{unit}") == number * scale


@pytest.mark.parametrize("text", ["", "K", "1.5M", "-1", "1 MiB", "1KBB", "0x10", "1P"])
def test_other_words_are_no_sizes(text: str) -> None:
    with pytest.raises(TierSpecError, match="is no size"):
        parse_size(text)


def test_a_stack_is_what_the_words_say(tmp_path: Path) -> None:
    folder = tmp_path / "a@b" / "pages"
    store = open_store(f"ram@8KiB, lz4@4KiB ,file:{folder}", 4096)
    assert list(store.statistics()) == ["ram", "lz4", "file"]
    pages = [(PageKey(1, number), Page.seal(bytes([number + 1]) * 4096)) for number in range(200)]
    store.put(pages)
    counts = store.statistics()
    assert counts["lz4"].pages_written and counts["file"].pages_written
    with pytest.raises(TierUnavailable, match="another process holds"):
        open_store(f"file:{folder}", 4096)
    store.close()
    with open_store(f"file:{folder}", 4096) as again:
        assert again.get([key for key, _ in pages]) == [page for _, page in pages]


def test_words_that_fit_together_in_no_stack_leave_nothing_open(tmp_path: Path) -> None:
    with pytest.raises(TierSpecError, match="file needs a size"):
        open_store(f"file:{tmp_path},ram", 4096)
    open_store(f"file:{tmp_path}", 4096).close()  # nobody holds the folder
    with pytest.raises(ValueError, match="page size 5000"):
        open_store("ram", 5000)
    for spec in (
        "",
        "ram,",
        "ram:x",
        "file:",
        "ram@",
        "s3:http://host",
        "s3:ftp://host/bucket",
        "s3:http://k:s@host/b",
    ):
        with pytest.raises(TierSpecError):
            open_store(spec, 4096)
