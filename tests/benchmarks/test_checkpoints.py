"""The benchmark of checkpoints measures what it says, on a short run."""

import pytest
from benchmarks.checkpoints import measure_checkpoints, print_checkpoints


def test_every_figure_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    results = measure_checkpoints(quick=True, command="here")
    values = {record.name: record.value for record in results}
    assert len(values) == len(results)
    assert values["travel.one_leaf.ticks"] == 10_000_006
    assert values["checkpoints.4096_leaves.take"] > values["checkpoints.1_leaves.take"]
    assert values["checkpoints.4096_leaves.disk"] > 20 * values["checkpoints.16_leaves.disk"]
    assert all(values[f"kept.{name}.ticks"] > 5_000_000 for name in ("crc32", "fib", "sieve", "copy"))
    print_checkpoints(results)
    assert "who wrote" in capsys.readouterr().out
