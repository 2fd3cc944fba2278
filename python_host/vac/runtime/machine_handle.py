"""A machine that was started: what it is doing, what it showed, what it was denied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from ..checkpoint.capture import MemoryCapture
from ..checkpoint.memory_map import MemoryMap
from ..checkpoint.point import Point
from ..devices.net import Net
from ..devices.qwave import QWave
from ..devices.waits import ENDED
from ..engines.registry import create_machine
from ..isa.beam import BEAM_BYTES, Beam
from ..isa.ports import Device
from ..machine.state import State, Status
from ..memory.address import LA128
from ..memory.errors import PagingError
from ..memory.pager import Pager
from ..scheduler.guarded_machine import GuardedMachine
from ..scheduler.quota import Quota, StopCause
from ..scheduler.virtual_machine import VirtualMachine
from .errors import InvalidOption, MachineStopped, MemoryFailed
from .memory_access import Patch, read_bytes, write_bytes
from .options import StartOptions
from .vac_image import VacImage

_WORDS = {StopCause.HALTED: "halted", StopCause.TRAPPED: "trapped", StopCause.FAILED: "failed"}


class Vm:
    """Made by `VacRuntime.start` and `VacRuntime.restore`, and by `VAC`.

    id: its name. image, options: what it was started with. output: all that its console has shown. patches: what was
    written into its memory from outside.
    """

    def __init__(
        self,
        vm_id: str,
        number: int,
        image: VacImage,
        options: StartOptions,
        *,
        engine: str,
        keeps_beams: bool,
        busses: dict[str, Any],
        run: str,
        pager: Pager | None = None,
    ) -> None:
        self.id = vm_id
        self.number = number
        self.image = image
        self.options = options
        self.output = bytearray()
        self.patches: list[Patch] = []
        self.is_closed = False
        self._quota = options.quota(image)
        self._keeps_beams = keeps_beams
        self._pager = pager
        self._guarded = GuardedMachine(create_machine(engine, keeps_beams))
        self.host = options.host(image, self._guarded, vm_id, number, self._show, busses, run, pager=pager)
        self._machine = self._virtual_machine()
        self._capture: MemoryCapture | None = None

    # ---- what it is ------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """running, halted, trapped, stopped (by a quota; `cause` says which), failed or closed."""
        if self.is_closed:
            return "closed"
        stop = self._machine.stop
        return "running" if stop is None else _WORDS.get(stop, "stopped")

    @property
    def cause(self) -> str | None:
        """Why it does not run: the trap's name, the quota, or the error; None while it runs and when it has halted."""
        stop = self._machine.stop
        if stop is StopCause.TRAPPED:
            return self.registers.trap.name
        if self._machine.error:
            return str(self._machine.error)
        return None if stop in (None, StopCause.HALTED) else stop.value

    @property
    def tick(self) -> int:
        return self.registers.tick

    @property
    def registers(self) -> State:
        """A copy of the architectural state."""
        return self._guarded.state()

    @property
    def quota(self) -> Quota:
        return self._machine.quota

    @property
    def denials(self) -> list[str]:
        """One line for each denied request."""
        return self.host.denials

    @property
    def usage(self) -> dict[str, int]:
        """What it has used: ticks, those before a checkpoint included; requests, refused and denied ones; bytes in and
        out; bytes that `alloc` granted."""
        account, traffic = self._machine.account, self.host.traffic
        return {
            "ticks": account.ticks,
            "requests": traffic.requests,
            "refused": traffic.refused,
            "denied": len(self.denials),
            "bytes_in": traffic.bytes_in,
            "bytes_out": traffic.bytes_out,
            "allocated": self.host.memory.allocated,
        }

    @property
    def paging(self) -> dict[str, int]:
        """What its pager counts of it, by the names of `PagingStatistics`; empty without one."""
        paged = self.host.memory.paged
        return asdict(paged.statistics) if paged else {}

    @property
    def is_waiting(self) -> bool:
        """Whether it waited, when it last ran, for other machines to come further."""
        return self.host.waits_for is not None

    # ---- memory ----------------------------------------------------------------------------------------------------

    def read(self, address: LA128, length: int) -> bytes:
        """Raises InvalidAddress, MemoryFailed."""
        self.check_open()
        with _tiers():
            return read_bytes(self.host.memory, address, length)

    def write(self, address: LA128, data: bytes) -> None:
        """Changes memory from outside. The run is then no longer one of the image and the input log alone: `patches`
        belongs to it. Raises InvalidAddress, MemoryFailed."""
        self.check_open()
        with _tiers():
            write_bytes(self.host.memory, address, data)
        self.patches.append(Patch(self.tick, address, bytes(data)))

    # ---- running ---------------------------------------------------------------------------------------------------

    def advance(self, ticks: int) -> int:
        """Runs up to so many ticks; how many it ran. Raises InvalidOption for none, MachineStopped when closed."""
        self.check_open()
        if ticks < 1:
            raise InvalidOption(f"{ticks} ticks; give 1 or more")
        before = self._machine.account.ticks
        if self._machine.stop is None:
            self._machine.begin_slice(ticks, 0)
            while not self._machine.advance():
                pass
        return self._machine.account.ticks - before

    def extend(self, **quotas: int | None) -> None:
        """Other quotas in place of these; a machine that one of them stopped goes on with the next step.

        Raises InvalidOption, and MachineStopped for a machine that has ended.
        """
        self.check_open()
        stop = self._machine.stop
        if stop is not None and stop.is_final:
            raise MachineStopped(f"{self.id} has {self.state} and cannot go on")
        self.options = StartOptions(**{**vars(self.options), "quotas": {**(self.options.quotas or {}), **quotas}})
        self._machine.quota = self._quota = self.options.quota(self.image)
        self._machine.account.stop = self._machine.quota_cause(0)
        self._machine.error = None

    def take_beams(self) -> bytes:
        """Beams of 16 bytes each since the last call, oldest first."""
        return self._machine.take_beams()

    def point(self) -> Point:
        """This moment, with all that it takes to go on from it. Raises MemoryFailed."""
        self.check_open()
        if self._capture is None:
            engine = self._guarded.engine
            start = MemoryMap.of_segments(self.host.memory.segments)
            self._capture = MemoryCapture(engine, self.host.memory.residency, start)
        with _tiers():
            memory, written = self._capture.take()
        return Point(self.registers, memory, self.host.answered, written, self.host.save())

    def continue_here(self) -> None:
        """The host was put at another moment: the ticks before it count against the quota."""
        self._machine = self._virtual_machine()
        self._machine.stand()
        state = self.registers
        ended = {Status.HALTED: StopCause.HALTED, Status.TRAPPED: StopCause.TRAPPED}.get(state.status)
        self._machine.account.stop = ended or self._machine.quota_cause(0)
        # Not one instruction: other machines hear how far it has come, or that it has ended.
        self.host.run(state.tick)

    def close(self) -> None:
        """Ends it; other machines hear nothing from it any more, and do not wait for it."""
        self.is_closed = True
        for address in (Device.QWAVE, Device.NET):
            device = self.host.device(address)
            if isinstance(device, QWave | Net):
                device.bus.note_time(device.number, ENDED)
        if self._pager and self.host.memory.paged:
            self._pager.detach(self.host.memory.paged)

    def check_open(self) -> None:
        """Raises MachineStopped."""
        if self.is_closed:
            raise MachineStopped(f"{self.id} is closed")

    def _virtual_machine(self) -> VirtualMachine:
        return VirtualMachine(
            self.number, self.id, self._guarded, self.host, self._quota,
            pager=self._pager, keeps_beams=self._keeps_beams, on_beams=None,
        )  # fmt: skip

    def _show(self, data: bytes) -> None:
        self.output += data
        if self.options.output:
            self.options.output(data)


@contextmanager
def _tiers() -> Iterator[None]:
    try:
        yield
    except PagingError as error:
        raise MemoryFailed(str(error)) from error


def unpacked(records: bytes) -> list[Beam]:
    return [Beam.unpack(records[start : start + BEAM_BYTES]) for start in range(0, len(records), BEAM_BYTES)]
