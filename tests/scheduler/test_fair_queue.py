"""Shares, gaps and lags of picks alone, without any machine."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vac.isa.sqi import FULL, Sqi
from vac.scheduler.accounts import jain_index
from vac.scheduler.fair_queue import FairQueue
from vac.scheduler.weight import MAX_WEIGHT, ONE, weight_of

SLICE = 10_000


def test_256_clients_get_their_share_and_none_waits_long() -> None:
    rng = random.Random(1)
    weights = [ONE + 3 * rng.randrange(FULL + 1) for _ in range(256)]
    queue = FairQueue(SLICE)
    for client, weight in enumerate(weights):
        queue.join(client, weight)
    picks, last, gaps = [0] * 256, [0] * 256, [0] * 256
    for turn in range(1, 100_001):
        client = queue.pick()
        queue.charge(client, SLICE)
        picks[client] += 1
        gaps[client] = max(gaps[client], turn - last[client])
        last[client] = turn
    assert jain_index([count * ONE / weight for count, weight in zip(picks, weights, strict=True)]) >= 0.9999
    for weight, gap in zip(weights, gaps, strict=True):
        assert gap <= 2 * -(-sum(weights) // weight)
    assert max(gaps) <= 2 * 4 * 256


@settings(max_examples=60)
@given(
    st.lists(st.integers(ONE, MAX_WEIGHT), min_size=1, max_size=12),
    st.lists(st.integers(1, 100), min_size=50, max_size=200),
)
def test_lags_stay_within_a_slice(weights: list[int], parts: list[int]) -> None:
    queue = FairQueue(100)
    for client, weight in enumerate(weights):
        queue.join(client, weight)
    for part in parts:
        client = queue.pick()
        assert queue.lag(client) >= 0
        queue.charge(client, part)
        lags = [queue.lag(client) for client in range(len(weights))]
        assert all(-101 <= lag <= 100 for lag in lags), lags
        assert -len(lags) <= sum(lags) <= 0  # each is rounded down


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3), st.integers(ONE, MAX_WEIGHT)), max_size=150))
def test_those_who_come_go_and_change_weight_leave_a_queue_that_serves_all(steps: list[tuple[int, int, int]]) -> None:
    queue, lags = FairQueue(100), {}
    for client, kind, weight in steps:
        if kind == 0 and client not in queue:
            queue.join(client, weight, lags.pop(client, 0))
        elif kind == 1 and client in queue:
            lags[client] = queue.leave(client)
            assert -101 <= lags[client] <= 100
        elif len(queue):
            picked = queue.pick()
            assert queue.lag(picked) >= 0
            queue.charge(picked, 100, weight if kind == 3 else None)
    served = {client for client in range(8) if client in queue}
    left = set(served)
    for _ in range(8 * 8 * 4):
        if left:
            client = queue.pick()
            queue.charge(client, 100)
            left.discard(client)
    assert not left


def test_a_lag_is_taken_along() -> None:
    queue = FairQueue(100)
    for client in range(4):
        queue.join(client, ONE)
    for _ in range(2):
        queue.charge(queue.pick(), 100)
    before = [queue.lag(client) for client in range(4)]
    assert before == [-50, -50, 50, 50]
    lag = queue.leave(3)
    queue.join(3, 2 * ONE, lag)
    assert abs(queue.lag(3) - 50) <= 1
    assert queue.pick() == 3  # owed as much as client 2, and with an earlier deadline


def test_a_weight_that_changes_leaves_the_lags() -> None:
    queue = FairQueue(100)
    for client in range(3):
        queue.join(client, ONE)
    queue.charge(queue.pick(), 100)
    lags = [queue.lag(client) for client in range(3)]
    picked = queue.pick()
    queue.charge(picked, 0, 3 * ONE)
    assert all(abs(queue.lag(client) - lags[client]) <= 1 for client in range(3))


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="0 ticks"):
        FairQueue(0)
    queue = FairQueue(100)
    with pytest.raises(ValueError, match="outside"):
        queue.join(0, ONE - 1)
    with pytest.raises(LookupError):
        queue.pick()
    queue.join(0, ONE)
    with pytest.raises(ValueError, match="already"):
        queue.join(0, ONE)


def test_the_weight_goes_from_one_to_four_with_the_score() -> None:
    assert weight_of(Sqi()) == MAX_WEIGHT
    assert weight_of(Sqi(coherence=0, entropy=FULL, drift=FULL)) == ONE
    assert weight_of(Sqi(coherence=0, entropy=0, drift=0)) == ONE + 3 * (FULL // 2)


def test_who_was_eligible_waits_again_when_the_mean_falls() -> None:
    queue = FairQueue(100)
    for client, weight in enumerate((ONE, MAX_WEIGHT, MAX_WEIGHT)):
        queue.join(client, weight)
    assert queue.pick() == 1
    queue.charge(1, 0)  # client 2 was looked at, and found eligible
    queue.join(3, ONE, lag=10)
    assert [queue.lag(client) < 0 for client in range(4)] == [True, True, True, False]
    assert queue.pick() == 3  # although the slice of client 2 would have to end before
