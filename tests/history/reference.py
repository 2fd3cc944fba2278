"""A run on the golden model with everything about every tick written down: what a history has to give back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from random import Random

from vac.assembler.assemble import assemble
from vac.checkpoint.memory_map import MemoryMap, place_of
from vac.checkpoint.point import Point
from vac.commitment.state_root import StateCommitment
from vac.golden.model import GoldenMachine
from vac.host.input_log import Entry
from vac.image.image import Image, Window
from vac.isa.instruction import Instruction
from vac.machine.protocol import Answer, Event, EventKind, Leaf, Stop, StopReason
from vac.machine.state import State
from vac.randomised.program import random_program
from vac.randomised.restless import restless_image


@dataclass(frozen=True)
class Store:
    tick: int
    slot: int
    offset: int
    length: int


class NotingMachine(GoldenMachine):
    """Writes down where each store goes, before it is known whether it traps."""

    def __init__(self) -> None:
        super().__init__()
        self.stores: list[Store] = []

    def _execute_store(self, row: Instruction, word: int, a: int, b: int, labels: int) -> int:
        address = super()._execute_store(row, word, a, b, labels)
        window, _ = self._effective(row, word, a, 0)
        assert row.access
        self.stores.append(Store(self._state.tick, window.slot, address, row.access.size))
        return address


@dataclass
class Reference:
    image: Image
    log: list[Entry] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    """By tick; after a trap the state after it."""
    roots: list[bytes] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    """In order, those of the answers too."""
    beams: bytes = b""
    reason: StopReason = StopReason.TICK
    origin: Point | None = None

    def last_store(self, slot: int, offset: int, length: int, before: int) -> Store | None:
        found = [s for s in self.stores if s.tick < before and _overlaps(s, slot, offset, length)]
        return found[-1] if found else None

    def first_store(self, slot: int, offset: int, length: int, first: int) -> Store | None:
        found = [s for s in self.stores if s.tick >= first and _overlaps(s, slot, offset, length)]
        return found[0] if found else None


def _overlaps(store: Store, slot: int, offset: int, length: int) -> bool:
    return store.slot == slot and store.offset < offset + length and offset < store.offset + store.length


def _random_answer(draw: Random, event: Event, image: Image) -> Answer:
    value = draw.choice((0, 1, 65, 0xFFFFFFFF, draw.getrandbits(32)))
    if event.kind is EventKind.SYSTEM_CALL and draw.random() < 0.5:
        slot = dict(image.windows)[1].slot if 1 in dict(image.windows) else 0
        if slot:
            return Answer(value, writes=((slot, draw.randrange(64), draw.randbytes(draw.randrange(1, 9))),))
    return Answer(value, refused=draw.random() < 0.2)


@cache
def reference_run(seed: int, ticks: int = 1500) -> Reference:
    """Random programs built to end, under their own host; every fourth one a restless one that soon traps, some of
    those with labels, under a host that answers at random."""
    if seed % 4 == 3:
        return _restless_run(seed, ticks)
    program = random_program(seed)
    machine, commitment = NotingMachine(), StateCommitment()
    host = program.host(machine)
    for key, leaf in MemoryMap.of_segments(host.memory.segments).items():
        commitment.put(*place_of(key), leaf)
    run = Reference(program.image, host.input_log.entries)
    run.origin = Point(machine.state(), MemoryMap.of_segments(host.memory.segments))
    stop = Stop(StopReason.TICK)
    while True:
        run.states.append(machine.state())
        run.roots.append(commitment.take(machine))
        if stop.reason is not StopReason.TICK or len(run.states) > ticks:
            break
        answered, tick = len(run.log), machine.state().tick
        stop = host.run(tick + 1)
        for entry in run.log[answered:]:
            machine.stores += [Store(tick, slot, at, len(data)) for slot, at, data in entry.answer.writes if data]
    run.stores, run.beams, run.reason = machine.stores, machine.drain_beams(), stop.reason
    return run


CROSSING = """
.frame 8
        let     l0, 250
        let     l1, 12345
        let     l7, 1103515245
again:  mul3    l1, l1, l7
        addi    l1, l1, 57
        shrui   l2, l1, 16
        andi    l3, l2, 60
        shrui   l2, l2, 6
        andi    l4, l2, 1
        shli    l4, l4, 28
        add3    l3, l3, l4
        shrui   l2, l2, 1
        andi    l4, l2, 7
        bnz     l4, word
        st8o    l3, l1, 2
        djnz    l0, again
        halt
word:   st32    l3, l1
        djnz    l0, again
        halt
"""


@cache
def crossing_run() -> Reference:
    """Stores at the same offsets of two shard slots, through windows of equal bounds."""
    image = replace(assemble(CROSSING), windows=((0, Window(1, 0, 128, 3)), (1, Window(2, 0, 128, 3))))
    return _restless_run_of(image, 0, 5000)


@cache
def _restless_run(seed: int, ticks: int) -> Reference:
    return _restless_run_of(restless_image(seed, has_labels=seed % 3 == 2), seed, ticks)


def _restless_run_of(image: Image, seed: int, ticks: int) -> Reference:
    run, draw = Reference(image), Random(seed)
    machine, commitment = NotingMachine(), StateCommitment()
    machine.load(image)
    while True:
        state = machine.state()
        run.states.append(state)
        run.roots.append(commitment.take(machine))
        if state.tick == ticks:
            break
        stop = machine.run(state.tick + 1)
        while stop.reason in (StopReason.EVENT, StopReason.PAGE_MISS):
            if stop.miss:
                machine.install(stop.miss.slot, stop.miss.number, Leaf(bytes(4096)))
            else:
                assert stop.event
                answer = _random_answer(draw, stop.event, image)
                run.log.append(Entry(stop.event.tick, stop.event.kind, stop.event.number, answer))
                machine.stores += [Store(state.tick, slot, at, len(data)) for slot, at, data in answer.writes]
                machine.answer(answer)
            stop = machine.run(state.tick + 1)
        if stop.reason is not StopReason.TICK:
            run.reason = stop.reason
            # A halt retires; a trap does not, and has a place of its own.
            run.states.append(machine.state())
            run.roots.append(commitment.take(machine))
            break
    run.stores, run.beams = machine.stores, machine.drain_beams()
    return run
