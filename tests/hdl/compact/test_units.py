"""The compact core's units, each against the statement of what it computes."""

import random
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from vac.isa.digest import digest_word
from vac.isa.table import INSTRUCTIONS
from vac_hdl.compact.beam_lanes import BeamLanes
from vac_hdl.compact.datapath import FunctionUnit, Multiplier, SerialDigest
from vac_hdl.compact.immediate import KINDS, LENGTH, NAMED_KINDS, ImmediateUnit, value_kind
from vac_hdl.compact.micro_op import Function

MASK = 0xFFFFFFFF
CORNERS = (0, 1, 2, MASK, 0x7FFFFFFF, 0x80000000, 0xFFFF, 0x8000)


def _pairs(seed: int, count: int = 60) -> list[tuple[int, int]]:
    rng = random.Random(seed)
    drawn = [(rng.getrandbits(32), rng.getrandbits(32)) for _ in range(count)]
    return [(a, b) for a in CORNERS for b in CORNERS] + drawn


def _simulate(component: Any, bench: Any, clocked: bool = True) -> None:
    simulator = Simulator(component)
    if clocked:
        simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


RESULTS = {
    Function.PASS_Y: lambda a, y: y,
    Function.PASS_A: lambda a, y: a,
    Function.ADD: lambda a, y: a + y,
    Function.SUBTRACT: lambda a, y: a - y,
    Function.REVERSE_SUBTRACT: lambda a, y: y - a,
    Function.AND: lambda a, y: a & y,
    Function.OR: lambda a, y: a | y,
    Function.XOR: lambda a, y: a ^ y,
    Function.INCREMENT_Y: lambda a, y: y + 1,
    Function.DECREMENT_Y: lambda a, y: y - 1,
    Function.COMPARE: lambda a, y: a,
    Function.COMPARE_END: lambda a, y: a,
    Function.SHIFT: lambda a, y: a << 1 | 1,
}


@pytest.mark.parametrize("function", RESULTS, ids=lambda function: function.name)
def test_functions(function):
    unit: Any = FunctionUnit()

    async def bench(ctx: Any) -> None:
        ctx.set(unit.function, function)
        ctx.set(unit.shift_in, 1)
        for a, y in _pairs(function.value):
            ctx.set(unit.a, a)
            ctx.set(unit.y, y)
            assert ctx.get(unit.result) == RESULTS[function](a, y) & MASK
            if function in (Function.SUBTRACT, Function.COMPARE):
                flags = [ctx.get(flag) for flag in (unit.carry, unit.below, unit.total)]
                assert flags[:2] == [a < y, _signed(a) < _signed(y)]
                assert (flags[2] == 0) == (a == y)
            elif function is Function.REVERSE_SUBTRACT:
                assert ctx.get(unit.carry) == (y >= a)
            elif function is Function.ADD:
                assert ctx.get(unit.carry) == (a + y > MASK)
                assert ctx.get(unit.below) == (_signed(a) + _signed(y) >= 0)
            elif function is Function.COMPARE_END:
                for mask in (0, 1, 3):
                    ctx.set(unit.size_mask, mask)
                    assert ctx.get(unit.carry) == ((a | mask) < y)

    m = Module()
    m.submodules.unit = unit
    _simulate(m, bench, clocked=False)


def test_the_function_of_the_instruction_is_the_one_of_the_cycle_before():
    unit: Any = FunctionUnit()

    async def bench(ctx: Any) -> None:
        ctx.set(unit.a, 100)
        ctx.set(unit.y, 3)
        ctx.set(unit.taken, Function.SUBTRACT)
        await ctx.tick()
        ctx.set(unit.function, Function.OF_INSTRUCTION)
        ctx.set(unit.taken, Function.ADD)
        assert (ctx.get(unit.result), ctx.get(unit.carry)) == (97, 0)
        await ctx.tick()
        assert ctx.get(unit.result) == 103
        ctx.set(unit.function, Function.XOR)
        assert ctx.get(unit.result) == 100 ^ 3

    _simulate(unit, bench)


def test_product_is_there_in_the_third_cycle():
    multiplier: Any = Multiplier()

    async def bench(ctx: Any) -> None:
        for a, b in _pairs(3, 20):
            ctx.set(multiplier.a, a)
            ctx.set(multiplier.b, b)
            await ctx.tick().repeat(2)
            assert ctx.get(multiplier.product) == a * b

    _simulate(multiplier, bench)


def test_digest_in_halves():
    digest: Any = SerialDigest()
    rng = random.Random(2)

    async def bench(ctx: Any) -> None:
        async def half(word: int, **which: int) -> None:
            ctx.set(digest.word, word)
            for name in ("low", "high", "clear"):
                ctx.set(getattr(digest, name), which.get(name, 0))
            await ctx.tick()

        state = rng.getrandbits(64)
        await half(0, clear=1)
        await half(state & MASK, low=1)
        await half(state >> 32, high=1)
        assert ctx.get(digest.state) == state
        for _ in range(40):
            word = rng.getrandbits(64)
            await half(word & MASK, low=1)
            await half(rng.getrandbits(32))
            await half(word >> 32, high=1)
            state = digest_word(state, word)
            assert ctx.get(digest.state) == state

    _simulate(digest, bench)


def test_immediates_are_the_fields_of_the_table():
    unit: Any = ImmediateUnit()
    rng = random.Random(4)

    async def bench(ctx: Any) -> None:
        for row in INSTRUCTIONS:
            for field in row.fields:
                kind = next((kind for kind in KINDS if (kind.low, kind.width, kind.is_signed, kind.constant)
                             == (field.low, field.width, field.kind.is_signed, None)), None)  # fmt: skip
                if kind is None:
                    continue
                ctx.set(unit.kind, KINDS.index(kind))
                for _ in range(4):
                    word = rng.getrandbits(40)
                    ctx.set(unit.instruction, word)
                    assert ctx.get(unit.value) == field.extract(word) & MASK, (row.mnemonic, field)
        for number, kind in enumerate(KINDS):
            ctx.set(unit.kind, number)
            ctx.set(unit.length, 5)
            if kind.constant is not None:
                assert ctx.get(unit.value) == kind.constant
        ctx.set(unit.kind, KINDS.index(LENGTH))
        assert ctx.get(unit.value) == 5

    m = Module()
    m.submodules.unit = unit
    _simulate(m, bench, clocked=False)
    assert {value_kind(row) for row in INSTRUCTIONS} - {None} == set(NAMED_KINDS)


def test_beams_keep_their_order_under_back_pressure():
    lanes: Any = BeamLanes(8)
    rng = random.Random(5)
    sent: list[tuple[int, ...]] = []
    received: list[tuple[int, ...]] = []

    async def send(ctx: Any) -> None:
        ctx.set(lanes.control, 1)
        while len(sent) < 60:
            await ctx.tick().until(~lanes.no_room)
            words = tuple(rng.getrandbits(width) for width in (24, 16, 32, 32, 32))
            ctx.set(lanes.begin, 1)
            await ctx.tick()
            ctx.set(lanes.begin, 0)
            for name, word in zip(("pc", "header", "value", "aux"), words, strict=False):
                ctx.set(lanes.word, word)
                ctx.set(getattr(lanes, f"write_{name}"), 1)
                await ctx.tick()
                ctx.set(getattr(lanes, f"write_{name}"), 0)
            ctx.set(lanes.tick, words[4])
            ctx.set(lanes.ship, 1)
            assert not ctx.get(lanes.lost)
            await ctx.tick()
            ctx.set(lanes.ship, 0)
            sent.append(words)
        ctx.set(lanes.port.ready, 1)
        await ctx.tick().repeat(40)

    async def receive(ctx: Any) -> None:
        while True:
            ready = len(sent) == 60 or rng.random() < 0.05
            ctx.set(lanes.port.ready, ready)
            payload = lanes.port.payload
            record = payload.record
            _, _, valid, pc, opcode, flags, value, aux, tick = await ctx.tick().sample(
                lanes.port.valid, record.pc, record.opcode, record.flags, record.value, record.aux, payload.tick
            )
            if valid and ready:
                received.append((pc, opcode | flags << 8, value, aux, tick))

    simulator = Simulator(lanes)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(receive, background=True)
    simulator.run()
    assert received == sent
