"""Benchmark records: what is written, and whose ratio is filled in."""

import json
from pathlib import Path

from benchmarks.results import Result, this_machine, with_ratios, write_results


def test_a_peers_ratio_is_vacs_figure_over_its_own() -> None:
    records = with_ratios(
        [
            Result("ecp5.fmax", 90.0, "MHz", None, "c"),
            Result("ecp5.fmax", 60.0, "MHz", "slow core", "c"),
            Result("ecp5.comb", 10, "cells", "slow core", "c"),
            Result("ecp5.dsp", 0, "cells", "slow core", "c"),
            Result("ecp5.dsp", 3, "cells", None, "c"),
        ]
    )
    assert [record.ratio for record in records] == [None, 1.5, None, None, None]


def test_written_records_have_the_seven_fields_in_order(tmp_path: Path) -> None:
    path = tmp_path / "results" / "some.json"
    write_results(path, [Result("fib.cycles", 7, "cycles", "core ⊕", "make bench")])
    (row,) = json.loads(path.read_text(encoding="utf-8"))
    assert list(row) == ["name", "value", "unit", "peer", "ratio", "command", "machine"]
    assert row["value"] == 7 and row["peer"] == "core ⊕" and row["ratio"] is None
    assert row["machine"]["cores"] == this_machine().cores >= 1
    assert list(path.parent.iterdir()) == [path]  # no partial file stays behind
