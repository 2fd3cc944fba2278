"""The machines that `vac schedule` runs: what each is called, made of and given."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from ..engines.registry import EngineError
from ..isa.beam import BEAM_BYTES
from .failure import fail
from .package_file import is_package, open_package, package_errors
from .run import load_program

if TYPE_CHECKING:
    from ..image.image import Image
    from ..package.package import Package
    from ..recording.program import Program
    from ..scheduler.quota import Quota
    from ..scheduler.scheduler import Scheduler
    from ..scheduler.virtual_machine import VirtualMachine
    from .run_beams import RunsKept


@dataclass
class Planned:
    """A machine before it is made. path: of its program. output: takes what the console shows."""

    name: str
    path: Path
    program: Program
    output: io.BytesIO


def planned(
    programs: Sequence[Path], copies: int, seed: int, given: bytes, quota_class: str | None
) -> list[Planned]:  # fmt: skip
    """So many machines of each program, whose number is their place. Ends the command where a program is none."""
    from ..devices.message_bus import MessageBus
    from ..recording.program import Program

    loaded = [(path, *_loaded(path)) for path in programs]
    if quota_class and not any(package for _, _, package in loaded):
        fail("none of these is a package, so there is no policy that --quota-class could speak to")
    count = len(loaded) * copies
    net, qwave, group = MessageBus(), MessageBus(), uuid4().hex
    machines: list[Planned] = []
    for path, image, package in loaded:
        for copy in range(copies):
            number, output = len(machines), io.BytesIO()
            name = _name(path, copy if copies > 1 else None, {machine.name for machine in machines})
            program = Program(image, package, source=given, sink=output.write, net=net, qwave=qwave)
            if package is None:
                program.seed = seed + number
            else:
                program.quota_class = quota_class
                if count > 1 and (busses_of(program, "net") or busses_of(program, "qwave")):
                    program.number, program.group = number, group
            machines.append(Planned(name, path, program, output))
    return machines


def busses_of(program: Program, kind: str) -> list[int]:
    """Numbers that a package's devices of this kind have on their bus."""
    specs = program.package.manifest.devices.values() if program.package else ()
    return [int(spec.options.get("number", program.number or 0)) for spec in specs if spec.kind == kind]


def _loaded(path: Path) -> tuple[Image, Package | None]:
    if not is_package(path):
        return load_program(path)[0], None
    package = open_package(path)
    return package.image, package


def _name(path: Path, copy: int | None, taken: set[str]) -> str:
    stem = path.stem.removesuffix(".vac") or path.name
    name = stem if copy is None else f"{stem}-{copy}"
    further = 2
    while name in taken:
        name, further = f"{stem}.{further}" if copy is None else f"{stem}.{further}-{copy}", further + 1
    return name


def add_machines(scheduler: Scheduler, machines: Sequence[Planned], limits: Quota) -> None:
    """Makes them. Ends the command where one cannot be."""
    from ..machine.protocol import MachineError
    from ..memory.errors import PagingError
    from ..package.package_session import quota as package_quota
    from ..scheduler.quota import Quota

    for machine in machines:
        program, package = machine.program, machine.program.package
        program.pager = scheduler.pager
        quota = program.quota or _tighter(package_quota(package.manifest) if package else Quota(), limits)
        try:
            with package_errors(machine.path):
                scheduler.add(program.host, name=machine.name, quota=quota)
        except (EngineError, MachineError, PagingError) as error:
            fail(f"{machine.path}: {error}")


def _tighter(first: Quota, second: Quota) -> Quota:
    """Of each limit the smaller."""
    from dataclasses import fields

    from ..scheduler.quota import Quota

    pairs_of = ((f.name, getattr(first, f.name), getattr(second, f.name)) for f in fields(Quota))
    return Quota(
        **{name: min(given) if (given := [v for v in (a, b) if v is not None]) else None for name, a, b in pairs_of}
    )


def run_names(machines: Sequence[Planned], run: str | None) -> list[str]:
    """Names of their runs in a beam store: the machine's own; with `run` that, and the machine's behind it where there
    are several."""
    if run is None:
        return [machine.name for machine in machines]
    return [run] if len(machines) == 1 else [f"{run}.{machine.name}" for machine in machines]


def keep_beams(scheduler: Scheduler, kept: RunsKept, runs: Sequence[str], engine: str) -> Callable[[], None]:
    """Has the beams of each machine kept as a run of a store; `max_beams` counts these. What is to be called at the
    end, for what happened behind the last beam. Raises BeamStoreError."""
    ends = [_kept(vm, kept, run, engine) for vm, run in zip(scheduler.machines, runs, strict=True)]

    def end() -> None:
        for take in ends:
            take(b"")

    return end


def _kept(vm: VirtualMachine, kept: RunsKept, run: str, engine: str) -> Callable[[bytes], None]:
    take_at, tick, most = kept.taker(run, vm.host, engine), vm.machine.state().tick, vm.quota.max_beams

    def take(records: bytes) -> None:
        nonlocal tick, most
        take_at(tick, records)
        count = len(records) // BEAM_BYTES
        tick += count
        if most is not None:
            most -= count
            vm.quota = replace(vm.quota, max_beams=most)

    vm.on_beams = take
    return take


def consoles(machines: Sequence[Planned]) -> Iterator[tuple[str, bytes]]:
    """What each showed, by its name."""
    return ((machine.name, machine.output.getvalue()) for machine in machines)
