"""Programs that say by their beams and state whether anything went wrong, and what they do alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from vac.assembler.assemble import assemble
from vac.engines.registry import create_machine
from vac.host.session import Host
from vac.image.image import Image
from vac.scheduler.virtual_machine import VirtualMachine

MIX = """
# Draws random words, stores them, emits some, and asks the host now and then.
.memory 8192
.frame 5
.local state, other, left, pointer, sum
        let state, {seed}
        let left, {rounds}
        li sum, 0
again:  shli other, state, 13
        xor3 state, state, other
        shrui other, state, 17
        xor3 state, state, other
        shli other, state, 5
        xor3 state, state, other
        let pointer, 0x1ffc
        and3 pointer, pointer, state
        ld32 other, pointer
        add3 sum, sum, other
        st32 pointer, state
        djnz left, again
        sys SYS_ENTROPY_PROBE
        add3 sum, sum, s
        push sum
        halt
"""

LABELLED = """
# Joins label sets, stores what carries them among three leaves, and loads what others have left there.
.labels
.memory 12288
.frame 5
.local state, other, left, pointer, step
        let state, {seed}
        let left, 25
        let step, 4096
        get left; get state; join; set other
again:  shli other, state, 13
        xor3 state, state, other
        shrui other, state, 17
        xor3 state, state, other
        let pointer, 0x1ffc
        and3 pointer, pointer, state
        get other; get left; join; set other
        st32 pointer, other
        ld32 other, pointer
        add3 pointer, pointer, step
        ld32 other, pointer
        add3 state, state, other
        djnz left, again
        get state
        emit
        halt
"""

CALM = """
.frame 1
.local left
again:  let left, 1000000
loop:   djnz left, loop
        jmp again
"""

ERRATIC = (
    """
# Branches by random bits and emits random words: the lowest score that a program comes to without being refused.
.frame 3
.local state, other, bit
        let state, 2463534242
again:  shli other, state, 13
        xor3 state, state, other
        shrui other, state, 17
        xor3 state, state, other
        shli other, state, 5
        xor3 state, state, other
        get state
        emit
"""
    + "".join(f"        andi bit, state, {1 << bit}\n        beqi bit, on{bit}, 0\non{bit}:\n" for bit in range(7))
    + """
        jmp again
"""
)

TALKER = """
# Asks the host ten times, with a loop in between.
.frame 3
.local left, inner, sum
        let left, 10
        li sum, 0
again:  sys SYS_ENTROPY_PROBE
        add3 sum, sum, s
        let inner, 20
loop:   djnz inner, loop
        djnz left, again
        push sum
        halt
"""

TOUCHER = """
# Adds up and rewrites one word in each of so many leaves, again and again.
.memory {bytes}
.frame 5
.local pointer, left, rounds, sum, step
        let step, 4096
        let rounds, 20
        li sum, 0
again:  li pointer, 0
        let left, {leaves}
touch:  ld32 s, pointer
        add3 sum, sum, s
        addi sum, sum, 7
        st32 pointer, sum
        add3 pointer, pointer, step
        djnz left, touch
        djnz rounds, again
        push sum
        halt
"""


@cache
def mix(seed: int, rounds: int = 40) -> Image:
    """Ends after about 12 * rounds ticks."""
    return assemble(MIX.format(seed=2 * seed + 1, rounds=rounds))


@cache
def toucher(leaves: int) -> Image:
    """Goes round so many leaves of 4 KiB, 20 times."""
    return assemble(TOUCHER.format(leaves=leaves, bytes=4096 * leaves))


@dataclass(frozen=True)
class Outcome:
    """What must not depend on others."""

    beams: bytes
    state: str
    leaves: tuple[bytes, ...]
    output: tuple[object, ...]


def outcome_of(host: Host, beams: bytes) -> Outcome:
    machine = host.machine
    memory = tuple(host.memory.leaf(slot, number).data for slot, number in ((1, 0), (1, 1)))
    state = machine.state()
    state.cells[state.sp : 64] = state.labels[state.sp : 64] = [0] * (64 - state.sp)  # not part of the state
    return Outcome(beams, repr(state), memory, tuple(host.input_log.entries))


@cache
def alone(seed: int, rounds: int = 40, ticks: int = 1 << 40) -> Outcome:
    machine = create_machine("golden")
    host = Host(machine, mix(seed, rounds), seed=seed)
    host.run(ticks)
    return outcome_of(host, machine.drain_beams())


def among(vm: VirtualMachine) -> Outcome:
    return outcome_of(vm.host, vm.take_beams())
