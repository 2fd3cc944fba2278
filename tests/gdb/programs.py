"""Runs that clients are tried on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SORT = ROOT / "firmware" / "demos" / "sort_lines.vasm"
COMMAND = [sys.executable, "-c", "from vac.cli import main; main()"]


def write_lines(folder: Path) -> Path:
    """Console input for `sort_lines`."""
    path = folder / "lines.txt"
    path.write_text("pear\napple\nquince\nfig\ncherry\nbanana\n")
    return path


@contextmanager
def gdb_server(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The command `vac gdb` on a free port, and that port."""
    command = [*COMMAND, "gdb", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"NO_COLOR": "1"}) as process:
        assert process.stderr
        try:
            line = process.stderr.readline()
            assert "listening at 127.0.0.1:" in line, line + process.stderr.read()
            yield process, int(line.rpartition(":")[2])
        finally:
            process.kill()
