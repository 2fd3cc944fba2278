"""The board's side of the host link alone, Verilated: byte streams outside, a host port that keeps a log inside."""

import ctypes
from functools import cache
from pathlib import Path

from amaranth.back import verilog
from numpy import uint32, zeros

from vac_hdl.link_tops import LinkTop

from .verilated_library import build_library

_HARNESS = Path(__file__).with_name("link_harness.cpp")
_ROOM = 1 << 16
PATIENCE = 4000
"""Cycles without a byte after which nothing more comes: the longest request is executed in fewer."""
STARTED = 0xFFFFFFFF
"""In the log, in place of an address: the core was started."""
BUDGET_ADDRESS = 0
"""Where the core behind the link finds how many beams it makes, less one, in the low seven bits."""


@cache
def _library() -> ctypes.CDLL:
    sources = {"link.v": verilog.convert(LinkTop(), name="link", emit_src=False)}
    library = ctypes.CDLL(str(build_library("link", sources, _HARNESS, optimization="-O2")))
    library.link_new.restype = ctypes.c_void_p
    library.link_transfer.restype = ctypes.c_size_t
    library.link_log.restype = ctypes.c_size_t
    library.link_cycles.restype = ctypes.c_uint64
    return library


class LinkModel:
    """A transport to the Verilated link. Bytes that were written reach it when something is read."""

    def __init__(self) -> None:
        self._library = _library()
        self._link = ctypes.c_void_p(self._library.link_new())
        self._to_send = bytearray()
        self._received = ctypes.create_string_buffer(_ROOM)
        self._log = zeros(_ROOM, uint32)

    def __del__(self) -> None:
        link, self._link = getattr(self, "_link", None), None
        if link:
            self._library.link_free(link)

    def write(self, data: bytes) -> None:
        self._to_send += data

    def read(self) -> bytes:
        data, self._to_send = bytes(self._to_send), bytearray()
        count = self._library.link_transfer(
            self._link, data, ctypes.c_size_t(len(data)), self._received, ctypes.c_size_t(_ROOM), PATIENCE
        )
        return ctypes.string_at(self._received, count)

    def log(self) -> list[int]:
        """Address and word of every write to the host port since the last call; (STARTED, 0) for every start."""
        count = self._library.link_log(self._link, ctypes.c_void_p(self._log.ctypes.data), ctypes.c_size_t(_ROOM))
        return self._log[:count].tolist()

    @property
    def cycles(self) -> int:
        return self._library.link_cycles(self._link)
