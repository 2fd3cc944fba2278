"""A file of equal blocks, read and written past the page cache where the file system can do that."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")

RUN_BLOCKS = 8
"""Blocks next to each other that are moved by one call."""


class DirectFile:
    """path: made when it is not there. block_bytes: a multiple of 4096. threads: calls in flight at a time.

    `is_direct` tells whether the page cache is really passed by. Every method raises OSError.
    """

    def __init__(self, path: Path, block_bytes: int, threads: int) -> None:
        self._block_bytes = block_bytes
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            self._file = os.open(path, flags | getattr(os, "O_DIRECT", 0), 0o600)
            self.is_direct = hasattr(os, "O_DIRECT")
        except OSError as error:
            # Some file systems, those in RAM among them, refuse direct I/O when the file is opened.
            if error.errno != 22:
                raise
            self._file = os.open(path, flags, 0o600)
            self.is_direct = False
        self._width = threads
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="vac-file-tier")
        self._local = threading.local()

    def _buffer(self) -> mmap.mmap:
        # Direct I/O wants aligned memory, which an anonymous mapping is.
        buffer = getattr(self._local, "buffer", None)
        if buffer is None:
            buffer = self._local.buffer = mmap.mmap(-1, RUN_BLOCKS * self._block_bytes)
        return buffer

    def blocks(self) -> int:
        """Blocks from the start to the end of the file."""
        return os.fstat(self._file).st_size // self._block_bytes

    def read(self, numbers: Sequence[int], made: Callable[[int, bytes], Value]) -> list[Value]:
        """What `made` makes of each block, in the order asked for. made: gets number and bytes, in the threads that
        read. What lies behind the end of the file is zeros."""
        runs = _runs(numbers)
        # Each thread gets several runs: handing over a task costs as much as a read.
        shares = [share for share in (runs[first :: self._width] for first in range(self._width)) if share]

        def read_runs(share: Sequence[range]) -> list[tuple[int, Value]]:
            return [
                (number, made(number, block))
                for run in share
                for number, block in zip(run, self._read_run(run), strict=True)
            ]

        if len(shares) == 1:
            found = read_runs(shares[0])
        else:
            found = [pair for share in self._threads.map(read_runs, shares) for pair in share]
        by_number = dict(found)
        return [by_number[number] for number in numbers]

    def _read_run(self, run: range) -> list[bytes]:
        buffer, size = self._buffer(), self._block_bytes
        view = memoryview(buffer)[: len(run) * size]
        done = 0
        while done < len(view):
            count = os.preadv(self._file, [view[done:]], run.start * size + done)
            if not count:
                view[done:] = bytes(len(view) - done)
                break
            done += count
        return [bytes(view[index * size : (index + 1) * size]) for index in range(len(run))]

    def write(self, blocks: Sequence[tuple[int, bytes]]) -> None:
        """Blocks to their places. When it raises, any of them may have been written."""
        content = dict(blocks)
        runs = _runs(list(content))
        list(self._threads.map(lambda run: self._write_run(run, [content[number] for number in run]), runs))

    def _write_run(self, run: range, blocks: list[bytes]) -> None:
        buffer, size = self._buffer(), self._block_bytes
        view = memoryview(buffer)[: len(run) * size]
        for index, block in enumerate(blocks):
            view[index * size : (index + 1) * size] = block
        done = 0
        while done < len(view):
            done += os.pwritev(self._file, [view[done:]], run.start * size + done)

    def sync(self) -> None:
        """What was written is on the device when this returns."""
        os.fdatasync(self._file)

    def truncate(self, blocks: int) -> None:
        """Gives what lies behind this many blocks back to the file system."""
        os.ftruncate(self._file, blocks * self._block_bytes)

    def close(self) -> None:
        """Waits for what is under way and lets go of the file."""
        self._threads.shutdown()
        os.close(self._file)


def _runs(numbers: Sequence[int]) -> list[range]:
    """The numbers in ascending stretches without gaps, none longer than RUN_BLOCKS."""
    runs: list[range] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1].stop and len(runs[-1]) < RUN_BLOCKS:
            runs[-1] = range(runs[-1].start, number + 1)
        else:
            runs.append(range(number, number + 1))
    return runs
