"""The directives that declare something; those that steer reading are in `expansion`."""

from __future__ import annotations

from collections.abc import Callable

from ..isa.limits import SLOT_BITS
from .builder import Builder, RawHeader, SegmentLine, TableEntry, WindowLine
from .diagnostics import SourceError
from .expressions import Expression, TokenReader
from .layout import Align, Bytes, Data, Section, Space
from .lexer import Token, TokenKind
from .operands import FrameOf
from .symbols import RESERVED_NAMES, Routine, Symbol

_NOP = 0x01

Handler = Callable[[Builder, Token, TokenReader], None]


def _list(reader: TokenReader) -> list[Expression]:
    found = [reader.expression()]
    while reader.take_sign(","):
        found.append(reader.expression())
    return found


def _name_token(reader: TokenReader) -> Token:
    token = reader.current
    if not token or token.kind not in (TokenKind.NAME, TokenKind.LOCAL_NAME):
        raise SourceError("a name is expected here", reader.span)
    reader.position += 1
    return token


def _const(builder: Builder, directive: Token, reader: TokenReader) -> None:
    name = _name_token(reader)
    reader.expect_sign("=")
    uses_here = any(token.is_sign("$") for token in reader.tokens[reader.position :])
    symbol = Symbol(name.text, name.span, expression=reader.expression())
    if uses_here:
        symbol.here = builder.here(name.span)
    reader.scope_of(name).define(name, symbol)


def _local(builder: Builder, directive: Token, reader: TokenReader) -> None:
    while True:
        name = reader.take(TokenKind.NAME, "the name of a local")
        scope = reader.scope_of(name)
        if name.text in RESERVED_NAMES:
            raise SourceError(f"{name.text!r} is the name of an operand; choose another name", name.span)
        if name.text in scope.registers:
            raise SourceError(f"local {name.text!r} is already declared in this function", name.span)
        scope.registers[name.text] = len(builder.routine.locals)
        builder.routine.locals.append(name.text)
        if not reader.take_sign(","):
            return


def _func(builder: Builder, directive: Token, reader: TokenReader) -> None:
    name = _name_token(reader)
    if name.kind is TokenKind.LOCAL_NAME:
        raise SourceError("a function needs a name without @", name.span)
    if not builder.section.is_code:
        raise SourceError(f"a function in the {builder.section.name} section; .code goes back", directive.span)
    frame = reader.expression() if reader.take_sign(",") else None
    routine = Routine(name.text, frame)
    symbol = builder.define_label(name)
    symbol.routine = routine
    builder.enter(routine)


def _endfunc(builder: Builder, directive: Token, reader: TokenReader) -> None:
    if builder.routine is builder.outer_routine:
        raise SourceError(".endfunc without .func", directive.span)
    builder.routine, builder.scope = builder.outer_routine, builder.outer_scope


def _numbers(width: int) -> Handler:
    def handler(builder: Builder, directive: Token, reader: TokenReader) -> None:
        builder.emit(Data(directive.span, width=width, values=_list(reader)))

    return handler


def _text(terminator: bytes) -> Handler:
    def handler(builder: Builder, directive: Token, reader: TokenReader) -> None:
        while True:
            token = reader.take(TokenKind.STRING, "a string")
            assert isinstance(token.value, bytes)
            builder.emit(Bytes(token.span, content=token.value + terminator))
            if not reader.take_sign(","):
                return

    return handler


def _space(builder: Builder, directive: Token, reader: TokenReader) -> None:
    builder.emit(Space(directive.span, count=reader.expression()))


def _align(builder: Builder, directive: Token, reader: TokenReader) -> None:
    boundary = reader.expression()
    fill = _NOP if builder.section.is_code else 0
    if reader.take_sign(","):
        value = reader.expression()
        fill = builder.known(value)
        if not 0 <= fill <= 255:
            raise SourceError(f"fill byte {fill} is out of range 0 to 255", value.span)
    builder.emit(Align(directive.span, boundary=boundary, fill=fill))


def _section(is_code: bool) -> Handler:
    def handler(builder: Builder, directive: Token, reader: TokenReader) -> None:
        if builder.raw:
            raise SourceError(
                f"behind .image there are only segments; use .segment, not {directive.text}", directive.span
            )
        builder.section = builder.code if is_code else builder.data

    return handler


def _segment(builder: Builder, directive: Token, reader: TokenReader) -> None:
    slot = reader.expression()
    reader.expect_sign(",")
    offset = reader.expression()
    length = reader.expression() if reader.take_sign(",") else None
    number, base = builder.known(slot), builder.known(offset)
    if not 0 <= number < 1 << SLOT_BITS:
        raise SourceError(f"slot {number}; 0 to {(1 << SLOT_BITS) - 1} are possible", slot.span)
    if not builder.raw and number in (builder.code.slot, builder.data.slot):
        raise SourceError(f"slot {number} is laid out from .code and .data; other slots are free", slot.span)
    section = Section(f".segment {number}", number, base, is_code=number == builder.code.slot, limit=1 << 32)
    builder.segments.append(SegmentLine(directive.span, section, slot, offset, length))
    builder.section = section


def _window(builder: Builder, directive: Token, reader: TokenReader) -> None:
    fields = _list(reader)
    if len(fields) != 5:
        raise SourceError(".window takes index, slot, base, length, permissions", directive.span)
    index, slot, base, length, permissions = fields
    builder.windows.append(WindowLine(directive.span, (index, slot, base, length, permissions)))


def _image(builder: Builder, directive: Token, reader: TokenReader) -> None:
    if any(section.items for section in builder.sections) or builder.segments:
        raise SourceError(".image must stand before everything that it lays out", directive.span)
    fields = _list(reader)
    if len(fields) != 3:
        raise SourceError(".image takes code length, table base, table entries", directive.span)
    builder.raw = RawHeader(directive.span, *fields)


def _once(builder: Builder, attribute: str, directive: Token, reader: TokenReader) -> None:
    if getattr(builder, attribute) is not None:
        raise SourceError(f"{directive.text} is given twice", directive.span)
    setattr(builder, attribute, reader.expression())


def _entry(builder: Builder, directive: Token, reader: TokenReader) -> None:
    _once(builder, "entry", directive, reader)


def _frame(builder: Builder, directive: Token, reader: TokenReader) -> None:
    _once(builder, "frame", directive, reader)


def _memory(builder: Builder, directive: Token, reader: TokenReader) -> None:
    _once(builder, "memory", directive, reader)


def _function(builder: Builder, directive: Token, reader: TokenReader) -> None:
    target = reader.expression()
    frame = reader.expression() if reader.take_sign(",") else FrameOf(target.span, target)
    builder.table.append(TableEntry(directive.span, target, frame))


def _labels(builder: Builder, directive: Token, reader: TokenReader) -> None:
    builder.has_labels = True


def _name(builder: Builder, directive: Token, reader: TokenReader) -> None:
    token = reader.take(TokenKind.STRING, "a string")
    assert isinstance(token.value, bytes)
    try:
        builder.name = token.value.decode()
    except UnicodeDecodeError:
        raise SourceError("the name of an image is text in UTF-8", token.span) from None


DIRECTIVES: dict[str, Handler] = {
    ".const": _const,
    ".local": _local,
    ".func": _func,
    ".endfunc": _endfunc,
    ".byte": _numbers(1),
    ".half": _numbers(2),
    ".word": _numbers(4),
    ".ascii": _text(b""),
    ".asciz": _text(b"\0"),
    ".space": _space,
    ".align": _align,
    ".code": _section(True),
    ".data": _section(False),
    ".segment": _segment,
    ".window": _window,
    ".memory": _memory,
    ".image": _image,
    ".entry": _entry,
    ".frame": _frame,
    ".function": _function,
    ".labels": _labels,
    ".name": _name,
}


def declare(builder: Builder, tokens: list[Token]) -> None:
    """Carries out the directive that the statement starts with. Raises SourceError."""
    reader = TokenReader(tokens, builder.scope, 1)
    DIRECTIVES[tokens[0].text](builder, tokens[0], reader)
    reader.expect_end()
