"""Page-in from a file: the file tier next to what fio gets from the same disk, and what fault handling costs."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from vac.memory.address import DEFAULT_PAGE_BYTES, PageKey
from vac.memory.file_tier import FileTier
from vac.memory.page import Page
from vac.memory.page_store import Level, PageStore

_PAGES = 8192
_ROUNDS = 5
_SCRATCH = Path(__file__).resolve().parents[1] / "build"
"""On the disk that is meant; /tmp may be RAM."""


class DiskBenchFailed(RuntimeError):
    """fio is there but does not do what it is told."""


def _fio(path: Path, size: int, seconds: int) -> float:
    """Pages a second of random direct reads, 8 in flight, from a file that is there."""
    command = [
        "fio", "--name=page-in", f"--filename={path}", f"--size={size}", "--rw=randread", f"--bs={DEFAULT_PAGE_BYTES}",
        "--direct=1", "--ioengine=psync", "--numjobs=8", "--thread", "--time_based", f"--runtime={seconds}",
        "--group_reporting", "--output-format=json", "--randseed=1",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise DiskBenchFailed(f"fio ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")
    return json.loads(done.stdout)["jobs"][0]["read"]["iops"]


def _store_rate(store: PageStore, draw: random.Random, keys: list[PageKey], size: int, seconds: int) -> float:
    count, began = 0, time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        count += len(store.get(draw.sample(keys, size)))
    return count / passed


def page_in_rates(seconds: int) -> dict[str, float]:
    """Pages of 64 KiB a second, checked against their hashes: one at a time, eight and 32 at a time; and `fio`, where
    there is one. Medians of five rounds of all of them in turn, as others may use the disk too. seconds: of each
    measurement in a round. Raises DiskBenchFailed."""
    draw = random.Random(1)
    noise = draw.randbytes(DEFAULT_PAGE_BYTES)
    _SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_SCRATCH) as folder:
        tier = FileTier(Path(folder), DEFAULT_PAGE_BYTES)
        store = PageStore([Level(tier)])
        keys = [PageKey(1, number) for number in range(_PAGES)]
        for first in range(0, _PAGES, 64):
            store.put(
                [(key, Page.seal(key.number.to_bytes(8, "little") + noise[8:])) for key in keys[first : first + 64]]
            )
        store.flush()
        rounds: dict[str, list[float]] = {}
        for _ in range(_ROUNDS):
            for size in (1, 8, 32):
                rounds.setdefault(f"batch{size}", []).append(_store_rate(store, draw, keys, size, seconds))
            if tier.is_direct and shutil.which("fio"):
                rounds.setdefault("fio", []).append(_fio(Path(folder) / "pages", _PAGES * DEFAULT_PAGE_BYTES, seconds))
        store.close()
    return {name: median(found) for name, found in rounds.items()}
