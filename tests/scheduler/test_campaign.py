"""A small slice of the scheduling campaign, and that it sees what it looks for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vac.campaigns.scheduling import Coverage, main, run_case
from vac.machine.protocol import Leaf
from vac.memory.frame import Frame
from vac.scheduler.remote_machine import RemoteMachine


@settings(max_examples=5)
@given(st.integers(1 << 32, 1 << 40), st.sampled_from((("golden", "fast"), ("fast",))))
def test_machines_end_as_they_do_alone_in_every_setting(seed: int, engines: Sequence[str]) -> None:
    coverage = Coverage()
    assert run_case(seed, 5, engines, coverage) == []
    assert coverage.machines == 5 and coverage.ticks > 0


@pytest.mark.rtl
def test_machines_move_to_the_verilated_core_and_back() -> None:
    coverage = Coverage()
    seed = 0
    while not coverage.places.get("one rtl core"):
        assert run_case(seed, 6, ("golden", "fast", "rtl"), coverage) == []
        seed += 1


def test_the_campaign_writes_what_it_met(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--first", "7", "--cases", "0", "--crowds", "0", "--output", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "scheduling.json").read_text())
    assert report == json.loads(capsys.readouterr().out)
    assert report["first_seed"] == 7 and report["failures"] == []


def test_a_leaf_that_comes_back_changed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    unmap = Frame.unmap_all

    def spoil(frame: Frame, machine: object) -> None:
        unmap(frame, machine)  # pyright: ignore[reportArgumentType]
        if isinstance(frame._data, bytes) and frame.slot:
            frame._data = bytes([frame._data[0] ^ 1]) + frame._data[1:]

    monkeypatch.setattr(Frame, "unmap_all", spoil)
    assert any(run_case(seed, 5, ("fast",), Coverage()) for seed in range(4))


def test_a_checkpoint_that_forgets_a_leaf_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    read = RemoteMachine._moved

    def spoil(machine: RemoteMachine, operation: str, keys: Sequence[tuple[int, int]]) -> list[Leaf]:
        found = read(machine, operation, keys)
        return found if operation != "evict" else [Leaf(bytes(4096)) for _ in found]

    monkeypatch.setattr(RemoteMachine, "_moved", spoil)
    assert any(run_case(seed, 5, ("fast",), Coverage()) for seed in range(8))
