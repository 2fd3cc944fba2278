"""The folder in which results come about, before they are whole."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def workplace(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out` that becomes `out` when the body ends well; else `out` stays as it was.

    What runs that were killed have left there is removed first. Nothing is left on an error or on Ctrl-C, which also
    ends what this process has started and still runs.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(out)
    with tempfile.TemporaryDirectory(
        dir=out.parent, prefix=f"{_prefix(out)}{os.getpid()}-", ignore_cleanup_errors=True
    ) as temporary:
        folder = Path(temporary).resolve() / "results"
        folder.mkdir()
        try:
            yield folder
        except KeyboardInterrupt:
            _end_children()
            raise
        _replace(out, folder)


def remove_stale(out: Path) -> None:
    """Removes the workplaces beside `out` whose process is gone."""
    for path in out.parent.glob(f"{_prefix(out)}*-*"):
        owner = path.name.removeprefix(_prefix(out)).partition("-")[0]
        if owner.isdigit() and not _is_running(int(owner)):
            shutil.rmtree(path, ignore_errors=True)


def _prefix(out: Path) -> str:
    return f".{out.name}-"


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _replace(out: Path, folder: Path) -> None:
    """Whole results replace whole results, and Ctrl-C comes before or after."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        if out.exists():
            out.rename(folder.with_name("old"))
        folder.rename(out)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_children() -> None:
    """Ends what this process has started: a simulator does not hear of Ctrl-C where only its parent was told."""
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for child in listing.read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
