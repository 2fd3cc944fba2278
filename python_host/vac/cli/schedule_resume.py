"""What `vac schedule --resume` goes on with: the machines of a folder of recordings, together."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from .failure import fail
from .schedule_machines import Planned, busses_of

if TYPE_CHECKING:
    from ..recording.recording import Recording

_FINAL = ("halted", "trapped")


def resumed(folder: Path, given: bytes) -> list[Planned]:
    """The machines that have not ended, in the order of their numbers. given: console input, as it was at first.

    Ends the command where none can go on, or where they do not stand where one run left all of them. Raises
    RecordingError.
    """
    from ..devices.message_bus import MessageBus
    from ..devices.waits import ENDED
    from ..recording.family import family
    from ..recording.program import Program

    recordings = [kin.recording for kin in family(folder)]
    recordings.sort(key=lambda recording: (recording.about.options.get("number") or 0, recording.folder.name))
    _check_together(folder, recordings)
    net, qwave = MessageBus(), MessageBus()
    machines: list[Planned] = []
    for recording in recordings:
        program, end = Program.from_recording(recording), recording.about.end
        if end and end.reason in _FINAL:
            for kind, bus in (("net", net), ("qwave", qwave)):
                for number in busses_of(program, kind):
                    bus.expect(number)
                    bus.note_time(number, ENDED)
            continue
        output = io.BytesIO()
        program.source, program.sink, program.net, program.qwave = given, output.write, net, qwave
        machines.append(Planned(recording.folder.name, recording.folder, program, output))
    if not machines:
        fail(f"{folder}: all of its machines have halted or trapped")
    return machines


def _check_together(folder: Path, recordings: list[Recording]) -> None:
    if not recordings:
        fail(f"{folder} holds no recordings")
    for recording in recordings:
        if recording.about.end is None:
            fail(f"{recording.folder} has no end: it was cut off, and the others do not stand where it does")
    groups = {recording.about.options.get("group") for recording in recordings if "number" in recording.about.options}
    if len(groups) > 1:
        fail(f"{folder} holds machines of {len(groups)} groups, which did not run together")
