"""The compact core in lockstep: worked examples, kernels, traps, random programs, all with disturbances."""

from __future__ import annotations

from pathlib import Path

import pytest

from vac.assembler.assemble import assemble, assemble_file
from vac.host.session import Host
from vac.image.image import Image, Segment
from vac.isa.instruction import Instruction
from vac.isa.limits import CODE_ADDRESS_BITS, CODE_SLOT, DATA_STACK_CELLS, MAX_CODE_BYTES
from vac.isa.state_map import HostRegister
from vac.isa.table import INSTRUCTIONS
from vac.isa.traps import Trap
from vac.machine.protocol import MachineError
from vac.machine.state import Status
from vac_hdl.compact.micro_op import Action
from vac_hdl.config import COMPACT_SIMULATION, CoreConfig
from vac_sim import replay
from vac_sim.campaign import program_of, run_program
from vac_sim.disturbance import Disturbance
from vac_sim.engine import RtlMachine, RtlOptions
from vac_sim.lockstep import LockstepMachine
from vac_sim.mismatch import LockstepMismatch
from vac_sim.reference import RecordingGolden, create_reference
from vac_sim.trace import read_trace

pytestmark = pytest.mark.rtl

ROOT = Path(__file__).resolve().parents[2]
KERNELS = sorted((ROOT / "firmware" / "kernels").glob("*.vasm"))

TIGHT = CoreConfig(core="compact", label_bits=0, frame_bits=3, tlb_bits=2, beam_fifo=8)
"""Eight frames and four translations: leaves that one instruction needs share a TLB entry."""


def run_to_end(image: Image, disturbance: Disturbance, config: CoreConfig = COMPACT_SIMULATION) -> LockstepMachine:
    machine = LockstepMachine(RecordingGolden(), disturbance, config)
    Host(machine, image).run(100_000)
    machine.state()
    return machine


@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
def test_worked_examples(row: Instruction) -> None:
    image = assemble(row.example.source + "\nhalt", f"{row.mnemonic}.vasm")
    machine = run_to_end(image, Disturbance(slice_ticks=2))
    assert tuple(machine.state().data_stack) == row.example.stack


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_kernels(path: Path) -> None:
    """A stretch of each kernel, compared at every instruction."""
    disturbance = Disturbance(seed=7, resident_leaves=5, evict_256=64, ready_256=128, delay_cycles=8, slice_ticks=512)
    machine = LockstepMachine(create_reference("fast"), disturbance, COMPACT_SIMULATION)
    Host(machine, assemble_file(path)).run(12_000)
    machine.state()
    assert machine.counts.compared == 12_000


@pytest.mark.parametrize("seed", range(1, 25))
def test_random_programs(seed: int) -> None:
    machine, _ = run_program(program_of(seed), Disturbance.drawn(seed), 1500, "golden", COMPACT_SIMULATION)
    assert machine.counts.compared > 0


@pytest.mark.parametrize("seed", range(40, 52))
def test_random_programs_with_few_frames_and_translations(seed: int) -> None:
    machine, _ = run_program(program_of(seed), Disturbance.drawn(seed), 1500, "golden", TIGHT)
    assert machine.counts.compared > 0


TRAPS = {
    Trap.CODE_BOUNDS: "nop",
    Trap.ILLEGAL: ".byte 0x47, 200",
    Trap.FRAME: ".byte 0x41, 3",
    Trap.STACK_UNDERFLOW: "add; halt",
    Trap.STACK_OVERFLOW: "again: k1; jmps again",
    Trap.RETURN_UNDERFLOW: "ret",
    Trap.RETURN_OVERFLOW: "again: call again, 9",
    Trap.DIVISION_BY_ZERO: "k1; k0; rems; halt",
    Trap.PERMISSION: "k0; wand 0, 2; ld32 s, s; halt",
    Trap.MISALIGNED: "k2; ld32 s, s; halt",
    Trap.BOUNDS: "liw s, 4096; ld8u s, s; halt",
}


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_traps(trap: Trap) -> None:
    body = TRAPS[trap].replace("; ", "\n")
    machine = run_to_end(assemble(f".memory 4096\n.frame 0\n{body}\n"), Disturbance(slice_ticks=3))
    state = machine.state()
    assert (state.status, state.trap) == (Status.TRAPPED, trap)


@pytest.mark.parametrize("call", ["call behind, 3", "k0; callt"], ids=["call", "callt"])
def test_a_call_at_the_very_end_of_the_code_returns_to_its_beginning(call: str) -> None:
    """The address behind it is 2**24, a bit more than the link has room for beside the frame size, here an even one."""
    call, table = call.replace("; ", "\n"), 0x100
    at = assemble(f"{call}\nbehind:").code_length
    code = assemble(f"{call}\nk1\nhalt\nbehind:\nret").code
    entry = (len(code) - 1 - at | 3 << CODE_ADDRESS_BITS).to_bytes(4, "little")
    places = {MAX_CODE_BYTES - at: code[:at], 0: code[at:], table: entry}
    image = Image(
        entry=MAX_CODE_BYTES - at,
        frame=2,
        code_length=MAX_CODE_BYTES,
        segments=tuple(Segment(CODE_SLOT, offset, len(data), data) for offset, data in places.items()),
        table_base=table,
        table_entries=1,
    )
    state = run_to_end(image, Disturbance(slice_ticks=3)).state()
    link = state.cells[DATA_STACK_CELLS + 2]
    assert (state.status, state.data_stack, link) == (Status.HALTED, [1], 2 << CODE_ADDRESS_BITS)


@pytest.fixture(scope="module")
def counting() -> Image:
    return assemble(".frame 2\nliw l0, 2000\nagain: get0; emit; djnz l0, again; halt\n".replace("; ", "\n"))


def test_epochs_and_emitted_values(counting: Image) -> None:
    machine = run_to_end(counting, Disturbance(slice_ticks=1 << 14))
    assert machine.state().sqi.coherence > 0xF000
    assert machine.counts.compared > 5000


def test_read_only_registers_stay() -> None:
    machine = RtlMachine(RtlOptions(config=COMPACT_SIMULATION))
    for register in (HostRegister.IDENTITY, HostRegister.STOP, HostRegister.FAULT_SLOT, HostRegister.FAULT_LEAF):
        before = machine._read_register(register)
        machine._write_register(register, before ^ 0xFFFFFFFF)
        assert machine._read_register(register) == before


def test_labels_are_refused() -> None:
    machine = RtlMachine(RtlOptions(config=COMPACT_SIMULATION))
    with pytest.raises(MachineError, match="labels, and this build of the core has none"):
        machine.load(assemble(".labels\nk1\nhalt\n"))


def test_storage_that_differs_is_found(counting: Image) -> None:
    machine = LockstepMachine(RecordingGolden(), Disturbance(slice_ticks=1 << 14), COMPACT_SIMULATION)
    machine.load(counting)
    machine.run(100)
    machine.rtl._write_register(HostRegister.HISTORY, machine.rtl._read_register(HostRegister.HISTORY) ^ 0x40)
    with pytest.raises(LockstepMismatch):
        machine.run(1000)


def test_a_case_is_replayed_with_a_waveform_and_a_picture(tmp_path: Path) -> None:
    machine = LockstepMachine(create_reference("fast"), Disturbance(resident_leaves=4), COMPACT_SIMULATION)
    Host(machine, assemble_file(KERNELS[0])).run(400)
    assert machine.case
    path = tmp_path / "some.case.json"
    machine.case.save(path)
    assert replay.main([str(path), "--around", "200"]) == 0
    trace = read_trace(tmp_path / "some" / "wave.vcd")
    actions = trace["core.micro.action"].values
    assert {Action.FETCH.value, Action.COMMIT.value} <= set(actions)
    assert (tmp_path / "some" / "wave.png").stat().st_size > 10_000
    assert "decoded.instruction" in (tmp_path / "some" / "wave.gtkw").read_text()
