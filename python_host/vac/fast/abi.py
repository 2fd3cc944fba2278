"""`vac_fast.h` for Python: the structs field by field, and the functions' types."""

from __future__ import annotations

import ctypes as c
from functools import cache

from .compiler import FAST, Flavour, library_path

ABI_VERSION = 3

STACK_RAM_CELLS = 256
WINDOW_COUNT = 17
MAX_ARGUMENTS = 16

STOP_TICK, STOP_HALTED, STOP_TRAPPED, STOP_EVENT, STOP_PAGE_MISS, STOP_BUFFER = range(6)
ERROR_MEMORY, ERROR_STATE, ERROR_NOT_RESIDENT, ERROR_NO_EVENT, ERROR_ARGUMENT, ERROR_UNTRACED = range(-1, -7, -1)


class CWindow(c.Structure):
    _fields_ = [
        ("base", c.c_uint64),
        ("length", c.c_uint32),
        ("slot", c.c_uint8),
        ("permissions", c.c_uint8),
        ("reserved", c.c_uint16),
    ]


_WIDE = ("tick", "cone_in", "cone_out", "digest")
_NARROW = (
    "pc", "status", "trap", "sp", "rp", "fp", "code_length", "has_labels", "joins", "coherence", "entropy", "drift",
    "mispredictions", "distance", "refusals", "history", "last_emit", "digest_known",
)  # fmt: skip


class CState(c.Structure):
    _fields_ = [
        *((name, c.c_uint64) for name in _WIDE),
        *((name, c.c_uint32) for name in _NARROW),
        ("cells", c.c_uint32 * STACK_RAM_CELLS),
        ("labels", c.c_uint16 * STACK_RAM_CELLS),
        ("windows", CWindow * WINDOW_COUNT),
    ]


class CStop(c.Structure):
    _fields_ = [
        ("tick", c.c_uint64),
        *((name, c.c_uint32) for name in ("reason", "pc", "event_kind", "event_number", "argument_count")),
        ("arguments", c.c_uint32 * MAX_ARGUMENTS),
        ("slot", c.c_uint32),
        ("leaf", c.c_uint32),
    ]


class CCompiled(c.Structure):
    _fields_ = [
        ("code", c.c_void_p),
        *((name, c.c_uint32) for name in ("pc", "frame", "needs", "room", "least", "reserved")),
    ]


_BYTES, _MACHINE = c.c_char_p, c.c_void_p
_U64_ARRAY = c.POINTER(c.c_uint64)
_PROTOTYPES: dict[str, tuple[object, list[object]]] = {
    "vac_abi_version": (c.c_uint32, []),
    "vac_new": (_MACHINE, [c.c_int]),
    "vac_free": (None, [_MACHINE]),
    "vac_set_state": (c.c_int, [_MACHINE, c.POINTER(CState)]),
    "vac_get_state": (None, [_MACHINE, c.POINTER(CState)]),
    "vac_install": (c.c_int, [_MACHINE, c.c_uint32, c.c_uint32, _BYTES, c.c_uint16]),
    "vac_read_leaf": (c.c_int, [_MACHINE, c.c_uint32, c.c_uint32, c.c_void_p, c.POINTER(c.c_uint16)]),
    "vac_evict": (c.c_int, [_MACHINE, c.c_uint32, c.c_uint32]),
    "vac_write": (c.c_int, [_MACHINE, c.c_uint32, c.c_uint64, _BYTES, c.c_size_t]),
    "vac_clear_memory": (None, [_MACHINE]),
    "vac_leaves": (c.c_size_t, [_MACHINE, _U64_ARRAY, c.c_size_t]),
    "vac_dirty_leaves": (c.c_size_t, [_MACHINE, _U64_ARRAY, c.c_size_t]),
    "vac_read_dirty": (
        c.c_size_t,
        [_MACHINE, _U64_ARRAY, c.c_void_p, c.POINTER(c.c_uint16), c.c_size_t],
    ),
    "vac_clean": (None, [_MACHINE]),
    "vac_run": (
        c.c_int,
        [_MACHINE, c.c_uint64, c.c_void_p, c.c_size_t, c.POINTER(c.c_size_t), c.POINTER(CStop)],
    ),
    "vac_answer": (
        c.c_int,
        [_MACHINE, c.c_uint32, c.c_uint32, c.c_uint32, c.c_void_p, c.POINTER(c.c_uint32)],
    ),
    "vac_grant": (c.c_int, [_MACHINE, c.c_uint32, c.POINTER(CWindow)]),
    "vac_is_waiting": (c.c_int, [_MACHINE]),
    "vac_add_compiled": (c.c_int, [_MACHINE, c.POINTER(CCompiled), c.POINTER(c.c_uint32), c.c_size_t]),
    "vac_forget_compiled": (None, [_MACHINE]),
    "vac_compiled_count": (c.c_uint32, [_MACHINE]),
    "vac_compiled_ticks": (c.c_uint64, [_MACHINE]),
    "vac_layout": (c.c_size_t, [c.POINTER(c.c_uint32), c.c_size_t]),
    "vac_digest": (c.c_uint64, [c.c_uint64, _BYTES, c.c_size_t]),
    "vac_digest_portable": (c.c_uint64, [c.c_uint64, _BYTES, c.c_size_t]),
    "vac_digest_by": (c.c_int, [c.c_int, _U64_ARRAY, _BYTES, c.c_size_t]),
}


@cache
def library(flavour: Flavour = FAST) -> c.CDLL:
    """The engine's library, built on first use. Raises EngineBuildError where it cannot be."""
    loaded = c.CDLL(str(library_path(flavour)))
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    assert loaded.vac_abi_version() == ABI_VERSION
    return loaded
