"""Pages on their way out: the newest version is always to be had, and a tier that fails loses none."""

from __future__ import annotations

import threading
from collections.abc import Collection

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vac.golden.model import GoldenMachine
from vac.machine.protocol import Leaf
from vac.memory.address import PageKey
from vac.memory.errors import PagingError, TierUnavailable
from vac.memory.page import Page
from vac.memory.page_store import Level, PageStore
from vac.memory.paged_memory import page_id
from vac.memory.pager import Pager
from vac.memory.policy import Decision, PageId
from vac.memory.tier import RamTier
from vac.memory.write_behind import Leaving, WriteBehind

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ("add", "add", "add", "take", "get", "forget", "write_out", "write_out", "drain", "break", "mend")
        ),
        st.integers(0, 1),
    ),
    min_size=8,
    max_size=40,
)


def page_of(version: int) -> Page:
    return Page.seal(version.to_bytes(8, "little"))


class Store:
    """Takes pages, half of a call's where it is broken."""

    def __init__(self) -> None:
        self.is_broken = False
        self.versions: dict[PageKey, Page] = {}
        self.written: dict[PageKey, list[int]] = {}

    def write(self, pages: Collection[Leaving]) -> None:
        broken = self.is_broken
        for index, (key, page) in enumerate(pages):
            if broken and index >= len(pages) // 2:
                raise TierUnavailable("store", "down")
            self.versions[key] = page
            self.written.setdefault(key, []).append(int.from_bytes(page.data, "little"))


@example([("add", 1), ("write_out", 0), ("add", 1), ("get", 1)], 1, True)
@example([("break", 0), ("add", 1), ("write_out", 0), ("add", 1), ("drain", 0), ("mend", 0), ("get", 1)], 1, True)
@settings(max_examples=300)
@given(STEPS, st.integers(1, 3), st.booleans())
def test_no_version_is_lost_or_overtaken(steps: list[tuple[str, int]], batch: int, is_background: bool) -> None:
    store = Store()
    behind = WriteBehind(store.write, batch, is_background=is_background)
    here: dict[int, int] = {}
    """By page: the newest version that was added and neither taken nor forgotten."""
    for version, (step, number) in enumerate(steps, start=1):
        page: PageId = (number, 0)
        match step:
            case "add":
                here[number] = version
                behind.add(page, (PageKey(1, number), page_of(version)))
            case "take" | "get":
                found = behind.take(page) if step == "take" else behind.get(page)
                if found is not None and number in here:
                    assert found == (PageKey(1, number), page_of(here[number]))
                elif number in here:  # a tier has it
                    assert store.versions[PageKey(1, number)] == page_of(here[number])
                if step == "take":
                    here.pop(number, None)
            case "forget":
                behind.forget(lambda page, number=number: page[0] == number)
                assert page not in behind
                here.pop(number, None)
            case "break" | "mend":
                store.is_broken = step == "break"
            case _:
                try:
                    behind.drain() if step == "drain" else behind.write_out()
                except PagingError:
                    pass
                else:
                    left = [number for number in range(2) if (number, 0) in behind]
                    assert len(left) <= (0 if step == "drain" else 2 * batch)
    store.is_broken = False
    for _ in range(2):  # the first may raise what came of a call before
        try:
            behind.drain()
        except PagingError:
            continue
    behind.drain()
    behind.close()
    for number, version in here.items():
        assert store.versions[PageKey(1, number)] == page_of(version)
    for versions in store.written.values():
        assert versions == sorted(versions)


def test_a_slow_tier_holds_nobody_up_until_too_many_wait() -> None:
    may_go, calls = threading.Event(), list[int]()

    def write(pages: Collection[Leaving]) -> None:
        calls.append(len(pages))
        may_go.wait()

    behind = WriteBehind(write, 4, is_background=True)
    for number in range(8):
        behind.add((number, 0), (PageKey(1, number), page_of(number)))
        behind.write_out()
    assert behind.get((0, 0)) == (PageKey(1, 0), page_of(0))
    threading.Timer(0.05, may_go.set).start()
    behind.add((8, 0), (PageKey(1, 8), page_of(8)))
    behind.write_out()  # waits
    assert may_go.is_set() and calls[0] == 4
    behind.drain()
    behind.close()
    assert sum(calls) == 9


def test_without_a_thread_pages_are_written_at_once() -> None:
    store = Store()
    behind = WriteBehind(store.write, 4, is_background=False)
    behind.add((1, 0), (PageKey(1, 1), page_of(1)))
    store.is_broken = True
    with pytest.raises(TierUnavailable):
        behind.write_out()
    store.is_broken = False
    behind.write_out()
    assert (1, 0) not in behind and store.versions[PageKey(1, 1)] == page_of(1)


@pytest.mark.parametrize("is_ahead_in_background", [False, True])
def test_a_page_that_leaves_for_another_and_is_fetched_with_it_is_the_newest_version(
    monkeypatch: pytest.MonkeyPatch, is_ahead_in_background: bool
) -> None:
    class Durable(RamTier):
        is_durable = True

    pager = Pager(PageStore([Level(Durable(4096))]), 64, is_ahead_in_background=is_ahead_in_background)
    machine = GoldenMachine()
    memory = pager.attach(machine)
    memory.bind(1, 1 << 20)
    page, newest = page_id(memory.number, 1, 5), Leaf(bytes([7]) * 4096)
    pager.frame_of(memory, 1, 5).map_all(machine)
    machine.install(1, 5, newest)
    access = pager.policy.access

    def leaves_and_comes_back(machine: int, number: int, kept: Collection[PageId] = ()) -> Decision:
        decision = access(machine, number, kept)
        decision.evicted.append(page)
        decision.fetched.append(page)
        return decision

    monkeypatch.setattr(pager.policy, "access", leaves_and_comes_back)
    pager.frame_of(memory, 1, 6)
    pager.settle()
    assert pager.current_page(memory, 1, 5).data == newest.data
    pager.close()
