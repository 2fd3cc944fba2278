"""What to keep and what to fetch: S3-FIFO as libCacheSim has it, detectors, throttling, streams, gangs, pins."""

from __future__ import annotations

import random
from collections.abc import Sequence

import libcachesim
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.memory.policy import PagingPolicy, PolicyOptions
from vac.memory.prefetch import Detector, Prefetcher, PrefetchOptions
from vac.memory.streams import HistoryDetector, RunDetector, TrendDetector

PLAIN = PolicyOptions(prefetch=None, is_adaptive=False)


def zipf_pages(count: int, pages: int, seed: int) -> list[int]:
    draw = random.Random(seed)
    return draw.choices(range(pages), [1 / (rank + 1) for rank in range(pages)], k=count)


def stalls(policy: PagingPolicy, accesses: Sequence[tuple[int, int]]) -> int:
    """Misses; checks on the way that the policy does what it says."""
    resident: set[tuple[int, int]] = set()
    misses = 0
    for page in accesses:
        decision = policy.access(*page)
        assert decision.is_hit == (page in resident)
        misses += not decision.is_hit
        assert set(decision.evicted) <= resident and page not in decision.evicted
        resident.difference_update(decision.evicted)
        assert not resident & set(decision.fetched)
        resident |= {page, *decision.fetched}
        assert len(resident) <= policy.frames
    assert len(policy) == len(resident) and all(page in policy for page in resident)
    return misses


@pytest.mark.parametrize("frames", [20, 100])
def test_plain_eviction_misses_as_often_as_the_referees_s3_fifo(frames: int) -> None:
    pages = zipf_pages(20_000, 1000, 3)
    referee = libcachesim.S3FIFO(frames)
    request = libcachesim.Request()
    expected = 0
    for page in pages:
        request.obj_id, request.obj_size = page + 1, 1
        expected += not referee.get(request)
    found = stalls(PagingPolicy(frames, PLAIN), [(0, page) for page in pages])
    assert abs(found - expected) < 0.02 * expected


def test_a_scan_does_not_push_out_what_is_used_often() -> None:
    policy = PagingPolicy(100, PLAIN)
    hot = [(0, page) for page in range(50)] * 4
    stalls(policy, hot)
    for page in range(1000, 3000):
        policy.access(0, page)
    assert sum((0, page) in policy for page in range(50)) >= 45


def test_the_small_queue_grows_where_pages_return_early_to_it() -> None:
    accesses = [(0, page) for later in range(4000) for page in (later, later - 15) if page >= 0]
    policy = PagingPolicy(100, PolicyOptions(prefetch=None))
    found = stalls(policy, accesses)
    assert policy.small_share > 0.15
    assert found < 0.75 * stalls(PagingPolicy(100, PLAIN), accesses)


@pytest.mark.parametrize("stride", [1, -1, 3, -7, 64])
def test_a_run_is_found_at_its_third_page(stride: int) -> None:
    runs = RunDetector()
    assert [runs.find(1000 + stride * step) is not None for step in range(5)] == [False, False, True, True, True]


def test_interleaved_runs_are_told_apart() -> None:
    runs = RunDetector()
    draw = random.Random(5)
    places = {stride: 100_000 * (index + 1) for index, stride in enumerate((1, 2, -3, 5))}
    found = []
    for _ in range(200):
        stride = draw.choice(list(places))
        places[stride] += stride
        run = runs.find(places[stride])
        found.append(run is not None and run.stride == stride)
    assert sum(found) == 200 - 2 * 4


def test_the_trend_is_what_most_steps_have() -> None:
    trend = TrendDetector()
    page, seen = 0, []
    for step in range(40):
        page += 1000 if step % 5 == 4 else 2
        seen.append(trend.step(page))
    assert seen[-1] == 2
    draw = random.Random(1)
    assert not any([trend.step(draw.randrange(10**6)) for _ in range(40)][20:])


def test_history_repeats_what_was_the_same_twice() -> None:
    history = HistoryDetector()
    walk = [5, 900, 17, 3, 44]
    for page in walk * 3:
        history.step(page)
    assert history.chain(5, 3) == [900, 17, 3]
    assert history.chain(6, 3) == []


def test_a_scan_stalls_only_at_its_start() -> None:
    accesses = [(0, page) for page in range(5000)]
    assert stalls(PagingPolicy(128), accesses) <= 5
    assert stalls(PagingPolicy(128, PLAIN), accesses) == 5000


def test_wrong_forecasts_throttle_themselves() -> None:
    draw = random.Random(2)
    accesses = [(0, draw.randrange(2000)) for _ in range(20_000)]
    policy = PagingPolicy(200)
    fetched = sum(len(policy.access(*access).fetched) for access in accesses)
    assert fetched < 0.05 * len(accesses)
    assert stalls(PagingPolicy(200), accesses) < 1.05 * stalls(PagingPolicy(200, PLAIN), accesses)


@pytest.mark.parametrize("detector", list(Detector))
def test_a_detector_that_is_wrong_is_seldom_asked(detector: Detector) -> None:
    walk = {
        Detector.RUN: list(range(3)) * 40,
        Detector.TREND: [2 * step + 1000 * (step // 12) for step in range(120)],
        Detector.HISTORY: [5, 900, 17, 300, 44] * 24,
    }[detector]
    depths = PrefetchOptions(trend_depth=4 if detector is Detector.TREND else 0, history_depth=4)
    counts: list[int] = []
    for is_wrong in (False, True):
        prefetcher = Prefetcher(depths)
        for _ in range(100 if is_wrong else 0):
            prefetcher.used(detector, False)
        forecasts = [prefetcher.trigger(page, 100) for page in walk]
        counts.append(sum(len(each.pages) for each in forecasts if each.detector is detector))
    assert counts[0] > 8 and counts[1] < 0.25 * counts[0]


def test_a_stream_leaves_the_others_their_frames() -> None:
    hot = zipf_pages(4000, 200, 1)
    mixed: list[tuple[int, int]] = []
    for index, page in enumerate(hot):
        mixed += [(1, page), (0, 2 * index), (0, 2 * index + 1)]
    policy = PagingPolicy(120)
    alone = stalls(PagingPolicy(100, PLAIN), [(1, page) for page in hot])
    assert stalls(policy, mixed) < 1.15 * alone
    assert policy.is_stream(0) and not policy.is_stream(1)
    assert policy.predictability(0) > 60_000 > 20_000 > policy.predictability(1)


def test_a_stream_that_goes_round_in_a_small_circle_is_kept() -> None:
    draw = random.Random(3)
    reads: list[int] = []
    policy = PagingPolicy(200)
    for _ in range(200):
        for page in range(60):
            decision = policy.access(0, page)
            reads.append(len([each for each in decision.fetched if each[0] == 0]) + (not decision.is_hit))
            policy.access(1, draw.randrange(2000))
    assert sum(reads) < 4.5 * 60 and sum(reads[6000:]) == 0


@given(st.integers(0, 1000), st.integers(4, 64), st.booleans())
def test_what_the_policy_says_is_consistent(seed: int, frames: int, drops_behind: bool) -> None:
    draw = random.Random(seed)
    accesses, place = [], [0, 0, 0]
    for _ in range(600):
        machine = draw.randrange(3)
        place[machine] = draw.choice((place[machine] + 1, place[machine] + 1, draw.randrange(150)))
        accesses.append((machine, place[machine]))
    stalls(PagingPolicy(frames, PolicyOptions(drops_behind=drops_behind)), accesses)


def test_pages_that_do_not_exist_are_not_fetched() -> None:
    policy = PagingPolicy(100, exists=lambda page: page[1] < 20)
    fetched = [page for number in range(20) for page in policy.access(0, number).fetched]
    assert fetched and max(number for _, number in fetched) == 19


def test_pinned_pages_stay() -> None:
    policy = PagingPolicy(16)
    for page in range(3):
        policy.access(0, page)
        policy.pin((0, page))
    policy.pin((0, 2))
    policy.unpin((0, 2))
    for page in range(100, 400, 7):
        policy.access(0, page)
    assert all((0, page) in policy for page in range(3))
    assert not {(0, 0), (0, 1), (0, 2)} & set(policy.demote(0))
    for page in range(3):
        policy.unpin((0, page))
    assert set(policy.demote(0)) == {(0, 0), (0, 1), (0, 2)}


def test_a_demoted_machine_gets_its_working_set_back() -> None:
    policy = PagingPolicy(64)
    pages = [1, 50, 7, 33, 90]
    for page in pages * 2:
        policy.access(1, page)
    policy.access(2, 5)
    assert set(policy.demote(1)) >= {(1, page) for page in pages}
    assert policy.working_set(1) == len(pages)
    assert (2, 5) in policy and (1, 50) not in policy
    assert set(policy.restore(1).fetched) == {(1, page) for page in pages}
    assert all(policy.access(1, page).is_hit for page in pages)


def test_a_restored_working_set_makes_room_for_itself() -> None:
    policy = PagingPolicy(32, PolicyOptions(prefetch=PrefetchOptions(history_depth=0)))
    for page in range(0, 2400, 100):
        policy.access(1, page)
    policy.demote(1)
    for page in range(0, 3200, 100):
        policy.access(2, page)
    decision = policy.restore(1)
    assert len(decision.fetched) == 24 and len(decision.evicted) == 24
    policy.forget(1)
    assert len(policy) == 8 and policy.working_set(1) == 0
