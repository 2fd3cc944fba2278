"""The C ABI of harness.h on Amaranth's own simulator: a second simulator, and surroundings written a second time.

Slow (a few thousand cycles a second), but it shares nothing with Verilator, Yosys or the C++ harness.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from vac.isa.limits import LEAF_BYTES
from vac.isa.state_map import REGISTER_BASE, TLB_LABELS_SHIFT, FaultKind, HostRegister, StopCode, TlbEntryBit
from vac_hdl.config import CoreConfig
from vac_hdl.core_choice import create_core
from vac_hdl.signatures import RETIRE_LAYOUT

from .model import RunResult
from .retired import RETIRED_DTYPE

_PERIOD = 1e-6
_WORDS = LEAF_BYTES // 4
_SETTLE_CYCLES, _READ_CYCLES = 8, 3


_FIELDS: Any = RETIRED_DTYPE.fields


@dataclass
class _Page:
    frame: int
    labels: int
    is_writable: bool = False


class AmaranthLibrary:
    """What RtlMachine takes as its library. One machine at a time; no waveforms, no back-pressure."""

    def __init__(self, config: CoreConfig) -> None:
        self._core: Any = create_core(config)
        m = Module()
        m.domains.sync = ClockDomain("sync", reset_less=True)
        m.submodules.core = self._core
        self._simulator = Simulator(m)
        self._simulator.add_clock(_PERIOD)
        self._simulator.add_testbench(self._surroundings)
        self._cycle = 0
        self._pins = {"address": 0, "write": 0, "write_data": 0, "start": 0, "halt_request": 0}
        self._seen: dict[str, int] = {
            "stopped": 1,
            "read_data": 0,
            "retire_valid": 0,
            "retire": 0,
            "beam_valid": 0,
            "beam": 0,
        }
        self._frames = [0] * (_WORDS << config.frame_bits)
        self._free = list(range((1 << config.frame_bits) - 1, -1, -1))
        self._pages: dict[tuple[int, int], _Page] = {}

    async def _surroundings(self, ctx: Any) -> None:
        """The frames' memory, and the pins as the calls below want them; one turn a cycle."""
        core, frames = self._core, self._frames
        code, data, host = core.instruction_bus, core.data_bus, core.host
        ctx.set(core.beams.ready, 1)
        ctx.set(code.ready, 1)
        while True:
            await ctx.delay(_PERIOD / 4)  # behind the edge, when the caller has set its pins
            for name, value in self._pins.items():
                ctx.set(getattr(host, name), value)
            asked = [ctx.get(signal) for signal in (code.request, code.address, data.read, data.address)]
            mask, value = ctx.get(data.write_mask), ctx.get(data.write_data)
            await ctx.tick()
            request, code_address, read, address = asked
            if request:
                ctx.set(code.data, frames[code_address])
            if read:
                ctx.set(data.read_data, frames[address])
            for byte in range(4):
                if mask >> byte & 1:
                    kept = frames[address] & ~(0xFF << 8 * byte)
                    frames[address] = kept | (value & (0xFF << 8 * byte))
            self._seen = {
                "stopped": ctx.get(host.stopped),
                "read_data": ctx.get(host.read_data),
                "retire_valid": ctx.get(core.retire.valid),
                "retire": ctx.get(core.retire.payload.as_value()),
                "beam_valid": ctx.get(core.beams.valid),
                "beam": ctx.get(core.beams.payload.as_value()),
            }
            self._cycle += 1

    def _step(self) -> None:
        wanted = self._cycle + 1
        while self._cycle < wanted:
            self._simulator.advance()

    # ---- the functions of harness.h ----------------------------------------------------------------------------

    def rtl_new(self, frame_bits: int) -> int:
        return 1

    def rtl_free(self, handle: Any) -> None: ...

    def rtl_seed(self, handle: Any, seed: int) -> None: ...

    def rtl_stall(self, handle: Any, stall_256: int) -> None: ...

    def rtl_trace(self, handle: Any, path: bytes, first: int, until: int) -> int:
        return 0

    def rtl_write(self, handle: Any, address: int, value: int) -> None:
        self._pins |= {"address": address, "write": 1, "write_data": value}
        self._step()
        self._pins["write"] = 0

    def rtl_read(self, handle: Any, address: int) -> int:
        self._pins["address"] = address
        for _ in range(_READ_CYCLES):
            self._step()
        return self._seen["read_data"]

    def rtl_write_many(self, handle: Any, addresses: int, values: int, count: int) -> None:
        array = ctypes.c_uint32 * count
        for address, value in zip(array.from_address(addresses), array.from_address(values), strict=True):
            self.rtl_write(handle, address, value)

    def rtl_read_many(self, handle: Any, addresses: int, values: int, count: int) -> None:
        array = ctypes.c_uint32 * count
        found = array.from_address(values)
        wanted = array.from_address(addresses)
        behind = _READ_CYCLES - 1  # a new address each cycle; its word comes out behind those of the ones before
        for index in range(count + behind):
            if index < count:
                self._pins["address"] = wanted[index]
            self._step()
            if index >= behind:
                found[index - behind] = self._seen["read_data"]

    def rtl_idle(self, handle: Any, cycles: int) -> None:
        for _ in range(cycles):
            self._step()

    def rtl_install(self, handle: Any, slot: int, leaf: int, data: bytes, labels: int) -> int:
        page = self._pages.get((slot, leaf))
        if page is None and not self._free:
            return 0
        frame = page.frame if page else self._free.pop()
        self._pages[slot, leaf] = _Page(frame, labels)
        words = [int.from_bytes(data[start : start + 4], "little") for start in range(0, LEAF_BYTES, 4)]
        self._frames[frame * _WORDS : (frame + 1) * _WORDS] = words
        self._translate(slot, leaf, 0, 0)
        return 1

    def rtl_peek(self, handle: Any, slot: int, leaf: int, data: Any, labels: Any) -> int:
        page = self._pages.get((slot, leaf))
        if page is None:
            return 0
        words = self._frames[page.frame * _WORDS : (page.frame + 1) * _WORDS]
        ctypes.memmove(data, b"".join(word.to_bytes(4, "little") for word in words), LEAF_BYTES)
        labels._obj.value = page.labels
        return 1

    def rtl_evict(self, handle: Any, slot: int, leaf: int, data: Any, labels: Any) -> int:
        if not self.rtl_peek(handle, slot, leaf, data, labels):
            return 0
        self._free.append(self._pages.pop((slot, leaf)).frame)
        self._translate(slot, leaf, 0, 0)
        return 1

    def rtl_resident(self, handle: Any, keys: int, capacity: int) -> int:
        array = (ctypes.c_uint64 * capacity).from_address(keys)
        for index, (slot, leaf) in enumerate(self._pages):
            array[index] = slot << 32 | leaf
        return len(self._pages)

    def rtl_drop_all(self, handle: Any) -> None:
        for (slot, leaf), page in self._pages.items():
            self._translate(slot, leaf, 0, 0)
            self._free.append(page.frame)
        self._pages = {}

    def rtl_run(
        self, handle: Any, max_cycles: int, ready_256: int, beams: int, beam_capacity: int, retired: int,
        retired_capacity: int, result: Any,
    ) -> None:  # fmt: skip
        found: RunResult = result._obj
        ctypes.memset(ctypes.addressof(found), 0, ctypes.sizeof(found))
        while True:
            self._pins["start"] = 1
            self._step()
            self._pins["start"] = 0
            settled = 0
            for _ in range(_SETTLE_CYCLES):
                self._collect(found, beams, retired)
            while settled < _SETTLE_CYCLES or self._seen["beam_valid"]:
                is_full = (beams and found.beams + 64 > beam_capacity) or (
                    retired and found.retired + 64 > retired_capacity
                )
                self._pins["halt_request"] = int(bool(is_full))
                self._collect(found, beams, retired)
                settled += self._seen["stopped"]
                found.cycles += not self._seen["stopped"]
            self._pins["halt_request"] = 0
            stop = self._register(HostRegister.STOP)
            found.stop_code, found.trap, found.fault_kind = stop & 7, stop >> 8 & 0x1F, stop >> 16 & 3
            found.fault_slot, found.fault_leaf = (
                self._register(HostRegister.FAULT_SLOT),
                self._register(HostRegister.FAULT_LEAF),
            )
            page = self._pages.get((found.fault_slot, found.fault_leaf))
            if found.stop_code != StopCode.PAGE or page is None:
                return
            self._settle(page, found)

    # ---- inside ------------------------------------------------------------------------------------------------

    def _register(self, register: HostRegister) -> int:
        return self.rtl_read(None, REGISTER_BASE + register)

    def _translate(self, slot: int, leaf: int, frame: int, entry: int) -> None:
        self.rtl_write(None, REGISTER_BASE + HostRegister.TLB_LEAF, leaf | slot << 24)
        self.rtl_write(None, REGISTER_BASE + HostRegister.TLB_FRAME, frame)
        self.rtl_write(None, REGISTER_BASE + HostRegister.TLB_ENTRY, entry)

    def _settle(self, page: _Page, found: RunResult) -> None:
        if found.fault_kind == FaultKind.READ_ONLY:
            page.is_writable = True
        if found.fault_kind == FaultKind.LABELS:
            page.labels |= self._register(HostRegister.FAULT_LABELS)
        entry = TlbEntryBit.VALID | (TlbEntryBit.WRITABLE if page.is_writable else 0)
        self._translate(found.fault_slot, found.fault_leaf, page.frame, entry | page.labels << TLB_LABELS_SHIFT)
        found.page_walks += 1

    def _collect(self, found: RunResult, beams: int, retired: int) -> None:
        """One cycle, after what the last one left at the ports has been kept."""
        if self._seen["beam_valid"] and beams:
            ctypes.memmove(beams + 16 * found.beams, self._seen["beam"].to_bytes(20, "little"), 16)
            found.beams += 1
        if self._seen["retire_valid"] and retired:
            row = self._seen["retire"]
            values = {name: row >> field.offset & ((1 << field.width) - 1) for name, field in RETIRE_LAYOUT}
            at = retired + RETIRED_DTYPE.itemsize * found.retired
            for name, value in values.items():
                kind, offset = _FIELDS[name][:2]
                ctypes.memmove(at + offset, value.to_bytes(kind.itemsize, "little"), kind.itemsize)
            found.retired += 1
        self._step()
