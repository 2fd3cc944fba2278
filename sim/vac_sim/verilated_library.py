"""Small Verilated designs as shared libraries: a top module, a harness with a C ABI, built once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .model import cache_folder, exclusive, run_tool
from .toolchain import require_cxx, verilator_binary, verilator_root

_FLAGS = ("--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-lint")
_COMPILER_FLAGS = ("-std=c++17", "-fPIC", "-fno-strict-aliasing", "-DVL_TIME_CONTEXT", "-pthread")


def build_library(
    top: str, sources: dict[str, str], harness: Path, options: tuple[str, ...] = (), optimization: str = "-O1"
) -> Path:
    """Shared library of the module `top` of these Verilog files, by name, behind `harness`; from the cache where it is.

    The harness includes `V<top>.h`. options: further ones of Verilator. Raises ToolMissing and BuildFailed.
    """
    parts = [top, harness.read_text(), optimization, *_FLAGS, *_COMPILER_FLAGS, *options, require_cxx()]
    for name, text in sorted(sources.items()):
        parts += [name, text]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    folder = cache_folder() / "libraries" / f"{top}-{key}"
    library = folder / "library.so"
    with exclusive(folder / "lock"):
        if library.exists():
            return library
        for name, text in sources.items():
            (folder / name).write_text(text)
        command = [str(verilator_binary()), *_FLAGS, *options, "--Mdir", "model", "--top-module", top, *sources]
        run_tool(command, folder)
        include = verilator_root() / "include"
        generated = sorted(str(path) for path in (folder / "model").glob("*.cpp"))
        runtime = [str(include / name) for name in ("verilated.cpp", "verilated_threads.cpp")]
        includes = [f"-I{path}" for path in (folder / "model", include, include / "vltstd")]
        partial = folder / "library.so.partial"
        compiler = [require_cxx(), *_COMPILER_FLAGS, optimization, *includes, "-shared"]
        run_tool([*compiler, str(harness), *generated, *runtime, "-o", str(partial)], folder)
        partial.replace(library)
    return library
