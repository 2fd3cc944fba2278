"""What happened beside a machine's beams, in the form in which a beam store keeps it."""

from __future__ import annotations

from datetime import datetime

from ..contracts.beam_event import BeamEvent, beam_id
from ..devices.qwave import Entanglement, QWave
from ..host.guard import Denial
from ..host.session import Host
from ..isa.ports import Device

DENIED = "denied"
"""Token of a denial; its stage is `policy`, its cell the instruction that asked."""
QWAVE_CELL = f"dev:{Device.QWAVE:#x}"


class SideEvents:
    """Follows a host. run: name in the store."""

    def __init__(self, host: Host, run: str) -> None:
        self._host = host
        self._run = run
        self._denials = 0
        self._ends = 0

    def take(self, moment: datetime) -> list[BeamEvent]:
        """Denials, and packets published and ingested with their EIDs, since the last call, in the order of their
        ticks. moment: that goes on all of them, since a run knows ticks only."""
        denials = self._host.denial_log.records[self._denials :]
        self._denials += len(denials)
        qwave = self._host.device(Device.QWAVE)
        ends = qwave.entanglements[self._ends :] if isinstance(qwave, QWave) else []
        self._ends += len(ends)
        events = [*(self._denied(each, moment) for each in denials), *(self._end(each, moment) for each in ends)]
        return sorted(events, key=lambda event: event.tick)

    def _denied(self, denial: Denial, moment: datetime) -> BeamEvent:
        cell = f"site:{denial.pc:#x}"
        return BeamEvent(
            beam_id=beam_id(cell, "policy", denial.tick), cell_id=cell, sheet_run_id=self._run, container_id="",
            stage="policy", token=DENIED, result=denial.to_json(), timestamp=moment, tick=denial.tick,
        )  # fmt: skip

    def _end(self, end: Entanglement, moment: datetime) -> BeamEvent:
        stage = "publish" if end.is_source else "ingest"
        return BeamEvent(
            beam_id=beam_id(QWAVE_CELL, stage, end.tick), cell_id=QWAVE_CELL, sheet_run_id=self._run, container_id="",
            eid=end.eid, stage=stage, token="qwave", result={"machine": end.machine, "virtual_time": end.time},
            timestamp=moment, tick=end.tick,
        )  # fmt: skip
