"""The operations of the VirtualCPU: the operands that each takes, and what it becomes in the machine's own assembly.

Registers R0 to R14 are the locals l0 to l14, so that most operations are one instruction; R15 and the two numbers that
`CMP` compared lie beyond, where `get` and `set` reach. The data stack is that of PUSH, POP and CALL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .program import MEMORY_CELLS, Address, Immediate, Operand, Register, Target, Text

COMPARED = (16, 17)
"""Locals that hold what CMP compared."""
FRAME = 18
_NIBBLE_LOCALS = 15
PRINT_ROUTINE = "print_number"
LABEL = "instruction_{}".format
RETURN = "after_call_{}".format

_CELL_SHIFT = 2
_BEYOND = 26
"""Bits of a cell's number that a pointer through window 0 cannot hold stand from here on."""


class Emitter:
    """Collects the lines of one instruction."""

    def __init__(self, calls: int) -> None:
        self.lines: list[str] = []
        self.calls = calls
        """CALL instructions before this one."""

    def add(self, line: str) -> None:
        self.lines.append(line)

    def push(self, operand: Operand) -> None:
        if isinstance(operand, Immediate):
            self.add(f"lit {operand.value}")
        elif isinstance(operand, Register):
            self.add(f"push l{operand.number}" if operand.number < _NIBBLE_LOCALS else f"get {operand.number}")

    def pop(self, register: Register) -> None:
        self.add(f"pop l{register.number}" if register.number < _NIBBLE_LOCALS else f"set {register.number}")

    def sources(self, *operands: Operand) -> list[str]:
        """As operands of an instruction; those that are no nibble local are pushed, in order."""
        return [self._source(operand) for operand in operands]

    def _source(self, operand: Operand) -> str:
        if isinstance(operand, Register) and operand.number < _NIBBLE_LOCALS:
            return f"l{operand.number}"
        self.push(operand)
        return "s"

    def with_destination(self, register: Register, instruction: str) -> None:
        """instruction: with {} where the destination belongs."""
        if register.number < _NIBBLE_LOCALS:
            self.add(instruction.format(f"l{register.number}"))
        else:
            self.add(instruction.format("s"))
            self.pop(register)

    def pointer(self, address: Address) -> None:
        """Pushes the pointer; a number beyond memory gives one that no window allows."""
        if address.base is None:
            self.add(f"lit {address.offset << _CELL_SHIFT}")
            return
        self.push(address.base)
        if address.offset:
            self.add(f"lit {address.offset}")
            self.add("add")
        for line in (
            "dup",
            f"shrui s, s, {_BEYOND}",
            f"shli s, s, {_BEYOND}",
            "swap",
            f"shli s, s, {_CELL_SHIFT}",
            "or",
        ):
            self.add(line)


Emit = Callable[[Emitter, Sequence[Operand]], None]
REGISTER, VALUE, MEMORY, PLACE, TARGET, PRINTABLE = "register", "value", "address", "place", "label", "printable"
KINDS: dict[str, tuple[type[Operand], ...]] = {
    REGISTER: (Register,),
    VALUE: (Register, Immediate),
    MEMORY: (Address,),
    PLACE: (Address, Immediate),
    TARGET: (Target, Immediate),
    PRINTABLE: (Register, Immediate, Text),
}
IN_WORDS = {
    REGISTER: "a register",
    VALUE: "a register or a number",
    MEMORY: "an address in brackets",
    PLACE: "an address, [R2+4] or 100",
    TARGET: "a label",
    PRINTABLE: "a register, a number or text",
}


@dataclass(frozen=True)
class Form:
    operands: tuple[str, ...]
    emit: Emit


def _target(operand: Operand) -> str:
    assert isinstance(operand, Target)
    return LABEL(operand.name)


def _register(operand: Operand) -> Register:
    assert isinstance(operand, Register)
    return operand


def _address_of(operand: Operand) -> Address:
    return Address(None, operand.value) if isinstance(operand, Immediate) else operand  # type: ignore[return-value]


def _move(emitter: Emitter, operands: Sequence[Operand]) -> None:
    emitter.push(operands[1])
    emitter.pop(_register(operands[0]))


def _load(emitter: Emitter, operands: Sequence[Operand]) -> None:
    emitter.pointer(_address_of(operands[1]))
    emitter.with_destination(_register(operands[0]), "ld32 {}, s")


def _store(emitter: Emitter, operands: Sequence[Operand]) -> None:
    emitter.pointer(_address_of(operands[1]))
    (value,) = emitter.sources(operands[0])
    emitter.add(f"st32 s, {value}")


def _three(name: str, is_mirrored: bool = False) -> Emit:
    """Destination and two sources; mirrored where the machine has only the comparison the other way round."""

    def emit(emitter: Emitter, operands: Sequence[Operand]) -> None:
        pair = (operands[-1], operands[-2]) if is_mirrored else (operands[-2], operands[-1])
        left, right = emitter.sources(*pair)
        emitter.with_destination(_register(operands[0]), f"{name} {{}}, {left}, {right}")

    return emit


def _negated(name: str, is_mirrored: bool = False) -> Emit:
    def emit(emitter: Emitter, operands: Sequence[Operand]) -> None:
        pair = (operands[-1], operands[-2]) if is_mirrored else (operands[-2], operands[-1])
        left, right = emitter.sources(*pair)
        emitter.add(f"{name} s, {left}, {right}")
        emitter.add("eqz")
        emitter.pop(_register(operands[0]))

    return emit


def _on_stack(name: str, count: int) -> Emit:
    def emit(emitter: Emitter, operands: Sequence[Operand]) -> None:
        for operand in operands[-count:]:
            emitter.push(operand)
        emitter.add(name)
        emitter.pop(_register(operands[0]))

    return emit


def _step(amount: int) -> Emit:
    def emit(emitter: Emitter, operands: Sequence[Operand]) -> None:
        (value,) = emitter.sources(operands[0])
        emitter.with_destination(_register(operands[0]), f"addi {{}}, {value}, {amount}")

    return emit


def _compare(emitter: Emitter, operands: Sequence[Operand]) -> None:
    for operand, local in zip(operands, COMPARED, strict=True):
        emitter.push(operand)
        emitter.add(f"set {local}")


def _jump_compared(name: str, is_mirrored: bool) -> Emit:
    def emit(emitter: Emitter, operands: Sequence[Operand]) -> None:
        for local in COMPARED[::-1] if is_mirrored else COMPARED:
            emitter.add(f"get {local}")
        emitter.add(f"{name} s, s, {_target(operands[0])}")

    return emit


def _jump_on(name: str, is_mirrored: bool) -> Emit:
    def emit(emitter: Emitter, operands: Sequence[Operand]) -> None:
        pair = (operands[1], operands[0]) if is_mirrored else (operands[0], operands[1])
        left, right = emitter.sources(*pair)
        emitter.add(f"{name} {left}, {right}, {_target(operands[2])}")

    return emit


def _jump_zero(name: str) -> Emit:
    def emit(emitter: Emitter, operands: Sequence[Operand]) -> None:
        (value,) = emitter.sources(operands[0])
        emitter.add(f"{name} {value}, {_target(operands[1])}")

    return emit


def _jump(emitter: Emitter, operands: Sequence[Operand]) -> None:
    emitter.add(f"goto {_target(operands[0])}")


def _call(emitter: Emitter, operands: Sequence[Operand]) -> None:
    emitter.add(f"lit {emitter.calls}")
    emitter.add(f"goto {_target(operands[0])}")
    emitter.add(f"{RETURN(emitter.calls)}:")


def _push(emitter: Emitter, operands: Sequence[Operand]) -> None:
    emitter.push(operands[0])


def _pop(emitter: Emitter, operands: Sequence[Operand]) -> None:
    emitter.pop(_register(operands[0]))


def _print(emitter: Emitter, operands: Sequence[Operand]) -> None:
    if isinstance(operands[0], Text):
        for byte in (operands[0].content + "\n").encode():
            emitter.add(f"lit {byte}; out CONSOLE")
        return
    emitter.push(operands[0])
    emitter.add(f"invoke {PRINT_ROUTINE}")


def _plain(line: str) -> Emit:
    return lambda emitter, operands: emitter.add(line)


def _arithmetic(emit: Emit) -> tuple[Form, ...]:
    return Form((REGISTER, VALUE, VALUE), emit), Form((REGISTER, VALUE), emit)


def _jumps(name: str, is_mirrored: bool = False) -> tuple[Form, ...]:
    return (
        Form((TARGET,), _jump_compared(name, is_mirrored)),
        Form((VALUE, VALUE, TARGET), _jump_on(name, is_mirrored)),
    )


_ZERO = (*_jumps("jeq"), Form((VALUE, TARGET), _jump_zero("jz")))
_NOT_ZERO = (*_jumps("jne"), Form((VALUE, TARGET), _jump_zero("jnz")))
_COMPARISONS = {
    "EQ": (("jeq", False), _three("eq3")),
    "NE": (("jne", False), _three("ne3")),
    "LT": (("jlts", False), _three("lts3")),
    "GT": (("jlts", True), _three("lts3", True)),
    "GE": (("jges", False), _negated("lts3")),
    "LE": (("jges", True), _negated("lts3", True)),
}
OPERATIONS: dict[str, tuple[Form, ...]] = {
    "LOAD": (Form((REGISTER, VALUE), _move), Form((REGISTER, MEMORY), _load)),
    "STORE": (Form((VALUE, PLACE), _store),),
    "MOV": (Form((REGISTER, VALUE), _move),),
    "ADD": _arithmetic(_three("add3")),
    "SUB": _arithmetic(_three("sub3")),
    "MUL": _arithmetic(_three("mul3")),
    "DIV": _arithmetic(_on_stack("divs", 2)),
    "MOD": _arithmetic(_on_stack("rems", 2)),
    "AND": _arithmetic(_three("and3")),
    "OR": _arithmetic(_three("or3")),
    "XOR": _arithmetic(_three("xor3")),
    "SHL": _arithmetic(_three("shl3")),
    "SHR": _arithmetic(_three("shru3")),
    "SAR": _arithmetic(_three("shrs3")),
    "NOT": (Form((REGISTER, VALUE), _on_stack("not", 1)), Form((REGISTER,), _on_stack("not", 1))),
    "NEG": (Form((REGISTER, VALUE), _on_stack("neg", 1)), Form((REGISTER,), _on_stack("neg", 1))),
    "INC": (Form((REGISTER,), _step(1)),),
    "DEC": (Form((REGISTER,), _step(-1)),),
    **{name: (Form((REGISTER, VALUE, VALUE), emit),) for name, (_, emit) in _COMPARISONS.items()},
    "CMP": (Form((VALUE, VALUE), _compare),),
    "JMP": (Form((TARGET,), _jump),),
    **{f"J{name}": _jumps(*jump) for name, (jump, _) in _COMPARISONS.items()},
    **{f"B{name}": (_jumps(*jump)[1],) for name, (jump, _) in _COMPARISONS.items()},
    "JE": _jumps("jeq"),
    "JL": _jumps("jlts"),
    "JG": _jumps("jlts", True),
    "JZ": _ZERO,
    "JNZ": _NOT_ZERO,
    "CALL": (Form((TARGET,), _call),),
    "RET": (Form((), _plain("jmpt")),),
    "PUSH": (Form((VALUE,), _push),),
    "POP": (Form((REGISTER,), _pop),),
    "PRINT": (Form((PRINTABLE,), _print),),
    "NOP": (Form((), _plain("nop")),),
    "HALT": (Form((), _plain("halt")),),
}
PROLOGUE = f"""\
.frame {FRAME}
.memory {MEMORY_CELLS << _CELL_SHIFT}
"""
EPILOGUE = f"""\
        halt
.func {PRINT_ROUTINE}           # ( n -- ) signed, and a line feed
.local n, power
        pop     n
        jges    n, 0, @positive
        lit     '-'
        out     CONSOLE
        rsubi   n, n, 0
@positive:
        let     power, 1
@grow:
        push    n
        push    power
        divu
        jltu    s, 10, @digit
        push    power
        lit     10
        mul
        pop     power
        goto    @grow
@digit:
        push    n
        push    power
        divu
        inc     '0'
        out     CONSOLE
        push    n
        push    power
        remu
        pop     n
        push    power
        lit     10
        divu
        pop     power
        jnz     power, @digit
        lit     10
        out     CONSOLE
        ret
.endfunc
"""
