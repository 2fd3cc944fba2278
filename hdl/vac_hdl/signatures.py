"""Interfaces of the QPU."""

from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, Signature

from vac.isa.beam import BEAM_FIELDS
from vac.isa.digest import DIGEST_BITS
from vac.isa.limits import CODE_ADDRESS_BITS, STACK_RAM_CELLS
from vac.isa.state_map import HOST_ADDRESS_BITS

BEAM_LAYOUT = data.StructLayout({name: width for name, width in BEAM_FIELDS})
"""The 128-bit beam record, as `vac.isa.beam` states it."""

SHIPPED_BEAM_LAYOUT = data.StructLayout({"record": BEAM_LAYOUT, "tick": 32})
"""What the beam port ships: the record, and its tick modulo 2**32, which makes gaps visible."""


class InstructionBus(Signature):
    """Read port of the frame RAM. `data` is the word of `address` in the cycle after `request` and `ready`.

    Attributes: address: word address, Out(width). request: Out(1). ready: In(1), the request is served; a memory of one
    port is not ready while the data bus uses it. data: In(32).
    """

    def __init__(self, address_width: int) -> None:
        super().__init__({"address": Out(address_width), "request": Out(1), "ready": In(1), "data": In(32)})


class DataBus(Signature):
    """Read and write port of the frame RAM; one of both a cycle.

    Attributes: address: word address, Out(width). read: Out(1); `read_data` holds the word from the cycle after, until
    the next read. write_mask: Out(4), bytes of `write_data` that are stored at the end of this cycle.
    """

    def __init__(self, address_width: int) -> None:
        super().__init__(
            {
                "address": Out(address_width),
                "read": Out(1),
                "read_data": In(32),
                "write_mask": Out(4),
                "write_data": Out(32),
            }
        )


class HostPort(Signature):
    """Access to the architectural state and to the frames while the core is stopped (see `vac.isa.state_map`).

    Attributes: address: Out(24). write: Out(1), one word a cycle. write_data: Out(32). read_data: In(32), the word of
    `address` three cycles after it was put on.
    start: Out(1), pulse: run on. halt_request: Out(1), level: stop before the next instruction.
    stopped: In(1). Everything but `halt_request` is ignored while it is 0.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "address": Out(HOST_ADDRESS_BITS),
                "write": Out(1),
                "write_data": Out(32),
                "read_data": In(32),
                "start": Out(1),
                "halt_request": Out(1),
                "stopped": In(1),
            }
        )


BEAM_PORT = stream.Signature(SHIPPED_BEAM_LAYOUT)

RETIRE_LAYOUT = data.StructLayout(
    {
        "beam": BEAM_LAYOUT,
        "next_pc": CODE_ADDRESS_BITS,
        "sp": 8,
        "rp": 8,
        "fp": 8,
        "coherence": 16,
        "entropy": 16,
        "drift": 16,
        "mispredictions": 16,
        "history": 16,
        "digest": DIGEST_BITS,
    }
)
"""What one retired instruction left behind: the state after it, but for the stack RAM and memory."""

CELL_WRITE_LAYOUT = data.StructLayout({"cell": range(STACK_RAM_CELLS), "value": 32})


class RetirePort(Signature):
    """One retired instruction a cycle at most, for lockstep compare. No back-pressure.

    Attributes: valid: Out(1). payload: Out(RETIRE_LAYOUT).
    """

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "payload": Out(RETIRE_LAYOUT)})
