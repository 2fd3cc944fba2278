"""Lockstep: equal runs pass whatever is done to the RTL beside them, and every kind of difference is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vac.assembler.assemble import assemble
from vac.golden.model import GoldenMachine
from vac.host.session import Host
from vac.image.image import Image
from vac.isa.instruction import Instruction
from vac.isa.state_map import FRAME_RAM_BASE, STACK_RAM_BASE, HostRegister
from vac.isa.table import INSTRUCTIONS
from vac.machine.protocol import StopReason
from vac_sim.campaign import program_of, run_program
from vac_sim.case import Case
from vac_sim.disturbance import Disturbance
from vac_sim.lockstep import LockstepMachine
from vac_sim.mismatch import LockstepMismatch
from vac_sim.reference import RecordingGolden

pytestmark = pytest.mark.rtl

DISTURBANCES = [
    Disturbance(),
    Disturbance(slice_ticks=1),
    Disturbance(seed=2, slice_ticks=64, resident_leaves=4, evict_256=255),
    Disturbance(seed=3, ready_256=24, slice_ticks=64),
    Disturbance(seed=4, stall_256=150, slice_ticks=64),
    Disturbance(seed=5, delay_cycles=40, resident_leaves=4, evict_256=128, ready_256=64, stall_256=64, slice_ticks=64),
]


def run_to_end(image: Image, disturbance: Disturbance) -> LockstepMachine:
    machine = LockstepMachine(RecordingGolden(), disturbance)
    stop = Host(machine, image).run(100_000)
    assert stop.reason is StopReason.HALTED
    return machine


@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=str)
def test_disturbances_do_not_show(summing: Image, disturbance: Disturbance) -> None:
    golden = GoldenMachine()
    Host(golden, summing).run(100_000)
    machine = run_to_end(summing, disturbance)
    assert machine.state().differences(golden.state()) == []
    assert machine.drain_beams() == golden.drain_beams()
    assert machine.counts.compared == golden.state().tick
    if disturbance.resident_leaves:
        assert machine.counts.hidden_misses > 3
    if disturbance.slice_ticks == 1:
        assert machine.counts.checkpoints > machine.counts.compared


@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
def test_worked_examples(row: Instruction) -> None:
    image = assemble(row.example.source + "\nhalt", f"{row.mnemonic}.vasm")
    machine = run_to_end(image, Disturbance(slice_ticks=2))
    assert tuple(machine.state().data_stack) == row.example.stack


@pytest.mark.parametrize("seed", range(1, 17))
def test_random_programs(seed: int) -> None:
    machine, _ = run_program(program_of(seed), Disturbance.drawn(seed), ticks=1500, reference="golden")
    assert machine.counts.compared > 0


def _flip_stack_cell(machine: LockstepMachine) -> str:
    rtl = machine.rtl
    cell = STACK_RAM_BASE + 64 + 3
    rtl._write(cell, rtl._read(cell) ^ 0x10)
    return "return stack 3"


def _flip_memory(machine: LockstepMachine) -> str:
    rtl = machine.rtl
    leaf = rtl.read_leaf(1, 0)
    rtl.install(1, 0, type(leaf)(bytes([leaf.data[0] ^ 1]) + leaf.data[1:], leaf.labels))
    return "byte 0x0 of slot 1"


def _flip_leaf_label(machine: LockstepMachine) -> str:
    rtl = machine.rtl
    leaf = rtl.read_leaf(1, 1)
    rtl.install(1, 1, type(leaf)(leaf.data, leaf.labels ^ 4))
    return "labels of leaf 1 of slot 1"


def _change_cone(machine: LockstepMachine) -> str:
    machine.rtl._write_register(HostRegister.CONE_IN_LOW, 77)
    return "cone_in"


@pytest.mark.parametrize("change", [_flip_stack_cell, _flip_memory, _flip_leaf_label, _change_cone])
def test_storage_that_differs_is_found(summing: Image, change: Callable[[LockstepMachine], str]) -> None:
    machine = LockstepMachine(RecordingGolden(), Disturbance(slice_ticks=8))
    machine.load(summing)
    machine.run(200)
    what = change(machine)
    with pytest.raises(LockstepMismatch) as caught:
        machine.run(220)
    assert what in {difference.what for difference in caught.value.differences}
    assert 200 <= caught.value.tick <= 220


@pytest.mark.parametrize(
    ("register", "name"),
    [
        (HostRegister.DRIFT, "drift"),
        (HostRegister.HISTORY, "history"),
        (HostRegister.MISPREDICTIONS, "mispredictions"),
        (HostRegister.DIGEST_LOW, "digest"),
    ],
)
def test_a_register_that_differs_is_found_at_the_next_instruction(
    summing: Image, register: HostRegister, name: str
) -> None:
    machine = LockstepMachine(RecordingGolden(), Disturbance(slice_ticks=1 << 14))
    machine.load(summing)
    machine.run(200)
    value = machine.rtl._read_register(register)
    machine.rtl._write_register(register, value ^ 0x40)
    with pytest.raises(LockstepMismatch) as caught:
        machine.run(1000)
    assert caught.value.tick == 200
    assert [difference.what for difference in caught.value.differences] == [name]


def test_frame_ram_is_what_the_core_reads(summing: Image) -> None:
    """A flip in the frames, behind the page table's back, reaches the program and the compare."""
    machine = LockstepMachine(RecordingGolden(), Disturbance(slice_ticks=1 << 14))
    machine.load(summing)
    machine.run(10)
    before = machine.rtl._read(FRAME_RAM_BASE)
    machine.rtl._write(FRAME_RAM_BASE, before ^ 0xFF)
    with pytest.raises(LockstepMismatch):
        machine.state()


def test_a_case_is_the_run_again(summing: Image, tmp_path: Path) -> None:
    disturbance = DISTURBANCES[-1]
    first = run_to_end(summing, disturbance)
    assert first.case
    path = tmp_path / "run.case.json"
    first.case.save(path)
    again = LockstepMachine(RecordingGolden(), disturbance)
    Case.load(path).replay(again)
    assert again.rtl.cycles == first.rtl.cycles
    assert again.counts.compared == first.counts.compared
    assert again.counts.evictions == first.counts.evictions > 0
    assert again.counts.hidden_misses == first.counts.hidden_misses
    assert again.drain_beams() == first.drain_beams()
