"""Calls of library functions: a program that takes cells and memory from its console and gives them back there."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vac.assembler.assemble import assemble
from vac.devices.console import Console
from vac.engines.registry import create_machine
from vac.host.session import Host
from vac.image.image import Image
from vac.machine.protocol import StopReason

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
MEMORY_BASE = 64
"""Where the memory that a test gives begins; arguments lie below it."""
MEMORY_BYTES = 8192
_FILES = ("arithmetic", "crc32", "input", "memory", "print")
_TICKS = 1 << 22


@dataclass(frozen=True)
class Called:
    """What a call left: result cells, bottom first; memory; console output; digest of the run."""

    results: tuple[int, ...]
    memory: bytes
    output: bytes
    digest: int | None


@cache
def caller(function: str, arguments: int, results: int) -> Image:
    """An image that reads its memory from the console, calls, and writes its memory out behind what was printed."""
    lines = [f".memory {MEMORY_BYTES}", f"lit CONSOLE; lit 0; lit {MEMORY_BYTES}; sys SYS_READ; drop"]
    lines += [f"ld32a s, {4 * index}" for index in range(arguments)]
    lines += [f"invoke {function}"]
    lines += [f"st32a s, {4 * index}" for index in reversed(range(results))]
    lines += [f"lit CONSOLE; lit 0; lit {MEMORY_BYTES}; sys SYS_WRITE; drop; halt"]
    lines += [f'.include "library/{name}.vasm"' for name in _FILES]
    return assemble("\n".join(lines), str(FIRMWARE / f"{function}.vasm"))


def call(
    function: str,
    *arguments: int,
    results: int = 0,
    memory: bytes = b"",
    typed: bytes = b"",
    engine: str = "fast",
) -> Called:
    """Calls a function of the library. Pointers into `memory` begin at MEMORY_BASE.

    typed: what the function reads from the console. Fails where the program traps or leaves cells behind.
    """
    cells = struct.pack(f"<{len(arguments)}I", *(value & 0xFFFFFFFF for value in arguments))
    content = (cells.ljust(MEMORY_BASE, b"\0") + memory).ljust(MEMORY_BYTES, b"\0")
    output = bytearray()
    machine = create_machine(engine, keeps_beams=False)
    image = caller(function, len(arguments), results)
    host = Host(machine, image, console=Console(content + typed, output.extend))
    stop = host.run(_TICKS)
    state = machine.state()
    assert stop.reason is StopReason.HALTED, f"{stop.reason}: {state.trap.name} at pc {state.pc:#x}"
    assert not state.data_stack
    after = bytes(output[-MEMORY_BYTES:])
    cells = struct.unpack(f"<{results}I", after[: 4 * results])
    return Called(cells, after[MEMORY_BASE:], bytes(output[:-MEMORY_BYTES]), state.digest)
