"""What is fuzzed of recordings: logs, ends of segments, manifests, checkpoints, packs of leaves, exported files."""

from __future__ import annotations

import json
import shutil
import tempfile
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path

from blake3 import blake3

from ..assembler.assemble import assemble
from ..checkpoint.checkpoint import JOINT_SUFFIX, CheckpointFolder
from ..checkpoint.errors import CheckpointError
from ..checkpoint.leaf_store import PACK_SUFFIX, LeafStore
from ..engines.registry import create_machine
from ..history.errors import HistoryError
from ..host.input_log import InputLog, InputLogError
from ..host.input_log_codec import decode_entry, encode_entry
from ..recording.bundle import encode_bundle, import_recording
from ..recording.errors import RecordingError
from ..recording.input_log_file import decode_log, encode_log
from ..recording.program import Program
from ..recording.recording import ORIGIN, About, Recording
from ..recording.segments import decode_segments, encode_segments
from ..recording.start import start_recording
from .fuzz_readers import Target

_SOURCE = ".memory 4096\nin 0; st32a s, 0\nlit 0; lit 8; lit 9; sys 0; drop; sys 6; drop\nhalt\n"


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="vac-fuzz-"))


@cache
def _recording() -> Recording:
    path = _folder() / "seed"
    given = Program(assemble(_SOURCE), source=b"some input")
    recorder = start_recording(path, given, lambda: create_machine("golden"), "golden", 1 << 2)
    recorder.finish(recorder.run(100))
    return Recording(path)


def read_entry(data: bytes) -> None:
    """One entry, and what it writes again."""
    with suppress(InputLogError):
        entry = decode_entry(data, 0)
        assert decode_entry(encode_entry(entry, 0), 0) == entry


def read_log(data: bytes) -> None:
    """A log in either form."""
    with suppress(InputLogError):
        entries, _ = decode_log(data)
        assert decode_log(encode_log(InputLog(entries)))[0] == entries
    with suppress(InputLogError, UnicodeDecodeError):
        InputLog.from_text(data.decode())


def read_segments(data: bytes) -> None:
    with suppress(RecordingError):
        found, length, _ = decode_segments(data)
        assert not found or encode_segments(found) == data[:length]


def read_about(data: bytes) -> None:
    with suppress(RecordingError):
        about = About.from_bytes(data)
        assert About.from_bytes(about.to_bytes()) == about


def read_checkpoint(data: bytes) -> None:
    """`NAME.dc.json` over a store that is whole; with its check made right, too."""
    folder = CheckpointFolder(_recording().checkpoints.folder)
    for content in (data, _with_right_check(data)):
        folder.path("fuzzed").write_bytes(content)
        with suppress(CheckpointError):
            folder.load("fuzzed").point.root()


def read_joint(data: bytes) -> None:
    """As `read_checkpoint`, for several machines."""
    folder = CheckpointFolder(_recording().checkpoints.folder)
    for content in (data, _with_right_check(data)):
        folder.path("fuzzed", JOINT_SUFFIX).write_bytes(content)
        with suppress(CheckpointError):
            for machine in folder.load_joint("fuzzed").machines.values():
                machine.point.root()


def _with_right_check(data: bytes) -> bytes:
    try:
        fields = json.loads(data)
        del fields["check"]
        body = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        return json.dumps({**fields, "check": blake3(body).hexdigest()}).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        return data


def read_pack(data: bytes) -> None:
    """A pack of leaves; with the CRC of its index made right, too."""
    folder = _folder() / "packs"
    folder.mkdir(exist_ok=True)
    for content in (data, _with_right_crc(data)):
        (folder / f"fuzzed{PACK_SUFFIX}").write_bytes(content)
        with suppress(CheckpointError):
            dict(LeafStore(folder).memory(_recording().origin.point.memory.root()).items())


def _with_right_crc(data: bytes) -> bytes:
    """The footer says where the index begins; a start behind it is left as it is."""
    if len(data) < 24:
        return data
    start = int.from_bytes(data[-16:-8], "little")
    return data[:-4] + zlib.crc32(data[start:-16]).to_bytes(4, "little")


def read_exported(data: bytes) -> None:
    """`vac import`: nothing is left outside of the folder, and nothing half-made."""
    path, folder = _folder() / "fuzzed.vacrun", _folder() / "imported" / "run"
    path.write_bytes(data)
    with suppress(RecordingError, CheckpointError, HistoryError):
        import_recording(path, folder)
    shutil.rmtree(folder, ignore_errors=True)
    assert not folder.parent.exists() or not list(folder.parent.iterdir())


def _seed_pack() -> list[bytes]:
    return [path.read_bytes() for path in _recording().checkpoints.store.packs]


def _seed_joint() -> list[bytes]:
    folder, point = _recording().checkpoints, _recording().origin.point
    folder.save_joint("seed", {"a": point, "b": point}, {"latency": 1000, "numbers": {"a": 0, "b": 1}})
    return [folder.path("seed", JOINT_SUFFIX).read_bytes()]


def _seed_entries() -> list[bytes]:
    return [encode_entry(entry, 0) for entry in _recording().entries]


TARGETS = {
    "input-entry": Target(read_entry, _seed_entries),
    "input-log": Target(
        read_log,
        lambda: [_recording().log_path.read_bytes(), InputLog(_recording().entries).to_text().encode()],
    ),
    "segments": Target(read_segments, lambda: [_recording().segment_path.read_bytes()]),
    "recording": Target(read_about, lambda: [_recording().about.to_bytes()]),
    "checkpoint": Target(read_checkpoint, lambda: [_recording().checkpoints.path(ORIGIN).read_bytes()]),
    "joint-checkpoint": Target(read_joint, _seed_joint),
    "leaves": Target(read_pack, _seed_pack),
    "exported": Target(read_exported, lambda: [encode_bundle(_recording())]),
}
