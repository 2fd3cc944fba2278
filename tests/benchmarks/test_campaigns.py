"""The record of the long campaigns is made from what they leave behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import campaigns
from vac.campaigns.differential import main as differential


def test_a_campaign_that_ran_replaces_its_record_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, build = tmp_path / "campaigns.json", tmp_path / "build"
    kept.write_text('{"software": {"programs": 7}, "link": {"frames": 9}}')
    monkeypatch.setattr(campaigns, "_FILE", kept)
    assert differential(["--programs", "1", "--ticks", "100", "--output", str(build / "campaigns")]) == 0
    assert campaigns.main(["--build", str(build)]) == 0
    found = json.loads(kept.read_text())
    assert (found["software"]["programs"], found["software"]["ticks_each"], found["link"]) == (1, 100, {"frames": 9})
    assert capsys.readouterr().out.endswith(": software\n")


def test_a_report_that_is_damaged_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, report = tmp_path / "campaigns.json", tmp_path / "build" / "campaigns" / "paging.json"
    kept.write_text("{}")
    report.parent.mkdir(parents=True)
    report.write_text("{")
    monkeypatch.setattr(campaigns, "_FILE", kept)
    assert campaigns.main(["--build", str(tmp_path / "build")]) == 1
    assert kept.read_text() == "{}"
