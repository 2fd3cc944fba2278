"""The benchmark of scheduling measures what it says, on few machines."""

import pytest

from benchmarks import scheduling


def test_every_figure_is_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, few in (
        ("_MACHINES", (3,)),
        ("_SLICES", (1_000,)),
        ("_PROCESSES", (1,)),
        ("_PROCESS_SLICES", (10_000,)),
        ("_FAIR_MACHINES", 16),
    ):
        monkeypatch.setattr(scheduling, name, few)
    results = scheduling.measure_scheduling(quick=True, command="here")
    values = {record.name.removeprefix("scheduling."): record.value for record in results}
    assert len(values) == len(results) == 13
    assert values["shared.3.1000.slice"] > values["each.3.1000.slice"] > 0
    assert values["faults.1.own"] > values["faults.0.own"] > 0
    assert 0.99 < values["fair.jain"] <= 1
    assert values["fair.most_over_least"] > 1.2
    assert 0 < values["fair.largest_gap"] < 4
    scheduling.print_scheduling(results)
    assert "weighted Jain index" in capsys.readouterr().out
