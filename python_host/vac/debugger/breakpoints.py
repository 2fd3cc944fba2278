"""What a run can be stopped at, and how that is written.

| text | stops |
|---|---|
| `PLACE` | before the instruction there |
| `tick N` | at that tick |
| `write PLACE [LENGTH]`, `read …`, `access …` | forwards behind, backwards before, what wrote or loaded bytes there |
| `event [in\\|out\\|sys] [NUMBER\\|NAME]` | before a request to the host |
| `trap`, `halt`, `end` | where the machine trapped, halted, either |
| `label N` | forwards behind, backwards before, an instruction whose value carries information-flow label N |
| `mark`, `emit`, `join`, `refused` | before an instruction whose beam has that flag |
| `when EXPRESSION` | where a Python expression over the state holds, as for `vac bisect` |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..devices.device import REGISTERS
from ..history.conditions import AnyOf, AtPc, AtTick, Condition, Ended, Flagged, Requested, Where, Written
from ..history.errors import HistoryError
from ..history.expression import Expression
from ..isa.beam import BeamFlag
from ..isa.limits import LABEL_BITS
from ..isa.ports import SYSTEM_CALL_BY_NAME, Device
from ..machine.protocol import EventKind
from ..machine.state import Status
from .conditions import Before, DeviceRequested, Labelled, Loaded
from .errors import DebuggerError
from .places import Bytes, Places, number

_FLAGS = {"mark": BeamFlag.MARK, "emit": BeamFlag.EMIT, "join": BeamFlag.JOIN, "refused": BeamFlag.REFUSED}
_ENDS = {"trap": Status.TRAPPED, "halt": Status.HALTED, "end": None}
MOST_WATCHED = 1 << 16
"""Bytes of one watched place."""
_USAGE = (
    "PLACE, tick N, write PLACE, read PLACE, access PLACE, event, trap, halt, end, label N, mark, emit, join, refused, "
    "when EXPRESSION"
)
_KINDS = {kind.value: kind for kind in EventKind}
DEVICE_KINDS = frozenset({EventKind.DEVICE_IN, EventKind.DEVICE_OUT})


@dataclass(frozen=True)
class Breakpoint:
    """text: as a person would write it. forward, backward: conditions for the two directions. pcs: code addresses
    where there is one. place: the bytes that are watched."""

    text: str
    forward: Condition
    backward: Condition
    pcs: tuple[int, ...] = ()
    place: Bytes | None = None

    @staticmethod
    def at(pcs: list[int], text: str = "") -> Breakpoint:
        """Before the instruction at one of these addresses."""
        condition = AtPc(*pcs)
        return Breakpoint(text or ", ".join(f"{pc:#x}" for pc in pcs), condition, condition, tuple(pcs))

    @staticmethod
    def watching(place: Bytes, kind: str = "write", text: str = "") -> Breakpoint:
        """kind: "write", "read" or "access". Raises DebuggerError for more than MOST_WATCHED bytes."""
        if place.length > MOST_WATCHED:
            raise DebuggerError(f"{place.length:,} bytes; at most {MOST_WATCHED:,} can be watched")
        where = (place.slot, place.offset, place.length)
        makers: dict[str, Callable[[], Condition]] = {
            "write": lambda: Written(*where),
            "read": lambda: Loaded(*where),
            "access": lambda: AnyOf(Written(*where), Loaded(*where)),
        }
        condition = makers[kind]()
        return Breakpoint(text or f"{kind} {place}", condition, Before(condition), place=place)


def parse_breakpoint(words: list[str], places: Places) -> Breakpoint:
    """The breakpoint that these words say. Raises DebuggerError."""
    if not words:
        raise DebuggerError("a place or condition is missing, such as a label, `tick 1000`, `write buffer 4`, `trap`")
    kind, *rest = words
    text = " ".join(words)
    if kind == "tick":
        _expect(rest, 1, "tick N")
        return _same(text, AtTick(number(rest[0], "tick")))
    if kind in ("write", "read", "access"):
        if not 1 <= len(rest) <= 2:
            raise DebuggerError(f"{kind} PLACE [LENGTH]")
        length = number(rest[1], "number of bytes") if len(rest) == 2 else 1
        return Breakpoint.watching(places.memory(rest[0], length), kind, text)
    if kind == "event":
        return _event(rest, text)
    if kind == "label" and rest:
        _expect(rest, 1, "label N")
        label = number(rest[0], "label")
        if not 0 <= label < LABEL_BITS:
            raise DebuggerError(f"there are information-flow labels 0 to {LABEL_BITS - 1}")
        condition = Labelled(1 << label)
        return Breakpoint(text, condition, Before(condition))
    if kind == "when" and rest:
        try:
            return _same(text, Where(Expression(" ".join(rest))))
        except HistoryError as error:
            raise DebuggerError(str(error)) from error
    _expect(rest, 0, _USAGE)
    if kind in _FLAGS:
        return _same(text, Flagged(_FLAGS[kind]))
    if kind in _ENDS:
        return _same(text, Ended(_ENDS[kind]))
    return Breakpoint.at(places.code(kind), text)


def _same(text: str, condition: Condition) -> Breakpoint:
    return Breakpoint(text, condition, condition)


def _expect(words: list[str], count: int, usage: str) -> None:
    if len(words) != count:
        raise DebuggerError(f"what can be said: {usage}")


def _event(words: list[str], text: str) -> Breakpoint:
    rest = list(words)
    kind = _KINDS[rest.pop(0)] if rest and rest[0] in _KINDS else None
    name = rest.pop(0) if rest else ""
    _expect(rest, 0, "event [in|out|sys] [NUMBER|NAME]")
    if not name:
        return _same(text, Requested(kind))
    if name in SYSTEM_CALL_BY_NAME and kind in (None, EventKind.SYSTEM_CALL):
        return _same(text, Requested(EventKind.SYSTEM_CALL, SYSTEM_CALL_BY_NAME[name].number))
    if kind is EventKind.SYSTEM_CALL:
        return _same(text, Requested(kind, number(name, "system call")))
    if name.upper() in Device.__members__:
        first = int(Device[name.upper()])
        addresses = range(first, first + REGISTERS)
    else:
        first = number(name, "device address, device or system call")
        addresses = range(first, first + 1)
    return _same(text, DeviceRequested(frozenset({kind} if kind else DEVICE_KINDS), addresses))
