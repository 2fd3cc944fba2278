"""The microprogram: start and stop, the cycle that every instruction goes through, and the parts put together.

An instruction takes nine micro-ops up to its routine (fetch, decode, operands, reserving the cell of the result), its
routine, and seven to retire: four give the beam's words to digest and beam port, three count the tick and the budget.
Nothing architectural changes before the first of these, but in routines that are past their last trap.
"""

from vac.isa.state_map import FaultKind, HostRegister, StopCode
from vac.isa.traps import Trap

from .assembler import Microprogram
from .immediate import KINDS, LENGTH
from .micro_op import Action, Condition, Function, Operand, Prepared, Read, Write
from .program_arithmetic import arithmetic_routines
from .program_flow import flow_routines
from .program_memory import memory_routines
from .program_sqi import sqi_routines
from .program_system import system_routines
from .scratch_map import RETURN_STACK, Temporary, register_cell

H = HostRegister
_LENGTH = KINDS.index(LENGTH) + 1


def _start(p: Microprogram) -> None:
    p.label("idle")
    p.op(y=Operand.HOST, function=Function.PASS_Y, action=Action.IDLE, when=Condition.START, then="boot", goto="idle")
    p.label("boot")
    p.op(write=Write.FIXED, write_cell=register_cell(H.STOP), y=Operand.ZERO, function=Function.PASS_Y,
         read_cell=register_cell(H.PC), action=Action.RESET)  # fmt: skip
    p.op(y=Operand.CELL, function=Function.PASS_Y, action=Action.LOAD_PC, read_cell=register_cell(H.SP))
    p.op(y=Operand.CELL, function=Function.PASS_Y, action=Action.LOAD_STACK_DEPTH)
    p.op(y=Operand.CONSTANT, constant=RETURN_STACK, function=Function.PASS_Y, to_a=True)
    p.op(read_cell=register_cell(H.FP))
    p.op(y=Operand.CELL, function=Function.ADD, action=Action.LOAD_FRAME_BASE, read_cell=register_cell(H.RP))
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True, read_cell=register_cell(H.FP))
    p.op(y=Operand.CELL, function=Function.SUBTRACT, action=Action.LOAD_FRAME_SIZE,
         read_cell=register_cell(H.DIGEST_LOW))  # fmt: skip
    p.op(y=Operand.CELL, function=Function.PASS_Y, action=Action.LOAD_DIGEST_LOW,
         read_cell=register_cell(H.DIGEST_HIGH))  # fmt: skip
    p.op(y=Operand.CELL, function=Function.PASS_Y, action=Action.LOAD_DIGEST_HIGH,
         read_cell=register_cell(H.BEAM_CONTROL))  # fmt: skip
    p.op(y=Operand.CELL, function=Function.PASS_Y, action=Action.LOAD_BEAM_CONTROL, read_cell=register_cell(H.BUDGET))
    p.op(y=Operand.CELL, function=Function.PASS_Y, flags=True)
    p.op(when=Condition.ZERO, then="stop_limit")
    p.op(when=Condition.KEPT, then="begin_kept", goto="fetch_checked")


def _instruction(p: Microprogram) -> None:
    p.label("fetch")
    p.op(action=Action.FETCH, when=Condition.ZERO, then="stop_limit", goto="fetched")
    p.label("fetch_checked")
    p.op(action=Action.FETCH)
    p.label("fetched")
    p.op(action=Action.FETCH_NEXT, when=Condition.DETAINED, then="detained")
    p.op(y=Prepared.PC, function=Function.PASS_Y, to_a=True, action=Action.TAKE_INSTRUCTION, goto="decode")
    p.label("begin_kept")
    p.op(y=Prepared.PC, function=Function.PASS_Y, to_a=True, action=Action.BEGIN, goto="decode_whole")
    p.label("decode")
    p.op(action=Action.DECODE, immediate=_LENGTH)
    p.op(y=Operand.IMMEDIATE, function=Function.ADD, to_a=True, write=Write.FIXED, write_cell=Temporary.NEXT_PC,
         read_cell=register_cell(H.CODE_LENGTH), when=Condition.CROSSES_PAGE, then="cross_page")  # fmt: skip
    p.label("operands")
    p.op(y=Operand.CELL, function=Function.REVERSE_SUBTRACT, flags=True, read=Read.B,
         when=Condition.HAS_SUBOPERATION, then="decode_again")  # fmt: skip
    p.label("operand_b")
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_b=True, read=Read.A, when=Condition.CARRY, then="operand_a",
         goto="trap_code_bounds")  # fmt: skip
    p.label("operand_a")
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True, read=Read.DESTINATION)
    p.op(y=Operand.B, function=Function.OF_INSTRUCTION, to_a=True, flags=True, when=Condition.DISPATCH)
    p.label("decode_again")
    p.op(action=Action.DECODE_AGAIN)
    p.op()
    p.op(read=Read.B, goto="operand_b")

    # The instruction goes on in the next page: A is the address behind it, the cell the code's length.
    p.label("cross_page")
    p.op(y=Operand.CELL, function=Function.REVERSE_SUBTRACT, flags=True)
    p.op(y=Prepared.PC, function=Function.PASS_Y, to_a=True, action=Action.SLOT_CODE, when=Condition.CARRY,
         then="cross_inside", goto="trap_code_bounds")  # fmt: skip
    p.label("cross_inside")
    p.op(y=Operand.CONSTANT, constant=4, function=Function.ADD, to_a=True)
    p.op()
    p.op(action=Action.KEEP_FRAME, when=Condition.TLB_HIT, then="cross_hit", goto="miss_code")
    p.label("cross_hit")
    p.op(action=Action.FETCH)
    p.op(action=Action.LOAD)
    p.op(y=Prepared.PC, function=Function.PASS_Y, to_a=True, action=Action.TAKE_INSTRUCTION)
    p.label("decode_whole")
    p.op(action=Action.DECODE, immediate=_LENGTH)
    p.op(y=Operand.IMMEDIATE, function=Function.ADD, to_a=True, write=Write.FIXED, write_cell=Temporary.NEXT_PC,
         read_cell=register_cell(H.CODE_LENGTH), goto="operands")  # fmt: skip

    p.label("detained")
    p.op(when=Condition.HALT_REQUEST, then="stop_requested")
    p.op(when=Condition.NO_ROOM, then="fetch_checked")
    p.op(y=Prepared.PC, function=Function.PASS_Y, to_a=True, action=Action.SLOT_CODE,
         read_cell=register_cell(H.CODE_LENGTH))  # fmt: skip
    p.op(y=Operand.CELL, function=Function.SUBTRACT, flags=True)
    p.op(when=Condition.CARRY, then="walk_code", goto="trap_code_bounds")
    p.label("walk_code")
    p.op(action=Action.KEEP_CODE_FRAME, when=Condition.TLB_HIT, then="fetch_checked", goto="miss_code")


def _retire(p: Microprogram) -> None:
    """A is the beam's value."""
    p.label("retire")
    p.op(y=Prepared.PC, function=Function.PASS_Y, action=Action.BEAM_PC)
    p.op(y=Prepared.HEADER, function=Function.PASS_Y, action=Action.BEAM_HEADER)
    p.op(write=Write.DESTINATION, action=Action.BEAM_VALUE)
    p.op(y=Operand.ZERO, function=Function.PASS_Y, action=Action.BEAM_AUX, read_cell=register_cell(H.TICK_LOW),
         when=Condition.HAS_TAIL, then="tail_branch", goto="count")  # fmt: skip
    p.label("retire_aux")
    p.op(y=Prepared.PC, function=Function.PASS_Y, action=Action.BEAM_PC)
    p.op(y=Prepared.HEADER, function=Function.PASS_Y, action=Action.BEAM_HEADER)
    p.op(write=Write.DESTINATION, action=Action.BEAM_VALUE, read_cell=Temporary.AUX)
    p.op(y=Operand.CELL, function=Function.PASS_Y, action=Action.BEAM_AUX, read_cell=register_cell(H.TICK_LOW),
         when=Condition.HAS_TAIL, then="tail_pointer", goto="count")  # fmt: skip
    p.label("tail_pointer")
    p.op(read=Read.A, action=Action.KEEP_ADDRESS)
    p.op(read_cell=Temporary.POINTER)
    p.op(y=Operand.CELL, function=Function.PASS_Y, write=Write.KEPT, read_cell=register_cell(H.TICK_LOW))
    p.label("count")
    p.op(y=Operand.CELL, function=Function.INCREMENT_Y, flags=True, write=Write.FIXED,
         write_cell=register_cell(H.TICK_LOW), read_cell=Temporary.NEXT_PC, action=Action.BEAM_SHIP,
         when=Condition.BEAM_LOST, then="beam_lost")  # fmt: skip
    p.label("commit")
    p.op(y=Operand.CELL, function=Function.PASS_Y, action=Action.COMMIT, read_cell=register_cell(H.BUDGET),
         when=Condition.LOW_BYTE_ZERO, then="epoch")  # fmt: skip
    p.label("retired")
    p.op(y=Operand.CELL, function=Function.DECREMENT_Y, flags=True, write=Write.FIXED,
         write_cell=register_cell(H.BUDGET), action=Action.RETIRED, when=Condition.HALTED, then="stop_halted",
         goto="fetch")  # fmt: skip
    p.label("beam_lost")
    p.op(read_cell=register_cell(H.BEAMS_LOST))
    p.op(y=Operand.CELL, function=Function.INCREMENT_Y, write=Write.FIXED, write_cell=register_cell(H.BEAMS_LOST),
         read_cell=Temporary.NEXT_PC, goto="commit")  # fmt: skip


def _stop(p: Microprogram) -> None:
    """Writes back what has registers of its own. A is what the STOP register shall hold."""

    def stop(label: str, code: StopCode, trap: Trap = Trap.NONE) -> None:
        p.label(label)
        p.op(y=Operand.CONSTANT, constant=code | trap << 8, function=Function.PASS_Y, to_a=True, goto="stop")

    for label, code in (("limit", StopCode.LIMIT), ("requested", StopCode.REQUESTED), ("halted", StopCode.HALTED),
                        ("event", StopCode.EVENT), ("page", StopCode.PAGE)):  # fmt: skip
        stop(f"stop_{label}", code)
    for trap in Trap:
        if trap is not Trap.NONE:
            stop(f"trap_{trap.name.lower()}", StopCode.TRAPPED, trap)
    p.label("stop")
    p.op(write=Write.FIXED, write_cell=register_cell(H.STOP))
    p.op(y=Prepared.PC, function=Function.PASS_Y, write=Write.FIXED, write_cell=register_cell(H.PC))
    p.op(y=Prepared.STACK_DEPTH, function=Function.PASS_Y, to_a=True)
    p.op(write=Write.FIXED, write_cell=register_cell(H.SP))
    p.op(y=Prepared.DIGEST_LOW, function=Function.PASS_Y, write=Write.FIXED, write_cell=register_cell(H.DIGEST_LOW))
    p.op(y=Prepared.DIGEST_HIGH, function=Function.PASS_Y, write=Write.FIXED, write_cell=register_cell(H.DIGEST_HIGH),
         goto="idle")  # fmt: skip

    # Something is wrong with the operands: the first of the reasons, in the order of `Trap`.
    p.label("operands_wrong")
    p.op(when=Condition.ILLEGAL, then="trap_illegal")
    p.op(when=Condition.FRAME_WRONG, then="trap_frame")
    p.op(when=Condition.STACK_SHORT, then="trap_stack_underflow", goto="trap_stack_overflow")

    # Page faults: A is the address, the slot is latched.
    p.label("miss_data")
    p.op(action=Action.KEEP_INSTRUCTION)
    p.label("miss_code")
    p.op(y=Operand.CONSTANT, constant=StopCode.PAGE | FaultKind.MISSING << 16, function=Function.PASS_Y,
         to_b=True)  # fmt: skip
    p.op(y=Operand.B, function=Function.PASS_Y, write=Write.FIXED, write_cell=Temporary.OTHER)
    p.label("fault")
    p.op(constant=20)
    p.op(y=Prepared.POWER, function=Function.PASS_Y, to_b=True)
    p.op(link="fault_leaf", goto="product_high")
    p.label("fault_leaf")
    p.op(write=Write.FIXED, write_cell=register_cell(H.FAULT_LEAF))
    p.op(y=Prepared.SLOT, function=Function.PASS_Y, to_a=True)
    p.op(write=Write.FIXED, write_cell=register_cell(H.FAULT_SLOT), read_cell=Temporary.OTHER)
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True, goto="stop")
    p.label("fault_read_only")
    p.op(action=Action.KEEP_INSTRUCTION, write=Write.FIXED, write_cell=Temporary.AUX)
    p.op(y=Operand.CONSTANT, constant=(FaultKind.READ_ONLY << 16) - 1, function=Function.INCREMENT_Y, to_a=True)
    p.op(y=Operand.CONSTANT, constant=StopCode.PAGE, function=Function.OR, to_a=True)
    p.op(write=Write.FIXED, write_cell=Temporary.OTHER, read_cell=Temporary.AUX)
    p.op(y=Operand.CELL, function=Function.PASS_Y, to_a=True, goto="fault")


def microprogram(entries: set[str]) -> tuple[list[int], dict[str, int]]:
    """The ROM's words, and the addresses of the entries, which are the decode table's routines."""
    p = Microprogram()
    _start(p)
    _instruction(p)
    _retire(p)
    _stop(p)
    arithmetic_routines(p)
    flow_routines(p)
    memory_routines(p)
    system_routines(p)
    sqi_routines(p)
    return p.assemble(entries | {"operands_wrong"})
