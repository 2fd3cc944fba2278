"""The input log as bytes and as a file that grows: round trips, torn tails, a process that is killed."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.host.input_log import Entry, InputLog, InputLogError
from vac.host.input_log_codec import decode_entry, encode_entry
from vac.image.image import Window
from vac.isa.traps import Trap
from vac.machine.protocol import Answer, Event, EventKind
from vac.recording.errors import RecordingError
from vac.recording.input_log_file import MAGIC, InputLogFile, chained, decode_log, encode_log, read_log

WINDOWS = st.builds(
    Window,
    st.integers(0, 255),
    st.integers(0, 1 << 20).map(lambda n: 4 * n),
    st.integers(0, 1 << 20),
    st.integers(0, 3),
)
ANSWERS = st.builds(
    Answer,
    st.integers(0, (1 << 32) - 1),
    st.booleans(),
    st.sampled_from(Trap),
    st.lists(st.tuples(st.integers(0, 15), WINDOWS), max_size=3).map(tuple),
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 1 << 31), st.binary(max_size=40)), max_size=3).map(tuple),
)
ENTRIES = st.builds(Entry, st.integers(0, 1 << 40), st.sampled_from(EventKind), st.integers(0, 255), ANSWERS)
LOGS = st.lists(ENTRIES, max_size=12).map(lambda entries: InputLog(sorted(entries, key=lambda entry: entry.tick)))


@given(ENTRIES, st.integers(0, 1 << 40))
def test_an_entry_comes_back(entry: Entry, before: int) -> None:
    previous = min(before, entry.tick)
    assert decode_entry(encode_entry(entry, previous), previous) == entry


@given(LOGS)
def test_both_forms_hold_the_same(log: InputLog) -> None:
    content = encode_log(log)
    entries, length = decode_log(content)
    assert entries == log.entries
    assert length == len(content)
    assert InputLog.from_text(InputLog(entries).to_text()).entries == log.entries


@given(LOGS, st.integers(0, 1 << 30))
def test_a_torn_log_is_the_entries_that_are_whole(log: InputLog, cut: int) -> None:
    content = encode_log(log)
    cut %= len(content) + 1
    entries, length = decode_log(content[:cut])
    assert entries == log.entries[: len(entries)]
    assert length <= cut
    assert encode_log(InputLog(entries)) == content[:length] or cut < len(MAGIC)


@given(LOGS, st.integers(0, 1 << 30), st.integers(1, 255))
def test_a_changed_byte_is_noticed(log: InputLog, place: int, change: int) -> None:
    content = bytearray(encode_log(log))
    place %= len(content)
    content[place] ^= change
    try:
        entries, _ = decode_log(bytes(content))
    except InputLogError:
        return
    assert len(entries) < len(log.entries)
    assert entries == log.entries[: len(entries)]


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for content in (data, MAGIC + data):
        with contextlib.suppress(InputLogError):
            decode_log(content)
    with contextlib.suppress(InputLogError):
        decode_entry(data, 0)


def record(log: InputLogFile, tick: int) -> None:
    log.record(Event(EventKind.DEVICE_IN, 0, (), 0, tick), Answer(tick & 0xFF))


def test_a_log_goes_on_after_its_torn_tail(tmp_path: Path) -> None:
    path = tmp_path / "inputs.log"
    log = InputLogFile(path)
    for tick in range(10):
        record(log, tick)
    log.close()
    chain = log.chain
    whole = path.read_bytes()
    path.write_bytes(whole + b"\x09torn")
    log = InputLogFile(path)
    assert log.cut_bytes == 5
    assert len(log.entries) == log.acknowledged == 10
    assert log.chain == chain
    assert path.read_bytes() == whole
    record(log, 99)
    assert log.acknowledged == 10
    assert log.commit() == 11
    log.close()
    assert [entry.tick for entry in read_log(path).entries] == [*range(10), 99]
    assert log.chain == chained(chain, log.entries[-1])


def test_either_form_is_read(tmp_path: Path) -> None:
    log = InputLog([Entry(3, EventKind.DEVICE_IN, 0, Answer(7))])
    (tmp_path / "text").write_text(log.to_text())
    (tmp_path / "bytes").write_bytes(encode_log(log))
    assert read_log(tmp_path / "text").entries == read_log(tmp_path / "bytes").entries == log.entries
    (tmp_path / "other").write_bytes(b"\xff\xfe")
    with pytest.raises(InputLogError, match="other: neither"):
        read_log(tmp_path / "other")


def test_a_full_disk_stops_before_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = InputLogFile(tmp_path / "inputs.log")
    record(log, 1)
    real = os.pwrite

    def half(file: int, data: bytes, position: int) -> int:
        if len(data) > 2:
            return real(file, data[:2], position)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(RecordingError, match=r"No space left.*before the answer at tick 2"):
        record(log, 2)
    assert len(log.entries) == 1
    monkeypatch.setattr(os, "pwrite", real)
    record(log, 3)
    log.close()
    assert [entry.tick for entry in read_log(log.path).entries] == [1, 3]


WRITER = """
import sys
from pathlib import Path
from vac.machine.protocol import Answer, Event, EventKind
from vac.recording.input_log_file import InputLogFile
log = InputLogFile(Path(sys.argv[1]))
tick = len(log.entries)
while True:
    log.record(Event(EventKind.DEVICE_IN, 0, (), 0, tick), Answer(tick & 0xFF, writes=((1, tick, bytes(tick % 50)),)))
    tick += 1
    print(tick, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_it_spoke_of(tmp_path: Path) -> None:
    path, draw, known = tmp_path / "inputs.log", random.Random(4), 0
    for _ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout
        first = writer.stdout.readline()
        time.sleep(draw.random() / 20)
        writer.send_signal(signal.SIGKILL)
        spoken = [first, *writer.stdout.read().splitlines(keepends=True)]
        writer.wait()
        said = int([line for line in spoken if line.endswith(b"\n")][-1])
        log = InputLogFile(path)
        assert len(log.entries) >= said > known
        assert [entry.tick for entry in log.entries] == list(range(len(log.entries)))
        known = len(log.entries)
        log.close()
