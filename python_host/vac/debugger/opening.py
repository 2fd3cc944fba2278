"""What a debugger is given: a package, an image, assembly source or a recording, as a history with its source."""

from __future__ import annotations

import io
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path

from ..assembler.assemble import Assembly, assemble_with_listing
from ..devices.console import Console
from ..devices.storage import Storage
from ..engines.registry import create_machine
from ..history.history import History
from ..host.input_log import InputLog
from ..host.session import Host
from ..image.image import MAGIC
from .errors import DebuggerError
from .source_map import SourceMap

_PACKAGE_SUFFIXES = (".vac", ".vac.json")


@dataclass
class Output:
    """What the program wrote to its console: pieces, each with the index of its request in the input log."""

    log: InputLog = field(default_factory=InputLog)
    indices: list[int] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)

    def take(self, data: bytes) -> None:
        """The host's console lets these bytes out while it answers the next request of the log."""
        self.indices.append(len(self.log.entries))
        self.pieces.append(data)

    def before(self, position: int, limit: int = 1 << 14) -> bytes:
        """The last bytes, `limit` at most, that were written by the first `position` requests."""
        found: list[bytes] = []
        index = bisect_left(self.indices, position)
        while index and limit > 0:
            index -= 1
            found.append(self.pieces[index][-limit:])
            limit -= len(found[-1])
        return b"".join(reversed(found))


@dataclass
class Program:
    """title: for people. history: at its first tick. output: of the console, as far as it was run here."""

    title: str
    history: History
    source: SourceMap
    output: Output


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

    path: package, image, or assembly source. console_input, storage, seed: as for `vac run`. replay: gives the answers
    in their place. source: what a package or image was assembled from, for lines and names; it must assemble to the
    same code. Raises DebuggerError, OSError, AssemblyErrors, ImageError, PackageError, EngineError.
    """
    output = Output()
    given = {
        "console": Console(console_input, output.take),
        "storage": Storage(io.BytesIO(storage)) if storage is not None else None,
        "replay": replay,
    }
    assembly = None
    if path.is_dir() or path.name.endswith(_PACKAGE_SUFFIXES):
        from ..package.package import Package
        from ..package.package_session import create_host

        package = Package.open(path)
        image = package.image
        host = create_host(package, create_machine(engine, keeps_beams=False), seed=seed, **given)
    else:
        content = path.read_bytes()
        if path.suffix == ".vacimg" or content.startswith(MAGIC[:-1]):
            from ..package.image_source import load_image

            image = load_image(path)
        else:
            assembly = _assemble(path, content)
            image = assembly.image
        host = Host(create_machine(engine, keeps_beams=False), image, seed=seed or 0, **given)
    if source:
        assembly = _assemble(source, source.read_bytes())
        if assembly.image.code != image.code:
            raise DebuggerError(f"{source} assembles to other code than {path} holds")
    output.log = host.input_log
    return Program(image.name or path.name, History.following(host, image, engine), SourceMap(image, assembly), output)


def _assemble(path: Path, content: bytes) -> Assembly:
    try:
        return assemble_with_listing(content.decode(), str(path))
    except UnicodeDecodeError as error:
        raise DebuggerError(f"{str(path)!r} is neither a package, an image, nor text in UTF-8") from error
