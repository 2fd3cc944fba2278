"""`vac run --keep` and `--from`: a run that goes on another time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .failure import fail

if TYPE_CHECKING:
    from ..host.session import Host
    from ..machine.protocol import Machine


def place_at(host: Host, path: Path) -> None:
    """Puts a host that has not run yet at a checkpoint; ends the command where it does not fit."""
    from ..checkpoint.checkpoint import load_checkpoint
    from ..checkpoint.errors import CheckpointError
    from ..devices.device import DeviceStateError
    from ..recording.recorder import place_host

    try:
        point = load_checkpoint(path).point
        if point.host is None and point.tick:
            fail(f"{path} says nothing of the devices, as those of --snapshot-at do; only what --keep wrote can go on")
        place_host(host, point)
    except CheckpointError as error:
        fail(str(error))
    except (DeviceStateError, ValueError, OSError) as error:
        fail(f"{path} does not fit this run: {error}")


def keep(host: Host, machine: Machine, path: Path) -> Path:
    """Writes where the host stands, safe against a crash; where to. machine: the engine."""
    from ..checkpoint.capture import MemoryCapture
    from ..checkpoint.checkpoint import SUFFIX, save_checkpoint
    from ..checkpoint.errors import CheckpointError
    from ..checkpoint.memory_map import MemoryMap
    from ..checkpoint.point import Point

    path = path if path.name.endswith(SUFFIX) else path.with_name(path.name + SUFFIX)
    capture = MemoryCapture(machine, host.memory.residency, MemoryMap.of_segments(host.memory.segments))
    try:
        memory, written = capture.take()
        save_checkpoint(path, Point(machine.state(), memory, host.answered, written, host.save()))
    except (CheckpointError, OSError) as error:
        fail(str(error))
    return path
