"""Progress of long steps on standard error; silent for steps that end within two seconds."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_QUIET_SECONDS = 2.0
_REPORT_SECONDS = 30.0


@contextmanager
def step(label: str) -> Iterator[None]:
    """Say on standard error that `label` is under way, once it has taken two seconds, and how long it took."""
    begun = time.monotonic()
    ended = threading.Event()
    reported = threading.Event()

    def report() -> None:
        wait = _QUIET_SECONDS
        while not ended.wait(wait):
            elapsed = time.monotonic() - begun
            print(f"  {label} ... {elapsed:.0f} s", file=sys.stderr, flush=True)
            reported.set()
            wait = _REPORT_SECONDS

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()
        if reported.is_set():
            print(f"  {label}: {time.monotonic() - begun:.1f} s", file=sys.stderr, flush=True)
