"""What `vac schedule --record` does: a recording of each machine, made while all of them run.

What one machine sends another comes to that one as an answer of its host, and stands in its input log as any other
answer does. So each recording is whole by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..machine.protocol import Stop, StopReason
from .failure import fail

if TYPE_CHECKING:
    from ..recording.recorder import Recorder
    from ..recording.recording import End
    from ..scheduler.scheduler import Scheduler
    from ..scheduler.virtual_machine import VirtualMachine
    from .schedule_machines import Planned


class ScheduledRecordings:
    """Recordings in a folder, by the names of the machines. All methods raise RecordingError and CheckpointError where
    the disk refuses; what was recorded until then is there, as after a crash."""

    def __init__(self, folder: Path, engine: str, segment_ticks: int = 1 << 22) -> None:
        self.folder = folder
        self._engine = engine
        self._segment_ticks = segment_ticks
        self._recorders: list[tuple[VirtualMachine, Recorder]] = []

    def check_free(self, machines: Sequence[Planned]) -> None:
        """Ends the command where one of them has been recorded there already."""
        from ..recording.recording import MANIFEST

        for machine in machines:
            if (self.folder / machine.name / MANIFEST).exists():
                fail(f"{self.folder / machine.name} is there already; name another folder")

    def go_on(self, scheduler: Scheduler, machines: Sequence[Planned]) -> None:
        """Puts all machines where their recordings ended, and records them from there on. Raises DeviceStateError as
        well; nothing has changed on the disk then."""
        from ..recording.recording import Recording
        from ..recording.start import continue_host

        for vm, machine in zip(scheduler.machines, machines, strict=True):
            recording = Recording(self.folder / vm.name)
            self._drive(vm, continue_host(recording, machine.program, vm.host, vm.machine.engine))
            vm.stand()
        for _, recorder in self._recorders:
            recorder.recording.set_end(None)

    def start(self, scheduler: Scheduler, machines: Sequence[Planned]) -> None:
        """Records all machines from here on, none of which has run yet."""
        from ..recording.start import record_host

        for vm, machine in zip(scheduler.machines, machines, strict=True):
            machine.program.quota = replace(vm.quota, deadline=None)  # that one is on the clock of all machines
            recorder = record_host(
                self.folder / vm.name, machine.program, vm.host, self._engine, self._segment_ticks, vm.machine.engine
            )
            self._drive(vm, recorder)

    def _drive(self, vm: VirtualMachine, recorder: Recorder) -> None:
        self._recorders.append((vm, recorder))
        vm.drive, vm.counts_beams = _driver(recorder), True

    def finish(self, is_interrupted: bool) -> None:
        """Ends those that have not ended on their own. A machine that cannot be asked any more, because its engine, its
        link or its memory failed, leaves a recording without an end: up to its last answer."""
        from ..memory.errors import PagingError
        from ..scheduler.quota import StopCause

        for vm, recorder in self._recorders:
            if recorder.recording.about.end:
                continue
            recorder.commit()
            if vm.stop in (StopCause.FAILED, StopCause.LINK):
                continue
            try:
                recorder.finish(Stop(StopReason.TICK), is_interrupted, vm.stop)
            except PagingError:
                continue

    def close(self) -> None:
        """Lets go of the files; what has no end stays without one."""
        with ExitStack() as stack:  # one that fails holds up no other
            for _, recorder in self._recorders:
                stack.callback(recorder.close)

    @property
    def ends(self) -> list[End | None]:
        """How each ended, in the order of the machines; None where it has no end."""
        return [recorder.recording.about.end for _, recorder in self._recorders]


def _driver(recorder: Recorder) -> Callable[[int], Stop]:
    def drive(until_tick: int) -> Stop:
        stop = recorder.advance(until_tick)
        if stop.reason is not StopReason.TICK:
            recorder.finish(stop)  # at once: it is whole whatever becomes of the others
        return stop

    return drive
