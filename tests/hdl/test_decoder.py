"""The decoder in gates, as boards have it, and the one in words, as simulators run it, decode alike."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from vac.isa.table import INSTRUCTIONS
from vac_hdl.config import CoreConfig
from vac_hdl.decoder import CONTROL_FIELDS, Decoder
from vac_hdl.word_selection import ONE, FieldSelection

_VALUES = ("value", "offset", "frame", "a_index", "b_index", "destination_index")
_WORDS_EACH = 4


def test_gates_and_words_agree_on_every_opcode() -> None:
    m = Module()
    m.submodules.gates = gates = Decoder(CoreConfig(in_words=False))
    m.submodules.words = words = Decoder(CoreConfig(in_words=True))
    draw = random.Random(3)
    taken = [opcode | draw.getrandbits(32) << 8 for opcode in range(256) for _ in range(_WORDS_EACH)]
    taken += [opcode | number << 20 for opcode in {row.opcode for row in INSTRUCTIONS} for number in range(16)]
    seen = set()

    async def bench(context) -> None:
        for word in taken:
            for decoder in (gates, words):
                context.set(decoder.opcode, word & 0xFF)
                context.set(decoder.enable, 1)
            context.set(words.suboperation, word >> 20 & 15)
            await context.tick()
            for decoder in (gates, words):
                context.set(decoder.word, word)
            wanted, got = (
                [context.get(decoder.control[name]) for name in CONTROL_FIELDS]
                + [context.get(getattr(decoder, name)) for name in _VALUES]
                for decoder in (gates, words)
            )
            assert got == wanted, f"{word:#012x}: {dict(zip((*CONTROL_FIELDS, *_VALUES), got, strict=True))}"
            seen.add(context.get(gates.control.legal))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == {0, 1}


@pytest.mark.parametrize("wiring", [[8, None, 9, None], [ONE, 8, None, None], [9, 8, None, None], [8, 9, 8, 8]])
def test_a_wiring_that_is_no_field_is_refused(wiring: list[int | None]) -> None:
    with pytest.raises(ValueError, match="neither one field nor a constant"):
        FieldSelection({"value": (4, lambda _: wiring)}, {0: [INSTRUCTIONS[0]]})
