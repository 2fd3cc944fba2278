"""The input log in a file that grows with the run.

The file is the 8 bytes ``VACLOG`` 0 1, then a frame for each entry: the length of its bytes (LEB128), the bytes
(`host.input_log_codec`), and the CRC-32 over them that goes on from the frame before, as u32, little-endian. A frame
that is cut short or whose CRC is wrong ends the log: what stands behind it was never acknowledged.

*Written ahead*: an entry is with the operating system before the machine gets the answer, so a process that is killed
loses nothing. `commit` makes what is there safe against the computer failing too; it is called for groups of entries,
and `acknowledged` says how many it covers.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from blake3 import blake3

from ..host.input_log import Entry, InputLog, InputLogError
from ..host.input_log_codec import append_number, decode_entry, encode_entry, read_number
from ..machine.protocol import Answer, Event
from .errors import RecordingError

MAGIC = b"VACLOG\x00\x01"
CHAIN_BYTES = 16
CHAIN_START = bytes(CHAIN_BYTES)


def chained(chain: bytes, entry: Entry) -> bytes:
    """Hash of the log up to and with this entry, given that of the entries before: 16 bytes."""
    return blake3(chain + encode_entry(entry, 0)).digest(CHAIN_BYTES)


def encode_log(log: InputLog, first_tick: int = 0) -> bytes:
    """A whole file. first_tick: that the ticks count from. Raises InputLogError for what no run records."""
    out, crc, tick = bytearray(MAGIC), 0, first_tick
    for entry in log.entries:
        frame, crc = _frame(entry, tick, crc)
        out += frame
        tick = entry.tick
    return bytes(out)


def decode_log(content: bytes) -> tuple[list[Entry], int]:
    """The entries of a file, and how many of its bytes they take; the rest is a torn tail.

    Raises InputLogError for what is no such file, or is damaged in a frame whose CRC is right.
    """
    entries, position, _ = _read(content)
    return entries, position


def _frame(entry: Entry, previous_tick: int, crc: int) -> tuple[bytes, int]:
    body = encode_entry(entry, previous_tick)
    crc = zlib.crc32(body, crc)
    frame = bytearray()
    append_number(frame, len(body))
    return bytes(frame) + body + crc.to_bytes(4, "little"), crc


def _read(content: bytes) -> tuple[list[Entry], int, int]:
    if not content.startswith(MAGIC):
        if MAGIC.startswith(content):
            return [], 0, 0
        raise InputLogError("not an input log: the first eight bytes differ")
    entries: list[Entry] = []
    position, crc, tick = len(MAGIC), 0, 0
    while position < len(content):
        try:
            length, start = read_number(content, position)
        except InputLogError:
            break
        end = start + length
        body = content[start:end]
        found = zlib.crc32(body, crc)
        if end + 4 > len(content) or found != int.from_bytes(content[end : end + 4], "little"):
            break
        try:
            entries.append(decode_entry(body, tick))
        except InputLogError as error:
            raise InputLogError(f"entry {len(entries)} at byte {position}: {error}") from error
        position, crc, tick = end + 4, found, entries[-1].tick
    return entries, position, crc


def read_log(path: Path) -> InputLog:
    """The log in a file, of this form or as JSON lines. Raises InputLogError, naming the file, and OSError."""
    content = path.read_bytes()
    try:
        if content.startswith(MAGIC):
            return InputLog(decode_log(content)[0])
        return InputLog.from_text(content.decode())
    except UnicodeDecodeError as error:
        raise InputLogError(f"{path}: neither an input log nor text: {error}") from error
    except InputLogError as error:
        raise InputLogError(f"{path}: {error}") from error


class InputLogFile(InputLog):
    """A log that a run is recorded into, or goes on being recorded into. Opening cuts a torn tail.

    chain: hash of what came before the first entry. Raises RecordingError where the file cannot be read or written;
    `record` raises it before the machine has the answer, so that the run can stop with nothing lost.
    """

    def __init__(self, path: Path, chain: bytes = CHAIN_START) -> None:
        super().__init__()
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            with open(self._file, "rb", closefd=False) as reader:
                content = reader.read()
            self.entries, self._end, self._crc = _read(content)
            if not self._end:
                self._write_all(MAGIC)
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)
        except OSError as error:
            raise RecordingError(f"cannot open the input log {path}: {error.strerror or error}") from error
        except InputLogError as error:
            raise RecordingError(f"{path}: {error}") from error
        self.cut_bytes = len(content) - self._end if content else 0
        """Length of the torn tail that was there."""
        self.chain = chain
        for entry in self.entries:
            self.chain = chained(self.chain, entry)
        self.acknowledged = len(self.entries)
        """Entries that are safe against the computer failing."""

    def record(self, event: Event, answer: Answer) -> None:
        entry = Entry(event.tick, event.kind, event.number, answer)
        try:
            frame, crc = _frame(entry, self.entries[-1].tick if self.entries else 0, self._crc)
            self._write_all(frame)
        except OSError as error:
            raise RecordingError(
                f"cannot write the input log {self.path}: {error.strerror or error}; the run stopped before the "
                f"answer at tick {event.tick}, all {len(self.entries)} entries before it are kept"
            ) from error
        self._crc = crc
        self.entries.append(entry)
        self.chain = chained(self.chain, entry)

    def commit(self) -> int:
        """All that was recorded is safe when this returns; how many entries that is."""
        if self.acknowledged < len(self.entries):
            try:
                os.fsync(self._file)
            except OSError as error:
                raise RecordingError(f"cannot write the input log {self.path}: {error.strerror or error}") from error
            self.acknowledged = len(self.entries)
        return self.acknowledged

    def close(self) -> None:
        """Commits first."""
        if self._file >= 0:
            try:
                self.commit()
            finally:
                os.close(self._file)
                self._file = -1

    def _write_all(self, data: bytes) -> None:
        """At the end of what is whole: a write that failed half-way leaves nothing that the next would stand behind."""
        position = self._end
        while data:
            written = os.pwrite(self._file, data, position)
            data, position = data[written:], position + written
        self._end = position
