"""The four kernels as RV32I code in unicorn, bounded by instructions as a deterministic host has to bound them."""

import time

from benchmarks.riscv_kernels import kernels
from benchmarks.workloads import Workload

_DATA = 0x10000
_HALT = 0x80000000
_SLICE = 1 << 16
"""Instructions for each call."""


def unicorn_seconds(workload: Workload) -> float:
    """Processor seconds of one run. Raises AssertionError where the result is wrong."""
    from unicorn import UC_ARCH_RISCV, UC_HOOK_MEM_WRITE, UC_MODE_RISCV32
    from unicorn.riscv_const import UC_RISCV_REG_PC
    from unicorn.unicorn import Uc

    emulator = Uc(UC_ARCH_RISCV, UC_MODE_RISCV32)
    emulator.mem_map(0, 0x40000)
    emulator.mem_map(_HALT, 0x1000)
    emulator.mem_write(0, kernels().code[workload.name])
    emulator.mem_write(_DATA, workload.data)
    results: list[int] = []

    def stop(machine: Uc, access: int, address: int, size: int, value: int, data: object) -> None:
        results.append(value & 0xFFFFFFFF)
        machine.emu_stop()

    emulator.hook_add(UC_HOOK_MEM_WRITE, stop, begin=_HALT, end=_HALT + 4)
    begun, pc = time.thread_time(), 0
    while not results:
        emulator.emu_start(pc, 0xFFFFFFF0, count=_SLICE)
        pc = emulator.reg_read(UC_RISCV_REG_PC)
    seconds = time.thread_time() - begun
    assert results[0] == workload.result, f"{workload.name} in unicorn: {results[0]:#x}, not {workload.result:#x}"
    return seconds
