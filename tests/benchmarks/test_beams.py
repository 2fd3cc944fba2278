"""The benchmark of beam stores: what its figures are figures of."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.results import RESULTS_FOLDER, read_results

from benchmarks import beams
from vac.beams.cell import Space


def test_the_program_fills_many_cells_and_joins_labels() -> None:
    rows = beams._table(beams.recorded(200_000))
    assert len(rows) == 200_000
    memory = rows["cell"][rows["cell"] >> np.uint64(32) == Space.UNKNOWN_SLOT]
    assert len(np.unique(memory)) > 10_000 and rows["eid"].max() > 40
    assert len(np.unique(rows["value"])) > 50_000, "values that hardly repeat"


def test_all_stores_are_measured_on_the_same_beams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beams, "_QUICK_BEAMS", 150_000)
    monkeypatch.setattr(beams, "_BATCH", 1 << 16)
    monkeypatch.setattr(beams, "_ROUNDS", 1)
    monkeypatch.setattr(beams, "_SCRATCH", tmp_path)
    results = beams.measure_beams(quick=True, command="here")
    by_peer = {peer: {r.name for r in results if r.peer == peer} for peer in {r.peer for r in results}}
    assert by_peer[None] > by_peer["DuckDB"] == by_peer["SQLite, index after"]
    assert all(record.value > 0 for record in results)
    assert all(record.ratio for record in results if record.peer)
    beams.print_beams(results)
    assert not list(tmp_path.iterdir())


def test_the_kept_figures_can_be_read() -> None:
    own = {record.name: record.value for record in read_results(RESULTS_FOLDER / "beams.json") if record.peer is None}
    assert own["beams.bytes.sealed"] < own["beams.bytes.open"]
    assert own["beams.ingest"] > 0 and {"beams.lineage.open", "beams.ghost.open"} <= own.keys()
