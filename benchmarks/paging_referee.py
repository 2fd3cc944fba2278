"""What other policies, and Belady's optimum, make of the same accesses: computed by libCacheSim."""

from __future__ import annotations

import tempfile
from pathlib import Path

import libcachesim
import numpy as np

from benchmarks.paging_loads import Load

_RECORD = np.dtype([("time", "<u4"), ("object", "<u8"), ("size", "<u4"), ("next", "<i8")])
"""libCacheSim's binary trace format `oracleGeneral`: 24 bytes a request, with the time of the object's next one."""

REFEREES = {
    "LRU": libcachesim.LRU,
    "S3-FIFO": libcachesim.S3FIFO,
    "ARC": libcachesim.ARC,
    "Belady": libcachesim.Belady,
}


def write_trace(path: Path, load: Load) -> None:
    """The load as libCacheSim reads it: every page an object of size 1."""
    objects = (load.machines << 32 | load.pages).astype(np.uint64)
    records = np.zeros(len(load), _RECORD)
    records["time"] = np.arange(len(load))
    records["object"] = objects
    records["size"] = 1
    # Positions of each object in order; the last one is never followed.
    order = np.argsort(objects, kind="stable")
    following = np.full(len(load), -1, np.int64)
    same = objects[order][1:] == objects[order][:-1]
    following[order[:-1][same]] = order[1:][same] + 1
    records["next"] = following
    records.tofile(path)


def miss_ratios(load: Load, frames: int) -> dict[str, float]:
    """Misses per access of each referee with this many frames."""
    # The package's type stubs know neither the reader's methods nor the enumeration that its extension module adds.
    kind = libcachesim.TraceType.ORACLE_GENERAL_TRACE  # pyright: ignore[reportAttributeAccessIssue]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "load.oracleGeneral"
        write_trace(path, load)
        readers = {name: libcachesim.TraceReader(str(path), kind) for name in REFEREES}  # pyright: ignore[reportAbstractUsage]
        return {name: policy(frames).process_trace(readers[name])[0] for name, policy in REFEREES.items()}
