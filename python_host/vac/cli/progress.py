"""Progress of what takes more than two seconds, on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_QUIET_SECONDS = 2.0


@contextmanager
def progress(unit: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Gives a function that is told how far the work has come. total: None where nobody knows."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(TextColumn("{task.completed:,} {task.description}"), BarColumn(), TimeRemainingColumn(),
                   console=console, transient=True)  # fmt: skip
    task = bar.add_task(unit, total=total)
    began = time.monotonic()
    is_shown = False

    def show(done: int) -> None:
        nonlocal is_shown
        if not is_shown and time.monotonic() - began > _QUIET_SECONDS:
            bar.start()
            is_shown = True
        if is_shown:
            bar.update(task, completed=done)

    try:
        yield show
    finally:
        if is_shown:
            bar.stop()
