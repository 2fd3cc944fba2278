"""Firmware on an engine, with its console."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vac.assembler.assemble import assemble_file
from vac.devices.console import Console
from vac.engines.registry import create_machine
from vac.host.session import Host
from vac.image.image import Image
from vac.machine.protocol import StopReason
from vac.machine.state import State

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
_TICKS = 1 << 24


@dataclass(frozen=True)
class Ran:
    """How a program that halted ended."""

    output: bytes
    state: State


def run_image(image: Image, typed: bytes = b"", engine: str = "fast") -> Ran:
    """Runs an image with `typed` at its console. Fails where it does not halt."""
    output = bytearray()
    machine = create_machine(engine, keeps_beams=False)
    stop = Host(machine, image, console=Console(typed, output.extend)).run(_TICKS)
    state = machine.state()
    assert stop.reason is StopReason.HALTED, f"{stop.reason}: {state.trap.name} at pc {state.pc:#x}, {bytes(output)!r}"
    return Ran(bytes(output), state)


def run_firmware(name: str, typed: bytes = b"", engine: str = "fast") -> Ran:
    """Runs a source of `firmware/` by its name there."""
    return run_image(assemble_file(FIRMWARE / name), typed, engine)
