"""LLVM text of one function: its blocks, instruction by instruction."""

from __future__ import annotations

from ..isa.alu import DIVIDING
from ..isa.beam import BEAM_BYTES, BeamFlag
from ..isa.encoding import FieldKind
from ..isa.instruction import Destination, Source, Unit
from ..isa.limits import (
    CELL_MASK,
    CODE_ADDRESS_BITS,
    DATA_STACK_CELLS,
    STACK_OPERAND,
    STACK_RAM_CELLS,
)
from ..isa.ports import CoreRegister
from ..isa.sqi import history_index
from .arithmetic import condition_value, function_value
from .blocks import Block
from .frame import symbol
from .layout import (
    EXTENT_ADDRESS,
    EXTENT_LOW,
    EXTENT_ORIGIN,
    EXTENT_SPANS,
    WINDOW_BYTES,
    WINDOW_LENGTH,
)
from .loops import displacement
from .operands import named_local, result_local
from .region import Step
from .text import CELLS, GUEST, LIKELY, REGISTERS, UNLIKELY
from .unchecked import UncheckedLoops


class FunctionText(UncheckedLoops):
    """Writes one function."""

    _beam_base = ""
    """Where the beam behind the present block's last one goes."""

    def text(self) -> str:
        name = symbol(self._region, self._function)
        linkage = "" if name == "entry" else "internal "
        self._line(f"define {linkage}i64 @{name}(ptr %m, ptr %locals, ptr %sp, i64 %first) nounwind {{")
        self._line("start:")
        self._declare_loops()
        self._prologue()
        for start in self._blocks.reached:
            self._block(self._blocks.by_start[start])
        for loop in self._loops.values():
            self._current = None
            self._count_ahead(loop)
            self._unchecked = loop
            for start in sorted(loop.body):
                self._block(self._blocks.by_start[start])
            self._unchecked = None
        for depth, label in self._exits.items():
            self._exit(depth, label)
        self._line("}")
        return "\n".join(self._lines) + "\n"

    # ---- blocks --------------------------------------------------------------------------------------------------

    def _block(self, block: Block) -> None:
        self._start(f"{'v' if self._unchecked else 'b'}{block.start}")
        self._current = block.start
        depth = self._function.steps[block.start].depth
        if self._unchecked and block.start == self._unchecked.head:
            self._take_round(block.start)
        elif block.start in self._blocks.heads:
            longest = self._blocks.longest[block.start]
            remaining = self._get("rem", "i64")
            enough = self._emit(f"icmp sge i64 {remaining}, {longest}")
            self._require(enough, self._way_out(block.start, depth, 0))
        if block.ticks:
            after = self._emit(f"sub i64 {self._get('rem', 'i64')}, {block.ticks}")
            self._set("rem", after, "i64")
            if self._traced:
                back = self._emit(f"mul i64 {after}, {-BEAM_BYTES}")
                self._beam_base = self._emit(f"getelementptr i8, ptr %beams, i64 {back}")
        for index, step in enumerate(block.steps):
            self._step(step, block.ticks - index)
            self._follow_pointers(step)
        if not block.steps:
            self._jump(self._way_out(block.start, depth, 0))
        elif block.follower is not None:
            self._go(block.follower, block.last.after)
        self._flush_aside()

    def _beam(self, step: Step, left: int, value: str, aux: str = "0", flags: int = 0) -> None:
        """The step's record; `left` ticks of the block were unused before it."""
        if not self._traced:
            return
        row = step.instruction.row
        if step.effect.pushes or row.unit is Unit.SWAP:
            flags |= BeamFlag.PUSH
        low = step.instruction.pc | row.opcode << 32 | flags << 40
        place = self._at(self._beam_base, -BEAM_BYTES * left)
        self._line(f"  store i64 {low}, ptr {place}{GUEST}")
        high = self._emit(f"zext i32 {value} to i64")
        if aux != "0":
            wide = self._emit(f"zext i32 {aux} to i64")
            high = self._emit(f"or i64 {self._emit(f'shl i64 {wide}, 32')}, {high}")
        self._line(f"  store i64 {high}, ptr {self._at(place, 8)}{GUEST}")

    def _step(self, step: Step, left: int) -> None:
        """left: ticks of the block that are not used yet, this step's among them."""
        unit = step.instruction.row.unit
        if unit is Unit.ALU:
            self._alu(step, left)
        elif unit is Unit.BRANCH:
            self._branch(step, left)
        elif unit is Unit.LOAD:
            self._load(step, left)
        elif unit is Unit.STORE:
            self._store(step, left)
        elif unit is Unit.JUMP:
            self._beam(step, left, "0", flags=BeamFlag.TAKEN)
            assert step.instruction.target is not None
            self._go(step.instruction.target, step.after)
        elif unit is Unit.CALL:
            self._call(step, left)
        elif unit is Unit.RETURN:
            self._return(step, left)
        else:
            self._other(step, left)

    def _other(self, step: Step, left: int) -> None:
        unit = step.instruction.row.unit
        if unit is Unit.SWAP:
            upper, lower = self._slot(step.depth - 1), self._slot(step.depth - 2)
            top, under = self._get(upper), self._get(lower)
            self._set(upper, under)
            self._set(lower, top)
            self._beam(step, left, under)
        elif unit is Unit.WINDOW_LENGTH:
            window = step.instruction.operand(step.instruction.row.fields_by_kind[FieldKind.WINDOW])
            value = self._register(self._layout.windows + WINDOW_BYTES * window + WINDOW_LENGTH)
            self._beam(step, left, value)
            self._put(step, value)
        elif unit is Unit.READ_REGISTER:
            self._read_register(step, left)
        elif unit is Unit.EMIT:
            a, _ = self._operands(step)
            self._ask("void", self._layout.emit_cell, f"i64 {self._tick(left)}, i32 {a}")
            self._beam(step, left, a, flags=BeamFlag.EMIT)
        elif unit is Unit.JOIN:
            joins = self._emit(f"add i32 {self._register(self._layout.joins)}, 1")
            self._set_register(self._layout.joins, joins)
            self._beam(step, left, joins, flags=BeamFlag.JOIN)
            self._put(step, joins)
        elif unit is Unit.MARK:
            self._beam(step, left, "0", str(self._number(step)), BeamFlag.MARK)
        else:
            assert unit is Unit.NOP, unit
            self._beam(step, left, "0")

    def _number(self, step: Step) -> int:
        return step.instruction.operand(step.instruction.row.fields_by_kind[FieldKind.NUMBER])

    def _tick(self, left: int) -> str:
        """Ticks before this step: those that have retired."""
        used = self._emit(f"add i64 {self._get('rem', 'i64')}, {left}")
        return self._emit(f"sub i64 {self._register(self._layout.until, 'i64')}, {used}")

    def _ask(self, kind: str, helper: int, arguments: str) -> str:
        """Calls a function of the engine that looks at the SQI."""
        function = self._register(helper, "ptr")
        call = f"call {kind} {function}(ptr %m, {arguments})"
        if kind == "void":
            self._line(f"  {call}")
            return ""
        return self._emit(call)

    def _read_register(self, step: Step, left: int) -> None:
        number = self._number(step)
        if number == CoreRegister.TICK_LOW:
            value = self._emit(f"trunc i64 {self._tick(left)} to i32")
        elif number == CoreRegister.STACK_DEPTH:
            value = self._stack_depth(step.depth)
        else:
            arguments = f"i64 {self._tick(left)}, i32 {number}, i32 {self._stack_depth(step.depth)}"
            value = self._ask("i32", self._layout.read_register, arguments)
        self._beam(step, left, value, str(number))
        self._put(step, value)

    # ---- operands ------------------------------------------------------------------------------------------------

    def _operands(self, step: Step) -> tuple[str, str]:
        """Operands A and B; B is popped first."""
        row, word = step.instruction.row, step.instruction.word
        depth = step.depth
        values: dict[str, str] = {}
        for name, source, field in (("b", row.b, row.field(FieldKind.SOURCE_B)), ("a", row.a, row.source_a_field)):
            nibble = field.extract(word) if source is Source.NIBBLE and field else None
            if source is Source.POP or nibble == STACK_OPERAND:
                depth -= 1
                values[name] = self._get(self._slot(depth))
            elif nibble is not None:
                values[name] = self._get(f"L{nibble}")
            elif source is Source.LOCAL:
                values[name] = self._get(f"L{named_local(step)}")
            elif source in (Source.PEEK, Source.PEEK_SECOND):
                values[name] = self._get(self._slot(step.depth - (1 if source is Source.PEEK else 2)))
            elif source is Source.IMMEDIATE:
                immediate = row.field(FieldKind.SIGNED) or row.field(FieldKind.UNSIGNED)
                assert immediate
                values[name] = str(immediate.extract(word) & CELL_MASK)
            else:
                values[name] = str(row.constant) if source is Source.CONSTANT else "0"
        return values["a"], values["b"]

    def _put(self, step: Step, value: str) -> None:
        """The step's result to where it belongs."""
        if step.effect.pushes:
            self._set(self._slot(step.after - 1), value)
            return
        local = result_local(step)
        if local is not None:
            self._set(f"L{local}", value)

    def _alu(self, step: Step, left: int) -> None:
        row = step.instruction.row
        a, b = self._operands(step)
        if row.function in DIVIDING:
            divides = self._emit(f"icmp ne i32 {b}, 0")
            self._require(divides, self._way_out(step.instruction.pc, step.depth, left))
        if row.destination is Destination.NONE:
            self._beam(step, left, a)
            return
        value = function_value(self._emit, row.function, a, b)
        self._put(step, value)
        self._beam(step, left, value)

    # ---- control -------------------------------------------------------------------------------------------------

    def _branch(self, step: Step, left: int) -> None:
        row, instruction = step.instruction.row, step.instruction
        a, b = self._operands(step)
        truth = condition_value(self._emit, row.condition, a, b)
        value = a
        if row.destination is not Destination.NONE:
            value = function_value(self._emit, row.function, a, b)
            self._put(step, value)
        taken, passed = self._label("taken"), self._label("passed")
        self._choose(truth, taken, passed)
        target = instruction.target
        assert target is not None
        for label, is_taken, way in ((taken, True, target), (passed, False, instruction.next_pc)):
            self._start(label)
            self._predict(history_index(instruction.pc), is_taken)
            self._beam(step, left, value, flags=BeamFlag.TAKEN if is_taken else 0)
            self._go(way, step.after)

    def _predict(self, index: int, is_taken: bool) -> None:
        """Counts a wrong guess of the branch history, in the epoch that is open at this tick."""
        right, wrong = self._label("right"), self._label("wrong")
        fold, count = self._label("fold"), self._label("count")
        known = self._get(f"H{index}", "i1")
        self._choose(known, right if is_taken else wrong, wrong if is_taken else right)
        self._start(wrong)
        # Kept in memory: guesses are mostly right, and the registers are wanted elsewhere.
        late = self._emit(f"icmp ugt i64 {self._tick(0)}, {self._register(self._layout.epoch_end, 'i64')}")
        self._choose(late, fold, count, UNLIKELY)
        self._start(fold)
        self._line(f"  call void {self._register(self._layout.fold_epochs, 'ptr')}(ptr %m, i64 {self._tick(1)}) cold")
        self._jump(count)
        self._start(count)
        so_far = self._register(self._layout.mispredictions)
        self._set_register(self._layout.mispredictions, self._emit(f"add i32 {so_far}, 1"))
        self._set(f"H{index}", "1" if is_taken else "0", "i1")
        self._jump(right)
        self._start(right)

    def _call(self, step: Step, left: int) -> None:
        callee = self._region.callee(step)
        assert callee
        frame, pc = self._function.key.frame, step.instruction.pc
        refused = self._way_out(pc, step.depth, left)
        inner = self._at("%locals", 4 * (frame + 1))
        end = self._at(inner, 4 * callee.key.frame)
        fits = self._emit(f"icmp ule ptr {end}, {self._at('%m', 4 * STACK_RAM_CELLS)}")
        self._require(fits, refused)
        room = DATA_STACK_CELLS - callee.peak - callee.needs
        if room < 0:
            self._jump(refused)
            self._start(self._label("never"))
        above = self._emit(f"sub i32 {self._stack_depth(step.after)}, {callee.needs}")
        self._require(self._emit(f"icmp ule i32 {above}, {max(room, 0)}"), refused)
        link = frame << CODE_ADDRESS_BITS | step.instruction.next_pc
        self._spill(step.after)
        self._line(f"  store i32 {link}, ptr {self._at('%locals', 4 * frame)}{CELLS}")
        self._beam(step, left, str(link), flags=BeamFlag.TAKEN)
        name = symbol(self._region, callee)
        stack = self._at("%sp", 4 * step.after)
        remaining = self._get("rem", "i64")
        found = self._emit(f"call i64 @{name}(ptr %m, ptr {inner}, ptr {stack}, i64 {remaining})")
        came_back, gone = self._label("back"), self._label("gone")
        self._choose(self._emit(f"icmp sge i64 {found}, 0"), came_back, gone, LIKELY)
        self._start(gone)
        self._line("  ret i64 -1")
        self._start(came_back)
        self._set("rem", found, "i64")
        depth = self._blocks.depth_after(step)
        self._load_slots(step.after - callee.needs, depth)
        self._load_history()
        self._go(step.instruction.next_pc, depth)

    def _return(self, step: Step, left: int) -> None:
        outermost = self._at("%m", 4 * DATA_STACK_CELLS)
        is_inner = self._emit(f"icmp ne ptr %locals, {outermost}")
        self._require(is_inner, self._way_out(step.instruction.pc, step.depth, left))
        self._spill(step.after)
        self._set_register(self._layout.sp, self._stack_depth(step.after))
        if self._traced:
            link = self._emit(f"load i32, ptr {self._at('%locals', -4)}{CELLS}")
            self._beam(step, left, link, flags=BeamFlag.TAKEN)
        self._line(f"  ret i64 {self._get('rem', 'i64')}")

    # ---- memory --------------------------------------------------------------------------------------------------

    def _reach(self, step: Step, left: int, a: str, index: str | None) -> tuple[str, str]:
        """Host address of an access, and its address in the slot; leaves where the interpreter has to judge it."""
        row, word = step.instruction.row, step.instruction.word
        access = row.access
        assert access
        is_load = row.unit is Unit.LOAD
        known = self._unchecked.pointer(step) if self._unchecked else None
        if known:
            return self._unchecked_place(step, known, displacement(step))
        scaled = row.field(FieldKind.SCALED)
        pointer = a
        if scaled and scaled.extract(word):
            pointer = self._emit(f"add i32 {pointer}, {scaled.extract(word) * access.size}")
        if index is not None:
            offset = self._emit(f"shl i32 {index}, {access.size_log2}")
            pointer = self._emit(f"add i32 {pointer}, {offset}")
        kept = self._extent_name(step)
        extent = self._get(kept, "ptr") if kept else self._extent_of(a, is_load)
        near = self._inside(extent, pointer, access.size_log2)
        beyond, moved, there = self._label("beyond"), self._label("moved"), self._label("there")
        nearby = self._label("near")
        self._choose(near[1], nearby, beyond, LIKELY)
        self._start(beyond)
        helper = self._register(self._layout.reach_read if is_load else self._layout.reach_write, "ptr")
        answer = self._emit(f"call i32 {helper}(ptr %m, i32 {a}, i32 {pointer}, i32 {access.size}) cold")
        could = self._emit(f"icmp ne i32 {answer}, 0")
        self._choose(could, moved, self._way_out(step.instruction.pc, step.depth, left))
        self._start(moved)
        if kept:
            self._set(kept, self._extent_of(a, is_load), "ptr")
            extent = self._get(kept, "ptr")
        after = self._inside(extent, pointer, access.size_log2)
        self._jump(there)
        self._start(nearby)
        self._jump(there)
        self._start(there)
        distance = self._emit(f"phi i32 [ {near[0]}, %{nearby} ], [ {after[0]}, %{moved} ]")
        if kept:
            extent = self._get(kept, "ptr")
        origin = self._emit(f"load ptr, ptr {self._at(extent, EXTENT_ORIGIN)}{REGISTERS}")
        wide = self._emit(f"zext i32 {distance} to i64")
        place = self._emit(f"getelementptr i8, ptr {origin}, i64 {wide}")
        address = "0"
        if self._traced:
            base = self._emit(f"load i32, ptr {self._at(extent, EXTENT_ADDRESS)}{REGISTERS}")
            address = self._emit(f"add i32 {base}, {distance}")
        return place, address

    def _inside(self, extent: str, pointer: str, size_log2: int) -> tuple[str, str]:
        """Distance of a pointer from the start of an extent, and whether an access fits there."""
        low = self._emit(f"load i32, ptr {self._at(extent, EXTENT_LOW)}{REGISTERS}")
        span = self._emit(f"load i32, ptr {self._at(extent, EXTENT_SPANS + 4 * size_log2)}{REGISTERS}")
        distance = self._emit(f"sub i32 {pointer}, {low}")
        turned = distance
        if size_log2:
            turned = self._emit(f"call i32 @llvm.fshr.i32(i32 {distance}, i32 {distance}, i32 {size_log2})")
        return distance, self._emit(f"icmp ult i32 {turned}, {span}")

    def _load(self, step: Step, left: int) -> None:
        row = step.instruction.row
        assert row.access
        a, b = self._operands(step)
        place, address = self._reach(step, left, a, b if row.is_indexed else None)
        bits = 8 * row.access.size
        value = self._emit(f"load i{bits}, ptr {place}, align 1{GUEST}")
        if bits < 32:
            value = self._emit(f"{'sext' if row.access.is_signed else 'zext'} i{bits} {value} to i32")
        self._put(step, value)
        self._increment(step, a)
        self._beam(step, left, value, address)

    def _store(self, step: Step, left: int) -> None:
        row = step.instruction.row
        assert row.access
        a, b = self._operands(step)
        place, address = self._reach(step, left, a, None)
        bits = 8 * row.access.size
        value = b if bits == 32 else self._emit(f"trunc i32 {b} to i{bits}")
        self._line(f"  store i{bits} {value}, ptr {place}, align 1{GUEST}")
        self._increment(step, a)
        self._beam(step, left, b, address)

    def _increment(self, step: Step, a: str) -> None:
        row = step.instruction.row
        if row.post_increments and row.access:
            local = row.fields_by_kind[FieldKind.POINTER].extract(step.instruction.word)
            self._set(f"L{local}", self._emit(f"add i32 {a}, {row.access.size}"))
