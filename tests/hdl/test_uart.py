"""Serial line: transmitter against receiver, also with clocks that differ, glitches and broken stop bits."""

from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from vac_hdl.uart import UartReceiver, UartTransmitter

BYTES = bytes(range(0, 256, 7)) + b"\x00\xff\x55\xaa\x7e\x7d"


@pytest.mark.parametrize(("sent_divisor", "received_divisor"), [(4, 4), (8, 8), (25, 25), (49, 50), (51, 50), (60, 60)])
def test_bytes_arrive(sent_divisor, received_divisor):
    m = Module()
    m.submodules.transmitter = transmitter = UartTransmitter(sent_divisor)
    m.submodules.receiver = receiver = UartReceiver(received_divisor)
    m.d.comb += receiver.line.eq(transmitter.line)
    received: list[int] = []

    async def send(ctx: Any) -> None:
        for byte in BYTES:
            ctx.set(transmitter.bytes.payload, byte)
            ctx.set(transmitter.bytes.valid, 1)
            await ctx.tick().until(transmitter.bytes.ready)
        ctx.set(transmitter.bytes.valid, 0)
        await ctx.tick().repeat(12 * sent_divisor)

    async def receive(ctx: Any) -> None:
        async for _, _, valid, byte in ctx.tick().sample(receiver.bytes.valid, receiver.bytes.payload):
            if valid:
                received.append(byte)

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(receive, background=True)
    simulator.run()
    assert bytes(received) == BYTES


def test_glitch_and_missing_stop_bit_give_no_byte():
    divisor = 16
    receiver = UartReceiver(divisor)
    received: list[int] = []

    async def drive(ctx: Any) -> None:
        async def bits(*levels: int) -> None:
            for level in levels:
                ctx.set(receiver.line, level)
                await ctx.tick().repeat(divisor)

        await bits(1)
        ctx.set(receiver.line, 0)
        await ctx.tick().repeat(divisor // 4)
        await bits(1, 1)
        await bits(0, *(1, 0, 1, 0, 1, 0, 1, 0), 0)
        await bits(*(1 for _ in range(12)))
        await bits(0, *(1, 1, 0, 0, 1, 0, 1, 0), 1)
        await bits(1)

    async def receive(ctx: Any) -> None:
        async for _, _, valid, byte in ctx.tick().sample(receiver.bytes.valid, receiver.bytes.payload):
            if valid:
                received.append(byte)

    simulator = Simulator(receiver)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(receive, background=True)
    simulator.run()
    assert received == [0b01010011]
