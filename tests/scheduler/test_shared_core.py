"""One core for several machines, driven without a scheduler."""

from __future__ import annotations

import pytest

from vac.engines.registry import create_machine
from vac.golden.model import GoldenMachine
from vac.machine.protocol import Answer, Leaf, Machine, MachineError, StopReason
from vac.scheduler.executors import SharedCore

from .loads import mix


def machines_of(engine: str) -> tuple[SharedCore, Machine, Machine]:
    core = SharedCore(create_machine(engine), keeps_beams=True)
    pair = core.machine(), core.machine()
    for seed, machine in enumerate(pair):
        machine.load(mix(seed))
    return core, *pair


@pytest.mark.parametrize("engine", ["golden", "fast"])
def test_state_leaves_and_beams_survive_others(engine: str) -> None:
    core, first, second = machines_of(engine)
    alone = GoldenMachine()
    alone.load(mix(0))
    for tick in (100, 200, 300):
        assert first.run(tick).reason is second.run(tick).reason is alone.run(tick).reason is StopReason.TICK
        assert alone.state().differences(first.state()) == []  # saved: the other one has the core
        assert first.leaves() == alone.leaves()
        assert [first.read_leaf(*key) for key in first.leaves()] == [alone.read_leaf(*key) for key in alone.leaves()]
    assert core.switches == 8
    assert first.drain_beams() == alone.drain_beams() and first.drain_beams() == b""
    assert len(second.drain_beams()) == 300 * 16


def test_what_was_taken_away_stays_away() -> None:
    _, first, second = machines_of("fast")
    first.run(100)
    kept = first.evict(1, 0)
    second.run(100)
    assert (1, 0) not in first.leaves()
    also_kept = first.evict(1, 1)
    with pytest.raises(MachineError, match="not resident"):
        first.read_leaf(1, 1)
    assert first.run(1 << 40).reason is StopReason.PAGE_MISS
    first.install(1, 0, kept)
    first.install(1, 1, also_kept)
    second.run(200)
    assert first.run(1 << 40).reason is StopReason.EVENT


def test_an_event_that_waits_is_raised_again_after_others_ran() -> None:
    _, first, second = machines_of("golden")
    event = first.run(1 << 40).event
    second.run(10)
    with pytest.raises(MachineError, match="no event"):
        first.answer(Answer(1))
    again = first.run(1 << 40)
    assert again.event == event is not None
    first.answer(Answer(1))
    assert first.run(1 << 40).reason is StopReason.HALTED


def test_a_state_that_is_read_is_a_copy() -> None:
    _, first, second = machines_of("fast")
    first.run(100)
    second.run(100)
    state = first.state()
    state.cells[70] ^= 1
    state.sqi.drift ^= 1
    assert len(state.differences(first.state())) == 2


def test_a_core_without_room_is_empty_again() -> None:
    class Small(GoldenMachine):
        def install(self, slot: int, number: int, leaf: Leaf) -> None:
            if len(self.leaves()) >= room:
                raise MachineError("all frames are taken")
            super().install(slot, number, leaf)

    room = 8
    core = SharedCore(Small())
    first, second = core.machine(), core.machine()
    first.load(mix(0))
    second.load(mix(1))
    before = first.leaves()
    room = 2
    with pytest.raises(MachineError, match="all frames"):
        first.run(10)
    assert core.core.leaves() == [] and first.leaves() == before
    room = 8
    assert first.run(10).reason is second.run(10).reason is StopReason.TICK
