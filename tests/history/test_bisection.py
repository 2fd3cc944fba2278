"""The first tick at which a condition holds is what a linear scan finds."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from tests.history.reference import Reference, crossing_run, reference_run
from tests.history.test_history import TIGHT, history_of
from typer.testing import CliRunner, Result

from vac.cli import app
from vac.history.bisection import bisected, first
from vac.history.errors import HistoryError
from vac.history.expression import Expression


def linear(run: Reference, texts: list[str]) -> dict[str, list[bool]]:
    """Each condition at every tick."""
    history = history_of(run)
    conditions = {text: Expression(text) for text in texts}
    found: dict[str, list[bool]] = {text: [] for text in texts}
    for tick in range(len(run.states)):
        history.seek(tick)
        for text, condition in conditions.items():
            found[text].append(condition.holds(history))
    return found


def test_monotone_conditions() -> None:
    for run in (crossing_run(), reference_run(1), reference_run(3)):
        draw, history = Random(1), history_of(run, limits=TIGHT)
        for _ in range(6):
            tick = draw.randrange(len(run.states))
            assert bisected(history, Expression(f"tick >= {tick}")) == history.tick == tick
        assert bisected(history, Expression("tick < 3")) is None
        assert bisected(history, Expression("True")) == 0
    texts = ["inputs >= 1", "inputs >= 2"]
    run = next(run for run in map(reference_run, range(40)) if len(run.log) > 3)
    for text, expected in linear(run, texts).items():
        assert bisected(history_of(run), Expression(text)) == expected.index(True)


def test_the_first_of_any_condition() -> None:
    found_something = 0
    for run in (crossing_run(), *map(reference_run, range(4))):
        draw, history = Random(4), history_of(run, limits=TIGHT)
        texts = ["sp > 1", "top == 0", "trap == 'BOUNDS'", "pc % 7 == 3 and tick > 9", "status != 'running'"]
        for store in draw.sample(run.stores, min(4, len(run.stores))):
            place = f"{store.slot}, {store.offset & ~3}"
            texts += [f"u32({place}) > {1 << 30}", f"u8({place}) == {draw.randrange(256)}", f"s32({place}) < 0"]
            texts += [
                f"u32({place}) > 9 and u16({place}) % 2",
                f"text({place}, 4).startswith(b'a') or u8({place}) == 7",
            ]
        for text, expected in linear(run, texts).items():
            tick = first(history, Expression(text))
            assert tick == (expected.index(True) if any(expected) else None), text
            found_something += tick is not None and tick > 0
    assert found_something > 20


def test_what_was_not_written_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    run = crossing_run()
    history = history_of(run)
    asked: list[int] = []
    real = Expression.holds

    def holds(expression: Expression, history: object) -> bool:
        asked.append(history.tick)  # pyright: ignore[reportAttributeAccessIssue]
        return real(expression, history)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Expression, "holds", holds)
    assert first(history, Expression("u32(1, 4096) == 5")) is None
    assert len(asked) == 1
    place = run.stores[0]
    first(history, Expression(f"u8({place.slot}, {place.offset}) == 1000"))
    assert len(asked) < len(run.stores) + 3


def test_what_is_no_condition() -> None:
    with pytest.raises(HistoryError, match="condition 'pc ==': "):
        Expression("pc ==")
    history = history_of(crossing_run())
    for text in ("foo > 1", "local(99)", "1 / 0", "at(0xF0000000)", "__import__('os')", "open('x')"):
        with pytest.raises(HistoryError):
            first(history, Expression(text))


def test_the_command_takes_packages_sources_and_recordings(tmp_path: Path) -> None:
    (tmp_path / "count.vasm").write_text(".frame 1\n        li l0, 9\nagain:  djnz l0, again\n        halt\n")

    def vac(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    source, package, run = (str(tmp_path / name) for name in ("count.vasm", "count.vac", "run"))
    assert vac("pack", source, "-o", package).exit_code == 0
    assert vac("record", package, "-o", run).exit_code == 0
    for program in (source, package, run):
        found = vac("bisect", program, "local(0) <= 3", "--json")
        assert found.exit_code == 0 and json.loads(found.stdout)["tick"] == 7
        assert vac("bisect", program, "local(0) == 77", "--first").exit_code == 1
    assert vac("bisect", str(tmp_path / "none.vac"), "tick == 1").exit_code == 2
