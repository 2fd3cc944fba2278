"""What `vac pack` is told about a package, from words to values."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .failure import fail

if TYPE_CHECKING:
    from ..image.image import Image
    from ..package.manifest import DeviceSpec, Manifest, Quotas
    from ..package.package import Package
    from ..scheduler.quota import Quota

QuotaClass = Annotated[
    str | None, typer.Option(help="What the policy of a package is told; by default the manifest's.")
]
_CREATED = "SOURCE_DATE_EPOCH"
QuotaWords = Annotated[
    list[str] | None,
    typer.Option(
        "--quota",
        help="Limit in place of the package's: max_ticks, max_resident_pages, max_beams, max_io_per_slice; N may "
        "be none; repeatable.",
        metavar="NAME=N",
    ),
]


def pairs(words: Sequence[str], option: str) -> dict[str, str]:
    """NAME=VALUE words; ends the command where one is none, or a name comes twice."""
    found: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name or not value:
            fail(f"{option} {word!r}: write NAME=VALUE")
        if name in found:
            fail(f"{option}: {name} is given twice")
        found[name] = value
    return found


def number(text: str, option: str) -> int:
    """A number such as 12, 1_000_000 or 0x1f; ends the command where it is none."""
    try:
        return int(text, 0)
    except ValueError:
        fail(f"{option}: {text!r} is no number; write 12, 1_000_000 or 0x1F")


def capabilities(words: Sequence[str]) -> list[str]:
    """Names of capabilities; `default` stands for those that `vac run` grants to a program without a package."""
    from ..host.capabilities import DEFAULT, Capability

    names: list[str] = []
    for word in ",".join(words).split(",") if words else ():
        if word == "default":
            names += [str(capability.name).lower() for capability in DEFAULT]
        elif word.upper() in Capability.__members__ and word == word.lower():
            names.append(word)
        else:
            known = ", ".join(sorted(member.lower() for member in Capability.__members__))
            fail(f"--cap {word!r}: there is no such capability; there are {known}, and default for the usual ones")
    return sorted(set(names))


def devices(words: Sequence[str]) -> dict[str, DeviceSpec] | None:
    """ADDRESS=KIND[,OPTION=VALUE...] words; None where there are none."""
    from ..package.errors import ManifestError
    from ..package.manifest import DeviceSpec

    found: dict[str, DeviceSpec] = {}
    for address, text in pairs(words, "--device").items():
        kind, *options = text.split(",")
        values = {name: _value(value) for name, value in pairs(options, f"--device {address}").items()}
        try:
            found[f"{number(address, '--device'):#04x}"] = DeviceSpec.make(kind=kind, options=values)
        except ManifestError as error:
            fail(f"--device {address}: {error}")
    return found or None


def unreached(manifest: Manifest) -> Iterator[str]:
    """What the device map and the capabilities promise, and the program does not get here."""
    from ..devices.registry import device_kinds
    from ..host.capabilities import CAPABILITY_OF_DEVICE

    needed = {f"{device:#04x}": str(cap.name).lower() for device, cap in CAPABILITY_OF_DEVICE.items()}
    kinds = device_kinds()
    for address, spec in sorted(manifest.devices.items()):
        if address in needed and not manifest.caps.get(needed[address]):
            yield f"no program reaches {spec.kind} at {address}: that needs --cap {needed[address]}"
        elif spec.kind not in kinds:
            yield f"this host has no device of kind {spec.kind!r}, at {address}; it has {', '.join(kinds)}"
    for address, name in needed.items():
        if manifest.caps.get(name) and address not in manifest.devices:
            missing = f"--device {address}={name}"
            yield f"{name} is granted, but the device map has nothing at {address}: that needs {missing}"


def _value(text: str) -> bool | int | str:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text, 0)
    except ValueError:
        return text


def quotas(words: Sequence[str]) -> Quotas:
    """NAME=NUMBER words."""
    from ..package.errors import ManifestError
    from ..package.manifest import Quotas

    known = list(Quotas.model_fields)
    found = pairs(words, "--quota")
    for name in found:
        if name not in known:
            fail(f"--quota {name!r}: there is no such quota; there are {', '.join(known)}")
    values = {name: number(text, f"--quota {name}") for name, text in found.items()}
    try:
        return Quotas.make(**values)
    except ManifestError as error:
        fail(f"--quota: {error}")


def run_quota(words: Sequence[str], package: Package | None) -> Quota:
    """NAME=NUMBER words, or NAME=none, in place of a package's own limits."""
    return changed_quota(words, package.manifest.quotas.model_dump() if package else {})


def changed_quota(words: Sequence[str], values: dict[str, int | None]) -> Quota:
    """NAME=NUMBER words, or NAME=none, in place of these limits by name."""
    from ..package.manifest import Quotas

    return quota_of(words, tuple(Quotas.model_fields), values)


def quota_of(words: Sequence[str], known: Sequence[str], values: dict[str, int | None]) -> Quota:
    """These values with NAME=NUMBER words in their place, or NAME=none. known: the quotas that can be named."""
    from ..scheduler.errors import QuotaError
    from ..scheduler.quota import Quota

    for name, text in pairs(words, "--quota").items():
        if name not in known:
            fail(f"--quota {name!r}: there is no such quota here; there are {', '.join(known)}")
        values[name] = None if text == "none" else number(text, f"--quota {name}")
    quota = Quota(**values)
    try:
        quota.check()
    except QuotaError as error:
        fail(f"--quota: {error}")
    return quota


def seeds(words: Sequence[str]) -> dict[str, int]:
    """N, or NAME=N; without a name it is the seed of `entropy_probe`."""
    named = [word if "=" in word else f"entropy={word}" for word in words]
    return {name: number(text, "--seed") for name, text in pairs(named, "--seed").items()}


def label_bits(words: Sequence[str]) -> dict[str, int]:
    """NAME=BIT words."""
    return {name: number(text, "--label") for name, text in pairs(words, "--label").items()}


def with_marks(image: Image, words: Sequence[str], bits: dict[str, int]) -> Image:
    """LABEL=SLOT[:OFFSET:LENGTH] words: what is labelled from the start; without a range, all that the image holds
    of the slot."""
    from ..image.image import Segment

    marks: list[Segment] = []
    for word in words:
        name, _, place = word.partition("=")
        if name not in bits:
            fail(f"--mark {word!r}: label {name!r} is not declared; declare it with --label {name}=BIT")
        parts = [number(part, "--mark") for part in place.split(":")]
        if len(parts) not in (1, 3):
            fail(f"--mark {word!r}: write LABEL=SLOT or LABEL=SLOT:OFFSET:LENGTH")
        ranges = [(parts[1], parts[2])] if len(parts) == 3 else [
            (segment.offset, segment.length) for segment in image.segments if segment.slot == parts[0]
        ]  # fmt: skip
        if not ranges:
            fail(f"--mark {word!r}: the image holds nothing in slot {parts[0]}")
        marks += [Segment(parts[0], offset, length, b"", 1 << bits[name]) for offset, length in ranges]
    return replace(image, segments=(*image.segments, *marks), has_labels=True) if marks else image


def created(text: str | None) -> int:
    """Seconds since 1970: what was given, else $SOURCE_DATE_EPOCH, else 0. Never the clock: it would change bytes."""
    if text is None:
        text = os.environ.get(_CREATED) or "0"
        option = f"${_CREATED}"
    else:
        option = "--created"
    with suppress(ValueError, OverflowError):
        return int(text)
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo:
            return int(moment.timestamp())
    fail(f"{option}: {text!r} is no time; write 2026-01-31T12:00:00Z, or seconds since 1970")


def policy(path: Path | None) -> str | None:
    """The text of a file."""
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"cannot read {str(path)!r}: {error}")
