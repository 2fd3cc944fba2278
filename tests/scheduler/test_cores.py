"""The Verilated core, bare and behind its link, shared by machines that move between it and the golden model."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.boards.stream_model import StreamModel

from vac.assembler.assemble import assemble
from vac.devices.console import Console
from vac.engines.registry import create_machine
from vac.golden.model import GoldenMachine
from vac.link.board import Board
from vac.link.session import LinkError, LinkSession
from vac.machine.protocol import Machine, MachineError
from vac.memory.page_store import PageStore
from vac.memory.pager import Pager
from vac.randomised.program import Program, random_program
from vac.scheduler.errors import MachineEnded
from vac.scheduler.executors import Executor, OneEach, SharedCore
from vac.scheduler.quota import StopCause
from vac.scheduler.scheduler import Scheduler
from vac_hdl.config import CoreConfig
from vac_sim.line_faults import FaultyLine

from .loads import LABELLED, alone, among, mix

pytestmark = pytest.mark.rtl

BOARD = CoreConfig(frame_bits=4, tlb_bits=3, has_retire_port=False)
PLACES = ("golden", "fast", "one golden core", "one rtl core", "one board")


@cache
def core(name: str) -> Machine:
    """The same one for all examples: it holds what the last one left. The board's line damages every fiftieth piece."""
    if name != "board":
        return create_machine(name)
    line = FaultyLine(StreamModel(BOARD), random.Random(1), 0.02)
    return Board(LinkSession(line, attempts=100))


def place(name: str) -> Executor:
    if name.startswith("one "):
        return SharedCore(core(name.split()[1]), keeps_beams=True)
    return OneEach(name, keeps_beams=True)


@settings(max_examples=20)
@given(
    st.lists(st.builds(random_program, st.integers(0, 1 << 32), st.just(25)), min_size=1, max_size=3),
    st.integers(5, 200),
    st.sampled_from(PLACES),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(PLACES), st.integers(1, 300)), min_size=3, max_size=8),
    st.sampled_from((None, 19, 40)),
)
def test_random_programs_move_between_golden_rtl_and_board_in_mid_run(
    found: list[Program], slice_ticks: int, home: str, moves: list[tuple[int, str, int]], frames: int | None
) -> None:
    places = {name: place(name) for name in PLACES}
    pager = Pager(PageStore.in_ram(4096), frames) if frames else None
    found = [*found, replace(found[0], image=assemble(LABELLED.format(seed=found[0].entropy_seed & 0xFFFF | 1)))]
    with Scheduler(places[home], pager=pager, slice_ticks=slice_ticks, turn_slices=2) as scheduler:
        vms = [
            scheduler.add(
                program.image, console=Console(program.console_input), seed=program.entropy_seed, shards=program.shards
            )
            for program in found
        ]
        for number, name, ticks in moves:
            scheduler.run(scheduler.clock + ticks)
            vm = vms[number % len(vms)]
            if vm.stop is None:
                with suppress(MachineError):  # a board's frames may be too few, where no pager keeps leaves back
                    scheduler.move(vm, places[name])
        scheduler.run()
        for program, vm in zip(found, vms, strict=True):
            machine = GoldenMachine()
            host = program.host(machine)
            host.run(1 << 40)
            assert vm.stop in (StopCause.HALTED, StopCause.TRAPPED), (vm.stop, vm.error)
            assert machine.state().differences(vm.machine.state()) == []
            assert machine.drain_beams() == vm.take_beams()
            assert host.payloads == vm.host.payloads and host.input_log.entries == vm.host.input_log.entries
            for key in sorted({*machine.leaves()}):
                assert vm.host.memory.leaf(*key) == host.memory.leaf(*key)


class Line(StreamModel):
    """A cable that can be pulled: from then on nothing gets through in either direction."""

    is_pulled = False

    def write(self, data: bytes) -> None:
        if not self.is_pulled:
            super().write(data)

    def read(self) -> bytes:
        return b"" if self.is_pulled else super().read()


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("is_paged", [False, True])
def test_a_board_whose_cable_is_pulled_stops_what_it_holds_and_nothing_else(is_shared: bool, is_paged: bool) -> None:
    lines: list[Line] = []

    def board() -> Board:
        lines.append(Line(BOARD))
        return Board(LinkSession(lines[-1]))

    pager = Pager(PageStore.in_ram(4096), 64) if is_paged else None
    executor = SharedCore(board(), keeps_beams=True) if is_shared else OneEach(board, keeps_beams=True)
    with Scheduler(executor, pager=pager, slice_ticks=60) as scheduler:
        vms = [scheduler.add(mix(seed), seed=seed) for seed in range(3)]
        here = scheduler.add(mix(3), seed=3, executor=OneEach("golden", keeps_beams=True))
        scheduler.run(700)
        lines[0].is_pulled = True
        scheduler.run()
        assert here.stop is StopCause.HALTED and among(here) == alone(3)
        stopped = [vm for vm in vms if vm.stop is StopCause.LINK]
        assert len(stopped) == (3 if is_shared else 1)
        assert all(isinstance(vm.error, LinkError) for vm in stopped)
        (lost,) = (vm for vm in stopped if vm.machine.is_lost)
        with pytest.raises(MachineEnded, match="the link to its engine failed"):
            scheduler.resume(lost)
        for vm in stopped:
            if vm is not lost:
                scheduler.move(vm, OneEach("rtl", keeps_beams=True))
                scheduler.resume(vm)
        scheduler.run()
        assert [(vm.stop, among(vm)) for vm in vms if vm is not lost] == [
            (StopCause.HALTED, alone(seed)) for seed, vm in enumerate(vms) if vm is not lost
        ]
