"""What a debugger is given: a package, an image, assembly source or a recording, as a history with its source."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..assembler.assemble import Assembly, assemble_with_listing
from ..checkpoint.point import Point
from ..devices.console import Console
from ..devices.registry import DeviceContext
from ..devices.storage import Storage
from ..engines.registry import create_machine
from ..history.history import History
from ..host.input_log import InputLog
from ..host.session import Host
from ..image.image import MAGIC, Image
from ..machine.protocol import Machine
from .comparison import Comparison
from .errors import DebuggerError
from .output import Output
from .source_map import SourceMap

Build = Callable[[Machine, InputLog | None, bytes | None, Callable[[bytes], object]], Host]
"""Makes a host: machine, log to be played back, the console's input where it is not what the run began with, and what
takes the console's output."""
_PACKAGE_SUFFIXES = (".vac", ".vac.json")


@dataclass
class Program:
    """title: for people. history: where the debugger is to begin. output: of the console. comparison: with another
    engine that came to something else. build: another host of the same run, None where it has only its answers.
    beginnings: points with the state of the devices, from which the run can be played to them."""

    title: str
    history: History
    source: SourceMap
    output: Output
    comparison: Comparison | None = None
    build: Build | None = None
    beginnings: Sequence[Point] = ()


def open_program(
    path: Path,
    *,
    console_input: bytes = b"",
    storage: bytes | None = None,
    seed: int | None = None,
    replay: InputLog | None = None,
    source: Path | None = None,
    engine: str = "fast",
) -> Program:
    """A program at its first tick, to be run as far as one goes.

    path: package, image, assembly source, or recording. console_input, storage, seed: as for `vac run`; of no use for a
    recording, which has its answers. replay: gives the answers in their place. source: what a package, image or
    recording was assembled from, for lines and names; it must assemble to the same code. Raises DebuggerError, OSError,
    AssemblyErrors, ImageError, PackageError, RecordingError, CheckpointError, EngineError.
    """
    output = Output()
    assembly = None
    if _is_recording(path):
        return _open_recording(path, source, engine)
    if path.is_dir() or path.name.endswith(_PACKAGE_SUFFIXES):
        from ..package.package import Package
        from ..package.package_session import create_host

        package = Package.open(path)
        image = package.image

        def build(machine: Machine, log: InputLog | None, text: bytes | None, sink: Callable[[bytes], object]) -> Host:
            files: dict[str, tuple[BinaryIO, bool]] = (
                {} if storage is None else {"storage": (io.BytesIO(storage), False)}
            )
            context = DeviceContext(
                console_source=console_input if text is None else text, console_sink=sink, files=files
            )
            return create_host(package, machine, context=context, seed=seed, replay=log)
    else:
        content = path.read_bytes()
        if path.suffix == ".vacimg" or content.startswith(MAGIC[:-1]):
            from ..package.image_source import load_image

            image = load_image(path)
        else:
            assembly = _assemble(path, content)
            image = assembly.image

        def build(machine: Machine, log: InputLog | None, text: bytes | None, sink: Callable[[bytes], object]) -> Host:
            return Host(
                machine, image, console=Console(console_input if text is None else text, sink),
                storage=None if storage is None else Storage(io.BytesIO(storage)), seed=seed or 0, replay=log,
            )  # fmt: skip

    host = build(create_machine(engine, keeps_beams=False), replay, None, output.take)
    if source:
        assembly = assembly_of(image, path, source)
    output.log = host.input_log
    history, title = History.following(host, image, engine), image.name or path.name
    return Program(title, history, SourceMap(image, assembly), output, build=build)


def _is_recording(path: Path) -> bool:
    from ..recording.recording import MANIFEST

    return (path / MANIFEST).is_file()


def _open_recording(path: Path, source: Path | None, engine: str) -> Program:
    from ..history.recorded import history_of
    from ..recording.program import Program as Recorded
    from ..recording.recording import Recording

    recording = Recording(path)

    def build(machine: Machine, log: InputLog | None, text: bytes | None, sink: Callable[[bytes], object]) -> Host:
        recorded = Recorded.from_recording(recording)
        recorded.source, recorded.sink = text or b"", sink
        return recorded.host(machine, log)

    assembly = assembly_of(recording.image, path, source) if source else None
    title = recording.image.name or path.name
    return Program(
        title, history_of(recording, engine), SourceMap(recording.image, assembly), Output(), build=build,
        beginnings=[point for point in recording.points() if point.host is not None],
    )  # fmt: skip


def assembly_of(image: Image, path: Path, source: Path) -> Assembly:
    """A source's assembly, which must give the image's code. path: of the image, for errors. Raises DebuggerError,
    AssemblyErrors, OSError."""
    assembly = _assemble(source, source.read_bytes())
    if assembly.image.code != image.code:
        raise DebuggerError(f"{source} assembles to other code than {path} holds")
    return assembly


def _assemble(path: Path, content: bytes) -> Assembly:
    try:
        return assemble_with_listing(content.decode(), str(path))
    except UnicodeDecodeError as error:
        raise DebuggerError(f"{str(path)!r} is neither a package, an image, nor text in UTF-8") from error
