"""Every instruction by its worked example: read this parametrised by `pytest -v` to learn the machine.

Each example runs three times: straight through, stopped after each tick, and with all memory taken away before each
tick, which must not be seen.
"""

from collections.abc import Callable

import pytest

from vac.isa.beam import BEAM_BYTES
from vac.isa.instruction import Instruction
from vac.isa.table import INSTRUCTIONS
from vac.machine.protocol import Answer, Leaf, Machine, StopReason
from vac.machine.state import State, Status

each_row = pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
MAX_TICKS = 100


def program(row: Instruction) -> str:
    return f"{row.example.source}\nhalt"


def run(machine: Machine, until_tick: int) -> None:
    """Runs; every request to the host is answered with zero."""
    while (stop := machine.run(until_tick)).reason is StopReason.EVENT:
        machine.answer(Answer())
    assert stop.reason in (StopReason.TICK, StopReason.HALTED), (stop, machine.state().trap)


def finished(machine: Machine) -> tuple[State, bytes]:
    state = machine.state()
    assert state.status is Status.HALTED
    return state, machine.drain_beams()


@each_row
def test_example(row: Instruction, start: Callable[..., Machine]) -> None:
    machine = start(program(row))
    run(machine, MAX_TICKS)
    state, beams = finished(machine)
    assert tuple(state.data_stack) == row.example.stack
    assert len(beams) == BEAM_BYTES * state.tick
    assert any(beams[at + 4] == row.opcode for at in range(0, len(beams), BEAM_BYTES)), "the instruction itself ran"


@each_row
def test_example_in_steps_of_one_tick(row: Instruction, start: Callable[..., Machine]) -> None:
    whole, stepped = start(program(row)), start(program(row))
    run(whole, MAX_TICKS)
    while stepped.state().status is Status.RUNNING:
        tick = stepped.state().tick + 1
        run(stepped, tick)
        assert stepped.state().tick == tick
    assert finished(stepped) == finished(whole)


@each_row
def test_example_with_no_memory_resident_before_any_tick(row: Instruction, start: Callable[..., Machine]) -> None:
    whole, paged = start(program(row)), start(program(row))
    run(whole, MAX_TICKS)
    store: dict[tuple[int, int], Leaf] = {}
    while (before := paged.state()).status is Status.RUNNING:
        for slot, number in paged.leaves():
            store[slot, number] = paged.evict(slot, number)
        stop = paged.run(before.tick + 1)
        while stop.reason is StopReason.PAGE_MISS:
            assert stop.miss and not paged.state().differences(before), "a miss changes nothing"
            paged.install(stop.miss.slot, stop.miss.number, store[stop.miss.slot, stop.miss.number])
            stop = paged.run(before.tick + 1)
        if stop.reason is StopReason.EVENT:
            paged.answer(Answer())
    assert finished(paged) == finished(whole)
