"""Micro-routines of loads, stores and windows."""

from vac.isa.encoding import FieldKind
from vac.isa.instruction import Unit
from vac.isa.state_map import WindowWord
from vac.isa.table import INSTRUCTIONS

from .assembler import Microprogram
from .decode_table import kind_number
from .immediate import field_kind
from .micro_op import TAIL_POINTER, Action, Condition, Function, Operand, Prepared, Read, Write
from .scratch_map import Temporary

SIZES = (0, 1, 2)


def memory_routines(p: Microprogram) -> None:
    _forms(p)
    _access(p)
    _narrow(p)
    _restrict(p)
    p.label("window_length")
    p.op(action=Action.WINDOW_12)
    p.op(read=Read.WINDOW, constant=WindowWord.LENGTH)
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True, goto="retire")


def _forms(p: Microprogram) -> None:
    """From pointer to displacement. What is scaled is added once for each byte of the access."""
    p.label("access_pointer")
    p.op(write=Write.FIXED, write_cell=Temporary.OTHER)
    p.op(constant=TAIL_POINTER, action=Action.FLAGS)
    p.op(y=Prepared.ACCESS_SIZE, function=Function.ADD, to_a=True)
    p.op(write=Write.FIXED, write_cell=Temporary.POINTER, read_cell=Temporary.OTHER)
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True, goto="access")
    for form, operand in (("displaced", Operand.IMMEDIATE), ("indexed", Operand.B)):
        for size in SIZES:
            p.label(f"access_{form}_{size}")
            p.op(action=Action.POINTER, to_a=True, goto=f"{form}_add_{size}")
        p.label(f"{form}_add_2")
        p.op(y=operand, function=Function.ADD, to_a=True)
        p.op(y=operand, function=Function.ADD, to_a=True)
        p.label(f"{form}_add_1")
        p.op(y=operand, function=Function.ADD, to_a=True)
        p.label(f"{form}_add_0")
        p.op(y=operand, function=Function.ADD, to_a=True, goto="access_window")


def _access(p: Microprogram) -> None:
    """A is the pointer, or behind it the displacement into the latched window."""
    p.label("access")
    p.op(action=Action.POINTER, to_a=True)
    p.label("access_window")
    p.op(read=Read.WINDOW, constant=WindowWord.GRANT)
    p.op(action=Action.SLOT, read=Read.WINDOW, constant=WindowWord.LENGTH, when=Condition.PERMITTED,
         then="access_granted", goto="trap_permission")  # fmt: skip
    p.label("access_granted")
    p.op(y=Operand.CELL, function=Function.COMPARE_END, flags=True, read=Read.WINDOW, constant=WindowWord.BASE,
         when=Condition.MISALIGNED, then="trap_misaligned")  # fmt: skip
    p.op(y=Operand.CELL, function=Function.ADD, to_a=True, when=Condition.CARRY, then="access_inside",
         goto="trap_bounds")  # fmt: skip
    p.label("access_inside")
    p.op(write=Write.FIXED, write_cell=Temporary.AUX)
    p.op(action=Action.KEEP_FRAME, when=Condition.TLB_HIT, then="access_hit", goto="miss_data")
    p.label("access_hit")
    p.op(action=Action.LOAD, when=Condition.IS_LOAD, then="load")
    p.op(when=Condition.WRITABLE, then="store", goto="fault_read_only")
    p.label("load")
    p.op()
    p.op(y=Operand.LOADED, function=Function.PASS_Y, to_a=True, goto="retire_aux")
    p.label("store")
    p.op(action=Action.STORE)
    p.op(y=Operand.B, function=Function.PASS_Y, to_a=True, goto="retire_aux")


def _narrow(p: Microprogram) -> None:
    """A is the offset, B the length."""
    p.label("window_narrow")
    p.op(action=Action.WINDOW_12, write=Write.FIXED, write_cell=Temporary.VALUE)
    p.op(read=Read.WINDOW, constant=WindowWord.GRANT)
    p.op(read=Read.WINDOW, constant=WindowWord.GRANT, when=Condition.CELL_BIT_0, then="narrow_granted")
    p.op(when=Condition.CELL_BIT_1, then="narrow_granted", goto="trap_permission")
    p.label("narrow_granted")
    p.op(read=Read.WINDOW, constant=WindowWord.GRANT, when=Condition.MISALIGNED, then="trap_misaligned")
    p.op(y=Operand.CELL, function=Function.PASS_Y, write=Write.FIXED, write_cell=Temporary.OTHER)
    # The end: 33 bits.
    p.op(y=Operand.B, function=Function.ADD, to_a=True, flags=True)
    p.op(read=Read.WINDOW, constant=WindowWord.LENGTH, when=Condition.CARRY, then="trap_bounds")
    p.op(y=Operand.CELL, function=Function.REVERSE_SUBTRACT, flags=True, read=Read.WINDOW, constant=WindowWord.BASE)
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True, when=Condition.CARRY, then="narrow_inside",
         goto="trap_bounds")  # fmt: skip
    p.label("narrow_inside")
    p.op(read_cell=Temporary.VALUE)
    p.op(y=Operand.CELL, function=Function.ADD, to_a=True, action=Action.WINDOW_8)
    p.op(read=Read.WINDOW, constant=WindowWord.BASE, action=Action.KEEP_ADDRESS)
    p.op(write=Write.KEPT)
    p.op(read=Read.WINDOW, constant=WindowWord.LENGTH, action=Action.KEEP_ADDRESS)
    p.op(y=Operand.B, function=Function.PASS_Y, to_a=True, write=Write.KEPT)
    p.op(read=Read.WINDOW, constant=WindowWord.GRANT, action=Action.KEEP_ADDRESS)
    p.op(read_cell=Temporary.OTHER)
    p.op(y=Operand.CELL, function=Function.PASS_Y, write=Write.KEPT, goto="retire")


def _restrict(p: Microprogram) -> None:
    row = next(row for row in INSTRUCTIONS if row.unit is Unit.WINDOW_RESTRICT)
    mask = field_kind(row, FieldKind.UNSIGNED)
    p.label("window_restrict")
    p.op(action=Action.WINDOW_8, immediate=kind_number(mask) + 1)
    p.op(y=Operand.IMMEDIATE, function=Function.PASS_Y, to_a=True, read=Read.WINDOW, constant=WindowWord.GRANT)
    p.op(y=Operand.CELL, function=Function.AND, to_a=True, to_b=True, flags=True)
    p.op(read=Read.WINDOW, constant=WindowWord.GRANT, action=Action.KEEP_ADDRESS, when=Condition.ZERO,
         then="restrict_empty")  # fmt: skip
    # The slot stays, above the permissions.
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True)
    p.op(y=Operand.CONSTANT, constant=0xFF00, function=Function.AND, to_a=True)
    p.op(y=Operand.B, function=Function.OR, write=Write.KEPT)
    p.op(y=Operand.B, function=Function.PASS_Y, to_a=True, goto="retire")
    p.label("restrict_empty")
    p.op(y=Operand.ZERO, function=Function.PASS_Y, write=Write.KEPT)
    for word in (WindowWord.BASE, WindowWord.LENGTH):
        p.op(read=Read.WINDOW, constant=word, action=Action.KEEP_ADDRESS)
        p.op(y=Operand.ZERO, function=Function.PASS_Y, write=Write.KEPT)
    p.op(goto="retire")
