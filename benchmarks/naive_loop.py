"""The naive design that the fast engine is measured against: a Python loop that appends one dict for each instruction.

It runs `firmware/kernels/fib.vasm`, instruction for instruction, so that its ticks are the machine's ticks. It counts
no coherence, checks no bound and digests nothing, all of which would make it slower still.
"""

from typing import Any

_MASK = 0xFFFFFFFF

_FIB: tuple[tuple[Any, ...], ...] = (
    ("li", 3, 2000),
    ("nop",),
    ("li", 0, 0),
    ("li", 1, 1),
    ("li", 2, 47),
    ("get", 1),
    ("add3", 1, 0, 1),
    ("set", 0),
    ("djnz", 2, 5),
    ("djnz", 3, 2),
    ("get", 0),
    ("halt",),
)
"""Locals are current, next, steps, runs; targets of branches are indices. The nop aligns the loop."""


def run_fib() -> tuple[int, list[dict[str, int | str]]]:
    """What the kernel leaves on the stack, and its beams, one dict each."""
    beams: list[dict[str, int | str]] = []
    local, stack, pc = [0] * 4, [0] * 0, 0
    while True:
        instruction = _FIB[pc]
        name, at, value = instruction[0], pc, 0
        pc += 1
        if name == "get":
            value = local[instruction[1]]
            stack.append(value)
        elif name == "add3":
            value = (local[instruction[2]] + local[instruction[3]]) & _MASK
            local[instruction[1]] = value
        elif name == "set":
            value = stack.pop()
            local[instruction[1]] = value
        elif name == "djnz":
            value = (local[instruction[1]] - 1) & _MASK
            local[instruction[1]] = value
            if value:
                pc = instruction[2]
        elif name == "li":
            value = instruction[2]
            local[instruction[1]] = value
        beams.append({"tick": len(beams), "pc": at, "opcode": name, "value": value, "depth": len(stack)})
        if name == "halt":
            return stack[-1], beams
