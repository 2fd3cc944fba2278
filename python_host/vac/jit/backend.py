"""Machine code from LLVM text, and the cache of what was compiled before."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from ..fast.compiler import cache_directory


class CompilerMissing(Exception):
    """llvmlite is not installed; the message says what to do."""


@cache
def _llvm() -> Any:
    try:
        from llvmlite import binding
    except ImportError as error:
        raise CompilerMissing(
            f"the JIT needs llvmlite, which is not installed ({error}): pip install 'vac[jit]', or use --engine fast"
        ) from error
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


def require_compiler() -> None:
    """Raises CompilerMissing where there is no LLVM."""
    _llvm()


@cache
def target_name() -> str:
    """Processor and LLVM version that code is made for: part of the key of whatever is kept."""
    llvm = _llvm()
    return f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()} {llvm.llvm_version_info}"


def _target_machine() -> Any:
    llvm = _llvm()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, codemodel="jitdefault",
        jit=True,
    )  # fmt: skip


def compile_text(text: str) -> bytes:
    """Object code of a module, optimised."""
    llvm = _llvm()
    machine = _target_machine()
    module = llvm.parse_assembly(text)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return machine.emit_object(module)


_engines: list[Any] = []
"""Own the code, for as long as the process lives: machines of any age may be in it."""


def load(code: bytes) -> int:
    """Makes object code executable and returns the address of its `entry`."""
    llvm = _llvm()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return engine.get_function_address("entry")


def kept(key: str) -> bytes | None:
    """Object code that was kept under this key."""
    try:
        data = _path(key).read_bytes()
    except OSError:
        return None
    return data[32:] if hashlib.sha256(data[32:]).digest() == data[:32] else None


def keep(key: str, code: bytes) -> None:
    """Keeps object code for other runs; where that is not possible they compile again."""
    path = _path(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(name, path)
    except OSError:
        return


def _path(key: str) -> Path:
    return cache_directory() / "jit" / f"{key}.o"
