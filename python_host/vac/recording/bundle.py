"""A recording as one file, `NAME.vacrun`, to be carried about.

An archive as packages are (`package.archive`), whose members are `recording.json`, the program, `inputs.log`,
`segments.bin`, each checkpoint's `NAME.dc.json` and packs with what their memories need. The same recording gives
the same bytes. Origin alone is enough to replay; other checkpoints go along when asked for.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ..checkpoint.checkpoint import STORE_FOLDER, SUFFIX, CheckpointFolder
from ..checkpoint.encoding import encode_checkpoint
from ..checkpoint.errors import CheckpointError
from ..checkpoint.leaf_store import PACK_SUFFIX, LeafStore
from ..files.durable import sync, write_durably
from ..host.input_log import InputLog
from ..package.archive import decode_archive, encode_archive
from ..package.errors import ArchiveError
from .errors import RecordingError
from .input_log_file import encode_log
from .recording import CHECKPOINTS, LOG, MANIFEST, ORIGIN, SEGMENTS, Recording
from .segments import encode_segments

BUNDLE_SUFFIX = ".vacrun"


def encode_bundle(recording: Recording, with_checkpoints: bool = False) -> bytes:
    """The file's bytes. Raises RecordingError and CheckpointError where the recording is damaged."""
    names = recording.checkpoints.names() if with_checkpoints else [ORIGIN]
    members = {
        MANIFEST: recording.about.to_bytes(),
        recording.about.program: recording.program(),
        LOG: encode_log(InputLog(recording.entries)),
        SEGMENTS: encode_segments(recording.segments),
    }
    with tempfile.TemporaryDirectory() as folder:
        store = LeafStore(Path(folder))
        for name in names:
            checkpoint = recording.checkpoints.load(name)
            members[f"{name}{SUFFIX}"] = encode_checkpoint(checkpoint)
            store.add(checkpoint.point.memory)
        members |= {pack.name: pack.read_bytes() for pack in store.packs}
    try:
        return encode_archive(members)
    except ArchiveError as error:
        raise RecordingError(f"{recording.folder} cannot be exported: {error}") from error


def export_recording(recording: Recording, path: Path, with_checkpoints: bool = False) -> int:
    """Writes the file; its length in bytes. As `encode_bundle`; RecordingError also where it cannot be written."""
    content = encode_bundle(recording, with_checkpoints)
    try:
        write_durably(path, content)
    except OSError as error:
        raise RecordingError(f"cannot write {path}: {error.strerror or error}") from error
    return len(content)


def import_recording(path: Path, folder: Path) -> Recording:
    """Makes the folder of a recording from the file; it has its name only once it is whole. The program and all
    checkpoints are checked; whether the run is what it says, `replay` tells. Raises RecordingError."""
    try:
        members = decode_archive(path.read_bytes())
    except ArchiveError as error:
        raise RecordingError(f"{path}: {error}") from error
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror or error}") from error
    if folder.exists():
        raise RecordingError(f"{folder} is there already; name another folder")
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        for name, content in members.items():
            place = _place(temporary, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            write_durably(place, content)
        found = Recording(temporary)
        found.program()
        for checkpoint in CheckpointFolder(temporary / CHECKPOINTS).all():
            for _ in checkpoint.point.memory.items():
                pass
        assert found.origin and found.entries is not None
        temporary.chmod(0o755)
        temporary.replace(folder)
        sync(folder.parent)
    except (RecordingError, CheckpointError) as error:
        raise RecordingError(f"{path} is damaged: {_without(str(error), temporary)}") from error
    except OSError as error:
        raise RecordingError(f"cannot make {folder}: {error.strerror or error}") from error
    finally:
        if temporary and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)
    return Recording(folder)


def _place(folder: Path, name: str) -> Path:
    if name.endswith(PACK_SUFFIX):
        return folder / CHECKPOINTS / STORE_FOLDER / name
    return folder / CHECKPOINTS / name if name.endswith(SUFFIX) else folder / name


def _without(text: str, folder: Path | None) -> str:
    return text.replace(f"{folder}/", "") if folder else text
