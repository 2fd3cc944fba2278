"""What a request that a run makes again lets out, before it is answered."""

from __future__ import annotations

from ..isa import ports
from ..isa.limits import DISPLACEMENT_MASK, LEAF_BITS, LEAF_BYTES, POINTER_DISPLACEMENT_BITS
from ..isa.ports import SYSTEM_CALLS
from ..machine.protocol import Event, EventKind
from .playback import Playback


def call_name(event: Event) -> str | None:
    """Of the system call; None for a device register."""
    return SYSTEM_CALLS[event.number].name if event.kind is EventKind.SYSTEM_CALL else None


def is_console_data(event: Event) -> bool:
    """Whether it is the console's register of bytes."""
    return event.kind is not EventKind.SYSTEM_CALL and event.number == ports.Device.CONSOLE + ports.CONSOLE_DATA


def let_out(playback: Playback, event: Event) -> bytes:
    """Memory that `write` or `beam_emit` names."""
    _, offset, length = _place(playback, event)
    data = b"".join(playback.leaf(*leaf).data for leaf in _leaves(playback, event))
    return data[offset % LEAF_BYTES :][:length]


def labels_of(playback: Playback, event: Event) -> int:
    """Of the arguments, and of all leaves that the memory let out lies in."""
    state, labels = playback.machine.state(), 0
    if not state.has_labels:
        return 0
    for index in range(state.sp - len(event.arguments), state.sp):
        labels |= state.labels[index]
    if call_name(event) in ("write", "beam_emit"):
        for leaf in _leaves(playback, event):
            labels |= playback.leaf(*leaf).labels
    return labels


def _place(playback: Playback, event: Event) -> tuple[int, int, int]:
    pointer, length = event.arguments[-2:]
    window = playback.machine.state().windows[pointer >> POINTER_DISPLACEMENT_BITS]
    return window.slot, window.base + (pointer & DISPLACEMENT_MASK), length


def _leaves(playback: Playback, event: Event) -> list[tuple[int, int]]:
    slot, offset, length = _place(playback, event)
    return [(slot, number) for number in range(offset >> LEAF_BITS, (offset + length - 1 >> LEAF_BITS) + 1)]
