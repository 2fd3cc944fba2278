"""Lineage against a forward slicer that carries everything along."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from random import Random

import pytest
from tests.lineage.control_slicer import ControlSlicer
from tests.lineage.forward_slicer import ForwardSlicer, Taint

from vac.assembler.assemble import assemble
from vac.checkpoint.memory_map import MemoryMap
from vac.checkpoint.point import Point
from vac.history.history import History
from vac.host.input_log import Entry
from vac.image.image import Image, Window
from vac.isa.ports import SYSTEM_CALLS
from vac.lineage.errors import LineageError
from vac.lineage.lineage import Lineage
from vac.lineage.places import ANSWER, CONTROL, CORE, MEMORY, WINDOW
from vac.lineage.slicer import Options, why
from vac.machine.protocol import Answer, Event, EventKind, StopReason
from vac.machine.state import State
from vac.randomised.program import random_program
from vac.randomised.restless import restless_image

FAT, THIN = Options(), Options(addresses=False)


class Run:
    """A run on the watched model, and what was asked of it at some ticks."""

    def __init__(self, image: Image, log: list[Entry], origin: Point) -> None:
        self.image = image
        self.log = log
        self.origin = origin
        self.asked: list[tuple[int, str, Taint]] = []
        self.ticks = 0

    def history(self) -> History:
        return History(self.image, self.log, origin=self.origin)

    def ask(self, machine: ForwardSlicer, state: State, draw: Random) -> None:
        kind = draw.choice(("stack", "local", "mem", "mem", "window", "return"))
        tick = state.tick
        if kind == "stack" and state.sp:
            number = draw.randrange(state.sp)
            self.asked.append((tick, f"stack:{number}", machine.cell(state.sp - 1 - number)))
        elif kind == "local" and state.rp > state.fp:
            number = draw.randrange(state.rp - state.fp)
            self.asked.append((tick, f"local:{number}", machine.cell(64 + state.fp + number)))
        elif kind == "return":
            number = draw.randrange(min(192, state.rp + 8))
            self.asked.append((tick, f"return:{number}", machine.cell(64 + number)))
        elif kind == "window":
            number = draw.randrange(17)
            self.asked.append((tick, f"window:{number}", machine.window(number)))
        elif kind == "mem" and machine.bytes:
            slot, offset = draw.choice(list(machine.bytes))
            length = draw.choice((1, 2, 4, 7))
            taint = machine.byte(slot, offset)
            for index in range(1, length):
                taint = taint.merged(machine.byte(slot, offset + index))
            self.asked.append((tick, f"mem:{slot}:{offset}:{length}", taint))


@cache
def hosted_run(seed: int, with_control: bool = False) -> Run:
    program, draw = random_program(seed, 60 if with_control else None), Random(seed)
    machine = ControlSlicer(program.image) if with_control else ForwardSlicer()
    host = program.host(machine)
    origin = Point(State.initial(program.image), MemoryMap.of_segments(host.memory.segments))
    run = Run(program.image, host.input_log.entries, origin)
    stop = StopReason.TICK
    while stop is StopReason.TICK and machine._state.tick < 2500:
        before, answered = machine._state.tick, len(run.log)
        stop = host.run(before + 1).reason
        after = machine._state.tick
        if after > before and draw.random() < (0.3 if len(run.log) > answered else 0.03):
            run.asked.append((before, "instruction", machine.used))
        if draw.random() < 0.1 or stop is not StopReason.TICK:
            run.ask(machine, machine._state, draw)
    run.ticks = machine._state.tick
    return run


def _random_answer(draw: Random, event: Event, image: Image) -> Answer:
    value = draw.choice((0, 1, 65, 0xFFFFFFFF, draw.getrandbits(32)))
    if event.kind is not EventKind.SYSTEM_CALL:
        return Answer(value, refused=draw.random() < 0.2)
    windows = dict(image.windows)
    writes, grants = [], []
    slot = windows[draw.choice(list(windows))].slot
    if draw.random() < 0.6:
        # Also into the code, which goes on as other instructions.
        writes.append((slot, draw.randrange(200), draw.randbytes(draw.randrange(1, 9))))
    if draw.random() < 0.4:
        index = draw.randrange(16)
        grants.append((index, Window(slot, 4 * draw.randrange(8), 128, 3)))
    return Answer(value, windows=tuple(grants), writes=tuple(writes))


@cache
def restless_run(seed: int) -> Run:
    """Programs that rewrite themselves, under a host that grants and writes at random, until they trap."""
    image, draw = restless_image(seed, has_labels=seed % 2 == 0), Random(seed)
    machine = ForwardSlicer()
    machine.load(image)
    run = Run(image, [], Point.initial(image))
    while machine._state.tick < 1500:
        before = machine._state.tick
        stop = machine.run(before + 1)
        if stop.event:
            answer = _random_answer(draw, stop.event, image)
            run.log.append(Entry(stop.event.tick, stop.event.kind, stop.event.number, answer))
            machine.answer(answer)
        elif stop.reason is not StopReason.TICK:
            break
        if machine._state.tick > before and draw.random() < 0.1:
            run.asked.append((before, "instruction", machine.used))
        for _ in range(2):
            run.ask(machine, machine._state, draw)
    run.ticks = machine._state.tick
    return run


def leaves_of(lineage: Lineage) -> set[tuple[object, ...]]:
    """What the run did not make, as the forward slicer names it."""
    found: set[tuple[object, ...]] = set()
    for index in range(lineage.writes, lineage.root):
        place, length = lineage.place_of(index)
        if CONTROL <= place < ANSWER:
            continue
        if place >= CORE:
            found.add(("register", place - CORE))
        elif place >= ANSWER:
            found.add(("input", place - ANSWER))
        elif place >= MEMORY:
            slot, offset = place >> 32 & 0xFF, place & 0xFFFFFFFF
            found |= {("memory", slot, offset + each) for each in range(length)}
        elif place >= WINDOW:
            found.add(("window", place - WINDOW))
        else:
            found.add(("cell", place))
    return found


def reached_nodes(lineage: Lineage) -> set[int]:
    """From the target along the edges, each of which must go back in time."""
    found, waiting = {lineage.root}, [lineage.root]
    while waiting:
        index = waiting.pop()
        for source, _ in lineage.sources(index):
            assert source >= lineage.writes or index == lineage.root or source < index
            if source not in found:
                found.add(source)
                waiting.append(source)
    return found


def assert_equal(
    run: Run, tick: int, target: str, taint: Taint, history: History, options: tuple[Options, Options] = (FAT, THIN)
) -> None:
    parts = (taint.ticks, taint.leaves), (taint.thin_ticks, taint.thin_leaves)
    for each, (ticks, leaves) in zip(options, parts, strict=True):
        lineage = why(history, target, tick, each)
        expected = {index for index in range(run.ticks + 1) if ticks >> index & 1}
        assert set(lineage.ticks.tolist()) == expected, (tick, target, each)
        assert leaves_of(lineage) == leaves, (tick, target, each)
        assert reached_nodes(lineage) == set(range(lineage.nodes)), (tick, target, each)


@pytest.mark.parametrize("seed", range(16))
def test_random_programs(seed: int) -> None:
    run = hosted_run(seed)
    draw, history = Random(seed), run.history()
    assert run.ticks > 20
    for tick, target, taint in draw.sample(run.asked, min(12, len(run.asked))):
        assert_equal(run, tick, target, taint, history)


@pytest.mark.parametrize("seed", range(10))
def test_decisions(seed: int) -> None:
    run = hosted_run(seed, with_control=True)
    draw, history = Random(seed), run.history()
    options = Options(control=True), Options(control=True, addresses=False)
    for tick, target, taint in draw.sample(run.asked, min(8, len(run.asked))):
        assert_equal(run, tick, target, taint, history, options)


def test_decisions_over_short_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vac.lineage.slicer._SPANS", (3, 29))
    options = Options(control=True), Options(control=True, addresses=False)
    for seed in (1, 4):
        run = hosted_run(seed, with_control=True)
        history = run.history()
        for tick, target, taint in Random(seed).sample(run.asked, 2):
            assert_equal(run, tick, target, taint, history, options)


CALLED_TWICE = """
.frame 2
        li      l0, 2
again:  call    body, 2
        djnz    l0, again
        halt
body:   li      l0, 2
turn:   addi    l1, l0, 5           # in its first turn the call decides, whatever an earlier call left
        djnz    l0, turn
        ret
"""


def test_decisions_of_an_earlier_call_do_not_count() -> None:
    image = assemble(CALLED_TWICE)
    machine = ControlSlicer(image)
    machine.load(image)
    run = Run(image, [], Point.initial(image))
    asked: list[tuple[int, str, Taint]] = []
    while machine.run(machine._state.tick + 1).reason is StopReason.TICK:
        if machine._state.fp:
            asked.append((machine._state.tick, "local:1", machine.cell(64 + machine._state.fp + 1)))
    run.ticks = machine._state.tick
    history = run.history()
    for tick, target, taint in asked:
        assert_equal(run, tick, target, taint, history, (Options(control=True), Options(control=True, addresses=False)))


def test_decisions_need_code_that_stays() -> None:
    run = restless_run(2)
    with pytest.raises(LineageError, match="write its own code"):
        why(run.history(), "return:0", 1, Options(control=True))


@pytest.mark.parametrize("seed", range(24))
def test_programs_that_rewrite_themselves(seed: int) -> None:
    run = restless_run(seed)
    draw, history = Random(seed), run.history()
    for tick, target, taint in draw.sample(run.asked, min(10, len(run.asked))):
        assert_equal(run, tick, target, taint, history)


PATCHES = """
.frame 8
        li      l0, 9
        li      l1, 100
        li      l2, 200
        lit32   0x20000000 + patched + 1
        set5
again:
patched: sub3   l3, l1, l2
        ld8u    l6, l5
        xori    l6, l6, 0x30        # the operand l1 becomes l2, and back
        st8     l5, l6
        addi    l2, l2, 3
        xor3    l4, l4, l3
        djnz    l0, again
        halt
"""


def test_an_instruction_that_is_patched_in_every_round() -> None:
    image = assemble(PATCHES)
    image = replace(image, windows=((0, Window(1, 0, 64, 3)), (2, Window(0, 0, image.code_length, 3))))
    machine = ForwardSlicer()
    machine.load(image)
    run = Run(image, [], Point.initial(image))
    asked: list[tuple[int, str, Taint]] = []
    while machine.run(machine._state.tick + 1).reason is StopReason.TICK:
        asked += [(machine._state.tick, f"local:{number}", machine.cell(64 + number)) for number in (3, 4)]
    run.ticks = machine._state.tick
    history = run.history()
    for tick, target, taint in asked[5::7]:
        assert_equal(run, tick, target, taint, history)


def test_the_random_runs_have_everything_in_them() -> None:
    """The tests above show nothing of what does not happen in them."""
    runs = [*map(hosted_run, range(16)), *map(restless_run, range(24))]
    kinds = {leaf[0] for run in runs for _, _, taint in run.asked for leaf in taint.leaves}
    assert kinds == {"cell", "window", "memory", "input", "register"}
    longest = max(taint.ticks.bit_count() for run in runs for _, _, taint in run.asked)
    assert longest > 300
    calls = {entry.number for run in runs for entry in run.log if entry.kind is EventKind.SYSTEM_CALL}
    assert calls == set(range(len(SYSTEM_CALLS)))
    assert any(entry.answer.windows for run in runs for entry in run.log)
    assert any(entry.answer.writes for run in runs for entry in run.log)
    assert sum(run.ticks for run in runs) > 15000


def test_short_spans_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is open is handed from span to span."""
    monkeypatch.setattr("vac.lineage.slicer._SPANS", (3, 17))
    monkeypatch.setattr("vac.lineage.slicer._SELF_CHANGING_SPAN", 5)
    for seed in (1, 2, 5):
        run = hosted_run(seed)
        history = run.history()
        for tick, target, taint in Random(seed).sample(run.asked, 4):
            assert_equal(run, tick, target, taint, history)
    for seed in (2, 4, 9):
        run = restless_run(seed)
        for tick, target, taint in Random(seed).sample(run.asked, min(6, len(run.asked))):
            assert_equal(run, tick, target, taint, run.history())


def test_since_leaves_the_rest_open() -> None:
    run = hosted_run(3)
    tick, target, _ = max(run.asked, key=lambda each: each[2].ticks.bit_count())
    since = tick // 2
    lineage = why(run.history(), target, tick, Options(since=since))
    whole = why(run.history(), target, tick)
    assert lineage.end == since and lineage.writes < whole.writes
    assert set(lineage.ticks.tolist()) == {each for each in whole.ticks.tolist() if each >= since}


def test_another_engine_gives_the_same() -> None:
    run = hosted_run(7)
    golden = History(run.image, run.log, origin=run.origin, engine="golden")
    for tick, target, taint in run.asked[-3:]:
        assert_equal(run, tick, target, taint, golden)
