"""Frames, calls, windows and the protocol: what programs and the host can rely on."""

from collections.abc import Callable

import pytest

from vac.assembler.assemble import assemble
from vac.image.image import Window
from vac.isa.beam import Beam, BeamFlag
from vac.isa.digest import digest_records
from vac.isa.limits import CODE_ADDRESS_BITS
from vac.isa.table import BY_MNEMONIC
from vac.machine.protocol import Leaf, Machine, MachineError, StopReason
from vac.machine.state import Status

FACTORIAL = """
        lit 6; call factorial, 1; halt
factorial:
        set0
        bnz l0, more
        k1; ret
more:   get0
        addi s, l0, -1
        call factorial, 1
        mul; ret
"""


def stack_of(machine: Machine) -> list[int]:
    assert machine.run(10_000).reason is StopReason.HALTED, machine.state().trap.name
    return machine.state().data_stack


def beams_of(machine: Machine) -> list[Beam]:
    records = machine.drain_beams()
    return [Beam.unpack(records[at : at + 16]) for at in range(0, len(records), 16)]


# ---- frames ------------------------------------------------------------------------------------------------------


def test_each_call_has_locals_of_its_own(start: Callable[..., Machine]) -> None:
    assert stack_of(start(FACTORIAL)) == [720]


def test_the_link_holds_return_address_and_the_callers_frame_size(start: Callable[..., Machine]) -> None:
    machine = start(".frame 5\nnop; call f, 2\nhalt\nf: nop; ret")
    machine.run(2)
    state = machine.state()
    assert (state.fp, state.rp) == (6, 8)
    assert state.return_stack[5] == 5 << CODE_ADDRESS_BITS | 1 + BY_MNEMONIC["call"].length
    machine.run(4)
    state = machine.state()
    assert (state.fp, state.rp, state.pc) == (0, 5, 1 + BY_MNEMONIC["call"].length)


def test_a_fresh_frame_sees_what_an_earlier_one_left(start: Callable[..., Machine]) -> None:
    assert stack_of(start("call f, 1; call g, 1; halt\nf: lit 77; set0; ret\ng: get0; ret")) == [77]


def test_a_table_call_takes_frame_and_target_from_the_table(start: Callable[..., Machine]) -> None:
    source = "lit 9; k1; callt; halt\nf: k1; ret\ng: set2; get2; get2; ret\n.function f, 0\n.function g, 3"
    assert stack_of(start(source)) == [9, 9]


# ---- windows -----------------------------------------------------------------------------------------------------


def test_a_narrowed_window_starts_at_zero_and_ends_early(start: Callable[..., Machine]) -> None:
    source = "li l0, 40; lit 7; st32 l0, s; lit 32; lit 12; wnar 2, 0; lit32 0x20000008; ld32 s, s; wlen s, 2; halt"
    machine = start(source)
    assert stack_of(machine) == [7, 12]
    assert machine.state().windows[2] == Window(1, 32, 12, 3)


def test_offsets_of_narrowings_add_up(start: Callable[..., Machine]) -> None:
    machine = start("lit 32; lit 64; wnar 2, 0; lit 16; lit 8; wnar 3, 2; halt")
    assert stack_of(machine) == []
    assert machine.state().windows[3] == Window(1, 48, 8, 3)


def test_a_window_of_no_bytes_is_possible(start: Callable[..., Machine]) -> None:
    assert stack_of(start("lit 4096; k0; wnar 2, 0; wlen s, 2; halt")) == [0]


def test_permissions_only_shrink(start: Callable[..., Machine]) -> None:
    machine = start("k0; lit 16; wnar 1, 0; wand 1, 1; wand 1, 3; k0; k8; wnar 2, 1; halt")
    assert stack_of(machine) == []
    assert machine.state().windows[1:3] == [Window(1, 0, 16, 1), Window(1, 0, 8, 1)]


def test_a_window_without_permissions_is_empty(start: Callable[..., Machine]) -> None:
    machine = start("k0; lit 16; wnar 1, 0; wand 1, 0; wlen s, 1; halt")
    assert stack_of(machine) == [0]
    assert machine.state().windows[1] == Window()


def test_the_top_four_bits_of_a_pointer_name_the_window(start: Callable[..., Machine]) -> None:
    windows = tuple((index, Window(index + 1, 0, 4096, 3)) for index in range(16))
    stores = "".join(f"lit32 {index << 28:#x}; lit {index}; st32 s, s\n" for index in range(16))
    loads = "".join(f"lit32 {index << 28:#x}; ld32 s, s\n" for index in range(16))
    machine = start(f"{stores}{loads}halt", windows=windows)
    for slot in range(1, 17):
        machine.install(slot, 0, Leaf(bytes(4096)))
    assert stack_of(machine) == list(range(16))


def test_an_index_may_be_negative(start: Callable[..., Machine]) -> None:
    assert stack_of(start("li l0, 12; lit 5; st32 l0, s; lit 20; lit -2; ld32x s, s, s; halt")) == [5]


def test_the_last_bytes_of_a_window_can_be_reached(start: Callable[..., Machine]) -> None:
    assert stack_of(start("lit 4092; lit 5; st32 s, s; lit 4095; lit 6; st8 s, s; lit 4092; ld32 s, s; halt")) == [
        0x06000005
    ]


# ---- beams -------------------------------------------------------------------------------------------------------


def test_beams_say_what_each_instruction_wrote_and_where(start: Callable[..., Machine]) -> None:
    machine = start("lit8 5; li l0, 16; st32 l0, s; ld32 s, l0; drop; mark 7; jmps on\non: halt")
    assert stack_of(machine) == []
    told = [(beam.opcode, BeamFlag(beam.flags), beam.value, beam.aux) for beam in beams_of(machine)]
    none, push = BeamFlag(0), BeamFlag.PUSH
    assert told == [
        (BY_MNEMONIC["lit8"].opcode, push, 5, 0),
        (BY_MNEMONIC["li"].opcode, none, 16, 0),
        (BY_MNEMONIC["st32"].opcode, none, 5, 16),
        (BY_MNEMONIC["ld32"].opcode, push, 5, 16),
        (BY_MNEMONIC["drop"].opcode, none, 5, 0),
        (BY_MNEMONIC["mark"].opcode, BeamFlag.MARK, 0, 7),
        (BY_MNEMONIC["jmps"].opcode, BeamFlag.TAKEN, 0, 0),
        (BY_MNEMONIC["halt"].opcode, BeamFlag.HALT, 0, 0),
    ]


def test_the_address_in_a_beam_is_the_one_inside_the_slot(start: Callable[..., Machine]) -> None:
    machine = start("lit 32; lit 16; wnar 3, 0; lit32 0x30000004; ld32 s, s; halt")
    stack_of(machine)
    assert beams_of(machine)[-2].aux == 36


def test_the_digest_is_that_of_all_beams(start: Callable[..., Machine]) -> None:
    machine = start(FACTORIAL)
    records = b""
    for until in range(0, 200, 7):
        machine.run(until)
        records += machine.drain_beams()
    assert machine.drain_beams() == b""
    assert machine.state().digest == digest_records(0, records)


# ---- the protocol ------------------------------------------------------------------------------------------------


def test_run_stops_exactly_at_the_tick(start: Callable[..., Machine]) -> None:
    machine = start("again: jmps again")
    for until in (0, 1, 2, 500, 500, 3):
        assert machine.run(until).reason is StopReason.TICK
    assert machine.state().tick == 500


def test_halt_retires_and_the_machine_stays_halted(start: Callable[..., Machine]) -> None:
    machine = start("nop; halt; k1")
    for _ in range(2):
        assert machine.run(100).reason is StopReason.HALTED
    state = machine.state()
    assert (state.status, state.tick, state.pc, state.sp) == (Status.HALTED, 2, 2, 0)


@pytest.mark.parametrize("tick", [0, 1, 7, 20, 41])
def test_another_machine_goes_on_from_state_and_leaves(tick: int, start: Callable[..., Machine]) -> None:
    first, second, whole = start(FACTORIAL), start("halt"), start(FACTORIAL)
    first.run(tick)
    for leaf in second.leaves():
        second.evict(*leaf)
    for slot, number in first.leaves():
        second.install(slot, number, first.read_leaf(slot, number))
    second.drain_beams()
    second.set_state(first.state())
    assert stack_of(second) == stack_of(whole)
    assert second.state().differences(whole.state()) == []
    assert first.drain_beams() + second.drain_beams() == whole.drain_beams()


def test_a_state_that_was_handed_out_is_a_copy(start: Callable[..., Machine]) -> None:
    machine = start("k1; k2; halt")
    machine.run(1)
    state = machine.state()
    state.cells[0] = state.tick = 99
    assert stack_of(machine) == [1, 2]


def test_loading_again_makes_a_fresh_machine(start: Callable[..., Machine]) -> None:
    machine, fresh = start("k1; halt"), start(FACTORIAL)
    stack_of(machine)
    machine.load(assemble(FACTORIAL))
    assert machine.state().differences(fresh.state()) == []
    assert machine.drain_beams() == b""


def test_leaves_are_whole_and_known(start: Callable[..., Machine]) -> None:
    machine = start("halt")
    assert machine.leaves() == [(0, 0), (1, 0)]
    with pytest.raises(MachineError, match="4096"):
        machine.install(1, 0, Leaf(b"short"))
    with pytest.raises(MachineError, match="not resident"):
        machine.evict(9, 9)
    with pytest.raises(MachineError, match="not resident"):
        machine.read_leaf(1, 1)
    leaf = Leaf(bytes(range(256)) * 16, labels=5)
    machine.install(1, 3, leaf)
    assert machine.read_leaf(1, 3) == leaf == machine.evict(1, 3)


def test_a_miss_names_the_leaf_and_costs_nothing(start: Callable[..., Machine]) -> None:
    machine = start(".memory 8192\nlit 4100; ld32 s, s; halt")
    leaf = machine.evict(1, 1)
    stop = machine.run(100)
    assert stop.reason is StopReason.PAGE_MISS and stop.miss
    assert (stop.miss.slot, stop.miss.number) == (1, 1)
    assert (machine.state().tick, machine.state().sp) == (1, 1)
    assert machine.run(100) == stop, "and again until the leaf is there"
    machine.install(1, 1, leaf)
    assert stack_of(machine) == [0]


def test_an_instruction_across_two_leaves_needs_both(start: Callable[..., Machine]) -> None:
    machine = start("jmp at\n.space 4091\nat: lit32 0x01020304; halt")
    assert [leaf for leaf in machine.leaves() if leaf[0] == 0] == [(0, 0), (0, 1)]
    second = machine.evict(0, 1)
    stop = machine.run(100)
    assert stop.miss and (stop.miss.slot, stop.miss.number) == (0, 1)
    machine.install(0, 1, second)
    assert stack_of(machine) == [0x01020304]


def test_a_program_may_use_more_leaves_than_any_translation_buffer_holds(start: Callable[..., Machine]) -> None:
    source = """
        .memory 0x80000
        li l1, 128
again:  st32 l0, l1
        addw l0, l0, 4096
        djnz l1, again
        li l0, 0
        li l1, 128
more:   ld32 l3, l0
        add3 l2, l2, l3
        addw l0, l0, 4096
        djnz l1, more
        get2
        halt
    """
    assert stack_of(start(source)) == [128 * 129 // 2]
