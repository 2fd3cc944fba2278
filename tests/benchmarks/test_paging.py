"""The paging benchmark: its referees, its recordings, and what the tables promise."""

import numpy as np
import pytest
from benchmarks.paging_loads import Load, crowd, mixed_tenants, single, tenants
from benchmarks.paging_programs import run_programs
from benchmarks.paging_referee import miss_ratios
from benchmarks.paging_replay import replay, replay_faults, replay_gangs


def lru_misses(load: Load, frames: int) -> int:
    held: dict[tuple[int, int], None] = {}
    misses = 0
    for access in load.accesses():
        if access in held:
            del held[access]
        else:
            misses += 1
            if len(held) == frames:
                del held[next(iter(held))]
        held[access] = None
    return misses


def belady_misses(load: Load, frames: int) -> int:
    accesses = list(load.accesses())
    following: dict[tuple[int, int], int] = {}
    next_use = [0] * len(accesses)
    for place in range(len(accesses) - 1, -1, -1):
        next_use[place] = following.get(accesses[place], len(accesses))
        following[accesses[place]] = place
    held: dict[tuple[int, int], int] = {}
    misses = 0
    for place, access in enumerate(accesses):
        if access not in held:
            misses += 1
            if len(held) == frames:
                del held[max(held, key=held.__getitem__)]
        held[access] = next_use[place]
    return misses


@pytest.mark.parametrize("pattern", ["loop", "zipf", "phases"])
def test_the_referees_agree_with_a_few_lines_of_python(pattern: str) -> None:
    load = single(pattern, 300, 4000)
    found = miss_ratios(load, 30)
    assert found["LRU"] * len(load) == pytest.approx(lru_misses(load, 30), abs=1)
    assert found["Belady"] * len(load) == pytest.approx(belady_misses(load, 30), rel=0.02)
    assert found["Belady"] <= min(found.values())


def test_tenants_take_turns_and_keep_their_order() -> None:
    each = crowd(3, machines=5, pages=20, slice_accesses=10)
    load = tenants("t", each, (10, 10), 1)
    assert len(load) == 150 and load.machines[:50].tolist() == [machine for machine in range(5) for _ in range(10)]
    for machine in range(5):
        assert np.array_equal(load.pages[load.machines == machine], each[machine])


def test_half_the_stalls_of_s3_fifo_on_mixed_tenants_at_ten_times_the_frames() -> None:
    load = mixed_tenants(60_000)
    frames = load.footprint // 10
    referee = miss_ratios(load, frames)["S3-FIFO"]
    assert replay(load, frames).stall_ratio < 0.5 * referee
    assert replay_faults(load, frames).stall_ratio < 0.5 * referee


def test_admission_of_gangs_stalls_less_than_the_optimum_in_turn_at_a_hundred_times_the_frames() -> None:
    each = crowd(40)
    optimum = miss_ratios(tenants("crowd", each, (100, 100), 1), 327)["Belady"]
    done = replay_gangs(each, 327, gang=2, epoch=2000, slice_accesses=100)
    assert done.accesses == 256 * 40 * 100
    assert done.stall_ratio < 0.1 * optimum


def test_programs_are_the_same_paged_and_recorded() -> None:
    recorded = run_programs(None, 20_000)
    live = run_programs(100, 20_000)
    assert np.array_equal(recorded.load.pages, live.load.pages) and len(recorded.load) > 100_000
    assert np.array_equal(recorded.load.machines, live.load.machines)
    assert live.statistics.misses < 0.5 * len(live.load)
