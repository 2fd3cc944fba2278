"""Machine code of the benchmark kernels for RV32I: compiled here, or as committed by a compiler that was elsewhere.

python -m benchmarks.riscv_kernels --write    renew the committed code with the compiler of this machine
"""

import argparse
import hashlib
import json
import shutil
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.workloads import WORKLOADS

KERNELS_FOLDER = Path(__file__).resolve().parent / "kernels"
COMMITTED = KERNELS_FOLDER / "rv32i.json"

_COMPILERS = (
    "riscv64-unknown-elf-gcc",
    "riscv32-unknown-elf-gcc",
    "riscv-none-elf-gcc",
    "riscv64-linux-gnu-gcc",
)
# Loops stay loops: a library's memset or memcpy would be somebody else's kernel.
_FLAGS = (
    *("-O2", "-march=rv32i", "-mabi=ilp32", "-ffreestanding", "-nostdlib", "-static", "-fno-pic"),
    *("-fno-builtin", "-fno-tree-loop-distribute-patterns", "-Wall", "-Werror", "-Wl,--build-id=none"),
)

_SEGMENT_LOAD = 1


class KernelError(RuntimeError):
    """The code of a kernel cannot be had: the compiler failed, or what is committed does not fit the sources."""


@dataclass(frozen=True)
class KernelCode:
    """Machine code of all kernels.

    Attributes
    ----------
    compiler: which compiler made it, with version and flags
    origin: "compiled" in this run, or "committed" with the sources
    code: bytes from address 0, by kernel name
    """

    compiler: str
    origin: str
    code: dict[str, bytes]


def find_compiler() -> str | None:
    """Name of the first RISC-V gcc on PATH, or None."""
    return next((name for name in _COMPILERS if shutil.which(name)), None)


def _sources_digest() -> str:
    digest = hashlib.sha256(" ".join(_FLAGS).encode())
    for path in sorted(KERNELS_FOLDER.glob("*.[chl]*")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _loaded_bytes(elf: bytes, name: str) -> bytes:
    """What the loadable segments of a 32-bit little-endian ELF put into memory, from address 0."""
    if elf[:6] != b"\x7fELF\x01\x01":
        raise KernelError(f"{name}: the compiler made something other than a 32-bit little-endian ELF file")
    table, count = struct.unpack_from("<I", elf, 28)[0], struct.unpack_from("<H", elf, 44)[0]
    memory = bytearray()
    for i in range(count):
        kind, offset, address, _, size = struct.unpack_from("<5I", elf, table + 32 * i)
        if kind == _SEGMENT_LOAD:
            memory.extend(bytes(max(0, address + size - len(memory))))
            memory[address : address + size] = elf[offset : offset + size]
    return bytes(memory)


def compile_kernels(compiler: str) -> KernelCode:
    """Compile every kernel with `compiler`, a gcc for RISC-V.

    Raises
    ------
    KernelError: the compiler cannot be run, or refuses a kernel
    """
    code = {}
    with tempfile.TemporaryDirectory() as folder:
        for workload in WORKLOADS:
            out = Path(folder) / workload.name
            sources = [str(KERNELS_FOLDER / "start.c"), str(KERNELS_FOLDER / f"{workload.name}.c")]
            command = [compiler, *_FLAGS, "-T", str(KERNELS_FOLDER / "link.ld"), *sources, "-o", str(out)]
            try:
                done = subprocess.run(command, capture_output=True, text=True)
            except OSError as error:
                raise KernelError(f"cannot run the RISC-V compiler {compiler}: {error}") from error
            if done.returncode:
                raise KernelError(f"{compiler} refused kernel {workload.name}:\n{done.stderr.strip()}")
            code[workload.name] = _loaded_bytes(out.read_bytes(), workload.name)
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    return KernelCode(f"{version} {' '.join(_FLAGS[:3])}", "compiled", code)


def committed_kernels() -> KernelCode:
    """The code committed beside the sources.

    Raises
    ------
    KernelError: it was made from other sources or flags than are here now
    """
    stored = json.loads(COMMITTED.read_text())
    if stored["sources_sha256"] != _sources_digest():
        raise KernelError(
            f"{COMMITTED.name} was made from other kernel sources; install a RISC-V gcc "
            f"(Debian: apt-get install gcc-riscv64-unknown-elf) and run `python -m benchmarks.riscv_kernels --write`"
        )
    code = {name: bytes.fromhex("".join(words)) for name, words in stored["code"].items()}
    return KernelCode(stored["compiler"], "committed", code)


def kernels() -> KernelCode:
    """The kernels, compiled here where a RISC-V gcc is on PATH, otherwise as committed.

    Raises
    ------
    KernelError: as `compile_kernels` and `committed_kernels`
    """
    compiler = find_compiler()
    return compile_kernels(compiler) if compiler else committed_kernels()


def _write() -> None:
    compiler = find_compiler()
    if compiler is None:
        raise KernelError(f"no RISC-V gcc on PATH (looked for {', '.join(_COMPILERS)})")
    made = compile_kernels(compiler)
    stored = {
        "compiler": made.compiler,
        "sources_sha256": _sources_digest(),
        "code": {
            name: [code[i : i + 16].hex(" ", 4) for i in range(0, len(code), 16)] for name, code in made.code.items()
        },
    }
    COMMITTED.write_text(json.dumps(stored, indent=1) + "\n")
    print(f"{COMMITTED.name}: {made.compiler}")


def main(arguments: list[str] | None = None) -> int:
    """Say where the kernels' code comes from, or renew the committed code. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.riscv_kernels", description=__doc__)
    parser.add_argument("--write", action="store_true", help="compile and write the committed code")
    options = parser.parse_args(arguments)
    try:
        if options.write:
            _write()
        else:
            found = kernels()
            print(f"{found.origin}: {found.compiler}")
    except KernelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
