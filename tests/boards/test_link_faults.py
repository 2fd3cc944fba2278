"""The link over a line that damages, loses, repeats, reorders and invents bytes: a slice of `vac_sim.link_campaign`."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from vac.link.frame import encode_frame
from vac_sim.line_faults import FaultyLine
from vac_sim.link_campaign import LinkCampaign, main
from vac_sim.link_model import LinkModel


@pytest.mark.rtl
@pytest.mark.parametrize(("seed", "rate", "pull"), [(1, 0.0, 0.0), (2, 0.1, 1e-3), (3, 0.5, 0.0), (4, 0.02, 0.01)])
def test_every_request_takes_effect_once_and_in_order(seed: int, rate: float, pull: float) -> None:
    campaign = LinkCampaign(seed, rate, pull)
    while campaign.frames < 8_000:
        campaign.step()
    campaign.finish()
    assert bool(campaign.retries) == bool(campaign.line.faults) == bool(rate)
    if rate == 0.1:
        assert set(campaign.line.faults) == {
            "flip", "drop", "repeat", "reorder", "invent", "whole repeated", "late copy", "cable pulled"
        }  # fmt: skip


@pytest.mark.rtl
def test_the_campaign_from_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--frames", "2000", "--seed", "9", "--output", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "link.json").read_text())["frames"] >= 2000
    assert "every request took effect once and in order" in capsys.readouterr().out


@pytest.mark.rtl
def test_a_link_that_loses_a_write_is_found_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, seen = LinkModel.log, []

    def forgetful(self: LinkModel) -> list[int]:
        words = plain(self)
        seen.extend(words)
        return words if len(seen) < 200 else words[2:]

    monkeypatch.setattr(LinkModel, "log", forgetful)
    assert main(["--frames", "5000", "--seed", "9"]) == 1
    assert "the host port saw" in capsys.readouterr().err


def test_the_line_damages_in_every_way_and_lets_the_rest_through() -> None:
    class Echo:
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: bytes) -> None:
            self.data = data

        def read(self) -> bytes:
            return self.data

    line = FaultyLine(Echo(), random.Random(1), 0.5)
    frame = encode_frame(1, 2, 3, [4, 5, 6])
    whole = 0
    for _ in range(2000):
        line.write(frame)
        whole += line.read() == frame
    assert 300 < whole < 1000
    assert len(line.faults) == 7
