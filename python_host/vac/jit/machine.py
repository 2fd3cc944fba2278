"""The fast engine with compiled code above its interpreter."""

from __future__ import annotations

import ctypes as c
import time
from dataclasses import dataclass

from ..fast import abi
from ..fast.compiler import FAST, Flavour
from ..fast.machine import FastMachine, Trace
from ..image.image import Image
from ..isa.limits import CODE_SLOT, DATA_STACK_CELLS
from ..machine.protocol import MachineError, Stop, StopReason
from ..machine.state import State
from .backend import require_compiler
from .compilation import RegionTooLarge, compile_region
from .heat import Entry, Heat
from .region import MOST_INSTRUCTIONS, Code, FunctionKey, find_region

_TELLING_SPAN = 1 << 10
"""Ticks in which compiled code that is entered at all has run."""


@dataclass(frozen=True)
class Policy:
    """When to compile. What a machine does never depends on it, only how fast.

    first_span, cold_span, longest_span: ticks from one sample of the pc to the next: at first, at most while
    interpreted code is met, and at most where compiled code runs already. samples: how many make an entry hot.
    seconds, share: compiling may take so long, and beyond it this share of the time that was run. most_losses: a
    program that keeps changing its code, or whose code keeps being evicted, is interpreted after so many losses.
    """

    first_span: int = 1 << 12
    cold_span: int = 1 << 18
    longest_span: int = 1 << 24
    samples: int = 2
    seconds: float = 2.0
    share: float = 0.3
    most_losses: int = 32


EAGER = Policy(16, 32, 1 << 24, 1, 1e9, 1.0, 1 << 30)
"""Compiles whatever is met, at once: for tests and campaigns."""


class JitMachine(FastMachine):
    """A `FastMachine` that compiles what runs often. Nothing but its speed differs.

    Raises CompilerMissing without llvmlite, EngineBuildError when the interpreter cannot be built.
    """

    def __init__(self, trace: Trace = Trace.BEAMS, flavour: Flavour = FAST, policy: Policy | None = None) -> None:
        require_compiler()
        super().__init__(trace, flavour)
        self._policy = policy or Policy()
        self._raw = abi.CState()
        self._begin()

    def _begin(self) -> None:
        self._heat = Heat(self._policy.samples)
        self._compiled: set[FunctionKey] = set()
        self._refused: set[FunctionKey] = set()
        self._variable: set[FunctionKey] = set()
        """Entries whose locals turned out not to stay the same."""
        self._losses = 0
        self._compiled_before = 0
        self._span = self._policy.first_span
        self._sampled = 0
        self._compiling_seconds = self._running_seconds = 0.0

    @property
    def compiled_entries(self) -> list[FunctionKey]:
        """Where compiled code can be entered now, sorted."""
        self._count_losses()
        return sorted(self._compiled)

    @property
    def compiled_ticks(self) -> int:
        """Ticks that compiled code has run since this machine was made."""
        return self._library.vac_compiled_ticks(self._handle)

    def load(self, image: Image) -> None:
        super().load(image)
        self._begin()

    def run(self, until_tick: int) -> Stop:
        begun = time.perf_counter()
        compiling = self._compiling_seconds
        while True:
            stop = super().run(min(until_tick, self._sampled + self._span))
            if stop.reason is not StopReason.TICK:
                break
            tick = self._stop.tick
            if tick - self._sampled >= self._span:
                self._sampled = tick
                self._sample()
            if tick >= until_tick:
                break
        self._running_seconds += time.perf_counter() - begun - (self._compiling_seconds - compiling)
        return stop

    def set_state(self, state: State) -> None:
        super().set_state(state)
        self._sampled = state.tick

    def compile_here(self) -> bool:
        """Compiles what is entered at the present pc, hot or not; True when compiled code can be entered there then.

        Whether it will be is for the interpreter to say: the stack and the ticks that are left must do.
        """
        self._count_losses()
        self._library.vac_get_state(self._handle, c.byref(self._raw))
        raw = self._raw
        key = FunctionKey(raw.pc, raw.rp - raw.fp)
        if key not in self._compiled and not raw.has_labels:
            self._compile(Code(raw.code_length, self._code_leaf), Entry(key))
        return key in self._compiled

    # ---- tier-up -------------------------------------------------------------------------------------------------

    def _sample(self) -> None:
        """Looks where the machine is, and compiles what is hot there."""
        policy = self._policy
        self._count_losses()
        self._library.vac_get_state(self._handle, c.byref(self._raw))
        raw = self._raw
        if raw.has_labels or self._losses > policy.most_losses:
            self._span = policy.longest_span
            return
        begun = time.perf_counter()
        code = Code(raw.code_length, self._code_leaf)
        link = raw.cells[DATA_STACK_CELLS + raw.fp - 1] if raw.fp else None
        entries = self._heat.entries(code, raw.pc, raw.rp - raw.fp, link)
        is_known = all(entry.key in self._compiled or entry.key in self._refused for entry in entries)
        is_compiled = is_known and any(entry.key in self._compiled for entry in entries)
        if is_compiled and self.compiled_ticks == self._compiled_before and self._span >= _TELLING_SPAN:
            # The code is there and does nothing: what it takes for constant has changed.
            self._variable.update(entry.key for entry in entries)
            self._library.vac_forget_compiled(self._handle)
        self._compiled_before = self.compiled_ticks
        self._span = min(2 * self._span, policy.longest_span if is_compiled else policy.cold_span)
        allowed = policy.seconds + policy.share * self._running_seconds
        if not is_known and self._compiling_seconds < allowed and self._heat.warm(entries[0].key):
            for entry in entries:
                if entry.key not in self._compiled and entry.key not in self._refused:
                    self._compile(code, entry)
        self._compiling_seconds += time.perf_counter() - begun

    def _compile(self, code: Code, entry: Entry) -> None:
        key = entry.key
        most = MOST_INSTRUCTIONS
        while True:
            region = find_region(code, key.entry, key.frame, entry.end, most)
            root = region.functions[region.root]
            if key.entry not in root.steps or root.steps[key.entry].is_left:
                self._refused.add(key)
                return
            if entry.is_outermost and key not in self._variable:
                region.constants = self._locals_now(key.frame)
            try:
                found = compile_region(region, self.trace is not Trace.NOTHING)
                break
            except RegionTooLarge:
                most = region.instructions // 2
        leaves = (c.c_uint32 * len(region.leaves))(*region.leaves)
        raw = abi.CCompiled(found.address, key.entry, key.frame, found.needs, found.room, found.least, 0)
        error = self._library.vac_add_compiled(self._handle, c.byref(raw), leaves, len(region.leaves))
        (self._refused if error else self._compiled).add(key)

    def _locals_now(self, frame: int) -> dict[int, int]:
        first = DATA_STACK_CELLS + self._raw.fp
        return dict(enumerate(self._raw.cells[first : first + frame]))

    def _count_losses(self) -> None:
        """Whether the engine has forgotten compiled code, as it does when the code itself is touched."""
        if self._compiled and not self._library.vac_compiled_count(self._handle):
            self._compiled.clear()
            self._refused.clear()
            self._losses += 1

    def _code_leaf(self, number: int) -> bytes | None:
        try:
            return self.read_leaf(CODE_SLOT, number).data
        except MachineError:
            return None
