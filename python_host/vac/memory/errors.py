"""What can go wrong below the frames. After each of these the machine stands as it stood, and can go on later."""

from __future__ import annotations

from .address import PageKey


class PagingError(Exception):
    """A page could not be moved. Nothing is lost: what had to leave RAM is still there."""


class PageDamaged(PagingError):
    """A tier gave back something else than it was given. Names the page, the tier and both hashes (32 bytes each)."""

    def __init__(self, key: PageKey, tier: str, expected: bytes, found: bytes) -> None:
        super().__init__(f"{key} came back damaged from tier {tier}: expected {expected.hex()}, found {found.hex()}")
        self.key = key
        self.tier = tier
        self.expected = expected
        self.found = found


class PageAbsent(PagingError):
    """A tier was asked for a page that it does not hold."""

    def __init__(self, key: PageKey, tier: str) -> None:
        super().__init__(f"tier {tier} does not hold {key}")
        self.key = key
        self.tier = tier


class TierUnavailable(PagingError):
    """A tier did not do its work within its limits of attempts and time. Asking again later may succeed."""

    def __init__(self, tier: str, reason: str) -> None:
        super().__init__(f"tier {tier}: {reason}")
        self.tier = tier


class TierFull(TierUnavailable):
    """A tier has no room for more pages. Free some, or give it more, and go on."""


class TierFormatError(PagingError):
    """A tier's files or objects are not what this version writes, or belong to another page size."""


class ShardError(PagingError):
    """A shard that does not exist, exists already, or is frozen."""


class PageLost(PagingError):
    """A page was in an engine that does not give it back: its link failed, or its process. Nobody has it any more."""

    def __init__(self, key: PageKey, reason: str) -> None:
        super().__init__(f"{key} is lost with the engine that held it: {reason}")
        self.key = key
