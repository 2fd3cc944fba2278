"""A recording: a run as a folder.

| in the folder | what it is |
|---|---|
| `recording.json` | what was run, with what, from which recording it was forked, how it ended |
| `program.vacimg` or `program.vac` | the image or package |
| `inputs.log` | all that came from outside (`input_log_file`) |
| `segments.bin` | digest, hash of the log and state root at every segment boundary (`segments`) |
| `checkpoints/` | `origin.dc.json`, where it began, and others on the way, over one leaf store |

`recording.json` is written when the recording is made and when the run ends; in between it says that it has no end, and
after a crash it is the log that says how far the run came.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from ..checkpoint.checkpoint import CheckpointFolder
from ..checkpoint.encoding import Checkpoint
from ..checkpoint.point import Point
from ..files.durable import PART_SUFFIX, write_durably
from ..host.input_log import Entry, InputLogError
from ..image.image import Image, ImageError
from ..scheduler.quota import Quota
from .errors import RecordingError
from .held_quota import QUOTA, limits_from_json
from .input_log_file import CHAIN_BYTES, CHAIN_START, decode_log
from .segments import Segment, decode_segments

if TYPE_CHECKING:
    from ..package.package import Package

FORMAT = "vac-recording"
VERSION = 1
MANIFEST = "recording.json"
LOG = "inputs.log"
SEGMENTS = "segments.bin"
CHECKPOINTS = "checkpoints"
ORIGIN = "origin"
SEGMENT_TICKS = 1 << 22


@dataclass(frozen=True)
class End:
    """How a run ended. moment: its last tick, one more after a trap. reason: "halted", "trapped", "limit",
    "interrupted", or what a `StopCause` says: a quota, or that the machine waits. All but the first two can be
    continued."""

    tick: int
    moment: int
    reason: str
    digest: str | None
    root: str
    entries: int


@dataclass(frozen=True)
class Parent:
    """What a fork was taken from. run: id of the recording. moment: where. patches: memory that was changed, as slot,
    offset and bytes in hex."""

    run: str
    moment: int
    patches: tuple[tuple[int, int, str], ...] = ()


@dataclass(frozen=True)
class About:
    """`recording.json`. name: free text. program: file name in the folder. digest: BLAKE3 of that file. options: what
    the run was given (seed, storage and so on), as the command needs it to go on. chain: hash of the log before it."""

    name: str
    program: str
    digest: str
    engine: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    segment_ticks: int = SEGMENT_TICKS
    options: Mapping[str, Any] = field(default_factory=dict)
    parent: Parent | None = None
    chain: str = CHAIN_START.hex()
    end: End | None = None

    def to_bytes(self) -> bytes:
        fields = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return json.dumps(fields, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"

    @staticmethod
    def from_bytes(content: bytes) -> About:
        """Raises RecordingError."""
        try:
            fields: dict[str, Any] = json.loads(content)
            if fields.pop("format") != FORMAT:
                raise RecordingError("it says that it is something else than a recording")
            if (version := fields.pop("version")) != VERSION:
                raise RecordingError(f"it is of version {version}; version {VERSION} is known here")
            if (parent := fields["parent"]) is not None:
                fields["parent"] = Parent(parent["run"], parent["moment"], tuple(map(tuple, parent["patches"])))
            if (end := fields["end"]) is not None:
                fields["end"] = End(**end)
            about = About(**fields)
            _check_types(about)
            ticks = about.segment_ticks
            if not 1 <= ticks <= 1 << 63 or ticks & ticks - 1:
                raise RecordingError(f"segments of {ticks!r} ticks; a power of two is needed")
            if Path(about.program).name != about.program or about.program.startswith("."):
                raise RecordingError(f"program {about.program!r} lies outside of it")
            return about
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordingError(f"no recording: {type(error).__name__}: {error}") from error


def _check_types(about: About) -> None:
    """Raises TypeError or ValueError where a field is something else than `to_bytes` writes."""
    texts = [about.name, about.program, about.digest, about.engine, about.id, about.created, about.chain]
    numbers = [about.segment_ticks]
    if end := about.end:
        texts += [end.reason, end.root, *([] if end.digest is None else [end.digest])]
        numbers += [end.tick, end.moment, end.entries]
    if parent := about.parent:
        texts.append(parent.run)
        numbers.append(parent.moment)
        for slot, offset, data in parent.patches:
            numbers += [slot, offset]
            bytes.fromhex(data)
    if any(type(text) is not str for text in texts) or not isinstance(about.options, dict):
        raise TypeError("a text is expected where something else stands")
    if any(type(number) is not int or not 0 <= number < 1 << 64 for number in numbers):
        raise ValueError("a number is expected where something else stands")
    if len(bytes.fromhex(about.chain)) != CHAIN_BYTES:
        raise ValueError(f"the log's hash is not of {CHAIN_BYTES} bytes")
    datetime.fromisoformat(about.created)
    kinds = {"seed": int, "number": int, "storage": str, "quota_class": str, "group": str}
    if any(type(about.options.get(name)) not in (kind, type(None)) for name, kind in kinds.items()):
        raise TypeError("its options are none")
    limits_from_json(about.options.get(QUOTA, {}))


class Recording:
    """A recording that can be read. Raises RecordingError, naming the file, where it is missing or damaged; what the
    log and the segments hold after a crash is what is whole of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.about = About.from_bytes(self._content(MANIFEST))
        except RecordingError as error:
            raise RecordingError(_placed(error, folder / MANIFEST)) from error
        self.checkpoints = CheckpointFolder(folder / CHECKPOINTS)

    @staticmethod
    def create(folder: Path, about: About, program: bytes, origin: Point) -> Recording:
        """Makes the folder, which must not hold anything. about: `digest` is set here. Raises RecordingError, also
        where it cannot be written, and CheckpointError."""
        try:
            if folder.exists():
                _make_free(folder, about.program)
            folder.mkdir(parents=True, exist_ok=True)
            CheckpointFolder(folder / CHECKPOINTS).save(ORIGIN, origin, created=datetime.fromisoformat(about.created))
            write_durably(folder / about.program, program)
            # Last: a folder with a manifest has everything that it takes to replay.
            about = replace(about, digest=digest_of(program))
            write_durably(folder / MANIFEST, about.to_bytes())
        except OSError as error:
            raise RecordingError(f"cannot make the recording {folder}: {error.strerror or error}") from error
        return Recording(folder)

    def _content(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise RecordingError(f"cannot read {self.folder / name}: {error.strerror or error}") from error

    @property
    def log_path(self) -> Path:
        return self.folder / LOG

    @property
    def segment_path(self) -> Path:
        return self.folder / SEGMENTS

    @cached_property
    def quota(self) -> Quota:
        """What the run is held to. One that was recorded before that was kept is held to the ticks of its package
        alone. Raises RecordingError."""
        if QUOTA in self.about.options:
            return limits_from_json(self.about.options[QUOTA])
        return Quota(max_ticks=self.package.manifest.quotas.max_ticks if self.package else None)

    @property
    def chain(self) -> bytes:
        return bytes.fromhex(self.about.chain)

    def program(self) -> bytes:
        """The program file, which is checked. Raises RecordingError."""
        content = self._content(self.about.program)
        if digest_of(content) != self.about.digest:
            raise RecordingError(f"{self.folder / self.about.program} is another one than was recorded")
        return content

    @cached_property
    def package(self) -> Package | None:
        """None where an image was recorded. Raises RecordingError."""
        path = self.folder / self.about.program
        if path.suffix != ".vac":
            return None
        from ..package.archive import decode_archive
        from ..package.errors import PackageError
        from ..package.package import Package

        try:
            return Package.from_members(decode_archive(self.program()), path)
        except (PackageError, ImageError) as error:
            raise RecordingError(f"{path}: {error}") from error

    @cached_property
    def image(self) -> Image:
        """Raises RecordingError."""
        if self.package:
            return self.package.image
        try:
            return Image.from_bytes(self.program())
        except ImageError as error:
            raise RecordingError(f"{self.folder / self.about.program}: {error}") from error

    @cached_property
    def origin(self) -> Checkpoint:
        """Where the run began. Raises CheckpointError."""
        return self.checkpoints.load(ORIGIN)

    @cached_property
    def entries(self) -> list[Entry]:
        """The input log, as far as it is whole."""
        if not self.log_path.exists():
            return []
        try:
            return decode_log(self._content(LOG))[0]
        except InputLogError as error:
            raise RecordingError(f"{self.log_path}: {error}") from error

    @cached_property
    def segments(self) -> list[Segment]:
        """Those that the log has kept up with."""
        if not self.segment_path.exists():
            return []
        try:
            found, _, _ = decode_segments(self._content(SEGMENTS))
        except RecordingError as error:
            raise RecordingError(_placed(error, self.segment_path)) from error
        return [segment for segment in found if segment.position <= len(self.entries)]

    @property
    def last_moment(self) -> int | None:
        """Where the run ended; None where nobody said."""
        return self.about.end.moment if self.about.end else None

    @property
    def known_tick(self) -> int:
        """How far the run came at least."""
        ticks = [self.origin.tick]
        if self.about.end:
            ticks.append(self.about.end.tick)
        if self.segments:
            ticks.append(self.segments[-1].tick)
        if self.entries:
            ticks.append(self.entries[-1].tick)
        return max(ticks)

    def points(self) -> list[Point]:
        """Points of the checkpoints, in the order of ticks; those that the log has not kept up with left out."""
        found = [checkpoint.point for checkpoint in self.checkpoints.all()]
        return [point for point in found if point.position <= len(self.entries)]

    def set_end(self, end: End | None) -> None:
        self.about = replace(self.about, end=end)
        try:
            write_durably(self.folder / MANIFEST, self.about.to_bytes())
        except OSError as error:
            raise RecordingError(f"cannot write {self.folder / MANIFEST}: {error.strerror or error}") from error


def _make_free(folder: Path, program: str) -> None:
    """What a recorder left that was killed before it had made a recording goes; anything else is refused."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {MANIFEST}
    if any(name not in (CHECKPOINTS, program) and not name.endswith(PART_SUFFIX) for name in names):
        raise RecordingError(f"{folder} is there already; name another folder, or resume it")
    for name in names - {CHECKPOINTS}:
        (folder / name).unlink()
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def digest_of(content: bytes) -> str:
    return f"blake3:{blake3(content).hexdigest()}"


def _placed(error: RecordingError, path: Path) -> str:
    text = str(error)
    return text if str(path) in text else f"{path}: {text}"
