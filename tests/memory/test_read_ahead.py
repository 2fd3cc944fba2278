"""Pages on their way: nobody waits for them, and what became of them meanwhile counts."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from vac.memory.address import PageKey
from vac.memory.errors import TierUnavailable
from vac.memory.page import Page
from vac.memory.page_store import Level, PageStore
from vac.memory.pager import Pager
from vac.memory.read_ahead import ReadAhead
from vac.memory.tier import RamTier

from .programs import run_paged, run_unpaged, scan

SIZE = 4096


class Gate:
    """Reads that wait until they are let through, or are told to fail."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.fails = False

    def read(self, keys: Sequence[PageKey]) -> list[Page]:
        assert self.is_open.wait(60)
        if self.fails:
            raise TierUnavailable("gate", "fails")
        return [Page.seal(bytes([key.number]) * SIZE) for key in keys]


def batch(*numbers: int) -> list[tuple[tuple[int, int], PageKey]]:
    return [((0, number), PageKey(5, number)) for number in numbers]


def test_nobody_waits_but_for_the_page_that_is_wanted() -> None:
    gate = Gate()
    ahead = ReadAhead(gate.read)
    ahead.start(batch(1, 2))
    ahead.start(batch(3))
    assert list(ahead.arrivals()) == [] == list(ahead.arrivals((0, 9)))
    assert (0, 2) in ahead and (0, 9) not in ahead
    assert ahead.is_late((0, 2)) and not ahead.is_late((0, 9))
    gate.is_open.set()
    found = list(ahead.arrivals((0, 1)))
    assert [page for page, _, _ in found[:2]] == [(0, 1), (0, 2)]
    assert found[1][1:] == (PageKey(5, 2), Page.seal(b"\x02" * SIZE))
    found += ahead.all_arrivals()
    assert [page for page, _, _ in found] == [(0, 1), (0, 2), (0, 3)] and (0, 3) not in ahead
    ahead.close()


def test_a_page_that_was_dropped_does_not_arrive() -> None:
    gate = Gate()
    ahead = ReadAhead(gate.read)
    ahead.start(batch(1, 2))
    ahead.drop((0, 1))
    ahead.drop((0, 7))
    ahead.start(batch(2, 3))
    gate.is_open.set()
    found = list(ahead.all_arrivals())
    assert [page for page, _, _ in found] == [(0, 2), (0, 3)]
    ahead.close()


def test_what_cannot_be_read_arrives_as_nothing() -> None:
    gate = Gate()
    gate.fails = True
    gate.is_open.set()
    ahead = ReadAhead(gate.read)
    ahead.start(batch(1, 2))
    assert [(page, content) for page, _, content in ahead.all_arrivals()] == [((0, 1), None), ((0, 2), None)]
    ahead.close()


class Slow(RamTier):
    """Reads many pages only after one more of a machine's misses has been served, fails them now and then."""

    def __init__(self) -> None:
        super().__init__(SIZE, "slow")
        self.threads: set[str] = set()
        self.batches = 0

    def get_pages(self, keys: Sequence[PageKey]) -> list[Page]:
        self.threads.add(threading.current_thread().name.split("_")[0])
        if threading.current_thread() is not threading.main_thread():
            self.batches += 1
            if self.batches % 5 == 0:
                raise TierUnavailable(self.name, "fails this time")
        return super().get_pages(keys)


@pytest.mark.parametrize("is_background", [False, True])
def test_a_machine_runs_beside_its_reads(is_background: bool) -> None:
    tier = Slow()
    image = scan(1 << 20, 2048)
    pager = Pager(PageStore([Level(tier)]), 64, is_ahead_in_background=is_background)
    assert run_paged(image, pager) == run_unpaged(image)
    pager.settle()
    counts = pager.statistics()
    assert ("vac-read-ahead" in tier.threads) == is_background == (tier.batches > 5)
    assert counts.late == 0 or is_background
    assert counts.reads == counts.stalls + counts.fetched
    assert set(pager._frames) == {page for page in pager._frames if page in pager.policy}
    assert len(pager.policy) == len(pager._frames) <= 64
    pager.close()
