"""The comparison of engines: its parts compute what the workloads say, and the page shows what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.engines import markdown
from benchmarks.engines_python import PYTHON_KERNELS
from benchmarks.engines_unicorn import unicorn_seconds
from benchmarks.engines_wasm import on_wasmtime, source
from benchmarks.results import RESULTS_FOLDER, read_results
from benchmarks.workloads import WORKLOADS, Workload

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"
REPEATS = {"crc32": 1, "fib": 2000, "sieve": 8, "copy": 100}


def test_the_page_shows_the_recorded_figures() -> None:
    table = markdown(read_results(RESULTS_FOLDER / "engines.json"))
    shown = PAGE.read_text(encoding="utf-8").split("engines.json -->\n")[1].split("<!-- end -->")[0]
    assert shown == table, "write the table of benchmarks/results/engines.json into docs/engines.md"


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_every_peer_computes_the_workload(workload: Workload) -> None:
    memory = bytearray(workload.data)
    assert PYTHON_KERNELS[workload.name](memory) == workload.result
    assert workload.check(bytes(memory)) is None
    for is_charged in (False, True):
        kernel = on_wasmtime(workload, is_charged)
        kernel.write(workload.data)
        assert kernel.run(REPEATS[workload.name]) == workload.result
        assert workload.check(kernel.read()) is None
    assert unicorn_seconds(workload) > 0


def test_ticks_are_charged_only_where_asked() -> None:
    assert "i64.sub" in source("fib", True) and "i64.sub" not in source("fib", False)
