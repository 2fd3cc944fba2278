"""Page accesses of real machines: programs run in turn on the fast engine, recorded from their beams, or paged live."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from benchmarks.paging_loads import Load
from vac.assembler.assemble import assemble
from vac.fast.machine import FastMachine, Trace
from vac.host.session import Host
from vac.image.image import Image
from vac.isa.beam import BEAM_BYTES
from vac.isa.instruction import Unit
from vac.isa.limits import LEAF_BITS, LEAF_BYTES
from vac.isa.table import INSTRUCTIONS
from vac.machine.protocol import StopReason
from vac.memory.page_store import PageStore
from vac.memory.pager import Pager
from vac.memory.statistics import PagingStatistics

_BEAM = np.dtype([
    ("pc", "<u4"), ("opcode", "u1"), ("flags", "u1"), ("labels", "<u2"), ("value", "<u4"), ("aux", "<u4"),
])  # fmt: skip
assert _BEAM.itemsize == BEAM_BYTES
_MEMORY_OPCODES = np.array([row.opcode for row in INSTRUCTIONS if row.unit in (Unit.LOAD, Unit.STORE)], np.uint8)
_START = "k1; lit32 {bytes}; sys SYS_ALLOC; drop; let base, 0x10000000"
_NEXT = "shli other, state, 13; xor3 state, state, other; shrui other, state, 17; xor3 state, state, other; " \
        "shli other, state, 5; xor3 state, state, other"  # fmt: skip

SIEVE = f"""
# Strikes out the multiples of every number up to {{limit}} in an array of bytes: runs with growing strides.
.frame 7
.local base, place, end, number, one, limit
        {_START}
        let end, 0x10000000 + {{bytes}}; li one, 1; li number, 2; let limit, {{limit}}
next:   add3 place, base, number
strike: add3 place, place, number
        bgeu place, end, done
        st8 place, one
        jmp strike
done:   addi number, number, 1
        bltu number, limit, next
        halt
"""
MATRIX = f"""
# Goes over a matrix of rows of 8 KiB column by column, then row by row, twice; reads and writes.
.frame 9
.local base, place, left, rows, step, sum, value, rounds, end
        {_START}
        let end, 0x10000000 + {{bytes}}; li rounds, 2
again:  let step, 8192; let left, {{columns}}; push base; pop place
column: ld32 value, place; add3 sum, sum, value; st32 place, step; add3 place, place, step
        bltu place, end, column
        let value, {{bytes}} - 1024; sub3 place, place, value
        add3 place, place, base; sub3 place, place, base
        push base; pop place
        djnz left, column
        let step, 512; push base; pop place
row:    ld32 value, place; add3 sum, sum, value; st32 place, step; add3 place, place, step
        bltu place, end, row
        djnz rounds, again
        halt
"""
HEAP = f"""
# Walks from the root of an implicit binary tree down to a random leaf, again and again: the upper levels are hot.
.frame 10
.local base, place, state, node, other, nodes, left, value, shift
        {_START}
        let state, {{seed}}; let nodes, {{nodes}}; let left, {{walks}}
walk:   li node, 1
down:   shli place, node, 6; add3 place, place, base
        ld32 value, place; add3 value, value, node; st32 place, value
        {_NEXT}
        shli node, node, 1; andi other, state, 1; add3 node, node, other
        bltu node, nodes, down
        djnz left, walk
        halt
"""
RANDOM = f"""
# Adds to random words, mostly in a small part that moves now and then.
.frame 12
.local base, place, state, other, left, mask, value, part, inner, offset
        {_START}
        let state, {{seed}}; let left, {{phases}}
phase:  {_NEXT}
        let mask, {{bytes}} - 1; and3 offset, state, mask; shrui offset, offset, 15; shli offset, offset, 15
        let inner, {{steps}}
touch:  {_NEXT}
        let mask, 0x7ffc; and3 place, state, mask; add3 place, place, offset
        let mask, {{bytes}} - 4; and3 place, place, mask; add3 place, place, base
        ld32 value, place; addi value, value, 1; st32 place, value
        djnz inner, touch
        djnz left, phase
        halt
"""


def programs() -> list[Image]:
    """Eight machines, two of each program, 1 or 2 MiB of memory each."""
    found: list[Image] = []
    for seed, size in ((1, 1 << 20), (2, 1 << 21)):
        sources = (
            SIEVE.format(bytes=size, limit=24),
            MATRIX.format(bytes=size, columns=8),
            HEAP.format(bytes=size, nodes=size >> 6, walks=2500, seed=seed * 7919),
            RANDOM.format(bytes=size, phases=12, steps=2500, seed=seed * 104729),
        )
        found += [assemble(source) for source in sources]
    return found


@dataclass(frozen=True)
class Live:
    """A run under a pager. accesses: as recorded from the beams of the same run."""

    load: Load
    statistics: PagingStatistics
    seconds: float


def run_programs(frames: int | None, slice_ticks: int) -> Live:
    """All programs to their ends, in turn, a slice each, on the fast engine with pages of 4 KiB. frames: None for all
    memory in the engines.

    An access is a load or store, those following one another in the same page of a machine counted once.
    """
    machines = [FastMachine(Trace.BEAMS) for _ in programs()]
    pager = Pager(PageStore.in_ram(LEAF_BYTES), frames) if frames else None
    hosts = [
        Host(machine, image, allocation_limit=1 << 30, pager=pager)
        for machine, image in zip(machines, programs(), strict=True)
    ]
    running = list(range(len(hosts)))
    parts: list[tuple[int, bytes]] = []
    seconds = 0.0
    until = 0
    while running:
        until += slice_ticks
        for index in list(running):
            began = time.process_time()
            stop = hosts[index].run(until)
            seconds += time.process_time() - began
            parts.append((index, machines[index].drain_beams()))
            if stop.reason is not StopReason.TICK:
                assert stop.reason is StopReason.HALTED, machines[index].state().trap
                running.remove(index)
    pages, owners = zip(*((_pages_of(beams), index) for index, beams in parts), strict=True)
    load = Load("programs", np.repeat(np.array(owners, np.int64), [len(each) for each in pages]), np.concatenate(pages))
    return Live(load, pager.statistics() if pager else PagingStatistics(), seconds)


def _pages_of(beams: bytes) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    records = np.frombuffer(beams, _BEAM)
    numbers = records["aux"][np.isin(records["opcode"], _MEMORY_OPCODES)].astype(np.int64) >> LEAF_BITS
    if not len(numbers):
        return numbers
    return numbers[np.concatenate([[True], numbers[1:] != numbers[:-1]])]
