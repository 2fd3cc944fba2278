"""One function body, item by item. The depth of the data stack is known at every point, so that nothing underflows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from ..isa.alu import DIVIDING, Condition
from ..isa.encoding import FieldKind
from ..isa.instruction import Destination, Instruction, Source, Unit
from ..isa.limits import CELL_MASK, DATA_STACK_CELLS, POINTER_DISPLACEMENT_BITS, STACK_OPERAND
from ..isa.ports import SYSTEM_CALLS, CoreRegister
from ..isa.table import INSTRUCTIONS
from .memory_plan import MAPPED, MemoryPlan
from .operands import random_cell, random_field
from .writer import CodeWriter

_T = TypeVar("_T")

DEEPEST = 10
"""Cells that a body keeps on the data stack between items; every level of calls adds as many."""

_PLAIN_UNITS = (
    Unit.ALU, Unit.SWAP, Unit.READ_REGISTER, Unit.EMIT, Unit.JOIN, Unit.MARK, Unit.NOP, Unit.WINDOW_LENGTH,
)  # fmt: skip
_MOST_LOCALS = STACK_OPERAND


def _rows(*units: Unit) -> list[Instruction]:
    return [row for row in INSTRUCTIONS if row.unit in units]


_PLAIN, _BRANCHES, _JUMPS, _CALLS = _rows(*_PLAIN_UNITS), _rows(Unit.BRANCH), _rows(Unit.JUMP), _rows(Unit.CALL)
_ACCESSES, _TABLE_CALLS, _TABLE_JUMPS = _rows(Unit.LOAD, Unit.STORE), _rows(Unit.TABLE_CALL), _rows(Unit.TABLE_JUMP)
_HOST = _rows(Unit.DEVICE_IN, Unit.DEVICE_OUT, Unit.SYSTEM_CALL)
_WINDOW = _rows(Unit.WINDOW_NARROW, Unit.WINDOW_RESTRICT)
_PRODUCERS = [
    row for row in _PLAIN
    if row.unit is Unit.ALU and row.destination is Destination.PUSH and row.a is Source.NONE
]  # fmt: skip
_COUNTING = [row for row in _BRANCHES if row.condition is not Condition.EQ]
"""Branches that can close a loop; those on equality only go forwards."""


@dataclass(frozen=True)
class Callee:
    """A function as its callers see it. index: in the function table. pops, pushes: cells. level: how deep."""

    index: int
    level: int
    frame: int
    pops: int
    pushes: int


@dataclass(frozen=True)
class Shared:
    """What all bodies of a program write to.

    calls: (row, address, callee) to be linked. table: addresses of table entries behind the functions'.
    """

    writer: CodeWriter
    plan: MemoryPlan
    callees: tuple[Callee, ...]
    calls: list[tuple[Instruction, int, Callee]]
    table: list[int]


class Body:
    """frame: locals. level: only functions of deeper levels are called. depth: cells that are there at the start."""

    def __init__(self, shared: Shared, frame: int, level: int, depth: int) -> None:
        self._shared = shared
        self._writer = shared.writer
        self._plan = shared.plan
        self._frame = frame
        self._level = level
        self.depth = depth
        self._counters: set[int] = set()
        """Locals that count loops: nothing else may write them."""
        self._nesting = 0
        self._rng = Random(0)
        self._kinds: tuple[tuple[float, Callable[[], None]], ...] = (
            (0.62, self._plain),
            (0.74, self._access),
            (0.83, self._skip),
            (0.87, self._loop),
            (0.91, self._call),
            (0.93, self._switch),
            (0.95, self._jump),
            (0.98, self._ask_host),
            (0.995, self._change_window),
            (1.01, self._tower),
        )

    def item(self, seed: int) -> None:
        self._rng.seed(seed)
        self._one()
        while self.depth > DEEPEST:
            self._fold()

    def settle(self, depth: int) -> None:
        """Brings the stack to exactly this depth."""
        while self.depth > depth:
            self._fold()
        self._fill(depth)

    # ---- choices -------------------------------------------------------------------------------------------------

    def _pick(self, choices: Sequence[_T]) -> _T:
        return choices[int(self._rng.random() * len(choices))]

    def _below(self, limit: int) -> int:
        return int(self._rng.random() * limit)

    def _readable(self) -> int:
        return self._below(min(self._frame, _MOST_LOCALS))

    def _free(self) -> int:
        """A local that may be written, for a nibble; never local 0, the signature."""
        while True:
            local = self._readable()
            if local and local not in self._counters:
                return local

    # ---- the stack -----------------------------------------------------------------------------------------------

    def _push(self, value: int) -> None:
        row = "lit8" if -128 <= value < 128 else "lit32"
        self._writer.op(row, value)
        self.depth += 1

    def _fill(self, depth: int) -> None:
        while self.depth < depth:
            self._produce(self._pick(_PRODUCERS))

    def _produce(self, row: Instruction) -> None:
        """An instruction that pushes a literal, in whichever form."""
        field = row.field(FieldKind.SIGNED) or row.field(FieldKind.UNSIGNED)
        values = () if not field else (random_cell(self._rng) if field.width == 32 else random_field(self._rng, field),)
        self._writer.emit(row, *values)
        self.depth += 1

    def _fold(self) -> None:
        """Takes the top into local 0, the signature that everything comes to count in; or joins two cells."""
        if self.depth >= 2 and self._rng.random() < 0.5:
            self._writer.op(self._pick(("add", "xor", "sub", "mul", "shl", "nip", "join")))
        else:
            self._writer.op(self._pick(("xor3", "add3", "sub3")), 0, 0, STACK_OPERAND)
        self.depth -= 1

    def _one(self) -> None:
        kind = self._rng.random()
        for limit, make in self._kinds:
            if kind < limit:
                make()
                return

    def _several(self, most: int, make: Callable[[], None]) -> None:
        """Some items that leave the stack as deep as they found it."""
        depth = self.depth
        self._nesting += 1
        for _ in range(1 + self._below(most)):
            make()
        self._nesting -= 1
        self.settle(depth)

    # ---- straight-line instructions ------------------------------------------------------------------------------

    def _plain(self) -> None:
        row = self._pick(_PLAIN)
        local = row.constant if row.field(FieldKind.LOCAL) is None else self._below(self._frame)
        if Source.LOCAL is row.a and local >= self._frame:
            return
        if row.destination is Destination.LOCAL and (local >= self._frame or local in self._counters):
            return
        if row.function in DIVIDING and row.unit is Unit.ALU:
            self._fill(2)
            self._push(1)
            self._writer.op("or")
            self.depth -= 1
        if row.destination is Destination.LOCAL and not local:
            self._fill(1)
            self._writer.op("get0")
            self._writer.op("add")
        self._operate(row, local)

    def _operate(self, row: Instruction, local: int = 0, steering: int | None = None) -> int:
        """Emits a row with random operands, and what it needs on the stack before it. Returns its address.

        steering: a local with a small value that operand A is to be, and small values to compare it with.
        """
        rng = self._rng
        pops = needed = 0
        values: list[int] = []
        for source in (row.a, row.b):
            pops += source is Source.POP
        if row.a is Source.PEEK or row.a is Source.PEEK_SECOND:
            needed = 1 if row.a is Source.PEEK else 2
        if row.unit is Unit.SWAP:
            needed = 2
        pushes = row.destination is Destination.PUSH
        for field in row.fields:
            kind = field.kind
            if kind is FieldKind.SOURCE_A or kind is FieldKind.SOURCE_B:
                if steering is not None and kind is FieldKind.SOURCE_A:
                    values.append(steering)
                    continue
                is_stack = rng.random() < 0.35
                pops += is_stack
                values.append(STACK_OPERAND if is_stack else self._readable())
            elif kind is FieldKind.DESTINATION:
                is_stack = rng.random() < 0.4
                pushes += is_stack
                values.append(STACK_OPERAND if is_stack else self._free())
            elif kind is FieldKind.POINTER:
                is_stack = steering is None and rng.random() < 0.3
                pops += is_stack
                pushes += is_stack
                values.append(STACK_OPERAND if is_stack else self._free() if steering is None else steering)
            elif kind is FieldKind.LOCAL:
                values.append(local)
            elif kind is FieldKind.NUMBER:
                values.append(self._below(len(CoreRegister)) if row.unit is Unit.READ_REGISTER else rng.getrandbits(8))
            elif kind is FieldKind.OFFSET:
                values.append(row.length)
            elif kind is FieldKind.UNSIGNED and field.width == 32:
                values.append(random_cell(rng))
            elif kind is FieldKind.SIGNED and steering is not None:
                values.append(self._below(4))
            elif kind is not FieldKind.SUBOPERATION:
                values.append(random_field(rng, field))
        self._fill(max(pops, needed))
        if steering is not None and row.a is Source.POP:
            self._writer.op("get", steering)
            self.depth += 1
        self.depth += pushes - pops
        return self._writer.emit(row, *values)

    # ---- memory --------------------------------------------------------------------------------------------------

    def _access(self) -> None:
        """A load or store inside a window, its pointer a literal or made from data."""
        row = self._pick(_ACCESSES)
        assert row.access
        size, is_load = row.access.size, row.unit is Unit.LOAD
        window, length, _ = self._pick(self._plan.readable if is_load else self._plan.writable)
        scaled = row.field(FieldKind.SCALED)
        if row.a is Source.CONSTANT:
            window, length, _ = self._plan.usable[0]
        most = length // size - 1 if row.a is Source.CONSTANT else min(12, length // size // 4)
        displacement = self._below(min(scaled.maximum, most) + 1) if scaled else 0
        index = self._below(5) - 2 if row.is_indexed else 0
        steps = 1 + self._below(3) if row.post_increments else 1
        room = length // size - displacement - steps - 4
        start = (2 + self._below(max(1, room))) * size if room > 0 else 2 * size
        a = self._pointer(row, window, start, length, size)
        b = STACK_OPERAND
        if row.is_indexed and (self._rng.random() < 0.5 or self._frame < 3):
            self._push(index)
        elif row.is_indexed:
            b = self._free()
            while b == a:
                b = self._free()
            self._writer.op("li", b, index)
        for _ in range(steps):
            if not is_load:
                b = self._value()
            values: list[int] = []
            loaded = STACK_OPERAND
            for field in row.fields:
                if field.kind is FieldKind.DESTINATION:
                    loaded = STACK_OPERAND if self._rng.random() < 0.5 else self._free()
                    loaded = STACK_OPERAND if row.post_increments and loaded == a else loaded
                    values.append(loaded)
                    self.depth += loaded == STACK_OPERAND
                elif field.kind in (FieldKind.SOURCE_A, FieldKind.POINTER):
                    values.append(a)
                    self.depth -= a == STACK_OPERAND
                elif field.kind is FieldKind.SOURCE_B:
                    values.append(b)
                    self.depth -= b == STACK_OPERAND
                elif field.kind is FieldKind.SCALED:
                    values.append(displacement)
            self._writer.emit(row, *values)
            if is_load and self._rng.random() < 0.5:
                self._writer.op("add3", 0, 0, loaded)
                self.depth -= loaded == STACK_OPERAND

    def _value(self) -> int:
        """Operand nibble of a stored value; where it is the stack, the value is on top."""
        if self._rng.random() < 0.5:
            return self._readable()
        self._produce(self._pick(_PRODUCERS))
        return STACK_OPERAND

    def _pointer(self, row: Instruction, window: int, start: int, length: int, size: int) -> int:
        """Makes a pointer and returns its nibble: the stack or a local. No pointer for fixed addresses."""
        if row.a is Source.CONSTANT:
            return STACK_OPERAND
        if self._rng.random() < 0.4 and length >= 256:
            span = 1 << (length.bit_length() - 2)
            self._writer.op("andw", STACK_OPERAND, self._readable(), span - 1 & -size & 0xFFFF)
            self.depth += 1
            self._push(window << POINTER_DISPLACEMENT_BITS | 2 * size)
            self._writer.op("add")
            self.depth -= 1
        else:
            self._push(window << POINTER_DISPLACEMENT_BITS | start)
        if not row.post_increments and self._rng.random() < 0.5:
            return STACK_OPERAND
        local = self._free()
        self._writer.op("set", local)
        self.depth -= 1
        return local

    # ---- control flow --------------------------------------------------------------------------------------------

    def _skip(self) -> None:
        """A branch over some items: data decides whether they run."""
        row = self._pick(_BRANCHES)
        steering = None
        if self._rng.random() < 0.6:
            # The signature depends on everything so far; a few of its bits make either way likely.
            steering = self._free()
            self._writer.op("andi", steering, 0, self._pick((1, 2, 3, 7, 16)))
        address = self._operate(row, steering=steering)
        field = row.fields_by_kind[FieldKind.OFFSET]
        if field.width <= 8 or self._nesting >= 3:
            self._several(2, self._plain)
        else:
            self._several(5, self._one)
        self._writer.reach(row, address, self._writer.pc)

    def _loop(self) -> None:
        """Some items two to four times over, closed by any branch that can count."""
        if self._nesting >= 2 or len(self._counters) >= 4 or self._frame < 8:
            return self._plain()
        row, writer = self._pick(_COUNTING), self._writer
        times = 2 + self._below(3)
        counter, bound = self._free(), self._free()
        while bound == counter:
            bound = self._free()
        is_own = row.destination is Destination.POINTER
        descends = is_own or row.b is Source.CONSTANT or row.condition in (Condition.GEU, Condition.GES)
        writer.op("li", counter, times if descends else 0)
        writer.op("li", bound, 1 if descends else times)
        added = {counter, bound}
        self._counters |= added
        again = writer.pc
        self._several(4, self._one if self._nesting == 0 else self._plain)
        if not is_own:
            writer.op("addi", counter, counter, -1 if descends else 1)
        if row.a is Source.POP:
            writer.op("get", counter)
        values: list[int] = []
        for field in row.fields:
            values.append({
                FieldKind.SOURCE_A: counter, FieldKind.POINTER: counter, FieldKind.SOURCE_B: bound,
                FieldKind.SIGNED: 1 if descends else times,
            }.get(field.kind, 0))  # fmt: skip
        writer.reach(row, writer.emit(row, *values), again)
        self._counters -= added

    def _call(self) -> None:
        """A call by name or through the function table. Loops call leaves only, so that no run gets out of hand."""
        deeper = [callee for callee in self._shared.callees if callee.level > self._level]
        if self._nesting:
            deepest = max((callee.level for callee in deeper), default=0)
            deeper = [callee for callee in deeper if callee.level == deepest]
        if not deeper:
            return self._plain()
        callee = self._pick(deeper)
        self._fill(callee.pops)
        if self._rng.random() < 0.6:
            row = self._pick(_CALLS)
            address = self._writer.emit(row, *(0 if f.kind is FieldKind.OFFSET else callee.frame for f in row.fields))
            self._shared.calls.append((row, address, callee))
        else:
            row = self._pick(_TABLE_CALLS)
            first = callee.index & -2
            self._writer.op("andi", STACK_OPERAND, self._readable(), 1)
            self._writer.op("inc", first)
            self._writer.emit(row)
        self.depth += callee.pushes - callee.pops

    def _switch(self) -> None:
        """A jump through the table to one of two cases."""
        writer = self._writer
        entry = len(self._shared.callees) + len(self._shared.table)
        if self._nesting or entry > 60:
            return self._plain()
        writer.op("andi", STACK_OPERAND, self._readable(), 1)
        writer.op("addw", STACK_OPERAND, STACK_OPERAND, entry)
        writer.emit(self._pick(_TABLE_JUMPS))
        self._shared.table.append(writer.pc)
        second = len(self._shared.table)
        self._shared.table.append(0)
        self._several(3, self._plain)
        row = self._pick([row for row in _JUMPS if row.fields[0].width > 8])
        address = writer.emit(row, row.length)
        self._shared.table[second] = writer.pc
        self._several(3, self._plain)
        writer.reach(row, address, writer.pc)

    def _jump(self) -> None:
        """Over bytes that are no code at all."""
        row = self._pick(_JUMPS)
        address = self._writer.emit(row, row.length)
        self._writer.code += self._rng.randbytes(self._below(20))
        self._writer.reach(row, address, self._writer.pc)

    def _tower(self) -> None:
        """Fills the data stack to the brim. In `main` alone: functions do not know how much room there is."""
        if self._level >= 0 or self._nesting:
            return self._plain()
        self._fill(DATA_STACK_CELLS - self._below(3))

    # ---- the host and windows ------------------------------------------------------------------------------------

    def _ask_host(self) -> None:
        row, rng = self._pick(_HOST), self._rng
        if row.unit is not Unit.SYSTEM_CALL:
            self._fill(1)
            self._writer.emit(row, self._pick((0, 0, 1, 0x10, 0x11, 5, 0x1F)))
            self.depth += (row.destination is Destination.PUSH) - (row.a is Source.POP)
            if row.destination is Destination.PUSH:
                self._keep()
            return
        call = self._pick(SYSTEM_CALLS)
        plan = self._plan
        pointer, length = self._below(3000), self._below(60)
        arguments = {
            "read": (self._pick((0, 0, 0x10)), pointer, length),
            "write": (self._pick((0, 0, 0x10)), pointer, length),
            "alloc": self._pick(tuple(plan.allocations.items())),
            "map": (
                MAPPED, plan.shard.number & CELL_MASK, (plan.shard.number >> 32) + self._below(2),
                4 * self._below(512), 0, self._below(3000), 1,
            ),
            "sleep": (random_cell(rng),),
            "beam_emit": (pointer, length),
            "entropy_probe": (),
        }[call.name]  # fmt: skip
        for argument in arguments:
            self._push(argument & CELL_MASK)
        self._writer.emit(row, call.number)
        self.depth += 1 - len(call.arguments)
        self._keep()

    def _keep(self) -> None:
        """Puts an answer where branches and pointers look."""
        if self._rng.random() < 0.7:
            local = self._free()
            self._writer.op("set", local)
            self._writer.op("xor3", 0, 0, local)
            self.depth -= 1

    def _change_window(self) -> None:
        index = self._pick(tuple(self._plan.narrowings))
        self.narrow(index, self._pick(_WINDOW).unit is Unit.WINDOW_RESTRICT)

    def narrow(self, index: int, also_restrict: bool = True) -> None:
        """Makes a window as planned."""
        plan = self._plan.narrowings[index]
        self._push(plan.offset)
        self._push(plan.length)
        self._writer.op("wnar", index, plan.source)
        self.depth -= 2
        if also_restrict:
            self._writer.op("wand", index, plan.permissions)

    def allocate(self, index: int, length: int) -> None:
        """Asks for a window as planned; folds the answer."""
        self._push(index)
        self._push(length)
        self._writer.op("sys", next(call.number for call in SYSTEM_CALLS if call.name == "alloc"))
        self.depth -= 1
        self._fold()
