"""Two engines driven through the same run by a random host: stops, answers, evictions, hand-overs.

The host disturbs the engine under test in ways that must not show: it evicts leaves behind its back, replaces it in
mid-run by another machine that takes over its state, and lets the reference take over as well.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from ..commitment.state_root import StateCommitment
from ..image.image import Image, Window
from ..isa.beam import Beam
from ..isa.limits import CODE_SLOT, LEAF_BITS, LEAF_BYTES
from ..isa.traps import Trap
from ..jit.machine import JitMachine
from ..machine.protocol import Answer, Leaf, Machine, Stop, StopReason
from ..machine.state import State, Status
from ..randomised.operands import random_cell


class Mismatch(AssertionError):
    """The engines disagree; the message names seed, tick and what differs."""


@dataclass
class Coverage:
    """What a campaign met."""

    ticks: int = 0
    stops: dict[StopReason, int] = field(default_factory=dict)
    traps: dict[Trap, int] = field(default_factory=dict)
    opcodes: set[int] = field(default_factory=set)
    trapped: set[tuple[int, Trap]] = field(default_factory=set)
    """Opcodes that trapped, and how."""
    evictions: int = 0
    hand_overs: int = 0
    roots: int = 0
    compiled_ticks: int = 0

    def add(self, other: Coverage) -> None:
        """Takes the other's counts in."""
        self.ticks += other.ticks
        self.evictions += other.evictions
        self.hand_overs += other.hand_overs
        self.roots += other.roots
        self.compiled_ticks += other.compiled_ticks
        self.trapped |= other.trapped
        self.opcodes |= other.opcodes
        for mine, theirs in ((self.stops, other.stops), (self.traps, other.traps)):
            for key, count in theirs.items():
                mine[key] = mine.get(key, 0) + count  # pyright: ignore[reportArgumentType, reportCallIssue]


class Lockstep:
    """One image on a reference engine and on an engine under test.

    reference, subject: make a machine. has_beams: compare beams and digest too.
    """

    def __init__(
        self,
        image: Image,
        seed: int,
        reference: Callable[[], Machine],
        subject: Callable[[], Machine],
        has_beams: bool = True,
    ) -> None:
        self.draw = random.Random(seed ^ 0x5EED)
        self.name = f"{image.name}, host seed {seed}"
        self.make_reference, self.make_subject = reference, subject
        self.reference, self.subject = reference(), subject()
        self.has_beams = has_beams
        self.coverage = Coverage()
        self.commitment = StateCommitment()
        self.aside: dict[tuple[int, int], Leaf] = {}
        """Leaves that were evicted from the engine under test."""
        self.reference.load(image)
        self.subject.load(image)

    def fail(self, what: str) -> Mismatch:
        state = self.reference.state()
        return Mismatch(f"{self.name}: at tick {state.tick}, pc {state.pc:#x}: {what}")

    def run(self, ticks: int) -> Coverage:
        """Goes on for so many ticks, or until the program can no longer be kept going. Raises Mismatch."""
        end = self.reference.state().tick + ticks
        rounds = 0
        while self.reference.state().tick < end and rounds < 20 + ticks // 4:
            rounds += 1
            self.disturb()
            tick = self.reference.state().tick
            span = self.draw.choice((1, 2, 3, 10, 50, 300, 1000))
            stop = self.step(min(end, tick + span))
            self.compare()
            self.respond(stop)
            if stop.event:
                self.compare()
        self.bring_back()
        self.compare(is_final=True)
        self.retire(self.subject)
        self.coverage.ticks = self.reference.state().tick
        return self.coverage

    def step(self, until: int) -> Stop:
        """Both engines run until then; misses that only the evictions made are served."""
        expected = self.reference.run(until)
        while True:
            found = self.subject.run(until)
            miss = found.miss
            if miss is None or (miss.slot, miss.number) not in self.aside:
                break
            self.subject.install(miss.slot, miss.number, self.aside.pop((miss.slot, miss.number)))
        if found != expected:
            raise self.fail(f"stops differ: {expected} / {found}")
        self.coverage.stops[expected.reason] = self.coverage.stops.get(expected.reason, 0) + 1
        return expected

    def compare(self, is_final: bool = False) -> None:
        """States and beams; at the end and now and then memory as well. Raises Mismatch."""
        expected, found = self.reference.state(), self.subject.state()
        if not self.has_beams:
            if found.digest is not None:
                raise self.fail("a digest from an engine that makes no beams")
            expected.digest = None
        differences = expected.differences(found)
        if self.has_beams:
            beams, theirs = self.reference.drain_beams(), self.subject.drain_beams()
            self.coverage.opcodes.update(beams[4::16])
            if beams != theirs:
                raise self.fail(_beam_difference(beams, theirs))
        if differences:
            raise self.fail("; ".join(differences))
        if is_final or self.draw.random() < 0.05:
            self.compare_memory()

    def compare_memory(self) -> None:
        mine = set(self.reference.leaves())
        theirs = set(self.subject.leaves()) | set(self.aside)
        if mine != theirs:
            raise self.fail(f"resident leaves differ: {sorted(mine ^ theirs)}")
        for key in mine:
            expected = self.reference.read_leaf(*key)
            found = self.aside.get(key) or self.subject.read_leaf(*key)
            if expected != found:
                where = [i for i, (a, b) in enumerate(zip(expected.data, found.data, strict=True)) if a != b][:8]
                raise self.fail(f"leaf {key} differs at {where}, labels {expected.labels:#x} / {found.labels:#x}")
        if not self.aside:
            self.compare_roots()

    def compare_roots(self) -> None:
        """The root of everything, from what changed since the last one where an engine keeps count of that."""
        expected, found = StateCommitment().take(self.reference), self.commitment.take(self.subject)
        if expected != found:
            raise self.fail(f"state roots differ: {expected.hex()} / {found.hex()}")
        self.coverage.roots += 1

    def disturb(self) -> None:
        """Now and then something that must not show."""
        chance = self.draw.random()
        if chance < 0.15:
            resident = self.subject.leaves()
            for key in self.draw.sample(resident, min(len(resident), self.draw.randint(1, 3))):
                self.aside[key] = self.subject.evict(*key)
                self.coverage.evictions += 1
        elif chance < 0.19:
            self.retire(self.subject)
            self.subject = self.hand_over(self.subject, self.make_subject())
            self.commitment = StateCommitment()
        elif chance < 0.20:
            self.reference = self.hand_over(self.reference, self.make_reference())
        elif chance < 0.21 and self.has_beams:
            self.swap()

    def hand_over(self, old: Machine, new: Machine) -> Machine:
        new.set_state(old.state())
        for key in old.leaves():
            new.install(*key, old.read_leaf(*key))
        self.coverage.hand_overs += 1
        return new

    def bring_back(self) -> None:
        """Every leaf that was evicted."""
        while self.aside:
            key, leaf = self.aside.popitem()
            self.subject.install(*key, leaf)

    def retire(self, machine: Machine) -> None:
        self.coverage.compiled_ticks += machine.compiled_ticks if isinstance(machine, JitMachine) else 0

    def swap(self) -> None:
        """Each engine goes on with what the other has done."""
        self.bring_back()
        self.retire(self.subject)
        self.commitment = StateCommitment()
        reference = self.hand_over(self.subject, self.make_reference())
        self.subject = self.hand_over(self.reference, self.make_subject())
        self.reference = reference

    def respond(self, stop: Stop) -> None:
        """Whatever a stop asks for, the same to both engines; a machine that ended is set going again."""
        if stop.reason is StopReason.EVENT:
            answer = self.make_answer()
            self.serve_writes(answer)
            self.reference.answer(answer)
            self.subject.answer(answer)
        elif stop.miss:
            leaf = Leaf(self.draw.randbytes(4096))
            self.reference.install(stop.miss.slot, stop.miss.number, leaf)
            self.subject.install(stop.miss.slot, stop.miss.number, leaf)
        elif stop.reason in (StopReason.HALTED, StopReason.TRAPPED):
            self.revive()

    def serve_writes(self, answer: Answer) -> None:
        for slot, offset, data in answer.writes:
            for number in range(offset >> 12, (offset + len(data) - 1 >> 12) + 1):
                if (slot, number) in self.aside:
                    self.subject.install(slot, number, self.aside.pop((slot, number)))

    def make_answer(self) -> Answer:
        draw = self.draw
        value = random_cell(draw)
        if draw.random() < 0.05:
            return Answer(trap=Trap.DENIED)
        writes: tuple[tuple[int, int, bytes], ...] = ()
        if draw.random() < 0.3:
            offset, data = draw.randrange(8192), draw.randbytes(draw.randint(1, 40))
            there = set(self.reference.leaves())
            if {(1, offset >> LEAF_BITS), (1, offset + len(data) - 1 >> LEAF_BITS)} <= there:
                writes = ((1, offset, data),)
        windows: tuple[tuple[int, Window], ...] = ()
        if draw.random() < 0.3:
            window = Window(1, 4 * draw.randrange(512), draw.randrange(4096), draw.randrange(1, 4))
            windows = ((draw.choice((3, 4, 5, 9)), window),)
        return Answer(value, draw.random() < 0.2, Trap.NONE, windows, writes)

    def note_trap(self, state: State) -> None:
        key = (CODE_SLOT, state.pc >> LEAF_BITS)
        if state.pc < state.code_length and key in self.reference.leaves():
            opcode = self.reference.read_leaf(*key).data[state.pc % LEAF_BYTES]
            self.coverage.trapped.add((opcode, state.trap))

    def revive(self) -> None:
        """Both go on behind the instruction that ended the run, with a few cells on the stack."""
        state = self.reference.state()
        if state.trap:
            self.coverage.traps[state.trap] = self.coverage.traps.get(state.trap, 0) + 1
            self.note_trap(state)
        if not self.has_beams:
            state.digest = None
        state.status, state.trap = Status.RUNNING, Trap.NONE
        state.pc = (state.pc + self.draw.randint(1, 5)) if state.pc < state.code_length else 0
        if state.sp < 4 or state.sp > 50:
            state.sp = 8
        if state.rp > 150 or state.rp < 15 or state.fp == 0 or self.draw.random() < 0.5:
            state.fp, state.rp = 0, 15
        for local in range(3):
            state.cells[64 + state.fp + local] = local << 28 | 4 * self.draw.randrange(64)
        digest = self.reference.state().digest
        self.subject.set_state(state)
        state.digest = digest
        self.reference.set_state(state)


def _beam_difference(expected: bytes, found: bytes) -> str:
    for start in range(0, max(len(expected), len(found)), 16):
        mine, theirs = expected[start : start + 16], found[start : start + 16]
        if mine != theirs:
            shown = [str(Beam.unpack(part)) if len(part) == 16 else "none" for part in (mine, theirs)]
            return f"beam {start // 16} of this span: {shown[0]} / {shown[1]}"
    return "equal beams"
