"""Events: the machine waits before the instruction, and the answer completes it. LightCone tells when."""

from collections.abc import Callable

import pytest

from vac.image.image import Window
from vac.isa.beam import Beam, BeamFlag
from vac.isa.ports import REFUSED, SYSTEM_CALLS
from vac.isa.sqi import Sqi
from vac.machine.protocol import Answer, Event, EventKind, Machine, MachineError, StopReason


def event_of(machine: Machine) -> Event:
    stop = machine.run(10_000)
    assert stop.reason is StopReason.EVENT and stop.event
    return stop.event


def last_beam(machine: Machine) -> Beam:
    return Beam.unpack(machine.drain_beams()[-16:])


def test_an_event_carries_its_arguments_and_nothing_has_happened(start: Callable[..., Machine]) -> None:
    machine = start("lit 7; lit 8; lit 9; sys 1; halt")
    event = event_of(machine)
    assert event == Event(EventKind.SYSTEM_CALL, 1, (7, 8, 9), machine.state().pc, 3)
    assert machine.state().data_stack == [7, 8, 9]
    assert event_of(machine) == event, "asking again gives the same event"
    machine.answer(Answer(5))
    assert machine.state().data_stack == [5]
    assert machine.state().tick == 4


@pytest.mark.parametrize("call", SYSTEM_CALLS, ids=lambda call: call.name)
def test_a_system_call_pops_its_arguments_and_pushes_one_result(call, start: Callable[..., Machine]) -> None:
    arguments = tuple(range(10, 10 + len(call.arguments)))
    machine = start("lit 1;" + ";".join(f"lit {a}" for a in arguments) + f"\nsys {call.number}; halt")
    event = event_of(machine)
    assert event.arguments == arguments
    machine.answer(Answer(0x1_0000_0003))
    assert machine.state().data_stack == [1, 3], "a result is a cell"
    tick = machine.state().tick
    assert machine.state().cone_in == (tick if call.takes_input else 0)
    assert machine.state().cone_out == (tick if call.lets_output else 0)
    assert last_beam(machine).aux == call.number


def test_input_and_output_have_beams_and_move_the_light_cone(start: Callable[..., Machine]) -> None:
    machine = start("in 0x21; out 0x33; rd 6; rd 7; rd 8; rd 9; halt")
    event = event_of(machine)
    assert (event.kind, event.number, event.arguments) == (EventKind.DEVICE_IN, 0x21, ())
    machine.answer(Answer(66))
    beam = last_beam(machine)
    assert (beam.flags, beam.value, beam.aux) == (BeamFlag.EVENT | BeamFlag.PUSH, 66, 0x21)
    event = event_of(machine)
    assert (event.kind, event.number, event.arguments) == (EventKind.DEVICE_OUT, 0x33, (66,))
    machine.answer(Answer(1234))
    beam = last_beam(machine)
    assert (beam.flags, beam.value, beam.aux) == (BeamFlag.EVENT, 66, 0x33)
    assert machine.run(100).reason is StopReason.HALTED
    assert machine.state().data_stack == [1, 0, 2, 0]


def test_a_refusal_is_seen_by_the_program_the_beam_and_the_quality_index(start: Callable[..., Machine]) -> None:
    machine = start("in 0; halt")
    event_of(machine)
    machine.answer(Answer(REFUSED, refused=True))
    assert machine.state().data_stack == [REFUSED]
    assert machine.state().sqi == Sqi(refusals=1)
    assert last_beam(machine).flags == BeamFlag.EVENT | BeamFlag.REFUSED | BeamFlag.PUSH


def test_an_answer_grants_windows_and_writes_memory_first(start: Callable[..., Machine]) -> None:
    machine = start("k3; lit 16; sys 2; lit32 0x30000004; ld32 s, s; halt".replace("k3", "lit 3"))
    event_of(machine)
    machine.answer(Answer(16, windows=((3, Window(1, 64, 16, 1)),), writes=((1, 68, b"\x01\x02\x03\x04"),)))
    assert machine.run(100).reason is StopReason.HALTED
    assert machine.state().data_stack == [16, 0x04030201]


def test_a_write_to_memory_that_is_not_there_is_an_error(start: Callable[..., Machine]) -> None:
    machine = start("in 0; halt")
    event_of(machine)
    with pytest.raises(MachineError, match="not resident"):
        machine.answer(Answer(writes=((1, 9 << 12, b"x"),)))


def test_an_answer_to_nothing_is_an_error(start: Callable[..., Machine]) -> None:
    machine = start("in 0; halt")
    with pytest.raises(MachineError, match="no event"):
        machine.answer(Answer())
    event_of(machine)
    machine.answer(Answer())
    with pytest.raises(MachineError, match="no event"):
        machine.answer(Answer())


def test_taking_over_a_state_forgets_the_event_which_comes_again(start: Callable[..., Machine]) -> None:
    machine = start("lit 4; out 1; halt")
    event = event_of(machine)
    machine.set_state(machine.state())
    with pytest.raises(MachineError, match="no event"):
        machine.answer(Answer())
    assert event_of(machine) == event


def test_an_event_at_the_tick_limit_is_not_raised(start: Callable[..., Machine]) -> None:
    machine = start("nop; in 0; halt")
    assert machine.run(1).reason is StopReason.TICK
    assert machine.run(2).reason is StopReason.EVENT
