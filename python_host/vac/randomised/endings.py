"""Ways for a program to end in a trap: one or more for each trap that a program can run into."""

from __future__ import annotations

from random import Random

from ..isa.limits import DATA_STACK_CELLS, STACK_OPERAND
from ..isa.table import BY_MNEMONIC, INSTRUCTIONS, SUBOPERATION_OPCODES, WAVE_OPCODES, lookup
from .writer import CodeWriter

_UNASSIGNED = [opcode for opcode in range(256) if opcode not in {row.opcode for row in INSTRUCTIONS}]


def _division(writer: CodeWriter, rng: Random) -> None:
    writer.op("lit8", rng.randrange(-128, 128))
    writer.op("k0")
    writer.op(rng.choice(("divu", "divs", "remu", "rems")))


def _wild_pointer(writer: CodeWriter, rng: Random) -> None:
    """Beyond every window, at an empty one, or read-only: whatever 32 bits say."""
    writer.op("lit32", rng.getrandbits(32) | 0x08000000)
    writer.op(rng.choice(("ld32", "ld16u", "ld8s")), STACK_OPERAND, STACK_OPERAND)


def _misaligned(writer: CodeWriter, rng: Random) -> None:
    writer.op("lit8", rng.choice((1, 3, 5)))
    writer.op(rng.choice(("ld32", "ld16u", "ld16s")), STACK_OPERAND, STACK_OPERAND)


def _beyond_window(writer: CodeWriter, rng: Random) -> None:
    writer.op("lit32", 0x00FFFF00 + 4 * rng.randrange(64))
    writer.op("lit8", 7)
    writer.op(rng.choice(("st32", "st16", "st8")), STACK_OPERAND, STACK_OPERAND)


def _read_only(writer: CodeWriter, rng: Random) -> None:
    writer.op("wand", 0, 1)
    writer.op("st32a", rng.randrange(3), 4)


def _narrowing(writer: CodeWriter, rng: Random) -> None:
    writer.op("lit32", rng.choice((2, 4 * rng.getrandbits(28), 64)))
    writer.op("lit32", rng.getrandbits(32) | 0x10000)
    writer.op("wnar", rng.randrange(16), rng.choice((0, 0, 15)))


def _empty_stack(writer: CodeWriter, rng: Random) -> None:
    for _ in range(DATA_STACK_CELLS):
        writer.op(rng.choice(("drop", "emit", "add", "nip")))


def _full_stack(writer: CodeWriter, rng: Random) -> None:
    for _ in range(DATA_STACK_CELLS + 1):
        writer.op(rng.choice(("k1", "km1", "get0", "get1")))


def _recursion(writer: CodeWriter, rng: Random) -> None:
    row = BY_MNEMONIC["call"]
    address = writer.emit(row, 0, rng.randrange(3, 40))
    writer.reach(row, address, address)


def _return(writer: CodeWriter, rng: Random) -> None:
    writer.op("ret")


def _foreign_local(writer: CodeWriter, rng: Random) -> None:
    if rng.random() < 0.5:
        writer.op(rng.choice(("get", "set")), rng.randrange(30, 256))
        return
    row = BY_MNEMONIC["call"]
    address = writer.emit(row, row.length, rng.randrange(3))
    writer.reach(row, address, writer.pc)
    writer.op(rng.choice(("get4", "get7", "set5")))


def _outside(writer: CodeWriter, rng: Random) -> None:
    row = BY_MNEMONIC["jmpf"]
    writer.emit(row, rng.choice((-(1 << 22), 1 << 22, (1 << 23) - 1)))


def _unassigned(writer: CodeWriter, rng: Random) -> None:
    writer.code.append(rng.choice([*_UNASSIGNED, *WAVE_OPCODES]))
    writer.code += rng.randbytes(5)


def _suboperation(writer: CodeWriter, rng: Random) -> None:
    opcode = rng.choice(sorted(SUBOPERATION_OPCODES))
    for _ in range(100):
        word = rng.getrandbits(32) << 8 | opcode
        if lookup(word) is None:
            writer.code += word.to_bytes(5, "little")
            return


def _denied(writer: CodeWriter, rng: Random) -> None:
    writer.op("in", rng.choice((0x20, 0x40, 0x55, 0xFF)))


def _system_pointer(writer: CodeWriter, rng: Random) -> None:
    writer.op("k0")
    writer.op("lit32", rng.getrandbits(32) | 0x08000000)
    writer.op("lit8", 9)
    writer.op("sys", rng.choice((0, 1)))


def _beyond_table(writer: CodeWriter, rng: Random) -> None:
    writer.op("lit32", rng.choice((200, 0x40000000, 0xFFFFFFFF)))
    writer.op(rng.choice(("jmpt", "callt")))


_ENDINGS = (
    _division, _wild_pointer, _misaligned, _beyond_window, _read_only, _narrowing, _empty_stack, _full_stack,
    _recursion, _return, _foreign_local, _outside, _unassigned, _suboperation, _denied, _system_pointer, _beyond_table,
)  # fmt: skip


def write_trap(writer: CodeWriter, rng: Random) -> None:
    """Appends one of them; most trap, each in some runs."""
    rng.choice(_ENDINGS)(writer, rng)
