"""The core in Amaranth's own simulator: nothing of Verilator, Yosys or C++, and the same run."""

from __future__ import annotations

import pytest

from vac.assembler.assemble import assemble
from vac.isa.table import BY_MNEMONIC
from vac.machine.protocol import StopReason
from vac_hdl.config import CoreConfig
from vac_sim.amaranth_library import AmaranthLibrary
from vac_sim.disturbance import Disturbance
from vac_sim.lockstep import LockstepMachine
from vac_sim.reference import RecordingGolden

CONFIG = CoreConfig(frame_bits=4, tlb_bits=2)


@pytest.fixture(scope="module")
def machine() -> LockstepMachine:
    disturbance = Disturbance(seed=3, slice_ticks=1 << 14, resident_leaves=5, evict_256=60)
    return LockstepMachine(RecordingGolden(), disturbance, CONFIG, AmaranthLibrary(CONFIG))


@pytest.mark.parametrize("mnemonic", ["mulhs", "callt", "ld16sx", "st8p", "swap"])
def test_worked_examples(machine: LockstepMachine, mnemonic: str) -> None:
    example = BY_MNEMONIC[mnemonic].example
    machine.load(assemble(example.source + "\nhalt"))
    assert machine.run(1000).reason is StopReason.HALTED
    assert tuple(machine.state().data_stack) == example.stack
