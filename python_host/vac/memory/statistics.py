"""What paging did, counted for each machine."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass
class PagingStatistics:
    """soft_faults: misses of the engine on a page that had a frame. hits: the first use of a page fetched ahead, or a
    use of one that was about to go; as the pager sees no other use, there are more in truth. misses: of the engine on a
    page without a frame. stalls: those for which a tier was read; the others were zeros or came from the image. reads:
    pages read from tiers, fetched ahead or not. fetched, fetched_used: pages fetched ahead, and those of them that were
    used. late: uses of a page that was still on its way. evictions: pages that lost their frame. write_backs: those of
    them that had changed."""

    soft_faults: int = 0
    hits: int = 0
    misses: int = 0
    stalls: int = 0
    reads: int = 0
    fetched: int = 0
    fetched_used: int = 0
    late: int = 0
    evictions: int = 0
    write_backs: int = 0

    @property
    def prefetch_accuracy(self) -> float | None:
        """Part of the pages fetched ahead that were used, None where none was fetched."""
        return self.fetched_used / self.fetched if self.fetched else None

    def add(self, other: PagingStatistics) -> None:
        """Adds another machine's counts."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
