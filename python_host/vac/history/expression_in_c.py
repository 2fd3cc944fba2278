"""Conditions over a state as C, for the fast engine to be asked at every tick.

What is translated says the same as Python does. Where Python raises (there is no such local, no such cell), and in what
this does not know, the C says `ASK`: then the expression itself is asked, at that tick.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from ..isa.limits import CELL_MASK, SLOT_BITS
from ..isa.traps import Trap
from ..machine.state import Status

ASK = 2
"""What the C gives beside 0 and 1."""
_MOST = 1 << 62
"""Every value is less than this away from zero, so that no operation on int64 overflows unseen."""
_CELL = (0, CELL_MASK)
_REGISTERS = ("pc", "sp", "rp", "fp")
_SQI = ("coherence", "entropy", "drift")
_WIDTHS = {"u8": 1, "u16": 2, "u32": 4, "s32": 4}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="
}  # fmt: skip
_STATUS = {status.name.lower(): int(status) for status in Status}
_TRAPS = {trap.name if trap else "": int(trap) for trap in Trap}


class NotInC(Exception):
    """An expression, or a part of one, that is left to Python."""


@dataclass(frozen=True)
class _Value:
    """text: C of type int64_t. low, high: it lies between these, both included."""

    text: str
    low: int
    high: int


class Translation:
    """text: a Python expression. Raises NotInC where nothing but `ASK` would come of it, SyntaxError for what is none.

    text: the body of the C function `holds` of `compiled_search`, which gives 0, 1 or ASK.
    """

    def __init__(self, text: str) -> None:
        self._knows = False
        condition = self._truth(ast.parse(text.strip(), mode="eval").body)
        if not self._knows:
            raise NotInC(text)
        self.text = f"return ({condition}) != 0;"

    # ---- conditions ----------------------------------------------------------------------------------------------

    def _truth(self, node: ast.expr) -> str:
        """C that is zero where the expression is false. A part that is not known asks when it is come to."""
        knew = self._knows
        try:
            return self._known_truth(node)
        except NotInC:
            self._knows = knew
            return f"({{ return {ASK}; 0; }})"

    def _known_truth(self, node: ast.expr) -> str:
        match node:
            case ast.BoolOp(op, values):
                sign = " && " if isinstance(op, ast.And) else " || "
                return f"({sign.join(self._truth(value) for value in values)})"
            case ast.UnaryOp(ast.Not(), operand):
                return f"(!{self._truth(operand)})"
            case ast.Compare(left, ops, comparators):
                operands = [left, *comparators]
                pairs = zip(operands, ops, operands[1:], strict=False)
                return self._learned(f"({' && '.join(self._comparison(*pair) for pair in pairs)})")
            case ast.Constant(bool() as value):
                return str(int(value))
            case ast.Name("top"):
                return self._learned("(s->sp && s->cells[s->sp - 1])")
            case ast.Name("trap"):
                return self._learned("(s->trap != 0)")
            case ast.Name("status"):
                return "1"
            case ast.Name("stack"):
                return self._learned("(s->sp != 0)")
            case _:
                return self._learned(f"({self._value(node).text} != 0)")

    def _learned(self, text: str) -> str:
        self._knows = True
        return text

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> str:
        if isinstance(op, ast.Is | ast.IsNot):
            if not (isinstance(left, ast.Name) and left.id == "top" and _is_none(right)):
                raise NotInC
            return "(s->sp != 0)" if isinstance(op, ast.IsNot) else "(s->sp == 0)"
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple | ast.List | ast.Set) or not right.elts:
                raise NotInC
            found = " || ".join(self._comparison(left, ast.Eq(), each) for each in right.elts)
            return f"({found})" if isinstance(op, ast.In) else f"(!({found}))"
        sign = _COMPARISONS.get(type(op))
        if sign is None:
            raise NotInC
        named = self._named_comparison(left, sign, right) or self._named_comparison(right, sign, left)
        if named:
            return named
        if sign in ("==", "!="):
            for one, other in ((left, right), (right, left)):
                if isinstance(one, ast.Name) and one.id == "top":
                    # Nothing is on an empty stack: equal to no number.
                    same = f"s->cells[s->sp - 1] == {self._value(other).text}"
                    return f"(s->sp && {same})" if sign == "==" else f"(!(s->sp && {same}))"
        return f"({self._value(left).text} {sign} {self._value(right).text})"

    def _named_comparison(self, name: ast.expr, sign: str, value: ast.expr) -> str | None:
        """`status == 'halted'`, `trap != ''`."""
        if not isinstance(name, ast.Name) or name.id not in ("status", "trap"):
            return None
        if not isinstance(value, ast.Constant) or not isinstance(value.value, str) or sign not in ("==", "!="):
            raise NotInC
        number = (_STATUS if name.id == "status" else _TRAPS).get(value.value, -1)
        return f"((int64_t)s->{name.id} {sign} {number})"

    # ---- values --------------------------------------------------------------------------------------------------

    def _value(self, node: ast.expr) -> _Value:
        found = self._any_value(node)
        if not -_MOST < found.low <= found.high < _MOST:
            raise NotInC
        return found

    def _any_value(self, node: ast.expr) -> _Value:
        match node:
            case ast.Constant(int() as value):
                return _Value(f"INT64_C({int(value)})", int(value), int(value))
            case ast.Name(name):
                return self._name(name)
            case ast.Subscript(ast.Name("stack"), index):
                return _cell(_constant(index), "s->sp", "0")
            case ast.Subscript(ast.Name("locals"), index) | ast.Call(ast.Name("local"), [index], []):
                return _cell(_constant(index), "s->rp - s->fp", "64 + s->fp")
            case ast.Call(ast.Name("len"), [ast.Name("stack")], []):
                return _Value("(int64_t)s->sp", 0, 64)
            case ast.Call(ast.Name("len"), [ast.Name("locals")], []):
                return _Value("(int64_t)(s->rp - s->fp)", 0, 192)
            case ast.Call(ast.Name(name), [slot, offset], []) if name in _WIDTHS:
                return self._memory(name, _constant(slot), self._value(offset))
            case ast.Call(ast.Name("at"), [pointer], []):
                text = f"({{ int64_t v; if (at(c, s, (uint32_t){self._value(pointer).text}, &v)) return {ASK}; v; }})"
                return _Value(text, *_CELL)
            case ast.Call(ast.Name("abs"), [operand], []):
                inner = self._value(operand)
                return _Value(f"llabs({inner.text})", 0, max(abs(inner.low), abs(inner.high)))
            case ast.Call(ast.Name("min" | "max" as name), [left, right], []):
                one, other = self._value(left), self._value(right)
                choose = min if name == "min" else max
                text = f"{name}_of({one.text}, {other.text})"
                return _Value(text, choose(one.low, other.low), choose(one.high, other.high))
            case ast.IfExp(test, body, orelse):
                one, other = self._value(body), self._value(orelse)
                text = f"({self._known_truth(test)} ? {one.text} : {other.text})"
                return _Value(text, min(one.low, other.low), max(one.high, other.high))
            case ast.UnaryOp(ast.USub() | ast.Invert() as op, operand):
                inner = self._value(operand)
                shift = 1 if isinstance(op, ast.Invert) else 0
                sign = "~" if shift else "-"
                return _Value(f"({sign}{inner.text})", -inner.high - shift, -inner.low - shift)
            case ast.BinOp(left, op, right):
                return _operation(self._value(left), op, self._value(right))
            case ast.Compare() | ast.UnaryOp(ast.Not()):
                return _Value(self._known_truth(node), 0, 1)
            case _:
                raise NotInC

    def _name(self, name: str) -> _Value:
        self._knows = True
        if name == "top":
            return _cell(-1, "s->sp", "0")
        if name == "tick":
            return _Value("(int64_t)s->tick", 0, _MOST - 1)
        if name == "inputs":
            return _Value("(int64_t)inputs", 0, _MOST - 1)
        if name in _REGISTERS:
            return _Value(f"(int64_t)s->{name}", *_CELL)
        if name in _SQI:
            return _Value(f"(int64_t)s->{name}", *_CELL)
        if name == "score":
            return _Value("((2 * (int64_t)s->coherence + 65535 - s->entropy + 65535 - s->drift) >> 2)", 0, 0xFFFF)
        raise NotInC

    def _memory(self, name: str, slot: int, offset: _Value) -> _Value:
        self._knows = True
        size = _WIDTHS[name]
        if not 0 <= slot < 1 << SLOT_BITS or offset.low < 0 or offset.high + size > 1 << 32:
            raise NotInC
        fetched = f"({{ int64_t v; if (fetch(c, {slot}, {offset.text}, {size}, &v)) return {ASK}; v; }})"
        if name == "s32":
            return _Value(f"(int64_t)(int32_t){fetched}", -(1 << 31), (1 << 31) - 1)
        return _Value(fetched, 0, (1 << 8 * size) - 1)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _constant(node: ast.expr) -> int:
    match node:
        case ast.Constant(int() as value):
            return int(value)
        case ast.UnaryOp(ast.USub(), ast.Constant(int() as value)):
            return -int(value)
        case _:
            raise NotInC


def _cell(index: int, count: str, first: str) -> _Value:
    """A cell of a stack, by Python's index. Asks where there is none."""
    if abs(index) > 256:
        raise NotInC
    is_missing = f"{index}u >= {count}" if index >= 0 else f"{-index}u > {count}"
    place = f"{first} + {index}" if index >= 0 else f"{first} + {count} - {-index}"
    return _Value(f"({{ if ({is_missing}) return {ASK}; (int64_t)s->cells[{place}]; }})", *_CELL)


def _operation(left: _Value, op: ast.operator, right: _Value) -> _Value:
    corners = [(a, b) for a in (left.low, left.high) for b in (right.low, right.high)]
    a, b = left.text, right.text
    fixed = right.low if right.low == right.high else None
    match op:
        case ast.Add():
            return _Value(f"({a} + {b})", left.low + right.low, left.high + right.high)
        case ast.Sub():
            return _Value(f"({a} - {b})", left.low - right.high, left.high - right.low)
        case ast.Mult():
            products = [one * other for one, other in corners]
            return _Value(f"({a} * {b})", min(products), max(products))
        case ast.FloorDiv() if fixed:
            quotients = [left.low // fixed, left.high // fixed]
            return _Value(f"floored({a}, {b})", min(quotients), max(quotients))
        case ast.Mod() if fixed:
            return _Value(f"({a} - {b} * floored({a}, {b}))", min(0, fixed + 1), max(0, fixed - 1))
        case ast.LShift() if fixed is not None and 0 <= fixed < 62:
            return _Value(f"({a} * (INT64_C(1) << {fixed}))", left.low << fixed, left.high << fixed)
        case ast.RShift() if fixed is not None and 0 <= fixed < 63:
            return _Value(f"({a} >> {fixed})", left.low >> fixed, left.high >> fixed)
        case ast.BitAnd() | ast.BitOr() | ast.BitXor():
            sign = {ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^"}[type(op)]
            bits = max(value.bit_length() for corner in corners for value in corner)
            low = 0 if left.low >= 0 and right.low >= 0 else -(1 << bits)
            return _Value(f"({a} {sign} {b})", low, (1 << bits) - 1)
        case _:
            raise NotInC
