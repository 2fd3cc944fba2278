"""Programs whose memory does not fit: what they compute depends on every page that they come by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vac.assembler.assemble import assemble
from vac.commitment.state_root import StateCommitment
from vac.engines.registry import create_machine
from vac.golden.model import GoldenMachine
from vac.host.residency import HeldLeaves
from vac.host.session import Host
from vac.image.image import Image
from vac.machine.protocol import Leaf, Machine, MachineError, StopReason
from vac.memory.errors import PagingError
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


SCAN = """
# Fills {bytes} bytes of allocated memory word by word, {step} bytes apart, then sums them.
.frame 5
.local pointer, left, value, sum, step
        k1; lit32 {bytes}; sys SYS_ALLOC; drop
        let step, {step}
        let pointer, 0x10000000
        let left, {count}
fill:   st32 pointer, left
        add3 pointer, pointer, step
        djnz left, fill
        let pointer, 0x10000000
        let left, {count}
        li sum, 0
sum:    ld32 value, pointer
        add3 sum, sum, value
        add3 pointer, pointer, step
        djnz left, sum
        push sum
        halt
"""


def scan(size: int, step: int) -> Image:
    """Goes over `size` bytes twice from the first to the last."""
    return assemble(SCAN.format(bytes=size, step=step, count=size // step))


class SmallMachine(GoldenMachine):
    """The definition with room for eight leaves: less than a page."""

    def install(self, slot: int, number: int, leaf: Leaf) -> None:
        if (slot, number) not in self.leaves() and len(self.leaves()) >= 8:
            raise MachineError("all frames are taken")
        super().install(slot, number, leaf)


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
    image: Image,
    pager: Pager,
    *,
    machine: Machine | None = None,
    slice_ticks: int = 1 << 40,
    at_slice: Mapping[int, Callable[[], object]] | None = None,
    on_failure: Callable[[PagingError], object] | None = None,
) -> Outcome:
    """Under a pager, to the end. at_slice: what to do before the slices of these numbers. on_failure: what to do when
    paging stops; the run goes on where it was."""
    machine = machine or create_machine("golden")
    host = Host(machine, image, allocation_limit=1 << 30, pager=pager)
    beams, number = b"", 0
    due = dict(at_slice or {})
    while True:
        if number in due:
            due.pop(number)()
        number += 1
        try:
            reason = host.run(number * slice_ticks).reason
        except PagingError as error:
            if on_failure is None:
                raise
            on_failure(error)
            number -= 1
            continue
        beams += machine.drain_beams()
        if reason is not StopReason.TICK:
            break
    assert host.memory.paged
    return Outcome(beams, host.memory.paged.state_root(), machine.state().digest, reason)
