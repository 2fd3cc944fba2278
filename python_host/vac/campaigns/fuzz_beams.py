"""What is fuzzed of kept beams: contracts, files of JSON lines, blocks of sealed segments, redaction."""

from __future__ import annotations

import struct
import tempfile
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path

from ..beams.errors import BadQuery, BeamStoreError
from ..beams.jsonl_store import JsonlStore
from ..beams.record import JoinCount, events_of_beams
from ..beams.redaction.patterns import PATTERNS, redact_text
from ..beams.redaction.policy import Policy
from ..beams.segments.blocks import CellOrder, encode
from ..contracts.errors import ContractError
from ..contracts.reader import read_event
from .beam_crashes import beams_from
from .fuzz_readers import Target

_RUN = "r"


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="vac-fuzz-"))


def read_contract(data: bytes) -> None:
    """Any contract, and what it writes again."""
    with suppress(ContractError):
        event = read_event(data)
        assert read_event(event.to_json()) == event


def read_lines(data: bytes) -> None:
    """A file of JSON lines, asked everything."""
    path = _folder() / "store.jsonl"
    path.write_bytes(data)
    with suppress(BeamStoreError), JsonlStore(path, writable=False) as store:
        for info in store.runs():
            events = store.range(info.name, 0, None, 10)
            for event in store.beam_events(info.name, events):
                store.get_lineage_for_cell(event.cell_id, info.name, 2)
            store.entanglement_map(info.name)
            store.counts(info.name)


def read_blocks(data: bytes) -> None:
    """Events in the order of their cells; with the index's checksum made right, too."""
    path = _folder() / "events.cells"
    for content in (data, _sealed_blocks(data)):
        path.write_bytes(content)
        with suppress(BeamStoreError):
            order = CellOrder(path)
            order.of_cell(257 << 32, 3)
            order.verify()


def _sealed_blocks(data: bytes) -> bytes:
    if len(data) < 12:
        return data
    count = struct.unpack_from("<Q", data, len(data) - 12)[0]
    start = len(data) - 12 - 16 * (count + 1)
    return data if start < 0 else data[:-4] + struct.pack("<I", zlib.crc32(data[start:-12]))


def read_policy(data: bytes) -> None:
    """A policy; and the same bytes as a text to redact."""
    with suppress(BadQuery):
        Policy.read(data)
    redacted, _ = redact_text(data.decode(errors="replace"), list(PATTERNS))
    assert redact_text(redacted, list(PATTERNS))[0] == redacted


def _lines() -> list[bytes]:
    path = _folder() / "seed.jsonl"
    path.unlink(missing_ok=True)
    with JsonlStore(path) as store:
        store.ingest(_RUN, 0, beams_from(90, 10))
        store.commit()
    return [path.read_bytes()]


def _blocks() -> list[bytes]:
    rows, _, _ = events_of_beams(beams_from(0, 90), 0, JoinCount(), 0)
    return [b"".join(encode(rows))]


TARGETS: dict[str, Target] = {
    "contracts": Target(read_contract, lambda: _lines()[0].splitlines()[2:4]),
    "beam_lines": Target(read_lines, _lines),
    "beam_blocks": Target(read_blocks, _blocks),
    "redaction": Target(
        read_policy,
        lambda: [
            b'{"version": 1, "fields": ["source"], "patterns": ["ip"]}',
            b"4111 1111 1111 1111 a@b.cd ::1 GB82 WEST",
        ],
    ),
}
