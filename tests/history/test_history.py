"""Time travel against a run of which every tick was written down."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from tests.history.reference import Reference, crossing_run, reference_run

from vac.assembler.assemble import assemble
from vac.devices.console import Console
from vac.engines.registry import create_machine
from vac.history.conditions import AnyOf, AtPc, AtTick, Ended, Flagged, Holds, Requested, Written
from vac.history.errors import HistoryError
from vac.history.history import History
from vac.history.timeline import Limits
from vac.host.input_log import ReplayError
from vac.host.session import Host
from vac.isa.beam import BeamFlag
from vac.machine.protocol import EventKind, StopReason

TIGHT = Limits(share=1.0, points=6, memory_bytes=1 << 18, widest_gap=64)
"""So few points that they are thinned out all the time."""
SEEDS = range(8)


def history_of(run: Reference, engine: str = "fast", limits: Limits | None = None) -> History:
    history = History(
        run.image, run.log, origin=run.origin, engine=engine, limits=limits, last_tick=len(run.states) - 1
    )
    history.timeline.spacing = 16 if limits else history.timeline.spacing
    return history


def check_cursor(history: History, run: Reference, tick: int) -> None:
    assert history.tick == tick
    assert history.state.differences(run.states[tick]) == []
    assert history.root() == run.roots[tick]
    assert history.position == sum(entry.tick < tick for entry in run.log)


@pytest.mark.parametrize("engine", ["fast", "golden", "jit"])
@pytest.mark.parametrize("limits", [None, TIGHT])
def test_any_tick_in_any_order(engine: str, limits: Limits | None) -> None:
    for seed in SEEDS:
        run, draw = reference_run(seed), Random(seed)
        history = history_of(run, engine, limits)
        for _ in range(15):
            tick = draw.randrange(len(run.states))
            history.seek(tick)
            check_cursor(history, run, tick)
            if tick and draw.random() < 0.5:
                history.step_back()
                check_cursor(history, run, tick - 1)
        history.end()
        check_cursor(history, run, len(run.states) - 1)
        assert history.reason is run.reason


def test_every_tick_backwards() -> None:
    run = reference_run(1)
    history = history_of(run, limits=TIGHT)
    history.end()
    for tick in range(len(run.states) - 2, -1, -1):
        history.step_back()
        check_cursor(history, run, tick)
    history.step_back()
    assert history.tick == 0


def test_beams_are_made_again() -> None:
    run, draw = reference_run(1), Random(1)
    history = history_of(run)
    total = len(run.beams) // 16
    for _ in range(20):
        first = draw.randrange(total)
        last = draw.randrange(first, total)
        parts = [np.array(beams).tobytes() for _, beams in history.beams(first, last)]
        assert b"".join(parts) == run.beams[16 * first : 16 * last]


@pytest.mark.parametrize("limits", [None, TIGHT])
def test_who_wrote_is_what_a_linear_scan_finds(limits: Limits | None) -> None:
    found_something = 0
    for run in (crossing_run(), *map(reference_run, SEEDS)):
        draw = Random(1)
        history = history_of(run, limits=limits)
        for store in draw.sample(run.stores, min(40, len(run.stores))):
            offset = max(0, store.offset + draw.randrange(-4, 5))
            length, before = draw.choice((1, 2, 4, 9)), draw.randrange(len(run.states))
            expected = run.last_store(store.slot, offset, length, before)
            history.seek(draw.randrange(len(run.states)))
            here = history.tick
            found = history.last_write(store.slot, offset, length, before)
            assert history.tick == here
            assert (found and (found.tick, found.slot, found.offset, found.length)) == (
                expected and (expected.tick, expected.slot, expected.offset, expected.length)
            )
            if found:
                found_something += 1
                assert found.pc == run.states[found.tick].pc
                history.seek(found.tick + 1)
                data = history.read(found.slot, found.offset, found.length)
                if found.value is not None:
                    assert int.from_bytes(data, "little") == found.value & (1 << 8 * found.length) - 1
                else:
                    assert found.entry and data in b"".join(part for _, _, part in found.entry.answer.writes)
    assert found_something > 40


def _linear(run: Reference, pc: int) -> list[int]:
    return [tick for tick, state in enumerate(run.states) if state.pc == pc]


def test_run_to_and_back_to_a_pc_are_what_a_linear_scan_finds() -> None:
    for seed in SEEDS:
        run, draw = reference_run(seed), Random(seed)
        history = history_of(run, limits=TIGHT)
        for _ in range(8):
            here = draw.randrange(len(run.states))
            pc = draw.choice(run.states).pc
            visits = _linear(run, pc)
            history.seek(here)
            later = [tick for tick in visits if tick > here]
            assert history.run_to(AtPc(pc)) is bool(later)
            assert history.tick == (later[0] if later else len(run.states) - 1)
            history.seek(here)
            earlier = [tick for tick in visits if tick < here]
            assert history.run_back_to(AtPc(pc)) is bool(earlier)
            assert history.tick == (earlier[-1] if earlier else 0)


def test_run_to_and_back_to_a_write() -> None:
    for run in (crossing_run(), *map(reference_run, SEEDS)):
        draw = Random(1)
        history = history_of(run, limits=TIGHT)
        for store in draw.sample(run.stores, min(6, len(run.stores))):
            here = draw.randrange(len(run.states))
            condition = Written(store.slot, store.offset, store.length)
            history.seek(here)
            expected = run.first_store(store.slot, store.offset, store.length, here)
            assert history.run_to(condition) is (expected is not None)
            assert history.tick == (expected.tick + 1 if expected else len(run.states) - 1)
            history.seek(here)
            earlier = run.last_store(store.slot, store.offset, store.length, here - 1) if here else None
            assert history.run_back_to(condition) is (earlier is not None)
            assert history.tick == (earlier.tick + 1 if earlier else 0)


def test_other_conditions() -> None:
    run = next(run for run in map(reference_run, range(40)) if len(run.log) > 3 and run.reason is not StopReason.TICK)
    history = history_of(run)
    last = len(run.states) - 1
    requests = [entry.tick for entry in run.log]
    for tick in requests:
        assert history.run_to(Requested())
        assert history.tick == tick
    assert history.run_to(Ended())
    assert history.tick == last
    for tick in reversed(requests):
        assert history.run_back_to(Requested())
        assert history.tick == tick
    history.seek(0)
    deep = next(tick for tick, state in enumerate(run.states) if tick and state.sp > 1)
    assert history.run_to(Holds(lambda history: history.state.sp > 1))
    assert history.tick == deep
    assert history.run_back_to(Holds(lambda history: history.state.sp == 0))
    assert history.tick == max(tick for tick in range(deep) if run.states[tick].sp == 0)
    history.seek(0)
    assert history.run_to(AnyOf(AtTick(90), AtTick(7), Ended()))
    assert history.tick == 7
    assert history.run_back_to(AnyOf(AtTick(1), AtTick(3)))
    assert history.tick == 3
    marked = np.flatnonzero(np.frombuffer(run.beams, np.uint8)[5::16] & BeamFlag.REFUSED)
    history.seek(0)
    assert history.run_to(Flagged(BeamFlag.REFUSED)) is bool(len(marked))


ECHO = """
again:  in 0
        set0
        beqi l0, end, -1
        addi s, l0, -32
        out 0
        jmp again
end:    halt
"""


def test_a_live_run_is_visited_while_it_goes_on_and_asks_nothing_twice() -> None:
    output = bytearray()
    image = assemble(ECHO)
    host = Host(create_machine("fast", keeps_beams=False), image, console=Console(b"hello", output.extend))
    history = History.following(host, image)
    history.seek(9)
    assert history.tick == 9
    seen = history.root()
    history.seek(2)
    history.seek(9)
    assert history.root() == seen
    history.end()
    assert history.reason is StopReason.HALTED
    assert output == b"HELLO"
    replayed = History(image, host.input_log.entries, engine="golden")
    replayed.end()
    assert replayed.root() == history.root()
    assert replayed.tick == history.tick == history.last_tick
    history.seek(9)
    assert history.root() == seen
    assert output == b"HELLO"


def test_a_live_run_asks_nothing_behind_the_place_where_it_stops() -> None:
    image = assemble(ECHO)
    host = Host(create_machine("fast", keeps_beams=False), image, console=Console(b"hello"))
    history = History.following(host, image)
    out = image.code.index(b"\x49\x00")  # `out 0`
    for count in range(1, 6):
        assert history.run_to(AtPc(out))
        assert history.state.pc == out
        assert len(host.input_log.entries) == 2 * count - 1
    assert not history.run_to(AtPc(out))
    assert history.reason is StopReason.HALTED
    assert history.run_back_to(AtPc(out))
    assert history.run_to(Ended())
    assert history.tick == history.last_tick


def test_the_requests_of_a_live_run() -> None:
    image = assemble(ECHO)
    host = Host(create_machine("fast", keeps_beams=False), image, console=Console(b"hello"))
    history = History.following(host, image)
    found: list[int] = []
    while history.run_to(AnyOf(Requested(EventKind.DEVICE_IN, 0), Ended())):
        found.append(history.tick)
        assert len(host.input_log.entries) == sum(entry.tick < history.tick for entry in host.input_log.entries)
    assert [0, *found[:-1]] == [entry.tick for entry in host.input_log.entries if entry.kind is EventKind.DEVICE_IN]


def test_a_recording_that_ends_at_a_request() -> None:
    image = assemble(ECHO)
    host = Host(create_machine("fast"), image, console=Console(b"hello"))
    host.run(1000)
    history = History(image, host.input_log.entries[:3])
    history.end()
    assert history.reason is StopReason.EVENT
    assert history.tick == host.input_log.entries[3].tick
    history.step_back()
    assert history.tick == host.input_log.entries[3].tick - 1


def test_a_log_of_another_program() -> None:
    host = Host(create_machine("fast"), assemble(ECHO), console=Console(b"hello"))
    host.run(1000)
    history = History(assemble("nop; in 1; halt"), host.input_log.entries)
    with pytest.raises(ReplayError, match="another image"):
        history.end()


def test_what_is_not_there() -> None:
    history = History(assemble("nop; halt"), [])
    with pytest.raises(HistoryError, match="before this history"):
        history.seek(-1)
    with pytest.raises(ValueError, match="no memory"):
        history.last_write(0, -1)
    with pytest.raises(HistoryError, match="window 15 is empty"):
        history.place(0xF0000000)
