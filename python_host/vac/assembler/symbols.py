"""Names and what they stand for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..image.image import PERMISSION_READ, PERMISSION_WRITE
from ..isa import ports
from .diagnostics import SourceError
from .lexer import Token, TokenKind
from .source import Span

if TYPE_CHECKING:
    from .expressions import Expression
    from .layout import Section

RESERVED_NAMES = frozenset({"s", *(f"l{index}" for index in range(15)), *(f"w{index}" for index in range(16))})
"""Operands: the data stack, frame locals, window registers."""


@dataclass
class Symbol:
    """A label, a constant or both kinds' predefined cousins.

    value: the address of a placed label (code: offset in the code segment; data: displacement in window 0), or the
    number of a predefined constant; None while unknown. expression: what a `.const` stands for.
    """

    name: str
    span: Span | None = None
    value: int | None = None
    expression: Expression | None = None
    section: Section | None = None
    here: Symbol | None = None
    """The unnamed label that ``$`` means in `expression`."""
    routine: Routine | None = None
    """Set where the label was declared by `.func`."""
    is_being_evaluated: bool = False

    @property
    def is_label(self) -> bool:
        return self.section is not None


@dataclass
class Routine:
    """A function, or the code outside all functions: the owner of `.local` names."""

    name: str
    frame: Expression | None = None
    """Number of locals where `.func` gives one."""
    locals: list[str] = field(default_factory=list)
    """Names by index."""
    highest_local: int = -1
    """Greatest index that an instruction of the routine names."""


@dataclass(eq=False)
class Scope:
    """Where ``@names`` and `.local` names live: one for each routine and each expansion; the outermost is global."""

    parent: Scope | None = None
    symbols: dict[str, Symbol] = field(default_factory=dict)
    registers: dict[str, int] = field(default_factory=dict)

    def find(self, name: str) -> Symbol | None:
        scope: Scope | None = self
        while scope:
            if name in scope.symbols:
                return scope.symbols[name]
            scope = scope.parent
        return None

    def find_register(self, name: str) -> int | None:
        """Index of the local that `.local` gave this name."""
        scope: Scope | None = self
        while scope:
            if name in scope.registers:
                return scope.registers[name]
            scope = scope.parent
        return None

    @property
    def outermost(self) -> Scope:
        scope = self
        while scope.parent:
            scope = scope.parent
        return scope

    def define(self, token: Token, symbol: Symbol) -> None:
        """Enters a symbol under the token's name. Raises SourceError when the name is taken or reserved."""
        name = token.text
        if name in RESERVED_NAMES:
            raise SourceError(f"{name!r} is the name of an operand; choose another name", token.span)
        home = self if token.kind is TokenKind.LOCAL_NAME else self.outermost
        earlier = home.symbols.get(name)
        if earlier:
            notes = [("first defined here", earlier.span)] if earlier.span else []
            text = f"{name!r} is already defined" if earlier.span else f"{name!r} is predefined; choose another name"
            raise SourceError(text, token.span, *notes)
        home.symbols[name] = symbol


def predefined() -> Scope:
    """The global scope with the names of core registers, devices, system calls and permissions."""
    values = {name: value for name, value in vars(ports).items() if name.isupper() and isinstance(value, int)}
    values |= {register.name: int(register) for register in ports.CoreRegister}
    values |= {device.name: int(device) for device in ports.Device}
    values |= {f"SYS_{call.name.upper()}": call.number for call in ports.SYSTEM_CALLS}
    values |= {"READ": PERMISSION_READ, "WRITE": PERMISSION_WRITE}
    return Scope(symbols={name: Symbol(name, value=int(value)) for name, value in values.items()})
