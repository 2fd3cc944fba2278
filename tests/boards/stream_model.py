"""The Verilated core behind its link, without the serial line, as a link transport."""

import ctypes
from functools import cache
from pathlib import Path

from amaranth.back import verilog

from vac_hdl.config import CoreConfig
from vac_hdl.link_tops import LinkedTop
from vac_sim.verilated_library import build_library

_HARNESS = Path(__file__).with_name("stream_harness.cpp")
_ROOM = 1 << 16
_PATIENCE = 10_000


@cache
def _library(config: CoreConfig) -> ctypes.CDLL:
    sources = {"linked.v": verilog.convert(LinkedTop(config), name="linked", emit_src=False)}
    library = ctypes.CDLL(str(build_library("linked", sources, _HARNESS, optimization="-O2")))
    library.stream_new.restype = ctypes.c_void_p
    library.stream_transfer.restype = ctypes.c_size_t
    return library


class StreamModel:
    """A transport to a core of this configuration. What was written reaches it when something is read."""

    def __init__(self, config: CoreConfig) -> None:
        self._library = _library(config)
        self._stream = ctypes.c_void_p(self._library.stream_new())
        self._to_send = bytearray()
        self._received = ctypes.create_string_buffer(_ROOM)

    def __del__(self) -> None:
        stream, self._stream = getattr(self, "_stream", None), None
        if stream:
            self._library.stream_free(stream)

    def write(self, data: bytes) -> None:
        self._to_send += data

    def read(self) -> bytes:
        data, self._to_send = bytes(self._to_send), bytearray()
        count = self._library.stream_transfer(
            self._stream, data, ctypes.c_size_t(len(data)), self._received, ctypes.c_size_t(_ROOM), _PATIENCE
        )
        return ctypes.string_at(self._received, count)
