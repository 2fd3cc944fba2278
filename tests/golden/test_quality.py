"""The quality registers of a running machine, recomputed from nothing but its beams."""

from collections.abc import Callable

import pytest

from vac.isa.beam import Beam, BeamFlag
from vac.isa.instruction import Unit
from vac.isa.sqi import Sqi
from vac.isa.table import INSTRUCTIONS
from vac.machine.protocol import Answer, Machine, StopReason

RESTLESS = """
        lit32 0x1234567
        set0
again:  shli    l1, l0, 13
        xor3    l0, l0, l1
        shrui   l1, l0, 17
        xor3    l0, l0, l1
        shli    l1, l0, 5
        xor3    l0, l0, l1
        andi    l1, l0, 1
        bz      l1, calm
        andi    s, l0, 255
        emit
calm:   andi    l1, l0, 7
        bnei    l1, again, 3
        in      0x20
        drop
        jmp     again
"""
BRANCHES = {row.opcode for row in INSTRUCTIONS if row.unit is Unit.BRANCH}


def recomputed(records: bytes) -> Sqi:
    """SQI after these beams, from the definition in words."""
    coherence, entropy, drift = 65535, 0, 0
    wrong = distance = refusals = last_emit = 0
    history = [False] * 16
    for tick, at in enumerate(range(0, len(records), 16), start=1):
        beam = Beam.unpack(records[at : at + 16])
        if beam.opcode in BRANCHES:
            entry, taken = beam.pc % 16 ^ beam.pc // 16 % 16, bool(beam.flags & BeamFlag.TAKEN)
            wrong += history[entry] != taken
            history[entry] = taken
        if beam.flags & BeamFlag.EMIT:
            distance = min(65535, distance + min(65535, abs(beam.value - last_emit)))
            last_emit = beam.value
        if beam.flags & BeamFlag.REFUSED:
            refusals = min(255, refusals + 1)
        if tick % 256 == 0:
            coherence += (65535 - min(65535, 512 * wrong + 4096 * refusals) - coherence) // 8
            entropy += (min(65535, 1024 * wrong) - entropy) // 8
            drift += (distance - drift) // 8
            wrong = distance = refusals = 0
    bits = sum(1 << entry for entry, taken in enumerate(history) if taken)
    return Sqi(coherence, entropy, drift, wrong, distance, refusals, bits, last_emit)


@pytest.mark.parametrize("ticks", [1, 255, 256, 257, 511, 512, 2560, 5000])
def test_registers_follow_from_the_beams(ticks: int, start: Callable[..., Machine]) -> None:
    machine = start(RESTLESS)
    count = 0
    while machine.run(ticks).reason is StopReason.EVENT:
        count += 1
        machine.answer(Answer(refused=count % 2 == 0))
    assert machine.state().sqi == recomputed(machine.drain_beams())


def test_the_restless_program_moves_every_register(start: Callable[..., Machine]) -> None:
    machine = start(RESTLESS)
    while machine.run(2560).reason is StopReason.EVENT:
        machine.answer(Answer(refused=True))
    sqi = machine.state().sqi
    assert sqi.coherence < 60000 and sqi.entropy > 5000 and sqi.drift > 500


def test_programs_read_the_registers_before_the_reading_tick_folds_them(start: Callable[..., Machine]) -> None:
    emits = "lit 1000; emit\n" * 64 + "k0; emit\n" * 63 + "rd 4; rd 4; rd 4; rd 5; rd 0; rd 12; rd 10; rd 11\nhalt"
    machine = start(emits)
    assert machine.run(10_000).reason is StopReason.HALTED
    assert machine.state().data_stack == [0, 0, 250, (2 * 65535 + 65535 + 65535 - 250) >> 2, 258, 1, 6, 0]


def test_ticks_and_light_cone_have_high_halves(start: Callable[..., Machine]) -> None:
    machine = start("rd 0; rd 1; rd 6; rd 7; rd 8; rd 9; halt")
    state = machine.state()
    state.tick, state.cone_in, state.cone_out = (7 << 32) + 100, (5 << 32) + 1, (6 << 32) + 2
    machine.set_state(state)
    assert machine.run((7 << 32) + 200).reason is StopReason.HALTED
    assert machine.state().data_stack == [100, 7, 1, 5, 2, 6]
