"""The frames' memory on a chip, behind the core's instruction and data bus."""

from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from .signatures import DataBus, InstructionBus

_SPRAM_ADDRESS_BITS = 14
"""An SB_SPRAM256KA has 16 Ki words of 16 bits."""


class BlockFrameRam(wiring.Component):
    """Dual-port block RAM: an instruction port and a data port that never wait for each other.

    Attributes: instruction_bus: In(InstructionBus). data_bus: In(DataBus). An instruction read of the word that is
    being written gives either the old or the new one: the core fetches again behind a store to code.
    """

    def __init__(self, address_bits: int) -> None:
        self._words = 1 << address_bits
        super().__init__({"instruction_bus": In(InstructionBus(address_bits)), "data_bus": In(DataBus(address_bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        code, data = self.instruction_bus, self.data_bus
        attributes: Any = {"no_rw_check": 1, "ram_style": "block"}
        # One memory a byte lane: block RAMs are at most 18 bits wide where both ports are used.
        m.d.comb += code.ready.eq(1)
        for lane in range(4):
            m.submodules[f"lane_{lane}"] = memory = Memory(shape=8, depth=self._words, init=[], attrs=attributes)
            write, read, fetch = memory.write_port(), memory.read_port(), memory.read_port()
            m.d.comb += [
                fetch.addr.eq(code.address),
                fetch.en.eq(code.request),
                code.data.word_select(lane, 8).eq(fetch.data),
                read.addr.eq(data.address),
                # Whether the core reads is known late; a word that nobody asked for does no harm.
                read.en.eq(1),
                data.read_data.word_select(lane, 8).eq(read.data),
                write.addr.eq(data.address),
                write.en.eq(data.write_mask[lane]),
                write.data.eq(data.write_data.word_select(lane, 8)),
            ]
        return m


class SinglePortFrameRam(wiring.Component):
    """Single-port RAM of the iCE40 UltraPlus (SPRAM): data goes first, an instruction read waits for a free cycle.

    Attributes: instruction_bus: In(InstructionBus). data_bus: In(DataBus). Address width at most 15 (128 KiB). A word
    that was read stays on its bus until the next access of either bus; the core takes it in the first cycle.
    """

    def __init__(self, address_bits: int) -> None:
        if address_bits > _SPRAM_ADDRESS_BITS + 1:
            raise ValueError(f"{address_bits} address bits; the four SPRAMs have {_SPRAM_ADDRESS_BITS + 1}")
        self._address_bits = address_bits
        super().__init__({"instruction_bus": In(InstructionBus(address_bits)), "data_bus": In(DataBus(address_bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        code, data = self.instruction_bus, self.data_bus
        writes = data.write_mask.any()
        data_turn = Signal()
        access = Signal()
        address = Signal(_SPRAM_ADDRESS_BITS + 1)
        bank = Signal()
        m.d.comb += [
            data_turn.eq(data.read | writes),
            code.ready.eq(~data_turn),
            access.eq(data_turn | code.request),
            address.eq(Mux(data_turn, data.address, code.address)),
        ]
        with m.If(access):
            m.d.sync += bank.eq(address[_SPRAM_ADDRESS_BITS])
        banks = 1 << max(0, self._address_bits - _SPRAM_ADDRESS_BITS)
        words = [Signal(32, name=f"bank_{number}_word") for number in range(banks)]
        for number in range(banks):
            selected = address[_SPRAM_ADDRESS_BITS:] == number
            for half in range(2):
                m.submodules[f"bank_{number}_{half}"] = Instance(
                    "SB_SPRAM256KA",
                    i_CLOCK=ClockSignal(),
                    i_ADDRESS=address[:_SPRAM_ADDRESS_BITS],
                    i_DATAIN=data.write_data.word_select(half, 16),
                    # One mask bit for each four data bits.
                    i_MASKWREN=Cat(data.write_mask[2 * half + byte].replicate(2) for byte in range(2)),
                    i_WREN=writes,
                    i_CHIPSELECT=access & selected,
                    i_STANDBY=Const(0, 1),
                    i_SLEEP=Const(0, 1),
                    i_POWEROFF=Const(1, 1),
                    o_DATAOUT=words[number].word_select(half, 16),
                )
        word = Mux(bank, words[-1], words[0])
        m.d.comb += [code.data.eq(word), data.read_data.eq(word)]
        return m
