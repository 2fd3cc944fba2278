"""What a session has to answer, found by walking a run tick by tick on the golden model."""

from __future__ import annotations

from pathlib import Path

from vac.debugger import Session
from vac.machine.state import State

ROOT = Path(__file__).resolve().parents[2]
SORT = ROOT / "firmware" / "demos" / "sort_lines.vasm"
LINES = b"pear\napple\nquince\nfig\ncherry\nbanana\n"


def sort_session(engine: str = "fast") -> Session:
    return Session.open(SORT, console_input=LINES, engine=engine)


def states_of(session: Session) -> list[State]:
    """The state at every tick, the end included; the session ends where it stood."""
    here = session.tick
    session.end()
    states = [session.history.seek(tick) for tick in range(session.tick + 1)]
    session.history.seek(here)
    return states
