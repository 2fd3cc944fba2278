"""Builds the Verilated core as a shared library, once for each configuration, sources and compiler."""

import contextlib
import ctypes
import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from pathlib import Path

from vac.isa import state_map
from vac_hdl.config import CoreConfig
from vac_hdl.signatures import RETIRE_LAYOUT
from vac_hdl.simulation_top import TOP_NAME, core_verilog

from .toolchain import require_cxx, verilator_binary, verilator_environment, verilator_root

_SOURCES = Path(__file__).parent
_HARNESS = ("harness.h", "harness.cpp", "native_core.h")
_COMPILER_FLAGS = ("-std=c++17", "-fPIC", "-fno-strict-aliasing", "-DVL_TIME_CONTEXT", "-pthread")
_FASTEST = ("-O3", "-mtune=native", "-fno-tree-slp-vectorize")
"""Of a compiled core: gcc would gather single bits in vector registers, which takes longer than to store them."""
_VERILATOR_FLAGS = (
    *("--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-lint"),
    # A table is looked up by everything that it could hang on; a chain of conditions mostly ends early.
    "-fno-table",
)


def _optimization(traced: bool) -> tuple[str, ...]:
    """A traced build runs short spans: what counts is how long it takes to compile."""
    return ("-O1",) if traced else _FASTEST


class BuildFailed(RuntimeError):
    """Verilator or the C++ compiler rejected the model; the message holds their output."""


def cache_folder() -> Path:
    """Where built models are kept: `$VAC_CACHE`, else the user's cache folder."""
    base = os.environ.get("VAC_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "vac"
    )
    return Path(base)


def state_map_header() -> str:
    """C++ constants of the host port, from `vac.isa.state_map`."""
    lines = ["// Generated from vac.isa.state_map and vac_hdl.signatures.", "#pragma once", "#include <cstdint>"]
    lines.append(f"constexpr uint32_t kRegisterBase = {state_map.REGISTER_BASE};")
    lines.append(f"constexpr uint32_t kTlbLabelsShift = {state_map.TLB_LABELS_SHIFT};")
    enumerations: tuple[type[IntEnum] | type[state_map.TlbEntryBit], ...] = (
        state_map.HostRegister,
        state_map.StopCode,
        state_map.FaultKind,
        state_map.TlbEntryBit,
    )
    for enumeration in enumerations:
        lines += [f"constexpr uint32_t k{member.name} = {member.value};" for member in enumeration]
    lines += [f"constexpr unsigned kRetire_{name} = {field.offset};" for name, field in RETIRE_LAYOUT]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Only one process builds a model at a time; the others wait and find it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def announce_build(what: str) -> None:
    """Says why nothing happens for a while."""
    if sys.stderr.isatty():
        print(f"building {what} (about a minute, once) ...", file=sys.stderr)


def run_tool(command: list[str], folder: Path) -> None:
    """Runs a tool of the toolchain in `folder`. Raises BuildFailed with the end of its output."""
    done = subprocess.run(
        command, cwd=folder, env=verilator_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise BuildFailed(f"{command[0]} failed with exit status {done.returncode}:\n{done.stdout[-8000:]}")


def _compile(folder: Path, config: CoreConfig, verilog: str, traced: bool) -> Path:
    (folder / f"{TOP_NAME}.v").write_text(verilog)
    (folder / "state_map.h").write_text(state_map_header())
    flags = [*_VERILATOR_FLAGS, *(("--trace",) if traced else ())]
    run_tool([str(verilator_binary()), *flags, "--Mdir", "model", f"{TOP_NAME}.v", "--top-module", TOP_NAME], folder)
    header = (folder / "model" / f"V{TOP_NAME}___024root.h").read_text()
    if header.count("__Vtrigprevexpr_") != 1:
        # What native_core.h evaluates in a cycle would not be all.
        raise BuildFailed("the Verilated core waits for other things than its clock: a combinational loop?")
    include = verilator_root() / "include"
    runtime = ["verilated.cpp", "verilated_threads.cpp", *(("verilated_vcd_c.cpp",) if traced else ())]
    sources = [
        str(_SOURCES / "harness.cpp"),
        *sorted(str(path) for path in (folder / "model").glob("*.cpp")),
        *(str(include / name) for name in runtime),
    ]
    library = folder / "libcore.so"
    includes = [f"-I{path}" for path in (_SOURCES, folder, folder / "model", include, include / "vltstd")]
    run_tool(
        [require_cxx(), *_COMPILER_FLAGS, *_optimization(traced), f"-DVM_TRACE={int(traced)}", *includes, "-shared",
         *sources, "-o", str(library)],
        folder,
    )  # fmt: skip
    return library


def build_model(config: CoreConfig, traced: bool = False) -> Path:
    """Path of the shared library for this configuration; builds it where the cache has none.

    Raises ToolMissing when Verilator or the compiler is missing, BuildFailed when they refuse.
    """
    verilog = core_verilog(config)
    parts = [
        verilog,
        state_map_header(),
        repr((_VERILATOR_FLAGS, _COMPILER_FLAGS, _optimization(traced), traced, require_cxx())),
    ]
    parts += [(_SOURCES / name).read_text() for name in _HARNESS]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    folder = cache_folder() / "models"
    library = folder / f"{key}.so"
    if library.exists():
        return library
    with exclusive(folder / f"{key}.lock"):
        if library.exists():
            return library
        announce_build("the Verilated core, with waveforms" if traced else "the Verilated core")
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            built = _compile(Path(temporary), config, verilog, traced)
            built.replace(library)
    return library


@cache
def load_model(config: CoreConfig, traced: bool = False) -> ctypes.CDLL:
    """The library with its functions' types declared (see harness.h); looked up once in a process."""
    return declare(ctypes.CDLL(str(build_model(config, traced))))


class RunResult(ctypes.Structure):
    """Mirror of RunResult in harness.h."""

    _fields_ = [
        (name, ctypes.c_uint32)
        for name in ("stop_code", "trap", "fault_kind", "fault_slot", "fault_leaf", "beams", "retired", "page_walks")
    ] + [("cycles", ctypes.c_uint64)]


def declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """Sets argument and result types of the C ABI."""
    handle, u32, u64, pointer = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p
    signatures = {
        "rtl_new": (handle, (u32,)),
        "rtl_free": (None, (handle,)),
        "rtl_write": (None, (handle, u32, u32)),
        "rtl_read": (u32, (handle, u32)),
        "rtl_install": (ctypes.c_int, (handle, u32, u32, pointer, u32)),
        "rtl_evict": (ctypes.c_int, (handle, u32, u32, pointer, pointer)),
        "rtl_peek": (ctypes.c_int, (handle, u32, u32, pointer, pointer)),
        "rtl_resident": (u32, (handle, pointer, u32)),
        "rtl_drop_all": (None, (handle,)),
        "rtl_run": (None, (handle, u64, u32, pointer, u32, pointer, u32, ctypes.POINTER(RunResult))),
        "rtl_stall": (None, (handle, u32)),
        "rtl_seed": (None, (handle, u64)),
        "rtl_trace": (ctypes.c_int, (handle, ctypes.c_char_p, u64, u64)),
        "rtl_write_many": (None, (handle, pointer, pointer, u32)),
        "rtl_read_many": (None, (handle, pointer, pointer, u32)),
        "rtl_idle": (None, (handle, u32)),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
