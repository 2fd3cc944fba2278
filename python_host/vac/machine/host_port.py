"""State and requests of a core in hardware, as words of its host port (`vac.isa.state_map`)."""

from __future__ import annotations

from collections.abc import Sequence

from ..image.image import Window
from ..isa.limits import STACK_RAM_CELLS, WINDOWS
from ..isa.ports import SYSTEM_CALLS
from ..isa.sqi import Sqi
from ..isa.state_map import (
    LABEL_RAM_BASE,
    REGISTER_BASE,
    STACK_RAM_BASE,
    WINDOW_BASE,
    HostRegister,
    WindowWord,
)
from ..isa.table import BY_MNEMONIC
from ..isa.traps import Trap
from .protocol import EventKind
from .state import State, Status

Segment = tuple[int, Sequence[int]]
"""Words for consecutive addresses of the host port: (first address, words)."""

_WINDOW_WORDS = 4
_LONG = (HostRegister.TICK_LOW, HostRegister.CONE_IN_LOW, HostRegister.CONE_OUT_LOW, HostRegister.DIGEST_LOW)
_MASK = 0xFFFFFFFF

SPANS = (
    (STACK_RAM_BASE, STACK_RAM_CELLS),
    (LABEL_RAM_BASE, STACK_RAM_CELLS),
    (WINDOW_BASE, _WINDOW_WORDS * (WINDOWS + 1)),
    (REGISTER_BASE, len(HostRegister)),
)
"""Address and words of the stack RAM, its labels, the windows and the registers."""


def window_segment(index: int, window: Window) -> Segment:
    """What sets a window register."""
    words = [window.base, window.length, window.permissions | window.slot << 8]
    return WINDOW_BASE + _WINDOW_WORDS * index, words


def state_segments(state: State, label_bits: int) -> list[Segment]:
    """What puts a core into this state, status apart. Raises ValueError where the core cannot hold it."""
    if state.has_labels and not label_bits:
        raise ValueError("the state has labels, and this build of the core has none")
    if state.digest is None:
        raise ValueError("the state has no digest, and the core always has; go on from one that has")
    sqi = state.sqi
    registers = {
        HostRegister.PC: state.pc,
        HostRegister.SP: state.sp,
        HostRegister.RP: state.rp,
        HostRegister.FP: state.fp,
        HostRegister.CODE_LENGTH: state.code_length,
        HostRegister.FLAGS: int(state.has_labels),
        HostRegister.COHERENCE: sqi.coherence,
        HostRegister.ENTROPY: sqi.entropy,
        HostRegister.DRIFT: sqi.drift,
        HostRegister.MISPREDICTIONS: sqi.mispredictions,
        HostRegister.DISTANCE: sqi.distance,
        HostRegister.REFUSALS: sqi.refusals,
        HostRegister.HISTORY: sqi.history,
        HostRegister.LAST_EMIT: sqi.last_emit,
        HostRegister.JOINS: state.joins,
        HostRegister.ANSWER_FLAGS: 0,
    }
    for low, value in zip(_LONG, (state.tick, state.cone_in, state.cone_out, state.digest), strict=True):
        registers[low], registers[HostRegister(low + 1)] = value & _MASK, value >> 32
    segments: list[Segment] = [(REGISTER_BASE + register, [value]) for register, value in registers.items()]
    segments.append((STACK_RAM_BASE, state.cells))
    if label_bits:
        segments.append((LABEL_RAM_BASE, state.labels))
    segments += [window_segment(index, window) for index, window in enumerate(state.windows)]
    return segments


def state_of(
    cells: list[int],
    labels: list[int],
    windows: Sequence[int],
    registers: Sequence[int],
    status: Status,
    trap: Trap,
) -> State:
    """The state that was read, in the order of `SPANS`."""

    def long(low: HostRegister) -> int:
        return registers[low] | registers[low + 1] << 32

    def window(index: int) -> Window:
        words = windows[_WINDOW_WORDS * index :]
        grant = words[WindowWord.GRANT]
        return Window(grant >> 8, words[WindowWord.BASE], words[WindowWord.LENGTH], grant & 0xFF)

    tick, cone_in, cone_out, digest = map(long, _LONG)
    return State(
        pc=registers[HostRegister.PC],
        tick=tick,
        status=status,
        trap=trap,
        sp=registers[HostRegister.SP],
        rp=registers[HostRegister.RP],
        fp=registers[HostRegister.FP],
        cells=cells,
        labels=labels,
        windows=[window(index) for index in range(WINDOWS + 1)],
        code_length=registers[HostRegister.CODE_LENGTH],
        has_labels=bool(registers[HostRegister.FLAGS] & 1),
        sqi=Sqi(
            coherence=registers[HostRegister.COHERENCE],
            entropy=registers[HostRegister.ENTROPY],
            drift=registers[HostRegister.DRIFT],
            mispredictions=registers[HostRegister.MISPREDICTIONS],
            distance=registers[HostRegister.DISTANCE],
            refusals=registers[HostRegister.REFUSALS],
            history=registers[HostRegister.HISTORY],
            last_emit=registers[HostRegister.LAST_EMIT],
        ),
        cone_in=cone_in,
        cone_out=cone_out,
        joins=registers[HostRegister.JOINS],
        digest=digest,
    )


_EVENT_KINDS = {
    BY_MNEMONIC["in"].opcode: EventKind.DEVICE_IN,
    BY_MNEMONIC["out"].opcode: EventKind.DEVICE_OUT,
    BY_MNEMONIC["sys"].opcode: EventKind.SYSTEM_CALL,
}


def request_of(opcode: int, number: int) -> tuple[EventKind, int]:
    """What the waiting instruction asks for, and how many cells of the data stack are its arguments."""
    kind = _EVENT_KINDS[opcode]
    if kind is EventKind.SYSTEM_CALL:
        return kind, len(SYSTEM_CALLS[number].arguments)
    return kind, int(kind is EventKind.DEVICE_OUT)
