"""Conditions asked inside the engine hold where Python says that they hold."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.history.reference import Reference, crossing_run, reference_run
from tests.history.test_history import TIGHT, history_of

from vac.assembler.assemble import assemble
from vac.history.bisection import first
from vac.history.compiled_search import CompiledSearch, NotCompiled
from vac.history.conditions import Where
from vac.history.errors import HistoryError
from vac.history.expression import Expression
from vac.history.expression_in_c import NotInC, Translation
from vac.history.history import History

CONDITIONS = (
    "sp > 1",
    "top == 0",
    "top != 0 and sp",
    "top is not None and top > 1000",
    "sp > 1 and stack[-2] < stack[-1]",
    "len(stack) == 2 and stack[0] != stack[1]",
    "not stack and tick > 20",
    "len(locals) > 2 and local(2) & 0xFF == 7",
    "rp - fp > 1 and locals[-1] >= locals[0] // 3 > 5",
    "pc % 7 == 3 and tick > 9",
    "pc in (3, 9, 0x20) or fp > 4 or rp == 1",
    "inputs == 2",
    "status != 'running' or trap",
    "trap in ('BOUNDS', 'PERMISSION')",
    "coherence != 0 or entropy > 3 or drift > 3",
    "score < 40000 and not tick % 3",
    "u8(0, 0) ^ u16(0, 4093) > (u32(0, 4094) >> 3) % 91 and tick % 5 == 4",
    "s32(1, 0) < 0 or abs(-tick) + min(tick, 5) * max(tick, 9) > 500",
    "(1 if tick > 100 else 0) + ~sp - -pc == 71",
    "sp > 0 and text(0, 0, 1) == b'' or tick == 13",
    "tick > 30 and at(0x0000) == at(0x0004)",
)
RUNS = [crossing_run(), *map(reference_run, range(3))]


def truths(run: Reference, condition: Expression) -> list[bool] | None:
    """At every tick; None where it raises somewhere."""
    history, found = history_of(run), []
    for tick in range(len(run.states)):
        history.seek(tick)
        try:
            found.append(condition.holds(history))
        except HistoryError:
            return None
    return found


@pytest.mark.parametrize("text", CONDITIONS)
def test_where_a_condition_holds(text: str) -> None:
    asked = 0
    for run, draw in zip(RUNS, map(Random, range(9)), strict=False):
        condition = Expression(text)
        expected = truths(run, condition)
        history = history_of(run, limits=TIGHT)
        search = CompiledSearch(history, condition)
        if expected is None:
            continue
        for _ in range(8):
            low = draw.randrange(len(expected))
            high = draw.randrange(low, len(expected) + 3)
            ticks = [tick for tick in range(low, min(high + 1, len(expected))) if expected[tick]]
            assert search.first(history, low, high) == (ticks[0] if ticks else None)
            assert search.last(history, low, high) == (ticks[-1] if ticks else None)
            asked += 1
    assert asked


@pytest.mark.parametrize(
    "text", ["top < 5", "local(14) == 3", "stack[0] == 1", "stack[-1] == 1", "at(0xF0000000) == 1", "1 < 2 < top"]
)
def test_what_python_refuses_is_refused_at_the_same_tick(text: str) -> None:
    for run in RUNS[:2]:
        history = history_of(run)
        expected = None
        for tick in range(len(run.states)):
            history.seek(tick)
            try:
                if Expression(text).holds(history):
                    expected = str(tick)
                    break
            except HistoryError as error:
                expected = str(error)
                break
        try:
            found = str(CompiledSearch(history, Expression(text)).first(history, 0, len(run.states)))
        except HistoryError as error:
            found = str(error)
        assert found == expected


@pytest.mark.parametrize("text", ["text(1, 0, 4) == b'okay'", "tick ** 2", "sum(stack) > 3", "tick == 1.5", "foo"])
def test_what_is_left_to_python(text: str) -> None:
    with pytest.raises(NotInC):
        Translation(text)
    with pytest.raises(NotCompiled, match="more than can be asked inside the engine"):
        CompiledSearch(history_of(RUNS[0]), Expression(text))


def values() -> st.SearchStrategy[str]:
    leaves = st.one_of(
        st.sampled_from(["tick", "pc", "sp", "fp", "len(locals)", "score", "u16(0, 1)", "s32(0, 4)"]),
        st.integers(-(1 << 33), 1 << 33).map(lambda value: f"({value})"),
    )

    def deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        binary = st.tuples(inner, st.sampled_from("+-*&|^"), inner).map(lambda three: f"({' '.join(three)})")
        fixed = st.tuples(inner, st.sampled_from(["//", "%"]), st.integers(-99, 99).filter(bool))
        shift = st.tuples(inner, st.sampled_from(["<<", ">>"]), st.integers(0, 20))
        unary = st.tuples(st.sampled_from(["-", "~", "abs"]), inner).map(lambda two: f"{two[0]}({two[1]})")
        return st.one_of(binary, unary, *(each.map(lambda t: f"({t[0]} {t[1]} ({t[2]}))") for each in (fixed, shift)))

    return st.recursive(leaves, deeper, max_leaves=6)


@settings(max_examples=8)
@given(st.lists(st.tuples(values(), values()), min_size=6, max_size=6), st.integers(0, 3))
def test_arithmetic_is_pythons(pairs: list[tuple[str, str]], number: int) -> None:
    run = RUNS[number % len(RUNS)]
    parts = [f"{one} == {other}" for one, other in pairs] + [f"({one}) % 3 == 1" for one, _ in pairs]
    condition = Expression(" or ".join(f"({part} and tick % {at + 2} == 1)" for at, part in enumerate(parts)))
    expected = truths(run, condition)
    assert expected is not None
    history = history_of(run)
    search, tick = CompiledSearch(history, condition), 0
    for _ in range(6):
        ticks = [at for at in range(tick, len(expected)) if expected[at]]
        assert search.first(history, tick, len(expected)) == (ticks[0] if ticks else None)
        if not ticks:
            break
        tick = ticks[0] + 1


def test_a_long_run_is_looked_through_without_python(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(assemble(".frame 1\n liw l0, 300000\nround: djnz l0, round\n halt\n"), [])
    asked: list[int] = []
    real = Expression.holds

    def holds(condition: Expression, history: History) -> bool:
        asked.append(history.tick)
        return real(condition, history)

    monkeypatch.setattr(Expression, "holds", holds)
    assert first(history, Expression("local(0) == 7 or top == 3")) == 299_994
    assert asked == [0, 299_994]


@pytest.mark.parametrize("text", ["top == 0 and tick % 3 == 0", "sum(stack) % 5 == 3"])
def test_moving_to_where_it_holds(text: str) -> None:
    for run in RUNS[1:2]:
        expected = truths(run, Expression(text))
        assert expected is not None and sum(expected) > 9
        ticks, history = [tick for tick, holds in enumerate(expected) if holds], history_of(run)
        where, found = Where(Expression(text)), [0] if expected[0] else []
        while history.run_to(where):
            found.append(history.tick)
        assert found == ticks
        while history.run_back_to(where):
            assert history.tick == ticks.pop() or history.tick == ticks.pop()
        assert not ticks
