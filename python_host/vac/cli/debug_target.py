"""What `vac debug`, `gdb`, `why` and `prove` open, and the options that say so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..engines.registry import ENGINES
from .failure import fail

if TYPE_CHECKING:
    from ..debugger.session import Session
    from ..history.history import History

PROGRAM = Annotated[
    Path, typer.Argument(help="Package, image, assembly source, or recording.", metavar="PACKAGE|PROGRAM|RECORDING")
]
INPUT = Annotated[Path | None, typer.Option("--input", help="Console input; by default none.", metavar="FILE")]
STORAGE = Annotated[Path | None, typer.Option(help="The bytes of device 0x30, read-only.", metavar="FILE")]
REPLAY = Annotated[
    Path | None, typer.Option(help="Give the answers of this input log instead of live ones.", metavar="LOG")
]
SOURCE = Annotated[
    Path | None,
    typer.Option(help="Assembly source of a package, image or recording, for lines and names.", metavar="FILE"),
]
SEED = Annotated[int | None, typer.Option(help="Seed of the random generator of `entropy_probe`.")]
ENGINE = Annotated[str, typer.Option(help=f"What runs it, one of: {', '.join(ENGINES)}. All give the same.")]


def open_session(
    program: Path,
    input_file: Path | None,
    storage: Path | None,
    replay: Path | None,
    source: Path | None,
    seed: int | None,
    engine: str,
) -> Session:
    """A session at the first tick; ends the command where there can be none."""
    from ..assembler.diagnostics import AssemblyErrors
    from ..checkpoint.errors import CheckpointError
    from ..debugger.errors import DebuggerError
    from ..debugger.session import Session
    from ..engines.registry import EngineError
    from ..host.input_log import InputLog, InputLogError
    from ..image.image import ImageError
    from ..package.errors import PackageError
    from ..recording.errors import RecordingError

    try:
        return Session.open(
            program,
            console_input=input_file.read_bytes() if input_file else b"",
            storage=storage.read_bytes() if storage else None,
            replay=InputLog.from_text(replay.read_text()) if replay else None,
            source=source,
            seed=seed,
            engine=engine,
        )
    except OSError as error:
        fail(f"cannot read {str(error.filename or program)!r}: {error.strerror or error}")
    except (
        AssemblyErrors, CheckpointError, DebuggerError, EngineError, ImageError, PackageError, RecordingError
    ) as error:  # fmt: skip
        fail(str(error))
    except (InputLogError, UnicodeDecodeError) as error:
        fail(f"{replay}: {error}")


def move_to(history: History, at: int | None, program: Path) -> None:
    """To a tick, by default the end; ends the command where the run has no such tick. Raises HistoryError and what
    running raises."""
    history.end() if at is None else history.seek(at)
    if at is not None and history.tick != at:
        fail(f"{program}: the run ends at tick {history.tick}; there is no tick {at}")
