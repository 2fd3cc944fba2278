"""A slice of the differential campaign; `python -m vac.campaigns.differential` is the long one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.assembler.assemble import assemble
from vac.assembler.disassembler import disassemble
from vac.campaigns import differential
from vac.campaigns.differential import run_campaign, run_seed
from vac.campaigns.lockstep import Coverage, Lockstep, Mismatch
from vac.fast.compiler import FAST
from vac.fast.machine import FastMachine, Trace
from vac.golden.model import GoldenMachine
from vac.image.image import Image, Segment, Window
from vac.isa.table import INSTRUCTIONS
from vac.isa.traps import Trap
from vac.machine.protocol import Stop
from vac.machine.state import State
from vac.randomised.program import random_program
from vac.randomised.restless import restless_image

SEEDS = range(1000, 1020)


def test_random_programs() -> None:
    coverage = Coverage()
    for seed in SEEDS:
        coverage.add(run_seed(seed, 700))
    assert coverage.opcodes == {row.opcode for row in INSTRUCTIONS}
    assert set(coverage.traps) == set(Trap) - {Trap.NONE, Trap.QUOTA}
    assert coverage.evictions and coverage.hand_overs and coverage.roots
    assert coverage.compiled_ticks > 100


@given(
    code=st.binary(min_size=1, max_size=300),
    frame=st.integers(0, 40),
    has_labels=st.booleans(),
    trace=st.sampled_from([Trace.BEAMS, Trace.NOTHING]),
    seed=st.integers(0, 1 << 16),
)
def test_any_bytes(code: bytes, frame: int, has_labels: bool, trace: Trace, seed: int) -> None:
    image = Image(
        0, frame, len(code), (Segment(0, 0, len(code), code), Segment(1, 0, 8192, code)),
        ((0, Window(1, 0, 6000, 3)), (15, Window(0, 0, len(code), 3))), has_labels=has_labels,
    )  # fmt: skip
    Lockstep(image, seed, GoldenMachine, lambda: FastMachine(trace), trace is Trace.BEAMS).run(300)


def test_campaign_sees_a_difference() -> None:
    """A reference that is one tick ahead, and one whose memory differs, are found out."""

    class Ahead(FastMachine):
        def run(self, until_tick: int) -> Stop:
            return super().run(until_tick + 1)

    class Forgetful(FastMachine):
        def load(self, image: Image) -> None:
            super().load(image)
            leaf = self.read_leaf(1, 0)
            self.install(1, 0, type(leaf)(leaf.data[:-1] + bytes([leaf.data[-1] ^ 1]), leaf.labels))

    for broken in (Ahead, Forgetful):
        with pytest.raises(Mismatch):
            Lockstep(restless_image(1), 1, GoldenMachine, broken).run(3000)


def test_a_program_that_differs_is_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(FastMachine):
        """Does not know one number."""

        def state(self) -> State:
            state = super().state()
            state.cells = [cell ^ (cell == 0x7FFFFFFF) for cell in state.cells]
            return state

    monkeypatch.setattr(differential, "FastMachine", Wrong)
    _, failures = run_campaign(1001, 1, 300, FAST, ("fast",))
    listing = failures[0].split("differs:\n", 1)[1]
    small, whole = assemble(listing), random_program(1001).image
    assert len(small.code) < len(whole.code)
    assert listing.count(" nop") > disassemble(whole).count(" nop") + 10
