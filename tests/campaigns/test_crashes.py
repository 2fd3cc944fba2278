"""Recorders that are killed: nothing that was acknowledged is lost, and the run ends as it would have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vac.campaigns.crashes import CrashFailure, Tally, crash_one, main
from vac.recording.input_log_file import InputLogFile


def test_killed_recorders_lose_nothing(tmp_path: Path) -> None:
    assert main(["--kills", "12", "--first", "3", "--output", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "crashes.json").read_text())
    assert report["failure"] is None
    assert report["kills"] == 12
    assert report["finished"] >= 1


def test_the_campaign_notices_what_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = InputLogFile.close

    def forgetful(log: InputLogFile) -> None:
        real(log)
        log.path.write_bytes(log.path.read_bytes()[:-1])

    monkeypatch.setattr(InputLogFile, "close", forgetful)
    with pytest.raises(CrashFailure, match="is not what the undisturbed one is"):
        crash_one(tmp_path, 1, 0, 50, Tally())
