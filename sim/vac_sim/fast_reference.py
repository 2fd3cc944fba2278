"""The fast engine as a reference for lockstep."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

import vac.fast
from vac.fast import abi
from vac.fast.machine import FastMachine, Trace
from vac.image.image import Image
from vac.machine.protocol import Answer, Stop

from .model import BuildFailed, cache_folder
from .retired import RETIRED_DTYPE, pack_row, rows_from
from .toolchain import require_cxx

_CHUNK_ROWS = 1 << 16


class RecordingFast(FastMachine):
    """The fast engine as a reference, one tick at a time from C. Raises BuildFailed or EngineBuildError."""

    def __init__(self) -> None:
        super().__init__(Trace.BEAMS)
        self._recorder = _recorder()
        self._run_address = ctypes.cast(self._library.vac_run, ctypes.c_void_p)
        self._state_address = ctypes.cast(self._library.vac_get_state, ctypes.c_void_p)
        self._buffer_rows = np.zeros(_CHUNK_ROWS, RETIRED_DTYPE)
        self._rows: list[np.ndarray] = []
        self._recorded: list[bytes] = []

    def load(self, image: Image) -> None:
        super().load(image)
        self._rows, self._recorded = [], []

    def run(self, until_tick: int) -> Stop:
        stop, count = abi.CStop(), ctypes.c_size_t()
        while True:
            rows = self._buffer_rows
            self._recorder.record(
                self._handle, self._run_address, self._state_address, min(until_tick, (1 << 64) - 1),
                rows.ctypes.data, len(rows), ctypes.byref(count), ctypes.byref(stop),
            )  # fmt: skip
            kept = rows[: count.value].copy()
            self._rows.append(kept)
            self._recorded.append(kept["beam"].tobytes())
            if stop.reason != abi.STOP_BUFFER:
                return self._stop_from(stop)

    def answer(self, answer: Answer) -> None:
        super().answer(answer)
        beam = super().drain_beams()  # its own buffer holds what answers retire, no more
        if beam:
            self._rows.append(rows_from(pack_row(beam, self.state())))
            self._recorded.append(beam)

    def drain_beams(self) -> bytes:
        beams, self._recorded = b"".join(self._recorded), []
        return beams

    def drain_retired(self) -> np.ndarray:
        rows, self._rows = self._rows, []
        return np.concatenate(rows) if rows else np.zeros(0, RETIRED_DTYPE)


@cache
def _recorder() -> ctypes.CDLL:
    """The loop around the fast engine's `vac_run`, built once for each source and compiler."""
    here = Path(__file__).parent
    include = Path(vac.fast.__path__[0])
    parts = [(here / "recorder.cpp").read_text(), (here / "harness.h").read_text()]
    parts += [(include / "vac_fast.h").read_text(), require_cxx()]
    folder = cache_folder() / "models"
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / f"recorder-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            built = Path(temporary) / library.name
            command = [require_cxx(), "-std=c++17", "-O2", "-fPIC", "-shared", f"-I{include}", f"-I{here}",
                       str(here / "recorder.cpp"), "-o", str(built)]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise BuildFailed(f"{command[0]} failed with exit status {done.returncode}:\n{done.stderr[-4000:]}")
            built.replace(library)
    loaded = ctypes.CDLL(str(library))
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    loaded.record.restype = ctypes.c_int
    loaded.record.argtypes = [pointer, pointer, pointer, ctypes.c_uint64, pointer, size, pointer, pointer]
    return loaded
