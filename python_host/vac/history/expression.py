"""Conditions over a state as Python expressions, which remember what they looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..isa.limits import CELL_MASK
from .errors import HistoryError

if TYPE_CHECKING:
    from .history import History

NAMES = (
    "tick, pc, sp, rp, fp, stack, top, locals, local(n), status, trap, inputs, score, coherence, entropy, drift, "
    "u8(slot, offset), u16(…), u32(…), s32(…), text(slot, offset, length), at(pointer)"
)
_FUNCTIONS: dict[str, Any] = {f.__name__: f for f in (abs, all, any, bool, int, len, max, min, range, sum)}
Range = tuple[int, int, int]
"""Shard slot, offset and length in bytes."""


class Expression:
    """A condition. text: a Python expression over the names in NAMES. Raises HistoryError for what is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._code = compile(text.strip(), "<condition>", "eval")
        except (SyntaxError, ValueError) as error:
            raise HistoryError(f"condition {text!r}: {error}") from error
        self.ranges: set[Range] = set()
        """Memory that the last evaluation read."""
        self.reads_registers = False
        """Whether it read anything else."""

    def holds(self, history: History) -> bool:
        """At the cursor. Raises HistoryError where it cannot be evaluated."""
        view = _View(history)
        try:
            value = eval(self._code, {"__builtins__": _FUNCTIONS}, view)
        except HistoryError:
            raise
        except Exception as error:  # whatever the expression does
            raise HistoryError(
                f"condition {self.text!r} at tick {history.tick:,}: {type(error).__name__}: {error}; there are {NAMES}"
            ) from error
        self.ranges, self.reads_registers = view.ranges, view.reads_registers
        return bool(value)


class _View(Mapping[str, Any]):
    """The names of an expression."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.ranges: set[Range] = set()
        self.reads_registers = False

    def __getitem__(self, name: str) -> Any:
        memory: dict[str, Callable[..., Any]] = {
            "u8": lambda slot, offset: self._number(slot, offset, 1),
            "u16": lambda slot, offset: self._number(slot, offset, 2),
            "u32": lambda slot, offset: self._number(slot, offset, 4),
            "s32": lambda slot, offset: (self._number(slot, offset, 4) ^ 1 << 31) - (1 << 31),
            "text": self._read,
        }
        if name in memory:
            return memory[name]
        return self._register(name)

    def _register(self, name: str) -> Any:
        history = self._history
        state = history.state
        frame = state.return_stack[state.fp :]
        registers: dict[str, Callable[[], Any]] = {
            "tick": lambda: history.tick,
            "stack": lambda: state.data_stack,
            "top": lambda: state.data_stack[-1] if state.sp else None,
            "locals": lambda: frame,
            "local": lambda: frame.__getitem__,
            "status": lambda: state.status.name.lower(),
            "trap": lambda: state.trap.name if state.trap else "",
            "inputs": lambda: history.position,
            "at": lambda: self._at,
            **{n: lambda n=n: getattr(state, n) for n in ("pc", "sp", "rp", "fp")},
            **{n: lambda n=n: getattr(state.sqi, n) for n in ("score", "coherence", "entropy", "drift")},
        }
        if name not in registers:
            raise KeyError(name)
        self.reads_registers = True
        return registers[name]()

    def _read(self, slot: int, offset: int, length: int) -> bytes:
        if length > 0 and offset >= 0:
            self.ranges.add((slot, offset, length))
        return self._history.read(slot, offset, length)

    def _number(self, slot: int, offset: int, size: int) -> int:
        return int.from_bytes(self._read(slot, offset, size), "little")

    def _at(self, pointer: int) -> int:
        slot, offset = self._history.place(pointer & CELL_MASK)
        return self._number(slot, offset, 4)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
