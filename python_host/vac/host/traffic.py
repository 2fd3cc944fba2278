"""What went through a host, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from ..isa.limits import CELL_BITS
from ..isa.ports import SYSTEM_CALLS
from ..machine.protocol import Answer, Event, EventKind

_CELL_BYTES = CELL_BITS // 8


@dataclass(slots=True)
class Traffic:
    """requests: answered. refused: those of them that were refused or trapped. bytes_in, bytes_out: what `read` gave
    and `write` took, and four bytes for each `in` and `out`; payloads count as out."""

    requests: int = 0
    refused: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def count(self, event: Event, answer: Answer) -> None:
        self.requests += 1
        if answer.refused or answer.trap:
            self.refused += 1
        elif event.kind is EventKind.DEVICE_IN:
            self.bytes_in += _CELL_BYTES
        elif event.kind is EventKind.DEVICE_OUT:
            self.bytes_out += _CELL_BYTES
        else:
            name = SYSTEM_CALLS[event.number].name
            if name == "read":
                self.bytes_in += answer.value
            elif name == "write":
                self.bytes_out += answer.value
            elif name == "beam_emit":
                self.bytes_out += event.arguments[1]
