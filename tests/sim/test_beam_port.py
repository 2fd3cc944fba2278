"""What a core ships of its beams, and what it does where nobody takes them. The digest is always of all of them."""

from __future__ import annotations

import pytest

from vac.assembler.assemble import assemble
from vac.golden.model import GoldenMachine
from vac.image.image import Image
from vac.isa.beam import BEAM_BYTES
from vac.isa.state_map import BeamControlBit, HostRegister
from vac.machine.protocol import StopReason
from vac_hdl.config import COMPACT_SIMULATION, SIMULATION, CoreConfig
from vac_sim.engine import RtlMachine, RtlOptions

pytestmark = [
    pytest.mark.rtl,
    pytest.mark.parametrize("config", [SIMULATION, COMPACT_SIMULATION], ids=lambda config: config.core),
]

TICKS = 2000
MARKED = 0x5E
"""Flags of a beam that say that something happened besides."""


@pytest.fixture(scope="module")
def counting() -> Image:
    return assemble(".frame 2\nliw l0, 2000\nagain: get0; emit; djnz l0, again; halt\n".replace("; ", "\n"))


@pytest.fixture
def golden(counting: Image) -> GoldenMachine:
    machine = GoldenMachine()
    machine.load(counting)
    machine.run(TICKS)
    return machine


def test_only_marked_beams_are_shipped(config: CoreConfig, counting: Image, golden: GoldenMachine) -> None:
    machine = RtlMachine(RtlOptions(config=config))
    machine.load(counting)
    machine._write_register(HostRegister.BEAM_CONTROL, BeamControlBit.SHIP_MARKED)
    assert machine.run(TICKS).reason is StopReason.TICK
    beams = golden.drain_beams()
    records = [beams[at : at + BEAM_BYTES] for at in range(0, len(beams), BEAM_BYTES)]
    assert machine.drain_beams() == b"".join(record for record in records if record[5] & MARKED)
    assert machine.state().digest == golden.state().digest


def test_a_lossy_port_counts_what_it_drops(config: CoreConfig, counting: Image, golden: GoldenMachine) -> None:
    machine = RtlMachine(RtlOptions(config=config, ready_256=2))
    machine.load(counting)
    machine._write_register(HostRegister.BEAM_CONTROL, BeamControlBit.SHIP_ALL | BeamControlBit.LOSSY)
    machine.run(TICKS)
    shipped = len(machine.drain_beams()) // BEAM_BYTES
    lost = machine._read_register(HostRegister.BEAMS_LOST)
    assert lost > 100
    assert shipped + lost == TICKS
    assert machine.state().digest == golden.state().digest
