"""The C ABI of harness.h inside a cocotb simulation: each call that takes simulated time waits for it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any

import cocotb
from cocotb.task import resume

from ..model import declare

_OPERATIONS = (
    "rtl_new", "rtl_write", "rtl_read", "rtl_write_many", "rtl_read_many", "rtl_idle", "rtl_install", "rtl_evict",
    "rtl_drop_all", "rtl_run",
)  # fmt: skip
"""Functions that advance time, in the order of `Operation` in bench_agent.cpp."""
_ARGUMENTS = 8


class BenchLibrary:
    """What RtlMachine takes as its library. To be used in a thread that `cocotb.task.bridge` started."""

    def __init__(self) -> None:
        self._process = declare(ctypes.CDLL(None))
        self._process.bench_post.argtypes = [ctypes.c_uint32, ctypes.c_void_p]
        self._process.bench_post.restype = None
        self._process.bench_result.restype = ctypes.c_uint64

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name in _OPERATIONS:
            return partial(self._call, _OPERATIONS.index(name))
        return getattr(self._process, name)

    def _call(self, operation: int, *arguments: Any) -> int:
        words = [_word(argument) for argument in arguments]
        block = (ctypes.c_uint64 * _ARGUMENTS)(*words)
        self._process.bench_post(operation, block)
        _wait_until_done()
        return self._process.bench_result()


def _word(argument: Any) -> int:
    """An argument as the 64-bit word that C takes it from; the caller keeps what it points to alive."""
    if argument is None:
        return 0
    if isinstance(argument, int):
        return argument
    if isinstance(argument, ctypes.c_void_p):
        return argument.value or 0
    if isinstance(argument, bytes):
        return ctypes.cast(ctypes.c_char_p(argument), ctypes.c_void_p).value or 0
    if isinstance(argument, ctypes.Array):
        return ctypes.addressof(argument)
    return ctypes.addressof(argument._obj)  # what byref() gives


@resume
async def _wait_until_done() -> None:
    dut: Any = cocotb.top
    await dut.done.value_change
