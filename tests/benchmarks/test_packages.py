"""The benchmark of packages gives its records, and its child stores what changed."""

import pytest
from benchmarks.packages import PACKAGES, changed, contents, measure_packages


def test_quick_records(capsys: pytest.CaptureFixture[str]) -> None:
    values = {record.name: record.value for record in measure_packages(quick=True, command="here")}
    assert set(values) == {
        f"packages.{kind}.{what}" for kind in ("random", "words", "child") for what in ("pack", "verify", "stored")
    }
    assert all(value > 0 for value in values.values())
    assert (
        values["packages.child.stored"]
        < 0.05
        < values["packages.words.stored"]
        < 0.5
        < values["packages.random.stored"]
    )
    assert PACKAGES.main(["--quick"]) == 0
    assert "verify MB/s" in capsys.readouterr().out


def test_one_leaf_in_a_hundred_changes() -> None:
    data = contents(1)["words"]
    leaves = range(0, len(data), 4096)
    assert sum(changed(data)[at : at + 4096] != data[at : at + 4096] for at in leaves) == 3
