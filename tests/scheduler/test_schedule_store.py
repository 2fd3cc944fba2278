"""`vac schedule --store`: the beams of each machine as a run of a beam store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vac.beams.opening import open_store

from .exchange import vac
from .loads import CALM, MIX

GUARDED = """
.memory 4096
again:  sys 6; emit
        jmp again
"""
POLICY = 'permit(principal in QuotaClass::"trial", action, resource);\n'


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, seed in (("mix", 3), ("other", 5)):
        Path(f"{name}.vasm").write_text(MIX.format(seed=seed, rounds=200))
    Path("calm.vasm").write_text(CALM)


def schedule(*arguments: object, code: int = 0) -> list[dict[str, Any]]:
    return json.loads(vac("schedule", *arguments, "--json", code=code))["machines"]


@pytest.mark.parametrize(
    "options",
    [
        ("--slice", 150),
        ("--slice", 150, "--processes", 2),
        ("--slice", 150, "--shared-core", "--engine", "golden"),
        ("--slice", 150, "--frames", 19, "--page-size", "4KiB"),
    ],
)
@pytest.mark.parametrize("store", ["beams", "beams.jsonl"])
def test_beams_are_those_that_vac_run_keeps(store: str, options: tuple[object, ...]) -> None:
    rows = schedule("mix.vasm", "other.vasm", "--store", store, "--seed", 4, *options)
    assert [row["run"] for row in rows] == ["mix", "other"]
    for seed, name in ((4, "mix"), (5, "other")):
        vac("run", f"{name}.vasm", "--store", "alone", "--seed", seed, "--engine", "fast", "--input", "/dev/null")
    with open_store(store, writable=False) as found, open_store("alone", writable=False) as expected:
        for row in rows:
            assert (found.range(row["run"]).rows == expected.range(row["run"]).rows).all()
            assert found.run(row["run"]).next_tick == row["ticks"]
    assert json.loads(vac("beams", "counts", "--store", store, "--run", "other", "--json"))


def test_runs_are_named_by_the_machines(tmp_path: Path) -> None:
    rows = schedule(
        "mix.vasm", "--copies", 2, "--store", "beams", "--run", "night", "--slice", 50, "--until", 100, code=4
    )
    rows += schedule("mix.vasm", "--store", "beams", "--run", "day", "--slice", 50, "--until", 100, code=4)
    assert [row["run"] for row in rows] == ["night.mix-0", "night.mix-1", "day"]
    listed = vac("beams", "runs", "--store", "beams")
    assert all(name in listed for name in ("night.mix-0", "day"))
    said = vac("schedule", "calm.vasm", "mix.vasm", "--store", "beams", "--run", "night", "--copies", 2, code=2)
    assert "run 'night.mix-0' is there up to tick" in said and "calm" not in vac("beams", "runs", "--store", "beams")


def test_max_beams_counts_what_is_kept() -> None:
    rows = schedule("calm.vasm", "mix.vasm", "--store", "beams", "--quota", "max_beams=1000", "--slice", 300, code=4)
    assert [(row["ticks"], row["stop"]) for row in rows] == [(1000, "max_beams reached")] * 2
    with open_store("beams", writable=False) as store:
        assert [run.next_tick for run in store.runs()] == [1000, 1000]


def test_denials_are_kept_and_the_policy_hears_the_quota_class() -> None:
    Path("guarded.vasm").write_text(GUARDED)
    Path("policy.cedar").write_text(POLICY)
    vac("pack", "guarded.vasm", "--policy", "policy.cedar", "--cap", "entropy")
    options = ("guarded.vac", "calm.vasm", "--quota", "max_ticks=50", "--store", "beams", "--record", "rec")
    (guarded, _) = schedule(*options, "--run", "no", code=3)
    assert guarded["stop"] == "trapped" and "DENIED" in guarded["trap"]
    with open_store("beams", writable=False) as store:
        assert "denied" in [event.token for event in store.beam_events("no.guarded", store.range("no.guarded"))]
    options = (*options[:-1], "again")
    (guarded, _) = schedule(*options, "--run", "yes", "--quota-class", "trial", code=4)
    assert guarded["ticks"] == 50
    assert json.loads(Path("again/guarded/recording.json").read_text())["options"]["quota_class"] == "trial"
    vac("replay", "rec/guarded", "--engine", "golden")
    said = vac("schedule", "calm.vasm", "--quota-class", "trial", code=2)
    assert said == "none of these is a package, so there is no policy that --quota-class could speak to\n"
