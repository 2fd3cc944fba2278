"""Programs whose memory does not fit: what they compute depends on every page that they come by."""

from __future__ import annotations

from dataclasses import dataclass

from vac.assembler.assemble import assemble
from vac.commitment.state_root import StateCommitment
from vac.engines.registry import create_machine
from vac.host.residency import HeldLeaves
from vac.host.session import Host
from vac.image.image import Image
from vac.machine.protocol import Machine, StopReason
from vac.memory.pager import Pager

WALK = """
# Fills {bytes} bytes of allocated memory with a stride, then sums them in an order that a generator draws.
.frame 9
.local pointer, left, value, sum, state, mask, base, step, other
        k1; lit32 {bytes}; sys SYS_ALLOC; drop
        let base, 0x10000000
        li sum, 0
        let state, {seed}
        let left, {count}
        move pointer, base
        let step, {stride}
fill:
        add3 state, state, left
        shli other, state, 13
        xor3 state, state, other
        shrui other, state, 17
        xor3 state, state, other
        st32 pointer, state
        add3 pointer, pointer, step
        djnz left, fill
        let left, {count}
        let mask, {bytes} - 4
sum:
        shli other, state, 13
        xor3 state, state, other
        shrui other, state, 17
        xor3 state, state, other
        shli other, state, 5
        xor3 state, state, other
        and3 other, state, mask
        add3 pointer, other, base
        ld32 value, pointer
        add3 sum, sum, value
        st32 pointer, sum
        djnz left, sum
        push sum
        halt
"""


def walk(size: int = 1 << 20, count: int = 200, seed: int = 1) -> Image:
    """Touches `size` bytes (a power of two), each page of it, in `count` steps there and `count` random steps back."""
    return assemble(WALK.format(bytes=size, count=count, stride=size // count & ~3, seed=seed))


@dataclass(frozen=True)
class Outcome:
    """What must not depend on paging."""

    beams: bytes
    root: bytes
    digest: int | None
    reason: StopReason


def run_unpaged(image: Image, ticks: int = 1 << 40, engine: str = "golden") -> Outcome:
    """With all memory in the engine."""
    machine = create_machine(engine)
    host = Host(machine, image, allocation_limit=1 << 30)
    reason = host.run(ticks).reason
    assert isinstance(host.memory.residency, HeldLeaves)
    return Outcome(machine.drain_beams(), StateCommitment().take(machine), machine.state().digest, reason)


def run_paged(
    image: Image, pager: Pager, ticks: int = 1 << 40, machine: Machine | None = None, slice_ticks: int = 1 << 40
) -> Outcome:
    """Under a pager, in slices."""
    machine = machine or create_machine("golden")
    host = Host(machine, image, allocation_limit=1 << 30, pager=pager)
    until, beams = 0, b""
    while True:
        until = min(until + slice_ticks, ticks)
        reason = host.run(until).reason
        beams += machine.drain_beams()
        if reason is not StopReason.TICK or until == ticks:
            break
    assert host.memory.paged
    return Outcome(beams, host.memory.paged.state_root(), machine.state().digest, reason)
