"""Beginning and continuing recordings of programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..checkpoint.memory_map import MemoryMap, key_of
from ..checkpoint.point import Point
from ..host.session import Host
from ..isa.limits import LEAF_BITS, LEAF_BYTES
from ..machine.protocol import Leaf, Machine
from ..machine.state import Status
from .errors import RecordingError
from .held_quota import PAGES
from .input_log_file import chained
from .program import Program
from .recorder import Recorder, catch_up, continue_recording, place_host
from .recording import SEGMENT_TICKS, About, Parent, Recording

CONSOLE = "0x00"
Create = Callable[[], Machine]
Patch = tuple[int, int, bytes]
"""Shard slot, offset and the bytes that are put there."""


def start_recording(
    folder: Path, program: Program, create: Create, engine: str, segment_ticks: int = SEGMENT_TICKS
) -> Recorder:
    """A recorder of a run from its first tick. create: a fresh machine. engine: its name, for the record.

    Raises RecordingError, CheckpointError, and what `Program.host` raises.
    """
    return record_host(folder, program, program.host(create()), engine, segment_ticks)


def record_host(
    folder: Path,
    program: Program,
    host: Host,
    engine: str,
    segment_ticks: int = SEGMENT_TICKS,
    scheduled_on: Machine | None = None,
) -> Recorder:
    """A recorder of a host that `program` made and that has not run yet. scheduled_on: as the `Recorder` takes it.
    Raises RecordingError and CheckpointError."""
    origin = Point(host.machine.state(), MemoryMap.of_segments(host.memory.segments))
    name, content = program.file()
    about = About(program.name, name, "", engine, segment_ticks=segment_ticks, options=program.options)
    recording = Recording.create(folder, about, content, origin)
    return Recorder(recording, host, origin.memory, program.pager, scheduled_on)


def resume_recording(recording: Recording, program: Program, create: Create) -> Recorder:
    """A recorder that goes on where a recording stopped, held to the quota of the recording, whatever the program's is.
    As `continue_recording`; RecordingError as well where the machine ran among others."""
    program.check_live()
    return continue_recording(recording, lambda machine, log: program.host(machine, log), create, program.pager)


def continue_host(recording: Recording, program: Program, host: Host, scheduled_on: Machine) -> Recorder:
    """A recorder of a host that goes on with others, all of which stopped together; `program` made it, and it has not
    run yet. The recording has its end until `Recording.set_end` takes it away, which is due before the host runs.

    Raises RecordingError where the recording says no end that it could go on from, DeviceStateError where the devices
    are others, PagingError where a tier under a pager fails.
    """
    end = recording.about.end
    at_end = [
        point
        for point in recording.points()
        if end and point.host is not None and (point.moment, point.position) == (end.moment, end.entries)
    ]
    if not end or not at_end:
        raise RecordingError(f"{recording.folder} keeps no checkpoint of where its machine stopped among others")
    place_host(host, at_end[-1])
    host.run(end.tick)  # not one instruction: the others hear how far it has come
    return Recorder(recording, host, at_end[-1].memory, program.pager, scheduled_on)


def fork_recording(
    recording: Recording,
    moment: int,
    folder: Path,
    program: Program,
    create: Create,
    patches: Sequence[Patch] = (),
    name: str | None = None,
) -> Recorder:
    """A recorder of another future: the run as it was up to a moment, then on with the devices of `program`; the
    console's input begins with what it is given here.

    The new recording begins there; it is whole by itself, and knows its parent. It is held to the quota of `program`,
    which counts beams, requests and pages from there on, and ticks from the first one. patches: memory that is changed
    first. A moment behind the end of the recording, or of a machine that has stopped or ran among others, is refused
    with RecordingError; else as `continue_recording`.
    """
    program.check_live()
    if not recording.origin.point.moment <= moment <= recording.known_tick:
        raise RecordingError(
            f"{recording.folder} goes from tick {recording.origin.tick:,} to {recording.known_tick:,}; {moment:,} is "
            "not in it"
        )
    start = max((p for p in recording.points() if p.moment <= moment), key=lambda point: point.moment)
    point, _ = catch_up(recording, start, program.host, create(), moment)
    if point.state.status is not Status.RUNNING or point.tick != moment:
        raise RecordingError(f"{recording.folder}: the machine has stopped at tick {point.tick:,}; it has no future")
    chain = recording.chain
    for entry in recording.entries[: point.position]:
        chain = chained(chain, entry)
    patched = replace(point, memory=patched_memory(point.memory, patches), position=0)
    origin = replace(patched, host=with_fresh_input(patched.host or {}))
    about = replace(
        recording.about,
        name=name or f"{recording.about.name} from tick {moment}",
        id=About("", "", "", "").id,
        created=About("", "", "", "").created,
        options=program.options,
        parent=Parent(recording.about.id, moment, tuple((slot, at, data.hex()) for slot, at, data in patches)),
        chain=chain.hex(),
        end=None,
    )
    fork = Recording.create(folder, about, recording.program(), origin)
    host = program.host(create())
    place_host(host, origin)
    return Recorder(fork, host, origin.memory, program.pager)


def with_fresh_input(host: Mapping[str, Any]) -> dict[str, Any]:
    """What a host holds (`Host.save`), as a fork goes on with it: with a log of its own, a console whose input begins
    with what it is given now, and no pages in use."""
    devices = dict(host["devices"])
    devices[CONSOLE] = {**devices[CONSOLE], "taken": 0, "ahead": ""}
    fresh = {**host, "answered": 0, "devices": devices}
    fresh.pop(PAGES, None)
    return fresh


def patched_memory(memory: MemoryMap, patches: Sequence[Patch]) -> MemoryMap:
    """A map with bytes changed. Raises RecordingError for a place that no memory has."""
    for slot, offset, data in patches:
        if not data or not 0 <= offset <= (1 << 32) - len(data):
            raise RecordingError(f"{len(data)} bytes at offset {offset:#x} of slot {slot} cannot be patched")
        leaves: dict[int, Leaf] = {}
        for number in range(offset >> LEAF_BITS, (offset + len(data) - 1 >> LEAF_BITS) + 1):
            try:
                key = key_of(slot, number)
            except ValueError as error:
                raise RecordingError(str(error)) from error
            leaf = memory.leaf(key)
            content, start = bytearray(leaf.data), number << LEAF_BITS
            first, last = max(offset, start), min(offset + len(data), start + LEAF_BYTES)
            content[first - start : last - start] = data[first - offset : last - offset]
            leaves[key] = Leaf(bytes(content), leaf.labels)
        memory = memory.with_leaves(leaves)
    return memory
