"""Micro-routines of core registers, events, marks, emitted values, joins and the halt."""

from vac.isa.beam import BeamFlag
from vac.isa.encoding import FieldKind
from vac.isa.instruction import Unit
from vac.isa.limits import ISA_VERSION
from vac.isa.ports import CoreRegister
from vac.isa.state_map import HostRegister as H
from vac.isa.table import INSTRUCTIONS

from .assembler import Microprogram
from .decode_table import kind_number
from .immediate import field_kind
from .micro_op import Action, Condition, Function, Operand, Prepared, Read, Write
from .scratch_map import Temporary, register_cell

_IN_CELLS = {
    CoreRegister.TICK_LOW: H.TICK_LOW,
    CoreRegister.TICK_HIGH: H.TICK_HIGH,
    CoreRegister.COHERENCE: H.COHERENCE,
    CoreRegister.ENTROPY: H.ENTROPY,
    CoreRegister.DRIFT: H.DRIFT,
    CoreRegister.CONE_IN_LOW: H.CONE_IN_LOW,
    CoreRegister.CONE_IN_HIGH: H.CONE_IN_HIGH,
    CoreRegister.CONE_OUT_LOW: H.CONE_OUT_LOW,
    CoreRegister.CONE_OUT_HIGH: H.CONE_OUT_HIGH,
    CoreRegister.JOINS: H.JOINS,
}
_NUMBER = next(kind_number(field_kind(row, FieldKind.NUMBER)) + 1 for row in INSTRUCTIONS if row.unit is Unit.MARK)


def system_routines(p: Microprogram) -> None:
    p.label("swap")
    p.op(y=Operand.B, function=Function.PASS_Y, write=Write.KEPT, read=Read.DESTINATION, goto="retire")
    p.label("halt")
    p.op(constant=BeamFlag.HALT, action=Action.FLAGS, goto="retire")
    p.label("mark")
    p.op(constant=BeamFlag.MARK, action=Action.FLAGS, immediate=_NUMBER)
    p.op(y=Operand.IMMEDIATE, function=Function.PASS_Y, write=Write.FIXED, write_cell=Temporary.AUX, goto="retire_aux")
    p.label("join")
    p.op(constant=BeamFlag.JOIN, action=Action.FLAGS)
    p.op(read_cell=register_cell(H.JOINS))
    p.op(y=Operand.CELL, function=Function.INCREMENT_Y, to_a=True, write=Write.FIXED,
         write_cell=register_cell(H.JOINS), goto="retire")  # fmt: skip
    _registers(p)
    _events(p)


def _registers(p: Microprogram) -> None:
    for register, source in _IN_CELLS.items():
        p.label(f"read_{register.name.lower()}")
        p.op(read_cell=register_cell(source), goto="read_cell")
    p.label("read_cell")
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True, immediate=_NUMBER, goto="numbered")
    p.label("read_stack_depth")
    p.op()
    p.op(y=Prepared.STACK_DEPTH, function=Function.PASS_Y, to_a=True, immediate=_NUMBER, goto="numbered")
    p.label("read_version")
    p.op(y=Operand.CONSTANT, constant=ISA_VERSION, function=Function.PASS_Y, to_a=True)
    p.op(immediate=_NUMBER, goto="numbered")
    p.label("numbered")
    p.op(y=Operand.IMMEDIATE, function=Function.PASS_Y, write=Write.FIXED, write_cell=Temporary.AUX, goto="retire_aux")
    # (2 coherence + (0xFFFF - entropy) + (0xFFFF - drift)) >> 2
    p.label("read_score")
    p.op(y=Operand.CONSTANT, constant=0xFFFF, function=Function.PASS_Y, to_a=True)
    p.op(read_cell=register_cell(H.ENTROPY))
    p.op(y=Operand.CELL, function=Function.SUBTRACT, to_a=True, read_cell=register_cell(H.DRIFT))
    p.op(y=Operand.CELL, function=Function.SUBTRACT, to_a=True)
    p.op(y=Operand.CONSTANT, constant=0xFFFF, function=Function.ADD, to_a=True)
    p.op(read_cell=register_cell(H.COHERENCE))
    p.op(y=Operand.CELL, function=Function.ADD, to_a=True, read_cell=register_cell(H.COHERENCE))
    p.op(y=Operand.CELL, function=Function.ADD, to_a=True)
    p.op(constant=30)
    p.op(y=Prepared.POWER, function=Function.PASS_Y, to_b=True)
    p.op(link="read_number", goto="product_high")
    p.label("read_number")
    p.op(immediate=_NUMBER, goto="numbered")


def _events(p: Microprogram) -> None:
    """A is the value that `out` lets out. With an answer the instruction retires, without it the core stops."""
    for name, takes_input, lets_output in (
        ("event", False, False),
        ("event_in", True, False),
        ("event_out", False, True),
        ("event_in_out", True, True),
        ("device_in", True, False),
        ("device_out", False, True),
    ):
        p.label(name)
        p.op(read_cell=register_cell(H.ANSWER_FLAGS))
        p.op(constant=BeamFlag.EVENT, action=Action.FLAGS, when=Condition.CELL_BIT_0, then=f"{name}_answered",
             goto="event_waits")  # fmt: skip
        p.label(f"{name}_answered")
        p.op(read_cell=register_cell(H.ANSWER_VALUE))
        if name != "device_out":
            p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True)
        for moves, low in ((takes_input, H.CONE_IN_LOW), (lets_output, H.CONE_OUT_LOW)):
            if moves:
                _move_cone(p, f"{name}_{low.name.lower()}", low)
        p.op(immediate=_NUMBER, goto="event_done")
    p.label("event_done")
    p.op(y=Operand.IMMEDIATE, function=Function.PASS_Y, write=Write.FIXED, write_cell=Temporary.AUX,
         read_cell=register_cell(H.ANSWER_FLAGS))  # fmt: skip
    p.op(y=Operand.ZERO, function=Function.PASS_Y, write=Write.FIXED, write_cell=register_cell(H.ANSWER_FLAGS),
         when=Condition.CELL_BIT_1, then="refused", goto="retire_aux")  # fmt: skip
    p.label("refused")
    p.op(constant=BeamFlag.REFUSED, action=Action.FLAGS)
    p.op(read_cell=register_cell(H.REFUSALS))
    p.op(y=Operand.CELL, function=Function.INCREMENT_Y, flags=True, to_b=True)
    p.op(when=Condition.LOW_BYTE_ZERO, then="retire_aux")  # 255 stays
    p.op(y=Operand.B, function=Function.PASS_Y, write=Write.FIXED, write_cell=register_cell(H.REFUSALS),
         goto="retire_aux")  # fmt: skip

    p.label("event_waits")
    p.op(immediate=_NUMBER)
    p.op(y=Operand.IMMEDIATE, function=Function.PASS_Y, write=Write.FIXED, write_cell=register_cell(H.FAULT_SLOT))
    p.op(y=Prepared.HEADER, function=Function.PASS_Y, to_a=True)
    p.op(y=Operand.CONSTANT, constant=0xFF, function=Function.AND, to_a=True)
    p.op(write=Write.FIXED, write_cell=register_cell(H.FAULT_LEAF), goto="stop_event")


def _move_cone(p: Microprogram, name: str, low: H) -> None:
    """The register becomes the tick count that there is once the instruction has retired."""
    high = H(low + 1)
    p.op(read_cell=register_cell(H.TICK_LOW))
    p.op(y=Operand.CELL, function=Function.INCREMENT_Y, flags=True, write=Write.FIXED, write_cell=register_cell(low))
    p.op(read_cell=register_cell(H.TICK_HIGH), when=Condition.ZERO, then=f"{name}_carry")
    p.op(y=Operand.CELL, function=Function.PASS_Y, write=Write.FIXED, write_cell=register_cell(high),
         goto=f"{name}_done")  # fmt: skip
    p.label(f"{name}_carry")
    p.op(y=Operand.CELL, function=Function.INCREMENT_Y, write=Write.FIXED, write_cell=register_cell(high))
    p.label(f"{name}_done")
