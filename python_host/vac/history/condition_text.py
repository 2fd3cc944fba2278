"""Conditions as text: what options of commands take."""

from __future__ import annotations

from collections.abc import Mapping

from ..isa.ports import SYSTEM_CALLS
from ..machine.protocol import EventKind
from ..machine.state import Status
from .conditions import AtPc, AtTick, Condition, Ended, Requested, Where, Written
from .errors import HistoryError
from .expression import Expression

FORMS = (
    "tick:N, pc:ADDRESS, trap, halt, end, request, in:DEVICE, out:DEVICE, sys:CALL, write:SLOT:OFFSET[:LENGTH] or "
    "when:EXPRESSION"
)


def parse_condition(text: str, labels: Mapping[str, int] | None = None) -> Condition:
    """labels: addresses by name, for `pc:NAME`. Raises HistoryError for what is none of the forms."""
    word, *rest = text.split(":")
    if word == "when" and rest:
        return Where(Expression(text.partition(":")[2]))
    try:
        match word, rest:
            case "tick", [number]:
                return AtTick(int(number, 0))
            case "pc", [address]:
                return AtPc(labels[address] if labels and address in labels else int(address, 0))
            case "trap", []:
                return Ended(Status.TRAPPED)
            case "halt", []:
                return Ended(Status.HALTED)
            case "end", []:
                return Ended()
            case "request", []:
                return Requested()
            case "in" | "out", [number]:
                return Requested(EventKind(word), int(number, 0))
            case "sys", [name]:
                return Requested(EventKind.SYSTEM_CALL, _call(name))
            case "write", [slot, offset]:
                return Written(int(slot, 0), int(offset, 0))
            case "write", [slot, offset, length]:
                return Written(int(slot, 0), int(offset, 0), int(length, 0))
            case _:
                pass
    except ValueError as error:
        raise HistoryError(f"condition {text!r}: {error}") from error
    raise HistoryError(f"{text!r} is no condition; there are {FORMS}")


def _call(name: str) -> int:
    for number, call in enumerate(SYSTEM_CALLS):
        if call.name == name:
            return number
    return int(name, 0)
