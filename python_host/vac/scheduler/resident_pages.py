"""The pages that a machine uses: what `max_resident_pages` counts."""

from __future__ import annotations

from ..machine.protocol import Machine, PageMiss
from ..memory.address import leaves_in
from ..memory.paged_memory import PagedMemory
from ..memory.pager import Pager

Place = tuple[int, int]
"""Slot and first leaf of a page."""


def used_pages(machine: Machine, paged: PagedMemory | None, pager: Pager | None) -> set[Place]:
    """Of a machine under a pager its pages in frames, without those that were only fetched ahead: they are not the
    machine's doing. Else the leaves in its engine."""
    if paged is None or pager is None:
        return set(machine.leaves())
    return {(frame.slot, frame.first_leaf) for frame in pager.frames_of(paged) if not frame.is_fetched_ahead}


def pages_with(machine: Machine, paged: PagedMemory | None, pager: Pager | None, miss: PageMiss) -> int:
    """How many it uses once this miss is served."""
    leaves = leaves_in(pager.page_bytes) if paged and pager else 1
    return len(used_pages(machine, paged, pager) | {(miss.slot, miss.number // leaves * leaves)})
