"""What the program wrote to its console, up to any tick."""

from __future__ import annotations

from bisect import bisect_left

from ..history.errors import HistoryError
from ..history.history import History
from ..host.input_log import Entry, InputLog
from ..isa.limits import CELL_MASK
from ..isa.ports import CONSOLE_DATA, SYSTEM_CALL_BY_NAME, Device
from ..machine.protocol import EventKind

_WRITE = SYSTEM_CALL_BY_NAME["write"].number
_MOST_BYTES = 1 << 14


class Output:
    """Bytes by the index of their request in the input log. A host that runs the program live lets them out through
    `take`; of a recorded run they are read where they were written."""

    def __init__(self) -> None:
        self.log = InputLog()
        """The live host's."""
        self._pieces: dict[int, bytes] = {}
        self._writes: list[int] = []
        """Indices of the requests that may have written to the console."""
        self._looked_at = 0
        """Entries of the log that were looked at for that."""

    def take(self, data: bytes) -> None:
        """The host's console lets these bytes out while it answers the next request of the log."""
        index = len(self.log.entries)
        self._pieces[index] = self._pieces.get(index, b"") + data

    def before(self, history: History, requests: int = 256) -> bytes:
        """The last bytes, at most 16 KiB, that were written before the cursor by the last `requests` requests."""
        self._find_writes(history)
        found: list[bytes] = []
        room, here = _MOST_BYTES, history.tick
        end = bisect_left(self._writes, history.position)
        try:
            for index in reversed(self._writes[max(0, end - requests) : end]):
                if index not in self._pieces:
                    self._pieces[index] = _piece(history, index)
                if piece := self._pieces[index][-room:]:
                    found.append(piece)
                    room -= len(piece)
                if room <= 0:
                    break
        finally:
            if history.tick != here:
                history.seek(here)
        return b"".join(reversed(found))

    def _find_writes(self, history: History) -> None:
        log = history.log
        for index in range(self._looked_at, len(log)):
            kind, number = log[index].kind, log[index].number
            if (kind, number) in ((EventKind.DEVICE_OUT, CONSOLE_DATA), (EventKind.SYSTEM_CALL, _WRITE)):
                self._writes.append(index)
        self._looked_at = len(log)


def _piece(history: History, index: int) -> bytes:
    entry: Entry = history.log[index]
    if entry.answer.refused or entry.answer.trap:
        return b""
    if entry.kind is EventKind.DEVICE_OUT and entry.number == CONSOLE_DATA:
        return bytes([history.seek(entry.tick).data_stack[-1] & 0xFF])
    if entry.kind is EventKind.SYSTEM_CALL and entry.number == _WRITE:
        device, pointer, _ = history.seek(entry.tick).data_stack[-3:]
        if device == Device.CONSOLE and entry.answer.value <= CELL_MASK:
            try:
                return history.read(*history.place(pointer), entry.answer.value)
            except HistoryError:
                return b""
    return b""
