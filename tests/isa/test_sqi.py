"""The quality registers against the arithmetic they stand for, written with fractions instead of shifts."""

from fractions import Fraction
from math import floor

from hypothesis import given
from hypothesis import strategies as st

from vac.isa.sqi import EPOCH_TICKS, FULL, HISTORY_BITS, Sqi, history_index

registers = st.integers(0, FULL)
indices = st.builds(
    Sqi,
    coherence=registers,
    entropy=registers,
    drift=registers,
    mispredictions=st.integers(0, EPOCH_TICKS),
    distance=registers,
    refusals=st.integers(0, 0xFF),
)


def moved(register: int, target: int) -> int:
    return register + floor(Fraction(target - register, 8))


@given(sqi=indices)
def test_fold_moves_each_register_an_eighth_of_the_way(sqi: Sqi) -> None:
    expected = (
        moved(sqi.coherence, max(0, FULL - 512 * sqi.mispredictions - 4096 * sqi.refusals)),
        moved(sqi.entropy, min(FULL, 1024 * sqi.mispredictions)),
        moved(sqi.drift, sqi.distance),
    )
    sqi.fold()
    assert (sqi.coherence, sqi.entropy, sqi.drift) == expected
    assert (sqi.mispredictions, sqi.distance, sqi.refusals) == (0, 0, 0)
    assert all(0 <= register <= FULL for register in expected)


@given(sqi=indices)
def test_score_is_half_coherence_and_a_quarter_each_of_calm(sqi: Sqi) -> None:
    weighted = Fraction(sqi.coherence, 2) + Fraction(FULL - sqi.entropy, 4) + Fraction(FULL - sqi.drift, 4)
    assert sqi.score == floor(weighted)
    assert 0 <= sqi.score <= FULL


def test_a_fresh_machine_has_the_best_score_and_keeps_it_when_calm() -> None:
    sqi = Sqi()
    for _ in range(100):
        sqi.fold()
    assert (sqi.score, sqi.coherence, sqi.entropy, sqi.drift) == (FULL, FULL, 0, 0)


def test_a_restless_epoch_lowers_the_score_and_calm_ones_restore_it() -> None:
    sqi = Sqi()
    for value in range(64):
        sqi.branch(0x10, taken=value % 2 == 0)
        sqi.emit(value * 1000)
    sqi.fold()
    low = sqi.score
    assert low < FULL
    scores = []
    for _ in range(100):
        sqi.fold()
        scores.append(sqi.score)
    assert scores == sorted(scores) and scores[0] > low
    assert FULL - scores[-1] < 8, "shifts stop within an eighth of the last step"


@given(steps=st.lists(st.tuples(st.integers(0, 0xFFFFFF), st.booleans()), max_size=60))
def test_a_branch_is_predicted_to_go_as_it_last_went(steps: list[tuple[int, bool]]) -> None:
    sqi, last, wrong = Sqi(), dict.fromkeys(range(HISTORY_BITS), False), 0
    for pc, taken in steps:
        entry = (pc % 16) ^ (pc // 16 % 16)
        assert history_index(pc) == entry
        wrong += last[entry] != taken
        last[entry] = taken
        sqi.branch(pc, taken)
    assert sqi.mispredictions == wrong
    assert [bool(sqi.history >> entry & 1) for entry in range(HISTORY_BITS)] == list(last.values())


@given(values=st.lists(st.one_of(st.integers(0, 300), st.integers(0, 0xFFFFFFFF)), max_size=10))
def test_emitted_values_count_by_how_far_they_move(values: list[int]) -> None:
    sqi = Sqi()
    for value in values:
        sqi.emit(value)
    path = sum(min(FULL, abs(b - a)) for a, b in zip([0, *values], values, strict=False))
    assert sqi.distance == min(FULL, path)
    assert sqi.last_emit == ([0, *values])[-1]


def test_refusals_saturate() -> None:
    sqi = Sqi()
    for _ in range(300):
        sqi.refuse()
    assert sqi.refusals == 255
