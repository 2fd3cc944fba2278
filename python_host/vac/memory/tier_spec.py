"""A stack of tiers in words: ``lz4@64MiB,file:/var/pages@10GiB,s3:http://10.0.0.5:8333/bucket/prefix``.

Fastest first, separated by commas. Each is ``ram``, ``lz4``, ``file:FOLDER`` or ``s3:URL``, then ``@`` and how much of
it may be used; the last one has no size. Sizes are bytes, or KiB, MiB, GiB.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from .compressed_tier import CompressedTier
from .file_tier import FileTier
from .page_store import Level, PageStore
from .tier import RamTier, Tier

_SIZE = re.compile(r"(\d+)(?:(K|M|G|T)i?B?)?", re.IGNORECASE)
_UNITS = {None: 0, "K": 10, "M": 20, "G": 30, "T": 40}


class TierSpecError(ValueError):
    """The words name no stack of tiers."""


def parse_size(text: str) -> int:
    """Bytes from 65536, 64KiB, 64K, 4MiB, 1GiB, in any case. Raises TierSpecError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise TierSpecError(f"{text!r} is no size; write 65536, 64KiB, 4MiB or 1GiB")
    return int(found[1]) << _UNITS[found[2].upper() if found[2] else None]


def open_store(spec: str, page_bytes: int, environment: Mapping[str, str] = os.environ) -> PageStore:
    """The store. environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION are for s3; without keys its
    requests go unsigned.

    Raises TierSpecError, ValueError for a page size that cannot be, OSError for a folder that cannot be made, and what
    the tiers raise when they are opened.
    """
    with ExitStack() as opened:
        levels: list[Level] = []
        for word in spec.split(","):
            level = _level(word, page_bytes, environment)
            opened.callback(level.tier.close)
            levels.append(level)
        names = [level.tier.name for level in levels]
        if len(set(names)) < len(names):
            raise TierSpecError(f"{spec!r} has two tiers of one kind; one of each will do")
        if levels[-1].capacity_bytes is not None:
            raise TierSpecError(f"{spec!r}: the last tier takes what no other does, so it has no size")
        for level in levels[:-1]:
            if level.capacity_bytes is None:
                raise TierSpecError(
                    f"{level.tier.name} needs a size, such as {level.tier.name}@64MiB: others are below it"
                )
        store = PageStore(levels)
        opened.pop_all()
        return store


def _level(word: str, page_bytes: int, environment: Mapping[str, str]) -> Level:
    place, at, size = word.strip().rpartition("@")
    if not at or "/" in size:  # an @ of the folder's own
        place, size = word.strip(), ""
    elif not size:
        raise TierSpecError(f"{word!r} ends with @; write a size after it, such as @64MiB")
    capacity = parse_size(size) if size else None
    kind, _, where = place.partition(":")
    return Level(_tier(kind, where, page_bytes, environment), capacity)


def _tier(kind: str, where: str, page_bytes: int, environment: Mapping[str, str]) -> Tier:
    if kind in ("ram", "lz4") and where:
        raise TierSpecError(f"{kind} takes no place, so {where!r} is too much; a size comes after @")
    if kind == "ram":
        return RamTier(page_bytes)
    if kind == "lz4":
        return CompressedTier(page_bytes)
    if kind == "file":
        if not where:
            raise TierSpecError("file needs a folder: file:FOLDER")
        return FileTier(Path(where), page_bytes)
    if kind == "s3":
        return _object_tier(where, page_bytes, environment)
    raise TierSpecError(f"{kind!r} is no kind of tier; there are ram, lz4, file:FOLDER and s3:URL")


def _object_tier(where: str, page_bytes: int, environment: Mapping[str, str]) -> Tier:
    from .object_tier import ObjectTier, open_bucket  # the client takes a while to load

    url = urlsplit(where)
    bucket, _, prefix = url.path.strip("/").partition("/")
    if url.scheme not in ("http", "https") or not url.netloc or not bucket or "@" in url.netloc:
        raise TierSpecError(
            f"s3:{where}: write s3:http://HOST:PORT/BUCKET or s3:http://HOST:PORT/BUCKET/PREFIX; keys come from "
            f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    store = open_bucket(
        bucket,
        f"{url.scheme}://{url.netloc}",
        environment.get("AWS_ACCESS_KEY_ID", ""),
        environment.get("AWS_SECRET_ACCESS_KEY", ""),
        region=environment.get("AWS_REGION", "us-east-1"),
    )
    return ObjectTier(store, page_bytes, prefix=prefix or "pages")
