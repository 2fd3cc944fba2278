"""The naive design that the fast engine is measured against: a Python loop that appends one dict for each instruction.

A dict names what a trace of an instruction is asked for: its tick, place, name, what it did to the stack's depth, the
address it used and the value it made. The loop knows the instructions that the kernels of `firmware/kernels` consist of
and no others. It counts no coherence, checks no bound and digests nothing, all of which would make it slower still.
"""

from typing import Any

from benchmarks.workloads import Workload
from vac.image.decode import decode
from vac.image.encode import source_fields
from vac.image.image import Image
from vac.isa.limits import CELL_MASK, STACK_OPERAND

Beam = dict[str, int | str | None]

_LITERALS = ("li", "liw", "lit32")
_SHORT = {f"{verb}{index}": (verb, (index,)) for verb in ("get", "set") for index in range(5)}


def run(image: Image, workload: Workload, limit: int) -> tuple[list[int], list[Beam]]:
    """The data stack and the beams, one dict each, of a kernel's first `limit` instructions.

    Raises ValueError at an instruction that no kernel has.
    """
    program = _program(image)
    memory = bytearray(workload.data).ljust(1 << 16, b"\0")
    local, stack, pc = [0] * 15, [0] * 0, image.entry
    beams: list[Beam] = []
    while len(beams) < limit:
        name, operands, following = program[pc]
        at, depth, address, value = pc, len(stack), None, 0
        pc = following
        if name == "get":
            value = local[operands[0]]
            stack.append(value)
        elif name == "set":
            value = stack.pop()
            local[operands[0]] = value
        elif name in _LITERALS:
            value = operands[-1] & CELL_MASK
            if name == "lit32" or operands[0] == STACK_OPERAND:
                stack.append(value)
            else:
                local[operands[0]] = value
        elif name == "add3":
            value = local[operands[1]] + local[operands[2]] & CELL_MASK
            local[operands[0]] = value
        elif name == "xor3":
            value = local[operands[1]] ^ local[operands[2]]
            local[operands[0]] = value
        elif name == "and3":
            value = local[operands[1]] & local[operands[2]]
            local[operands[0]] = value
        elif name == "addi":
            value = local[operands[1]] + operands[2] & CELL_MASK
            local[operands[0]] = value
        elif name == "andi":
            value = local[operands[1]] & operands[2]
            local[operands[0]] = value
        elif name == "rsubi":
            value = operands[2] - local[operands[1]] & CELL_MASK
            local[operands[0]] = value
        elif name == "shrui":
            value = local[operands[1]] >> operands[2]
            local[operands[0]] = value
        elif name == "djnz":
            value = local[operands[0]] - 1 & CELL_MASK
            local[operands[0]] = value
            if value:
                pc = operands[1]
        elif name == "bz":
            value = local[operands[0]]
            if not value:
                pc = operands[1]
        elif name in ("bltu", "bgeu"):
            value = local[operands[0]]
            if (value < local[operands[1]]) == (name == "bltu"):
                pc = operands[2]
        elif name in ("ld8u", "ld8up", "ld32p"):
            address, size = local[operands[1]], 4 if name == "ld32p" else 1
            value = int.from_bytes(memory[address : address + size], "little")
            local[operands[0]] = value
            if name != "ld8u":
                local[operands[1]] = address + size
        elif name in ("st8", "st8p", "st32p"):
            address, size = local[operands[0]], 4 if name == "st32p" else 1
            value = local[operands[1]]
            memory[address : address + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
            if name != "st8":
                local[operands[0]] = address + size
        elif name == "not":
            value = stack[-1] = ~stack[-1] & CELL_MASK
        elif name not in ("nop", "halt"):
            raise ValueError(f"no kernel has {name!r}")
        beams.append({
            "tick": len(beams), "pc": at, "opcode": name, "stack_delta": len(stack) - depth, "address": address,
            "payload": value,
        })  # fmt: skip
        if name == "halt":
            break
    return stack, beams


def _program(image: Image) -> dict[int, tuple[str, tuple[int, ...], int]]:
    """By address: name, operands as sources write them, address of the next instruction."""
    program: dict[int, tuple[str, tuple[int, ...], int]] = {}
    pc, code = image.entry, image.code
    while decoded := decode(code, pc):
        operands: Any = tuple(decoded.operand(field) for field in source_fields(decoded.row))
        name, operands = _SHORT.get(decoded.row.mnemonic, (decoded.row.mnemonic, operands))
        program[pc] = (name, operands, decoded.next_pc)
        pc = decoded.next_pc
    return program
