"""The manifest of a package, `NAME.vac.json`: what is run, what it may reach, from whom and from when it is.

The file is the JSON of `Manifest` with sorted keys, two spaces a level and a line feed at the end. Other bytes, fields
that are not listed and versions that are not known are refused.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from blake3 import blake3
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    model_validator,
)

from ..isa.limits import LABEL_BITS
from .canonical import compact_json, parse_json, readable_json
from .errors import ManifestError

MANIFEST_SUFFIX = ".vac.json"
SIGNATURE_SUFFIX = ".dsse.json"
ARCHIVE_SUFFIX = ".vac"
MOST_MANIFEST_BYTES = 8 << 20
NEWEST_VERSION = 2
_MOST_TICKS = (1 << 64) - 1
_ADDRESS_SPAN = 16


def blake3_text(content: bytes) -> str:
    """A hash as manifests write it."""
    return f"blake3:{blake3(content).hexdigest()}"


def _check_time(text: str) -> str:
    try:
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        raise ValueError("no time such as 2026-01-31T12:00:00Z: RFC 3339, UTC, whole seconds") from None
    return text


def rfc3339(seconds: int) -> str:
    """A time, in seconds since 1970, as manifests write it. Raises ValueError beyond the year 9999."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"{seconds} seconds since 1970 are no time that can be written") from error


def _check_address(text: str) -> str:
    value = int(text, 16)
    if value % _ADDRESS_SPAN or text != f"{value:#04x}":
        raise ValueError("a device's first address is a multiple of 0x10, written as 0x00, 0x10, 0x30 or 0x120")
    return text


PackageName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.:-]{0,63}$")]
Root = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Blake3 = Annotated[str, Field(pattern=r"^blake3:[0-9a-f]{64}$")]
Time = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"),
    AfterValidator(_check_time),
]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-f]{2,8}$"), AfterValidator(_check_address)]
Option = StrictBool | Annotated[StrictInt, Field(ge=0, le=_MOST_TICKS)] | Annotated[str, Field(max_length=4096)]
U64 = Annotated[int, Field(ge=0, le=_MOST_TICKS)]
Limit = Annotated[int, Field(ge=1, le=_MOST_TICKS)]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @classmethod
    def make(cls, **fields: Any) -> Self:
        """Like the constructor. Raises ManifestError, naming the field that is wrong."""
        try:
            return cls(**fields)
        except ValidationError as error:
            raise ManifestError(f"the manifest cannot be made: {_reasons(error)}") from error


class DeviceSpec(_Model):
    """A device that the program finds at an address."""

    kind: Word = Field(description="what kind of device: console, clock, storage, ...")
    options: dict[Word, Option] = Field(default_factory=dict, description="what it is made with; the kind says what")


class Quotas(_Model):
    """What the program may use. null: no limit."""

    max_ticks: Limit | None = Field(default=None, description="instructions")
    max_resident_pages: Limit | None = Field(default=None, description="pages in frames at the same time")
    max_beams: Limit | None = Field(default=None, description="beams kept that nobody has taken")
    max_io_per_slice: Limit | None = Field(default=None, description="requests answered in one slice")


class ImageReference(_Model):
    """An image file, named by what it holds."""

    file: FileName = Field(description="its name, beside the manifest")
    digest: Blake3 = Field(description="BLAKE3 of the file")
    root: Root = Field(description="state root of a machine loaded with it, before the first tick")
    parent: Root | None = Field(description="root of the image that it stands on")
    blobs: tuple[Blake3, ...] = Field(description="BLAKE3 of each blob in it")


class Manifest(_Model):
    """A package."""

    version: Annotated[int, Field(ge=1, le=NEWEST_VERSION)] = Field(
        description="version of this format: 1, or 2 with `quota_class`"
    )
    id: Blake3 = Field(description="BLAKE3 of this manifest as compact JSON (sorted keys, no spaces) without `id`")
    name: PackageName = Field(description="its files are NAME.vac.json, NAME.vacimg, ...")
    isa_version: Annotated[int, Field(ge=1, le=0xFFFF)] = Field(description="instruction set that it is for")
    entrypoint: Annotated[int, Field(ge=0, le=0xFFFFFF)] = Field(description="pc of the first instruction")
    bytecode_hash: Blake3 = Field(description="BLAKE3 of the code segment")
    caps: dict[Word, bool] = Field(description="capabilities; what is not true here is denied")
    devices: dict[Address, DeviceSpec] = Field(description="by first address")
    quotas: Quotas
    quota_class: Word | None = Field(
        default=None, description="what policies are told of the machine; where it is not there, standard"
    )
    labels: dict[Word, Annotated[int, Field(ge=0, lt=LABEL_BITS)]] = Field(
        description="names of information-flow labels: the bit of each in a label set"
    )
    images: Annotated[tuple[ImageReference, ...], Field(min_length=1, max_length=64)] = Field(
        description="the image that the program starts from, then the images it stands on, nearest first"
    )
    seeds: dict[Word, U64] = Field(description="of each recorded random generator: `entropy` is that of entropy_probe")
    policy: Annotated[str, Field(max_length=1 << 20)] | None = Field(
        default=None, description="policies in Cedar, which decide within `caps`"
    )
    author: Annotated[str, Field(max_length=256)] | None = Field(default=None, description="who made it")
    signature: FileName | None = Field(
        default=None, description="file beside the manifest for DSSE envelopes; may be absent"
    )
    creation_time: Time = Field(description="RFC 3339, UTC")

    @property
    def image(self) -> ImageReference:
        """The image that the program starts from."""
        return self.images[0]

    @model_validator(mode="after")
    def _check_version(self) -> Self:
        if (self.quota_class is None) is not (self.version == 1):
            word = "with" if self.version > 1 else "without"
            raise ValueError(f"version {self.version} goes {word} the field quota_class")
        return self

    def fields(self) -> dict[str, Any]:
        """As JSON says it."""
        return self.model_dump(mode="json", exclude=set() if self.quota_class else {"quota_class"})

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        return readable_json(self.fields())

    @staticmethod
    def build(**fields: Any) -> Manifest:
        """A manifest with its `id`. Raises ManifestError, naming the field that is wrong."""
        version = 1 if fields.get("quota_class") is None else 2
        unnamed = Manifest.make(version=version, id="blake3:" + "0" * 64, **fields)
        return unnamed.model_copy(update={"id": _id_of(unnamed.fields())})

    @staticmethod
    def from_bytes(content: bytes) -> Manifest:
        """Inverse of `to_bytes`. Raises ManifestError for anything that is not exactly one valid manifest."""
        try:
            fields = parse_json(content, MOST_MANIFEST_BYTES)
        except ValueError as error:
            raise ManifestError(f"no manifest: {error}") from error
        version = fields.get("version") if isinstance(fields, dict) else None
        if type(version) is int and not 1 <= version <= NEWEST_VERSION:
            raise ManifestError(
                f"the manifest has format version {version}; this program reads versions 1 to {NEWEST_VERSION}"
            )
        try:
            manifest = Manifest.model_validate_json(content)
        except ValidationError as error:
            raise ManifestError(f"the manifest is malformed: {_reasons(error)}") from error
        expected = _id_of(manifest.fields())
        if manifest.id != expected:
            raise ManifestError(f"the manifest was changed: its contents give id {expected}, but it says {manifest.id}")
        if manifest.to_bytes() != content:
            raise ManifestError("the manifest is not written in the one canonical way; pack it again")
        return manifest


def _id_of(fields: dict[str, Any]) -> str:
    return blake3_text(compact_json({name: value for name, value in fields.items() if name != "id"}))


def _reasons(error: ValidationError) -> str:
    reasons = [f"{'.'.join(map(str, found['loc'])) or 'it'}: {found['msg']}" for found in error.errors()]
    return "; ".join(reasons[:3]) + (f"; and {len(reasons) - 3} more" if len(reasons) > 3 else "")


def manifest_schema() -> dict[str, Any]:
    """JSON Schema of `NAME.vac.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Manifest.model_json_schema()}
