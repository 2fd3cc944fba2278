"""A machine's beams in a store, with what happened beside them at its place between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..host.session import Host
from ..isa.beam import BEAM_BYTES
from .side_events import SideEvents

if TYPE_CHECKING:
    from ..beams.store import BeamStore


class KeptBeams:
    """run: name in the store. stage: what retires the instructions: cpu, fpga, …"""

    def __init__(self, store: BeamStore, host: Host, run: str, stage: str = "cpu") -> None:
        self._store = store
        self._run = run
        self._stage = stage
        self._beside = SideEvents(host, run)

    def keep(self, first: int, records: bytes) -> None:
        """first: tick of the first beam. Raises what the store raises."""
        store = self._store
        moment = store.add_run(self._run).started
        for event in self._beside.take(moment):
            count = (event.tick - first) * BEAM_BYTES
            if count > 0:
                store.ingest(self._run, first, records[:count], stage=self._stage)
                first, records = event.tick, records[count:]
            store.persist_beam_events([event])
        if records:
            store.ingest(self._run, first, records, stage=self._stage)
