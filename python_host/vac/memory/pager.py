"""The pager: a number of frames shared by many machines, and the pages that go in and out of them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from types import TracebackType

from ..link.session import LinkError
from ..machine.protocol import Machine, MachineError
from .address import DEFAULT_PAGE_BYTES, PageKey
from .errors import PageLost, PagingError
from .frame import Frame
from .page import Page
from .page_store import PageStore
from .paged_memory import PagedMemory, page_id, split_page_id
from .policy import PageId, PagingPolicy, PolicyOptions
from .read_ahead import Arrival, ReadAhead
from .shards import PageSource, ShardTable
from .statistics import PagingStatistics
from .write_behind import WriteBehind

LOG = logging.getLogger("vac.memory")

DEFAULT_FRAMES = 1024
_LEAST_FRAMES = 4
_ANSWER_BYTES = 1 << 16
"""What one system call may write at once."""
_RESTORED_AT_ONCE = 64
_WRITTEN_AT_ONCE = 16
_WATCHED_SHARE = 16
"""One frame in so many is unmapped ahead of its turn, to see whether it is still used."""


def least_frames(page_bytes: int) -> int:
    """Frames without which some instruction could never retire: two leaves of code, its table, what it reads or
    writes; or all that one answer of the host writes, with the two leaves of code that it lets retire."""
    return max(_LEAST_FRAMES, -(-_ANSWER_BYTES // page_bytes) + 3)


class Pager:
    """Serves machines that are run one at a time. Not for use by two threads at a time.

    store: where pages go that have no frame; its page size is the pager's. frames: pages in RAM, in engines or not, of
    all machines together. is_ahead_in_background: whether pages fetched ahead are read beside the running machine; by
    default they are where the store has a level below RAM. Raises ValueError when these are fewer than `least_frames`.

    When a tier fails, the call raises PagingError with nothing lost: pages that could not be written stay in RAM, and
    the same call goes on where this one stopped.
    """

    def __init__(
        self,
        store: PageStore | None = None,
        frames: int = DEFAULT_FRAMES,
        options: PolicyOptions | None = None,
        *,
        is_ahead_in_background: bool | None = None,
    ) -> None:
        self.store = store or PageStore.in_ram(DEFAULT_PAGE_BYTES)
        self.page_bytes = self.store.page_bytes
        if frames < least_frames(self.page_bytes):
            raise ValueError(
                f"{frames} frames of {self.page_bytes} bytes; give {least_frames(self.page_bytes)} or more, or "
                f"some instruction could never retire"
            )
        self.shards = ShardTable(self.store)
        self.policy = PagingPolicy(frames, options, self._is_worth_fetching)
        self._frames: dict[PageId, Frame] = {}
        self._memories: dict[int, PagedMemory] = {}
        self._next_machine = 0
        self._since_watch = 0
        if is_ahead_in_background is None:
            is_ahead_in_background = self.store.is_durable
        self._ahead = ReadAhead(self.shards.read) if is_ahead_in_background else None
        self._leaving = WriteBehind(
            self.shards.write, max(1, min(_WRITTEN_AT_ONCE, frames // 16)), is_background=self.store.is_durable
        )  # fmt: skip
        self._contents: dict[bytes, int] = {}
        self._lost: dict[PageId, PageLost] = {}
        self.is_closed = False

    @property
    def machines(self) -> int:
        """How many are attached."""
        return len(self._memories)

    def serves(self, memory: PagedMemory) -> bool:
        """Whether this memory is one of this pager's."""
        return self._memories.get(memory.number) is memory

    @property
    def frames(self) -> int:
        """Frames of all machines together."""
        return self.policy.frames

    def attach(self, machine: Machine) -> PagedMemory:
        """The memory of one more machine, which must hold no leaves yet."""
        number = self._next_machine
        self._next_machine += 1
        memory = self._memories[number] = PagedMemory(self, number, machine)
        return memory

    def content_shard(self, identity: bytes, source: PageSource) -> int:
        """The shard of contents that many machines start from; made when this identity is first asked for."""
        if identity not in self._contents:
            self._contents[identity] = self.shards.create(source=source)
        return self._contents[identity]

    def statistics(self) -> PagingStatistics:
        """Of all machines that are attached."""
        total = PagingStatistics()
        for memory in self._memories.values():
            total.add(memory.statistics)
        return total

    def resident_pages(self, memory: PagedMemory) -> int:
        """Frames that this machine has."""
        return len(self.frames_of(memory))

    # ---- one page --------------------------------------------------------------------------------------------------

    def frame_of(self, memory: PagedMemory, slot: int, number: int) -> Frame:
        """The frame of a page that the machine uses now; brings it in. Raises PagingError."""
        page = page_id(memory.number, slot, number)
        if page in self._lost:
            raise self._lost[page]
        self._leaving.write_out()
        self._take_in(page)
        frame = self._frames.get(page)
        if frame is not None and frame.mapped:
            return frame
        decision = self.policy.access(*page, memory.recent)
        memory.recent.append(page)
        if frame is None:
            memory.statistics.misses += 1
        else:
            memory.statistics.hits += 1
            memory.statistics.fetched_used += frame.is_fetched_ahead
            frame.is_fetched_ahead = False
        self._give_up(decision.evicted, decision.fetched if frame else (page, *decision.fetched))
        frame = self._bring_in(page, decision.fetched) if frame is None else self._bring_ahead(frame, decision.fetched)
        self._watch(memory.recent)
        return frame

    def frames_of(self, memory: PagedMemory) -> list[Frame]:
        """Every frame of this machine, the one it has had longest first."""
        return [frame for (machine, _), frame in self._frames.items() if machine == memory.number]

    def find_frame(self, memory: PagedMemory, slot: int, number: int) -> Frame | None:
        """The frame that a page has, without counting as a use of it."""
        return self._frames.get(page_id(memory.number, slot, number))

    def current_page(self, memory: PagedMemory, slot: int, number: int) -> Page:
        """A page as it is now, without giving it a frame. Raises PagingError."""
        page = page_id(memory.number, slot, number)
        if page in self._lost:
            raise self._lost[page]
        frame = self._frames.get(page)
        if frame is not None:
            return frame.page(memory.machine)
        if (leaving := self._leaving.get(page)) is not None:
            return leaving[1]
        return self.shards.read([memory.key(slot, number)])[0]

    def settle(self) -> None:
        """Waits for the pages that are on their way."""
        if self._ahead:
            self._keep_arrivals(self._ahead.all_arrivals())

    def _take_in(self, page: PageId) -> None:
        """Frames for what has come, and for this page if it is on its way."""
        if self._ahead:
            self._memories[page[0]].statistics.late += self._ahead.is_late(page)
            self._keep_arrivals(self._ahead.arrivals(page))

    def _keep_arrivals(self, arrivals: Iterable[Arrival]) -> None:
        for page, key, content in arrivals:
            if content is None:
                self.policy.remove(page)
                continue
            _, slot, number = split_page_id(page)
            self._keep_ahead([page], [Frame(slot, number, key, content)])
            self._memories[page[0]].statistics.reads += self.shards.is_stored(key)

    def _bring_in(self, page: PageId, ahead: Sequence[PageId]) -> Frame:
        """The page that is needed and those fetched with it: where the machine has to wait for both, in one read."""
        leaving = self._leaving.take(page)
        if leaving:
            _, slot, number = split_page_id(page)
            frame = self._frames[page] = Frame(slot, number, leaving[0], leaving[1], is_current=False)
            return self._bring_ahead(frame, ahead)
        counts = self._memories[page[0]].statistics
        ahead = self._taken_back(ahead)
        together = () if self._ahead else ahead
        try:
            needed, *others = self._read([page, *together])
        except PagingError:
            for each in ahead:
                self.policy.remove(each)
            ahead = ()
            try:
                if not together:
                    raise
                # Perhaps it was one of the others.
                (needed,), others = self._read([page]), []
            except PagingError:
                self.policy.remove(page)
                raise
        counts.stalls += self.shards.is_stored(needed.key)
        self._frames[page] = needed
        if self._ahead:
            return self._bring_ahead(needed, ahead)
        self._keep_ahead(ahead, others)
        return needed

    def _bring_ahead(self, frame: Frame, pages: Sequence[PageId]) -> Frame:
        """Pages fetched ahead when a frame was used; those that cannot be had are left until they are asked for."""
        if pages:
            self._read_ahead(pages)
        return frame

    def _taken_back(self, pages: Sequence[PageId]) -> list[PageId]:
        """Frames for those that are on their way out, whose newest version no tier has; returns the others. A page that
        has to leave for another can be one that is fetched with it."""
        others: list[PageId] = []
        for page in pages:
            leaving = self._leaving.take(page)
            if leaving is None:
                others.append(page)
                continue
            _, slot, number = split_page_id(page)
            self._keep_ahead([page], [Frame(slot, number, leaving[0], leaving[1], is_current=False)])
        return others

    def _read_ahead(self, pages: Sequence[PageId]) -> None:
        pages = self._taken_back(pages)
        if not pages:
            return
        if self._ahead:
            self._ahead.start([(page, self._key(page)) for page in pages])
            return
        try:
            self._keep_ahead(pages, self._read(pages))
        except PagingError as error:
            LOG.info("nothing fetched ahead: %s", error)
            for page in pages:
                self.policy.remove(page)

    def _key(self, page: PageId) -> PageKey:
        machine, slot, number = split_page_id(page)
        return self._memories[machine].key(slot, number)

    def _keep_ahead(self, pages: Sequence[PageId], frames: Sequence[Frame]) -> None:
        for page, frame in zip(pages, frames, strict=False):
            frame.is_fetched_ahead = True
            self._frames[page] = frame
            self._memories[page[0]].statistics.fetched += 1

    def _read(self, pages: Sequence[PageId]) -> list[Frame]:
        places = [split_page_id(page) for page in pages]
        keys = [self._key(page) for page in pages]
        found = self.shards.read(keys)
        for (machine, _, _), key in zip(places, keys, strict=True):
            self._memories[machine].statistics.reads += self.shards.is_stored(key)
        return [
            Frame(slot, number, key, content)
            for (_, slot, number), key, content in zip(places, keys, found, strict=True)
        ]

    def _is_worth_fetching(self, page: PageId) -> bool:
        machine, slot, number = split_page_id(page)
        memory = self._memories[machine]
        return (
            page not in self._leaving
            and memory.covers(slot, number)
            and self.shards.is_filled(memory.key(slot, number))
        )

    # ---- out -------------------------------------------------------------------------------------------------------

    def _take_frame(self, page: PageId) -> None:
        frame = self._frames.pop(page, None)
        if frame is None:
            if self._ahead:
                self._ahead.drop(page)
            return
        memory = self._memories[page[0]]
        memory.statistics.evictions += 1
        try:
            frame.unmap_all(memory.machine)
            content = frame.page(memory.machine)
        except (LinkError, MachineError) as error:  # another machine needs the frame, and is not to suffer for it
            LOG.warning("%s", self._lost.setdefault(page, PageLost(frame.key, str(error))))
            return
        memory.note_change(frame)
        if content.hash != frame.hash:
            self._leaving.add(page, (frame.key, content))
            memory.statistics.write_backs += 1
        elif self.shards.is_own(frame.key):
            self._leaving.add(page, (frame.key, content))  # for the upper levels: it was in a frame a moment ago

    def _give_up(self, pages: Iterable[PageId], instead: Iterable[PageId]) -> None:
        """instead: the pages that their frames are for. Raises PagingError, with what could not be written kept."""
        for page in pages:
            self._take_frame(page)
        try:
            self._leaving.write_out()
        except PagingError:
            for page in instead:
                self.policy.remove(page)
            raise

    def _watch(self, kept: Collection[PageId]) -> None:
        """Unmaps pages whose turn comes soon. Not each time: a look at many is cheaper than many looks."""
        count = max(2, self.policy.frames // _WATCHED_SHARE)
        self._since_watch += 1
        if self._since_watch < count // 2:
            return
        self._since_watch = 0
        for page in self.policy.next_victims(count):
            frame = self._frames.get(page)
            if frame is not None and frame.mapped and page not in kept:
                memory = self._memories[page[0]]
                with suppress(LinkError, MachineError):  # said when it has to go
                    frame.unmap_all(memory.machine)
                memory.note_change(frame)

    # ---- gangs -----------------------------------------------------------------------------------------------------

    def demote(self, memory: PagedMemory) -> int:
        """The machine will not run for a while: all its pages leave their frames, in bulk. Its working set is
        remembered. Returns the number of frames that became free. Raises PagingError; what could not be written then
        is kept, and goes with the next page."""
        pages = self.policy.demote(memory.number)
        self._give_up(pages, ())
        return len(pages)

    def restore(self, memory: PagedMemory) -> int:
        """The machine runs again: the working set that it was demoted with comes back, in bulk, the hottest pages
        first. Returns the number of pages; those that are read in the background are on their way then. One that cannot
        be read now is left until it is missed. Raises PagingError when what has to make room cannot be written."""
        decision = self.policy.restore(memory.number)
        self._give_up(decision.evicted, decision.fetched)
        for first in range(0, len(decision.fetched), _RESTORED_AT_ONCE):
            self._read_ahead(decision.fetched[first : first + _RESTORED_AT_ONCE])
        return len(decision.fetched)

    def working_set(self, memory: PagedMemory) -> int:
        """Pages that the machine has used since it was restored, or before it was demoted: what admission has to
        reckon with. At least; uses of mapped pages go unseen."""
        return self.policy.working_set(memory.number)

    def predictability(self, memory: PagedMemory) -> int:
        """The share of the machine's latest faults that a run foretold, Q0.16."""
        return self.policy.predictability(memory.number)

    # ---- all of a machine ------------------------------------------------------------------------------------------

    def write_back(self, memory: PagedMemory) -> None:
        """Hands every changed page of a machine to the tiers; all keep their frames. Raises PagingError."""
        self._leaving.drain()
        changed: list[tuple[Frame, Page]] = []
        for (machine, _), frame in self._frames.items():
            if machine == memory.number:
                content = frame.page(memory.machine)
                if content.hash != frame.hash:
                    changed.append((frame, content))
        self.shards.write([(frame.key, content) for frame, content in changed])
        for frame, content in changed:
            frame.hash = content.hash

    def fork(self, memory: PagedMemory) -> dict[int, int]:
        """Freezes the machine's memory as it is: writes back what has changed and lets the machine go on in shards over
        these. Returns the frozen shards by slot; they cost what was changed since the last fork. Raises PagingError."""
        self.settle()
        self.write_back(memory)
        frozen = memory.fork()
        for frame in self.frames_of(memory):
            frame.key = memory.key(frame.slot, frame.number)
        return frozen

    def detach(self, memory: PagedMemory) -> None:
        """The machine has ended: its frames are free, and its private shards are forgotten."""
        self.settle()
        for page in [page for page in self._frames if page[0] == memory.number]:
            frame = self._frames.pop(page)
            with suppress(LinkError, MachineError):  # what an engine does not give back is not needed any more either
                frame.unmap_all(memory.machine)
        for page in [page for page in self._lost if page[0] == memory.number]:
            del self._lost[page]
        self._leaving.forget(lambda page: page[0] == memory.number)
        self.policy.forget(memory.number)
        del self._memories[memory.number]
        for shard in memory.private_shards():
            self.shards.discard(shard)

    def close(self) -> None:
        """Writes back every machine's pages and closes the tiers. Can be called again, also after a PagingError.

        What an engine does not give back (its link failed) is left out.
        """
        if self.is_closed:
            return
        self.settle()
        for memory in self._memories.values():
            with suppress(LinkError, MachineError):
                self.write_back(memory)
        self._leaving.drain()
        if self._ahead:
            self._ahead.close()
        self._leaving.close()
        self.store.close()
        self.is_closed = True

    def __enter__(self) -> Pager:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Pager:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:  # fmt: skip
        """Closes while other tasks go on: the last pages may have a long way."""
        import asyncio

        await asyncio.to_thread(self.close)
