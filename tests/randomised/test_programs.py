"""The generator keeps its promises: every program ends, only as announced, and together they use the whole table."""

import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from vac.engines.registry import create_machine
from vac.host.session import Host
from vac.isa.table import INSTRUCTIONS, lookup
from vac.isa.traps import Trap
from vac.machine.protocol import StopReason
from vac.machine.state import Status
from vac.randomised.description import Description, describe
from vac.randomised.fuzz import fuzz_program
from vac.randomised.program import Program, build, random_program
from vac.randomised.shrink import shrink
from vac.randomised.strategies import programs

MOST_TICKS = 200_000


def run(program: Program, engine: str = "golden", ticks: int = MOST_TICKS) -> Host:
    host = program.host(create_machine(engine))
    host.run(ticks)
    return host


def rows_run(host: Host, program: Program) -> set[str]:
    """Mnemonics of all instructions that retired."""
    records = np.frombuffer(host.machine.drain_beams(), np.uint8).reshape(-1, 16)
    addresses = np.unique(np.ascontiguousarray(records[:, :4]).view("<u4"))
    code = program.image.code
    rows = (lookup(int.from_bytes(code[pc : pc + 5], "little")) for pc in map(int, addresses))
    return {row.mnemonic for row in rows if row}


def test_three_hundred_programs_run_every_row_and_end_as_announced() -> None:
    seen: set[str] = set()
    endings: Counter[Trap] = Counter()
    refusals = 0
    for seed in range(300):
        program = random_program(seed, size=50)
        host = run(program)
        state = host.machine.state()
        assert state.status is not Status.RUNNING, f"seed {seed} does not end"
        assert program.description
        if not program.description.traps:
            assert state.status is Status.HALTED, (seed, state.trap.name, hex(state.pc))
        endings[state.trap] += 1
        refusals += any(entry.answer.refused for entry in host.input_log.entries)
        seen |= rows_run(host, program)
    assert seen == {row.mnemonic for row in INSTRUCTIONS}
    assert set(endings) >= set(Trap) - {Trap.QUOTA, Trap.CODE_BOUNDS}, endings
    assert refusals > 30


def test_a_seed_always_gives_the_same_program() -> None:
    first, again = random_program(7), random_program(7)
    assert first == again and first.image.to_bytes() == again.image.to_bytes()
    assert random_program(8).image != first.image
    assert first.description and build(first.description) == first


def test_a_description_survives_being_written_down() -> None:
    description = describe(3)
    assert Description.from_json(description.to_json()) == description


def test_generation_is_fast_enough_for_campaigns() -> None:
    random_program(0)
    started = time.process_time()
    code_bytes = sum(len(random_program(seed, size=400).image.code) for seed in range(10))
    seconds = time.process_time() - started
    assert code_bytes / 3.5 / seconds > 50_000, "instructions a second, at no more than 3.5 bytes each"


def test_data_decides_where_control_goes() -> None:
    def path(program: Program, number: int) -> bytes:
        code, data, *rest = program.image.segments
        data = replace(data, data=bytes((byte + 37 * number) % 256 for byte in data.data))
        image = replace(program.image, segments=(code, data, *rest))
        host = run(replace(program, image=image, console_input=bytes([number] * 40), entropy_seed=number))
        return np.frombuffer(host.machine.drain_beams(), np.uint8).reshape(-1, 16)[:, :4].tobytes()

    programs = [random_program(seed, size=200) for seed in range(10)]
    forking = [program for program in programs if len({path(program, number) for number in range(4)}) > 1]
    assert len(forking) >= 6, "the same code goes other ways on other data"


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(program=programs(most_items=30))
def test_any_selection_of_items_is_a_program_that_ends(program: Program) -> None:
    state = run(program).machine.state()
    assert state.status is not Status.RUNNING
    assert program.description and (program.description.traps or state.status is Status.HALTED)


def test_fuzz_programs_trap_in_many_ways_and_none_breaks_the_machine() -> None:
    endings: Counter[str] = Counter()
    for seed in range(400):
        host = run(fuzz_program(seed), ticks=300)
        state = host.machine.state()
        endings[state.trap.name] += 1
        assert len(host.machine.drain_beams()) == 16 * state.tick
    assert len(endings) >= 9, endings
    assert endings["NONE"] < 200, endings


def test_the_same_fuzz_seed_gives_the_same_bytes() -> None:
    assert fuzz_program(5) == fuzz_program(5) != fuzz_program(6)


# ---- shrinking ---------------------------------------------------------------------------------------------------


def test_shrinking_leaves_what_the_failure_needs() -> None:
    def divides_by_a_negative_number(program: Program) -> bool:
        """A stand-in for a wrong result: some `rems` retires."""
        return "rems" in rows_run(run(program), program)

    seed = next(seed for seed in range(100) if divides_by_a_negative_number(random_program(seed, size=120)))
    small = shrink(describe(seed, size=120), divides_by_a_negative_number)
    assert divides_by_a_negative_number(small)
    assert small.description and small.description.size <= 2
    executed = [row for row in rows_run(run(small), small) if row != "nop"]
    assert len(executed) <= 6, executed


def test_shrinking_wants_a_failure() -> None:
    with pytest.raises(ValueError, match="does not fail"):
        shrink(describe(1), lambda program: False)


def test_a_program_that_traps_can_be_found_small() -> None:
    def overflows(program: Program) -> bool:
        host = program.host(create_machine("golden"))
        return host.run(MOST_TICKS).reason is StopReason.TRAPPED and host.machine.state().trap is Trap.STACK_OVERFLOW

    seed = next(seed for seed in range(300) if overflows(random_program(seed, size=20)))
    small = shrink(describe(seed, size=20), overflows)
    assert small.description and small.description.size == 0 and small.description.traps
