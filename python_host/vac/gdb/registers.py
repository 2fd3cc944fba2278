"""Registers as a client sees them, and the target descriptions that name them.

Two shapes. *vac* is the machine's own, for clients that take any description. Stock gdb refuses a description without
the core registers of an architecture that it was built for; *x86-64* gives it those, with `rip`, `rsp` and `rbp`
standing for pc, the data stack and the frame and all others unavailable, and the machine's own registers after them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from ..debugger.session import Session
from ..isa.limits import DATA_STACK_CELLS, STACK_OPERAND, WINDOWS
from ..machine.state import State
from .address_space import return_address, stack_address

SHAPES = ("vac", "x86-64")
_SHOWN_CELLS = 8
"""Cells from the top of the data stack that have a register each."""


@dataclass(frozen=True)
class Register:
    """value: its content, None where there is none now; given the session's tick and the state."""

    name: str
    bits: int
    value: Callable[[int, State], int | None]
    type: str = ""
    group: str = ""

    @property
    def bytes(self) -> int:
        return self.bits // 8


def _local(index: int) -> Callable[[int, State], int | None]:
    def value(_: int, state: State) -> int | None:
        return state.cells[DATA_STACK_CELLS + state.fp + index] if index < state.rp - state.fp else None

    return value


def _stack(depth: int) -> Callable[[int, State], int | None]:
    return lambda _, state: state.cells[state.sp - 1 - depth] if depth < state.sp else None


def _window(index: int) -> Callable[[int, State], int | None]:
    def value(_: int, state: State) -> int:
        window = state.windows[index]
        return window.base | window.length << 32 | window.slot << 64 | window.permissions << 96

    return value


OWN = (
    Register("vpc", 32, lambda _, state: state.pc, "uint32"),
    Register("tick", 64, lambda tick, _: tick, "uint64"),
    Register("status", 32, lambda _, state: int(state.status), "vac_status"),
    Register("trap", 32, lambda _, state: int(state.trap), "vac_trap"),
    Register("sp", 32, lambda _, state: state.sp),
    Register("rp", 32, lambda _, state: state.rp),
    Register("fp", 32, lambda _, state: state.fp),
    *(Register(f"s{depth}", 32, _stack(depth), "int32", "stack") for depth in range(_SHOWN_CELLS)),
    *(Register(f"l{index}", 32, _local(index), "int32", "locals") for index in range(STACK_OPERAND)),
    *(Register(f"w{index}", 128, _window(index), "vac_window", "windows") for index in range(WINDOWS)),
    Register("coherence", 32, lambda _, state: state.sqi.coherence, group="sqi"),
    Register("entropy", 32, lambda _, state: state.sqi.entropy, group="sqi"),
    Register("drift", 32, lambda _, state: state.sqi.drift, group="sqi"),
    Register("score", 32, lambda _, state: state.sqi.score, group="sqi"),
    Register("cone_in", 64, lambda _, state: state.cone_in, group="cone"),
    Register("cone_out", 64, lambda _, state: state.cone_out, group="cone"),
    Register("joins", 32, lambda _, state: state.joins),
    Register("digest", 64, lambda _, state: state.digest),
)
"""The machine's own. tick is the history's: one more than the machine's after a trap."""


def _absent(_: int, __: State) -> None:
    return None


_GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *(f"r{number}" for number in range(8, 16)))
_SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs")
_X87 = ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")
_STANDING_FOR: dict[str, Callable[[int, State], int | None]] = {
    "rip": lambda _, state: state.pc,
    "rsp": lambda _, state: stack_address(max(0, state.sp - 1)),
    "rbp": lambda _, state: return_address(state.fp),
    "eflags": lambda _, __: 0,
}
_X86 = (
    *(Register(name, 64, _STANDING_FOR.get(name, _absent), "int64") for name in _GENERAL),
    Register("rip", 64, _STANDING_FOR["rip"], "code_ptr"),
    Register("eflags", 32, _STANDING_FOR["eflags"], "int32"),
    *(Register(name, 32, _absent, "int32") for name in _SEGMENTS),
    *(Register(f"st{number}", 80, _absent, "i387_ext") for number in range(8)),
    *(Register(name, 32, _absent, "int", "float") for name in _X87),
)


class RegisterSet:
    """The registers of a shape by number. Raises ValueError for a shape that is none of SHAPES."""

    def __init__(self, shape: str = "vac") -> None:
        if shape not in SHAPES:
            raise ValueError(f"{shape!r} is none of {', '.join(SHAPES)}")
        self.shape = shape
        self.registers: tuple[Register, ...] = OWN if shape == "vac" else (*_X86, *OWN)
        self.pc_number = 0 if shape == "vac" else len(_GENERAL)

    def packed(self, session: Session) -> str:
        """All registers as a ``g`` packet gives them."""
        tick, state = session.tick, session.state
        return "".join(_hex(register, register.value(tick, state)) for register in self.registers)

    def one(self, session: Session, number: int) -> str:
        """One register. Raises IndexError."""
        register = self.registers[number]
        return _hex(register, register.value(session.tick, session.state))

    def description(self) -> str:
        """The target description in XML."""
        lines = ['<?xml version="1.0"?>', '<!DOCTYPE target SYSTEM "gdb-target.dtd">', '<target version="1.0">']
        if self.shape == "x86-64":
            lines.append("<architecture>i386:x86-64</architecture>")
            lines.append('<feature name="org.gnu.gdb.i386.core">')
            lines += [_element(register, number) for number, register in enumerate(_X86)]
            lines.append("</feature>")
        first = len(self.registers) - len(OWN)
        lines.append('<feature name="org.vac.core">')
        lines += _TYPES
        lines += [_element(register, first + number) for number, register in enumerate(OWN)]
        return "\n".join([*lines, "</feature>", "</target>", ""])


def _types() -> list[str]:
    from ..isa.traps import Trap
    from ..machine.state import Status

    lines: list[str] = []
    for name, members in (("vac_status", Status), ("vac_trap", Trap)):
        lines.append(f'<enum id="{name}" size="4">')
        lines += [f'<evalue name="{member.name}" value="{int(member)}"/>' for member in members]
        lines.append("</enum>")
    fields = "".join(f'<field name="{name}" type="uint32"/>' for name in ("base", "length", "slot", "permissions"))
    return [*lines, f'<struct id="vac_window">{fields}</struct>']


_TYPES = _types()


def _element(register: Register, number: int) -> str:
    type_name = register.type or f"uint{register.bits}"
    group = f" group={quoteattr(register.group)}" if register.group else ""
    return (
        f"<reg name={quoteattr(register.name)} bitsize={quoteattr(str(register.bits))} "
        f"type={quoteattr(type_name)} regnum={quoteattr(str(number))}{group}/>"
    )


def _hex(register: Register, value: int | None) -> str:
    if value is None:
        return "xx" * register.bytes
    return (value & ((1 << register.bits) - 1)).to_bytes(register.bytes, "little").hex()
