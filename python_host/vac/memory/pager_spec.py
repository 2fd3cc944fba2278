"""A pager in words and numbers, as commands and the Python API take them."""

from __future__ import annotations

from pathlib import Path

from .address import DEFAULT_PAGE_BYTES
from .errors import PagingError
from .pager import DEFAULT_FRAMES, Pager
from .policy import PolicyOptions
from .tier_spec import TierSpecError, open_store, parse_size


class PagerSpecError(ValueError):
    """No pager can be made of these. option: which one is wrong: frames, page_size or tiers."""

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(reason)
        self.option = option


def open_pager(
    frames: int | None = None, page_size: str | int | None = None, tiers: str | None = None, prefetch: bool = True
) -> Pager | None:
    """frames: pages in RAM, of all machines together. page_size: bytes, or words such as 64KiB. tiers: as
    `vac.memory.tier_spec` has them; RAM where nothing is said. prefetch: whether pages are fetched ahead of their use.

    None where the first three are. Raises PagerSpecError, also where a tier cannot be opened.
    """
    if frames is None and page_size is None and tiers is None:
        return None
    try:
        page_bytes = parse_size(str(page_size)) if page_size is not None else DEFAULT_PAGE_BYTES
    except TierSpecError as error:
        raise PagerSpecError("page_size", str(error)) from error
    try:
        store = open_store(tiers or "ram", page_bytes)
    except (TierSpecError, PagingError) as error:
        raise PagerSpecError("tiers", str(error)) from error
    except ValueError as error:
        raise PagerSpecError("page_size", str(error)) from error
    except OSError as error:
        name = str(error.filename or Path(tiers or ""))
        raise PagerSpecError("tiers", f"cannot open {name!r}: {error.strerror or error}") from error
    try:
        return Pager(
            store, DEFAULT_FRAMES if frames is None else frames, None if prefetch else PolicyOptions(prefetch=None)
        )
    except ValueError as error:
        store.close()
        raise PagerSpecError("frames", str(error)) from error
