"""The one command that does a lockstep case again, as somebody would type it here."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def replay_command(case: Path, tick: int) -> str:
    """With this Python, by its short name where it lies below the working directory: it need not be on PATH."""
    python = Path(sys.executable)
    with_python = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    return shlex.join([str(with_python), "-m", "vac_sim.replay", str(case), "--around", str(tick)])
