"""A Verilated SoC, from its sources or its netlist, as a link transport."""

import ctypes
from pathlib import Path

from vac_sim.verilated_library import build_library

HARNESS = Path(__file__).with_name("serial_harness.cpp")
DIVISOR = 8
_PATIENCE = 20_000


def build_serial_model(sources: dict[str, str], options: tuple[str, ...] = ()) -> Path:
    """Shared library of the top module `soc` in these Verilog files; from the cache where they were built before."""
    return build_library("soc", sources, HARNESS, options)


class SerialModel:
    """Transport to a simulated board. `damage` may change bytes on their way: (bytes, to the board?) -> bytes."""

    def __init__(self, library: Path, damage=None) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.line_new.restype = ctypes.c_void_p
        self._library.line_read.restype = ctypes.c_size_t
        self._library.line_cycles.restype = ctypes.c_uint64
        self._line = ctypes.c_void_p(self._library.line_new(DIVISOR))
        self._damage = damage or (lambda data, to_board: data)

    def write(self, data: bytes) -> None:
        data = self._damage(data, True)
        self._library.line_write(self._line, data, ctypes.c_size_t(len(data)))

    def read(self) -> bytes:
        buffer = ctypes.create_string_buffer(4096)
        # One byte at a time would be slow; a whole response is at least a flag, a header, a CRC and a flag.
        wanted = ctypes.c_size_t(10)
        count = self._library.line_read(self._line, buffer, wanted, ctypes.c_uint64(_PATIENCE))
        return self._damage(buffer.raw[:count], False)

    @property
    def cycles(self) -> int:
        return self._library.line_cycles(self._line)

    def close(self) -> None:
        self._library.line_free(self._line)
