"""Two engines as one machine: a reference and the RTL, compared at every retired instruction.

`LockstepMachine` is a `Machine` itself, so that whatever drives a machine drives it too: a host with devices, a
campaign, a test. Under it the RTL is disturbed in ways that must not show.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vac.image.image import Image
from vac.isa.beam import BEAM_BYTES
from vac.isa.limits import CODE_SLOT, LEAF_BITS
from vac.machine.protocol import Answer, Event, Leaf, MachineError, OutOfFrames, Stop, StopReason
from vac.machine.state import State
from vac_hdl.config import SIMULATION, CoreConfig

from .case import Case
from .disturbance import Disturbance
from .engine import CoreHung, RtlMachine, RtlOptions
from .mismatch import Difference, LockstepMismatch, code_reader, compare_rows
from .reference import Reference
from .retired import RETIRED_DTYPE

_LAST_ROWS = 32


@dataclass
class LockstepCounts:
    """What a lockstep run did."""

    compared: int = 0
    """Retired instructions."""
    checkpoints: int = 0
    """Compares of the whole state: every register, stack cell, label, window and byte of memory."""
    evictions: int = 0
    hidden_misses: int = 0
    """Page misses of the RTL alone, served without the program noticing."""
    events: int = 0


class LockstepMachine:
    """The `Machine` protocol over both. Raises LockstepMismatch, with a report, at the first difference.

    library: as for RtlMachine. Nothing is kept of the run but the last 32 records and the host's calls (`case`).
    """

    def __init__(
        self,
        reference: Reference,
        disturbance: Disturbance | None = None,
        config: CoreConfig = SIMULATION,
        library: Any = None,
        traced: bool = False,
    ) -> None:
        self.reference = reference
        self.disturbance = disturbance or Disturbance()
        self.counts = LockstepCounts()
        self.config = config
        options = RtlOptions(
            config=config,
            keeps_retired=True,
            ready_256=self.disturbance.ready_256,
            stall_256=self.disturbance.stall_256,
            seed=self.disturbance.seed,
            traced=traced,
        )
        self.rtl = RtlMachine(options, library)
        self.case: Case | None = None
        self._draw = random.Random(self.disturbance.seed)
        self._away: dict[tuple[int, int], Leaf] = {}
        self._tick = 0
        self._slice_end = 0
        self._checked_tick = 0
        self._last = np.zeros(0, RETIRED_DTYPE)
        self._event: Event | None = None

    # ---- the protocol ------------------------------------------------------------------------------------------

    def load(self, image: Image) -> None:
        self._draw = random.Random(self.disturbance.seed)
        self.case = Case(image, self.disturbance, self.config)
        self.reference.load(image)
        leaves, labels = image.leaves(), image.leaf_labels()
        self.rtl.load(replace(image, segments=()))
        self._away = {key: Leaf(data, labels.get(key, 0)) for key, data in leaves.items()}
        if not self.disturbance.resident_leaves:
            for key in sorted(leaves):
                self._bring(*key)
        self._start_at(0)
        self._checkpoint()

    def run(self, until_tick: int) -> Stop:
        if self.case:
            self.case.add_run(until_tick)
        while True:
            if self._tick >= self._slice_end:
                self._slice_end = self._tick + self._drawn_slice()
            target = min(until_tick, self._slice_end)
            stop = self._run_both(target)
            if stop.reason is not StopReason.TICK or target >= until_tick:
                return stop

    def answer(self, answer: Answer) -> None:
        event, self._event = self._event, None
        if event is None:
            raise MachineError("no event waits for an answer")
        if self.case:
            self.case.add_answer(answer)
        self._delay()
        kept = {(CODE_SLOT, (event.pc + byte) >> LEAF_BITS) for byte in range(5)}
        kept |= {
            (slot, number)
            for slot, offset, data in answer.writes
            for number in range(offset >> LEAF_BITS, (offset + len(data) + (1 << LEAF_BITS) - 1) >> LEAF_BITS)
        }
        for key in sorted(kept & self._away.keys()):
            self._bring(*key, kept=kept)
        self.reference.answer(answer)
        try:
            self.rtl.answer(answer)
        except MachineError as error:
            raise self._mismatch(None, [Difference("answer", "retired", str(error))]) from error
        self._compare_retired()

    def state(self) -> State:
        self._checkpoint()
        return self.reference.state()

    def set_state(self, state: State) -> None:
        self.case = None
        self.reference.set_state(state)
        self.rtl.set_state(state)
        self._event = None
        self._start_at(state.tick)

    def leaves(self) -> list[tuple[int, int]]:
        return self.reference.leaves()

    def install(self, slot: int, number: int, leaf: Leaf) -> None:
        if self.case:
            self.case.add_install(slot, number, leaf)
        self.reference.install(slot, number, leaf)
        if (slot, number) in self.rtl.leaves():
            self.rtl.install(slot, number, leaf)
        else:
            self._away[slot, number] = leaf
            self._bring(slot, number)

    def evict(self, slot: int, number: int) -> Leaf:
        if self.case:
            self.case.add_evict(slot, number)
        leaf = self.read_leaf(slot, number)
        self.reference.evict(slot, number)
        if self._away.pop((slot, number), None) is None:
            self.rtl.evict(slot, number)
        return leaf

    def read_leaf(self, slot: int, number: int) -> Leaf:
        expected = self.reference.read_leaf(slot, number)
        found = self._rtl_leaf(slot, number)
        if found != expected:
            raise self._mismatch(None, _leaf_differences((slot, number), expected, found))
        return expected

    def drain_beams(self) -> bytes:
        return self.reference.drain_beams()

    # ---- running -----------------------------------------------------------------------------------------------

    def _start_at(self, tick: int) -> None:
        self.reference.drain_retired()
        self.rtl.drain_retired()
        self.rtl.drain_beams()
        self._tick = self._slice_end = self._checked_tick = tick
        self._last = np.zeros(0, RETIRED_DTYPE)

    def _drawn_slice(self) -> int:
        longest = self.disturbance.slice_ticks
        return int(math.exp(self._draw.random() * math.log(longest + 1)))

    def _run_both(self, target: int) -> Stop:
        expected = self.reference.run(target)
        try:
            found = self._run_rtl(target)
        except CoreHung as error:
            self._compare_retired()
            raise self._mismatch(None, [Difference("stop", expected.reason.value, str(error))]) from error
        self._compare_retired()
        if found != expected:
            raise self._mismatch(None, [Difference("stop", str(expected), str(found))])
        if expected.reason is StopReason.EVENT:
            self.counts.events += 1
            self._event = expected.event
        if self._tick >= self._slice_end or expected.reason in (StopReason.HALTED, StopReason.TRAPPED):
            self._checkpoint()
        return expected

    def _run_rtl(self, target: int) -> Stop:
        self._evict_sometimes()
        while True:
            stop = self.rtl.run(target)
            miss = stop.miss
            if miss is None or (miss.slot, miss.number) not in self._away:
                return stop
            self.counts.hidden_misses += 1
            self._delay()
            self._bring(miss.slot, miss.number)

    def _delay(self) -> None:
        if self.disturbance.delay_cycles:
            self.rtl.idle(self._draw.randrange(self.disturbance.delay_cycles))

    def _bring(
        self, slot: int, number: int, kept: set[tuple[int, int]] | frozenset[tuple[int, int]] = frozenset()
    ) -> None:
        """Puts a leaf that is away into a frame, making room where there is none."""
        limit = self.disturbance.resident_leaves
        resident = self.rtl.leaves() if limit else []
        while limit and len(resident) >= max(limit, len(kept) + 1):
            resident.remove(self._evict_one(resident, kept))
        leaf = self._away.pop((slot, number))
        while True:
            try:
                self.rtl.install(slot, number, leaf)
                return
            except OutOfFrames:
                self._evict_one(self.rtl.leaves(), kept)

    def _evict_sometimes(self) -> None:
        if self.disturbance.evict_256 and self._draw.randrange(256) < self.disturbance.evict_256:
            resident = self.rtl.leaves()
            if resident:
                self._evict_one(resident, frozenset())

    def _evict_one(
        self, resident: list[tuple[int, int]], kept: set[tuple[int, int]] | frozenset[tuple[int, int]]
    ) -> tuple[int, int]:
        key = self._draw.choice([key for key in resident if key not in kept])
        self._away[key] = self.rtl.evict(*key)
        self.counts.evictions += 1
        return key

    # ---- comparing ---------------------------------------------------------------------------------------------

    def _compare_retired(self) -> None:
        expected, found = self.reference.drain_retired(), self.rtl.drain_retired()
        beams = self.rtl.drain_beams()
        differs_at = compare_rows(expected, found)
        if differs_at is None and beams != found["beam"].tobytes():
            port = np.frombuffer(beams[: len(beams) // BEAM_BYTES * BEAM_BYTES], np.uint8).reshape(-1, BEAM_BYTES)
            count = min(len(port), len(found))
            wrong = np.flatnonzero((port[:count] != found["beam"][:count]).any(axis=1))
            at = int(wrong[0]) if len(wrong) else count
            texts = [rows[at].tobytes().hex() if at < len(rows) else "nothing" for rows in (found["beam"], port)]
            self._remember(expected[: at + 1])
            raise self._mismatch(self._tick + at, [Difference("beam at the beam port", texts[0], texts[1])])
        if differs_at is not None:
            at, differences = differs_at
            self._remember(expected[: at + 1])
            raise self._mismatch(self._tick + at, differences)
        self._remember(expected)
        self._tick += len(expected)
        self.counts.compared += len(expected)

    def _remember(self, rows: np.ndarray) -> None:
        self._last = np.concatenate([self._last, rows[-_LAST_ROWS:]])[-_LAST_ROWS:]

    def _checkpoint(self) -> None:
        """Compares everything there is."""
        self.counts.checkpoints += 1
        differences = [
            Difference(name, *values.split(" / ", 1))
            for name, _, values in (
                line.partition(": ") for line in self.reference.state().differences(self.rtl.state())
            )
        ]
        resident, expected_leaves = set(self.rtl.leaves()), self.reference.leaves()
        if sorted(resident | self._away.keys()) != expected_leaves:
            differences.append(Difference("leaves", str(expected_leaves), str(sorted(resident | self._away.keys()))))
        else:
            for key in expected_leaves:
                expected, found = self.reference.read_leaf(*key), self._rtl_leaf(*key)
                if expected != found:
                    differences += _leaf_differences(key, expected, found)
        if differences:
            raise self._mismatch(None, differences)
        self._checked_tick = self._tick

    def _rtl_leaf(self, slot: int, number: int) -> Leaf:
        away = self._away.get((slot, number))
        return self.rtl.read_leaf(slot, number) if away is None else away

    def _mismatch(self, tick: int | None, differences: list[Difference]) -> LockstepMismatch:
        """tick: of the instruction whose record differs; None where it is the state between instructions."""
        self.rtl.end_trace()
        return LockstepMismatch(
            tick=self._tick if tick is None else tick,
            is_record=tick is not None,
            checked_tick=self._checked_tick,
            differences=differences,
            state_differences=self.reference.state().differences(self.rtl.state()),
            states=(self.reference.state(), self.rtl.state()),
            last=self._last,
            code=code_reader(self.reference),
            seed=self.disturbance.seed,
            case=self.case,
        )


def _leaf_differences(key: tuple[int, int], expected: Leaf, found: Leaf) -> list[Difference]:
    slot, number = key
    differences: list[Difference] = []
    if expected.labels != found.labels:
        differences.append(
            Difference(f"labels of leaf {number} of slot {slot}", hex(expected.labels), hex(found.labels))
        )
    wrong = [index for index, (a, b) in enumerate(zip(expected.data, found.data, strict=True)) if a != b]
    for index in wrong[:8]:
        where = f"byte {(number << LEAF_BITS) + index:#x} of slot {slot}"
        differences.append(Difference(where, f"{expected.data[index]:#04x}", f"{found.data[index]:#04x}"))
    if len(wrong) > 8:
        differences.append(Difference(f"slot {slot}, leaf {number}", f"{len(wrong)} bytes differ", "8 are shown"))
    return differences
