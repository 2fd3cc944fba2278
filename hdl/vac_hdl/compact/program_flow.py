"""Micro-routines of branches, jumps, calls and returns."""

from vac.isa.beam import BeamFlag
from vac.isa.encoding import FieldKind
from vac.isa.instruction import Unit
from vac.isa.limits import RETURN_STACK_CELLS
from vac.isa.state_map import HostRegister as H
from vac.isa.state_map import WindowWord
from vac.isa.table import INSTRUCTIONS

from .assembler import Microprogram
from .decode_table import kind_number, offset_label
from .immediate import field_kind
from .micro_op import TAIL_BRANCH, Action, Condition, Function, Operand, Prepared, Read, Write
from .scratch_map import RETURN_STACK, Temporary, register_cell


def flow_routines(p: Microprogram) -> None:
    done: set[str] = set()
    for row in INSTRUCTIONS:
        if row.unit not in (Unit.BRANCH, Unit.JUMP, Unit.CALL):
            continue
        name = f"{row.unit.value}_{offset_label(row)}"
        if name in done:
            continue
        done.add(name)
        offset = field_kind(row, FieldKind.OFFSET)
        frame = field_kind(row, FieldKind.FRAME)
        immediate = kind_number(offset) + 1
        if row.unit is Unit.BRANCH:
            _branch(p, name, immediate)
        elif row.unit is Unit.JUMP:
            p.label(name)
            _target(p, immediate)
            p.op(y=Operand.CONSTANT, constant=BeamFlag.TAKEN, function=Function.PASS_Y, action=Action.FLAGS)
            p.op(y=Operand.ZERO, function=Function.PASS_Y, to_a=True, goto="retire")
        else:
            _call(p, name, immediate, kind_number(frame) + 1)
    _open_frame(p)
    _return(p)
    _tables(p)


def _target(p: Microprogram, immediate: int) -> None:
    """NEXT_PC <- pc + offset"""
    p.op(y=Prepared.PC, function=Function.PASS_Y, to_a=True, immediate=immediate)
    p.op(y=Operand.IMMEDIATE, function=Function.ADD, write=Write.FIXED, write_cell=Temporary.NEXT_PC)


def _branch(p: Microprogram, name: str, immediate: int) -> None:
    """A is what the beam shows; its history and misprediction are counted once it is out."""
    p.label(name)
    p.op(write=Write.FIXED, write_cell=Temporary.VALUE, when=Condition.HOLDS, then=f"{name}_taken",
         goto="branch_not_taken")  # fmt: skip
    p.label(f"{name}_taken")
    _target(p, immediate)
    p.op(read_cell=Temporary.VALUE)
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True, goto="branch_taken")
    if "branch_taken" not in p.labels:
        p.label("branch_taken")
        p.op(constant=BeamFlag.TAKEN | TAIL_BRANCH, action=Action.FLAGS, goto="retire")
        p.label("branch_not_taken")
        p.op(constant=TAIL_BRANCH, action=Action.FLAGS, goto="retire")


def _call(p: Microprogram, name: str, offset: int, frame: int) -> None:
    p.label(name)
    p.op(immediate=frame)
    p.op(y=Operand.IMMEDIATE, function=Function.PASS_Y, to_b=True)
    # The link needs the address behind the call: the target waits in POINTER.
    p.op(y=Prepared.PC, function=Function.PASS_Y, to_a=True, immediate=offset)
    p.op(y=Operand.IMMEDIATE, function=Function.ADD, write=Write.FIXED, write_cell=Temporary.POINTER)
    p.op(link="retire", goto="open_frame")


def _open_frame(p: Microprogram) -> None:
    """Subroutine: link and frame of B locals; the program goes on at POINTER. Only it can trap."""
    p.label("open_frame")
    p.op(read_cell=register_cell(H.RP))
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True)
    p.op(y=Operand.B, function=Function.ADD, to_a=True)
    p.op(y=Operand.CONSTANT, constant=RETURN_STACK_CELLS, function=Function.COMPARE, flags=True)
    p.op(when=Condition.CARRY, then="frame_fits", goto="trap_return_overflow")
    p.label("frame_fits")
    p.op(read_cell=Temporary.NEXT_PC)
    p.op(read=Read.LINK_FREE)
    p.op(y=Prepared.LINK, function=Function.PASS_Y, to_a=True, write=Write.KEPT)
    p.op(write=Write.FIXED, write_cell=Temporary.VALUE, read_cell=Temporary.POINTER)
    p.op(y=Operand.CELL, function=Function.PASS_Y, write=Write.FIXED, write_cell=Temporary.NEXT_PC,
         read_cell=register_cell(H.RP))  # fmt: skip
    p.op(y=Operand.CELL, function=Function.INCREMENT_Y, to_a=True, write=Write.FIXED, write_cell=register_cell(H.FP))
    p.op(y=Operand.B, function=Function.ADD, write=Write.FIXED, write_cell=register_cell(H.RP))
    p.op(y=Operand.CONSTANT, constant=RETURN_STACK, function=Function.ADD, action=Action.LOAD_FRAME_BASE)
    p.op(y=Operand.B, function=Function.PASS_Y, action=Action.LOAD_FRAME_SIZE, read_cell=Temporary.VALUE)
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True)
    p.op(constant=BeamFlag.TAKEN, action=Action.FLAGS, when=Condition.RETURN)


def _return(p: Microprogram) -> None:
    p.label("return")
    p.op(read_cell=register_cell(H.FP))
    p.op(y=Operand.CELL, function=Function.PASS_Y, flags=True, read_cell=register_cell(H.FP))
    p.op(y=Operand.CELL, function=Function.DECREMENT_Y, write=Write.FIXED, write_cell=Temporary.OTHER,
         when=Condition.ZERO, then="trap_return_underflow")  # fmt: skip
    p.op(read=Read.LINK)
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True, write=Write.FIXED, write_cell=Temporary.VALUE)
    p.op(action=Action.LOAD_FRAME_SIZE_HIGH, write=Write.FIXED, write_cell=Temporary.NEXT_PC)
    p.op(y=Operand.CONSTANT, constant=1 << 8, function=Function.PASS_Y, to_b=True)
    p.op(link="frame_popped", goto="product_high")
    p.label("frame_popped")
    p.op(read_cell=Temporary.OTHER)
    p.op(y=Operand.CELL, function=Function.PASS_Y, write=Write.FIXED, write_cell=register_cell(H.RP),
         read_cell=Temporary.OTHER)  # fmt: skip
    p.op(y=Operand.CELL, function=Function.REVERSE_SUBTRACT, to_a=True, write=Write.FIXED,
         write_cell=register_cell(H.FP))  # fmt: skip
    p.op(y=Operand.CONSTANT, constant=RETURN_STACK, function=Function.ADD, action=Action.LOAD_FRAME_BASE)
    p.op(read_cell=Temporary.VALUE)
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True)
    p.op(constant=BeamFlag.TAKEN, action=Action.FLAGS, goto="retire")


def _tables(p: Microprogram) -> None:
    p.label("table_jump")
    p.op(link="table_jump_entry", goto="table_entry")
    p.label("table_jump_entry")
    p.op(write=Write.FIXED, write_cell=Temporary.NEXT_PC)
    p.op(constant=BeamFlag.TAKEN, action=Action.FLAGS, goto="retire_aux")
    p.label("table_call")
    p.op(link="table_call_entry", goto="table_entry")
    p.label("table_call_entry")
    p.op(write=Write.FIXED, write_cell=Temporary.POINTER)
    p.op(y=Operand.CONSTANT, constant=1 << 8, function=Function.PASS_Y, to_b=True)
    p.op(link="table_call_frame", goto="product_high")
    p.label("table_call_frame")
    p.op(to_b=True)
    p.op(link="retire_aux", goto="open_frame")

    # Subroutine: A is the index of the entry and becomes the entry, AUX its address.
    p.label("table_entry")
    p.op(y=Operand.ZERO, function=Function.PASS_Y, to_b=True, action=Action.WINDOW_TABLE)
    p.op(read=Read.WINDOW, constant=WindowWord.GRANT)
    p.op(action=Action.SLOT, when=Condition.CELL_BIT_0, then="table_granted", goto="trap_permission")
    p.label("table_granted")
    p.op(function=Function.SHIFT, to_a=True, action=Action.SHIFT)
    p.op(function=Function.SHIFT, to_a=True, action=Action.SHIFT, when=Condition.SHIFTED_OUT,
         then="trap_bounds")  # fmt: skip
    p.op(read=Read.WINDOW, constant=WindowWord.LENGTH, when=Condition.SHIFTED_OUT, then="trap_bounds")
    p.op(y=Operand.CELL, function=Function.COMPARE_END, flags=True, read=Read.WINDOW, constant=WindowWord.BASE)
    p.op(y=Operand.CELL, function=Function.ADD, to_a=True, when=Condition.CARRY, then="table_inside",
         goto="trap_bounds")  # fmt: skip
    p.label("table_inside")
    p.op(write=Write.FIXED, write_cell=Temporary.AUX)
    p.op(action=Action.KEEP_FRAME, when=Condition.TLB_HIT, then="table_hit", goto="miss_data")
    p.label("table_hit")
    p.op(action=Action.LOAD)
    p.op()
    p.op(y=Operand.LOADED, function=Function.PASS_Y, to_a=True, when=Condition.RETURN)
