"""What a debugger is given: a package, an image, assembly source or a recording, as a history with its source."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..assembler.assemble import Assembly, assemble_with_listing
from ..devices.console import Console
from ..devices.registry import DeviceContext
from ..devices.storage import Storage
from ..engines.registry import create_machine
from ..history.history import History
from ..host.input_log import InputLog
from ..host.session import Host
from ..image.image import MAGIC, Image
from .comparison import Comparison
from .errors import DebuggerError
from .output import Output
from .source_map import SourceMap

_PACKAGE_SUFFIXES = (".vac", ".vac.json")


@dataclass
class Program:
    """title: for people. history: where the debugger is to begin. output: of the console. comparison: with another
    engine that came to something else."""

    title: str
    history: History
    source: SourceMap
    output: Output
    comparison: Comparison | None = None


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
    file = io.BytesIO(storage) if storage is not None else None
    assembly = None
    if _is_recording(path):
        return _open_recording(path, source, engine)
    if path.is_dir() or path.name.endswith(_PACKAGE_SUFFIXES):
        from ..package.package import Package
        from ..package.package_session import create_host

        package = Package.open(path)
        image = package.image
        files: dict[str, tuple[BinaryIO, bool]] = {"storage": (file, False)} if file else {}
        context = DeviceContext(console_source=console_input, console_sink=output.take, files=files)
        machine = create_machine(engine, keeps_beams=False)
        host = create_host(package, machine, context=context, seed=seed, replay=replay)
    else:
        content = path.read_bytes()
        if path.suffix == ".vacimg" or content.startswith(MAGIC[:-1]):
            from ..package.image_source import load_image

            image = load_image(path)
        else:
            assembly = _assemble(path, content)
            image = assembly.image
        host = Host(
            create_machine(engine, keeps_beams=False), image, console=Console(console_input, output.take),
            storage=Storage(file) if file else None, seed=seed or 0, replay=replay,
        )  # fmt: skip
    if source:
        assembly = assembly_of(image, path, source)
    output.log = host.input_log
    return Program(image.name or path.name, History.following(host, image, engine), SourceMap(image, assembly), output)


def _is_recording(path: Path) -> bool:
    from ..recording.recording import MANIFEST

    return (path / MANIFEST).is_file()


def _open_recording(path: Path, source: Path | None, engine: str) -> Program:
    from ..history.recorded import history_of
    from ..recording.recording import Recording

    recording = Recording(path)
    assembly = assembly_of(recording.image, path, source) if source else None
    title = recording.image.name or path.name
    return Program(title, history_of(recording, engine), SourceMap(recording.image, assembly), Output())


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
