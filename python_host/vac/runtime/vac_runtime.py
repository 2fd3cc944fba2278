"""`VacRuntime`: a run of one machine or of several that can talk to each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ..checkpoint.checkpoint import JOINT_SUFFIX, SUFFIX, load_checkpoint, load_joint, save_checkpoint, save_joint
from ..checkpoint.encoding import Checkpoint
from ..checkpoint.errors import CheckpointError
from ..devices.device import DeviceStateError
from ..devices.message_bus import DEFAULT_LATENCY, MessageBus
from ..engines.registry import EngineError
from ..image.image import Image
from ..machine.protocol import MachineError
from ..memory.address import LA128
from ..memory.errors import PagingError
from ..memory.pager_spec import PagerSpecError, open_pager
from ..recording.errors import RecordingError
from ..recording.recorder import place_host
from .errors import CheckpointFailed, InvalidOption, MemoryFailed, NothingMoves, VacError
from .machine_handle import Vm
from .options import StartOptions
from .vac_image import VacImage

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PLACE_ERRORS = (
    CheckpointError, RecordingError, DeviceStateError, MachineError, PagingError, OSError, ValueError,
)  # fmt: skip
DEFAULT_SLICE = 10_000


class VacRuntime:
    """engine: name of the engine that machines run on. keeps_beams: whether `Vm.take_beams` is of use. latency: ticks
    that a message between machines takes. run: names the run in entanglement ids.

    frames, page_size, tiers, prefetch: page the memory of its machines, as the options of `vac run` do: pages in RAM of
    all machines together, bytes or words such as "64KiB", "lz4@64MiB,file:FOLDER". With none of the first three, all
    memory stays in RAM. Raises InvalidOption.

    As a context manager it closes its machines at the end. Not for use by two threads at a time.
    """

    def __init__(
        self,
        engine: str = "fast",
        *,
        keeps_beams: bool = False,
        latency: int = DEFAULT_LATENCY,
        run: str = "run",
        frames: int | None = None,
        page_size: str | int | None = None,
        tiers: str | None = None,
        prefetch: bool = True,
    ) -> None:
        if latency < 1:
            raise InvalidOption(f"a latency of {latency}; give 1 tick or more")
        self.machines: dict[str, Vm] = {}
        self._engine = engine
        self._keeps_beams = keeps_beams
        self._run = run
        self._busses = {"net": MessageBus(latency), "qwave": MessageBus(latency)}
        self._started = 0
        self._common = {"run": run, "latency": latency}
        """What machines that talk to each other have to agree on."""
        try:
            self._pager = open_pager(frames, page_size, tiers, prefetch)
        except PagerSpecError as error:
            raise InvalidOption(f"{error.option}: {error}") from error

    # ---- machines --------------------------------------------------------------------------------------------------

    def start(self, image: VacImage | Image, *, vm_id: str | None = None, **options: Any) -> Vm:
        """A machine before its first tick. options: the fields of `StartOptions`: caps, quotas, devices, policy, ...

        Machines that shall talk to each other are started before any of them is stepped.
        Raises InvalidOption.
        """
        return self._add(image, vm_id, options)

    def restore(self, path: Path | str, image: VacImage | Image, *, vm_id: str | None = None, **options: Any) -> Vm:
        """A machine as `checkpoint` kept it, of the same image and with the same options; the engine may be another.

        Its console's input goes on where it was. Raises CheckpointFailed, InvalidOption.
        """
        path = Path(path)
        try:
            checkpoint = load_checkpoint(path)
        except CheckpointError as error:
            raise CheckpointFailed(str(error)) from error
        return self._restored(path, checkpoint, image, vm_id, options)

    def restore_all(
        self,
        path: Path | str,
        images: Mapping[str, VacImage | Image],
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> dict[str, Vm]:
        """The machines of a `checkpoint_all`, by name, in a runtime that has none yet. images, options: of each by its
        name, as for `restore`. Raises CheckpointFailed, InvalidOption; no machine is there then."""
        path = Path(path)
        if self.machines:
            raise InvalidOption(
                "this runtime has machines already; restore those of a joint checkpoint into another one"
            )
        try:
            joint = load_joint(path)
        except CheckpointError as error:
            raise CheckpointFailed(str(error)) from error
        numbers = _numbers_in(joint.run, joint.machines)
        if not numbers or joint.run != {**self._common, "numbers": numbers}:
            raise CheckpointFailed(f"{path} does not fit: it is of {joint.run}, this runtime of {self._common}")
        if images.keys() != numbers.keys():
            raise InvalidOption(f"{path} has the machines {', '.join(numbers)}; give the image of each")
        try:
            for name, number in numbers.items():
                self._started = number
                self._restored(path, joint.machines[name], images[name], name, dict((options or {}).get(name, {})))
        except VacError:
            for vm in self.machines.values():
                vm.close()
            self.machines.clear()
            raise
        return dict(self.machines)

    def _restored(
        self, path: Path, checkpoint: Checkpoint, image: VacImage | Image, vm_id: str | None, options: dict[str, Any]
    ) -> Vm:
        vm = self._add(image, vm_id, options)
        try:
            place_host(vm.host, checkpoint.point)
        except _PLACE_ERRORS as error:
            del self.machines[vm.id]
            vm.close()
            raise CheckpointFailed(f"{path} does not fit: {error}") from error
        vm.continue_here()
        return vm

    def _add(self, image: VacImage | Image, vm_id: str | None, options: dict[str, Any]) -> Vm:
        if self._pager and self._pager.is_closed:
            raise InvalidOption("the runtime is closed, and the tiers of its memory with it; make another one")
        image = VacImage(image) if isinstance(image, Image) else image
        vm_id = vm_id or f"vm{self._started}"
        if not _ID.fullmatch(vm_id) or vm_id in self.machines:
            raise InvalidOption(f"{vm_id!r} is taken, or no name: letters, digits, '.', '_' and '-' are")
        try:
            start = StartOptions(**options)
        except TypeError as error:
            known = ", ".join(StartOptions.__dataclass_fields__)
            raise InvalidOption(f"{vm_id}: {error}; options are {known}") from error
        try:
            vm = Vm(
                vm_id, self._started, image, start,
                engine=self._engine, keeps_beams=self._keeps_beams, busses=self._busses, run=self._run,
                pager=self._pager,
            )  # fmt: skip
        except (EngineError, MachineError, PagingError) as error:
            raise InvalidOption(f"{vm_id}: {error}") from error
        self._started += 1
        self.machines[vm_id] = vm
        return vm

    # ---- running ---------------------------------------------------------------------------------------------------

    def step(self, vm: Vm, ticks: int = 1000) -> int:
        """Runs a machine for so many ticks, fewer where it stops, or has to wait for others; how many it ran.

        A machine that does not run any more is left as it is. Raises InvalidOption, MachineStopped.
        """
        return vm.advance(ticks)

    def run(self, max_ticks: int | None = None, slice_ticks: int = DEFAULT_SLICE) -> int:
        """All machines in turn, until none runs any more, or each has run `max_ticks`; the ticks of all together.

        Raises NothingMoves when all that still run wait for one that does not; InvalidOption.
        """
        left = dict.fromkeys(self.machines, max_ticks)
        total = 0
        while turn := [vm for vm in self.machines.values() if vm.state == "running" and left[vm.id] != 0]:
            used = 0
            before = len(turn)
            for vm in turn:
                limit = left[vm.id]
                ran = vm.advance(slice_ticks if limit is None else min(slice_ticks, limit))
                used += ran
                if limit is not None:
                    left[vm.id] = limit - ran
            total += used
            still = sum(vm.state == "running" for vm in turn)
            if not used and still == before and not any(vm.host.is_wait_new for vm in turn):
                waits = "; ".join(f"{vm.id}: {vm.host.waits_for}" for vm in turn if vm.host.waits_for)
                if max_ticks is not None:
                    break
                raise NothingMoves(waits or "no machine gets on")
        return total

    def extend(self, vm: Vm, **quotas: int | None) -> None:
        """As `Vm.extend`."""
        vm.extend(**quotas)

    # ---- looking in ------------------------------------------------------------------------------------------------

    def read(self, vm: Vm, address: LA128, length: int) -> bytes:
        """As `Vm.read`."""
        return vm.read(address, length)

    def write(self, vm: Vm, address: LA128, data: bytes) -> None:
        """As `Vm.write`."""
        vm.write(address, data)

    def checkpoint(self, vm: Vm, path: Path | str) -> Path:
        """Keeps the machine as it is, safe against a crash when this returns, and gives the file's path, which ends in
        `.dc.json`. Costs what has changed since the last one there. Raises CheckpointFailed, MachineStopped."""
        path = Path(path)
        path = path if path.name.endswith(SUFFIX) else path.with_name(path.name + SUFFIX)
        try:
            save_checkpoint(path, vm.point())
        except (CheckpointError, MemoryFailed, OSError) as error:
            raise CheckpointFailed(str(error)) from error
        return path

    def checkpoint_all(self, path: Path | str) -> Path:
        """Keeps all machines that are not closed at this moment, with what is on its way between them: all of them or,
        with an error, none. Gives the file's path, which ends in `.joint.json`; else as `checkpoint`."""
        path = Path(path)
        path = path if path.name.endswith(JOINT_SUFFIX) else path.with_name(path.name + JOINT_SUFFIX)
        machines = {vm.id: vm for vm in self.machines.values() if not vm.is_closed}
        numbers = {vm.id: vm.number for vm in machines.values()}
        try:
            points = {name: vm.point() for name, vm in machines.items()}
            save_joint(path, points, {**self._common, "numbers": numbers})
        except (CheckpointError, MemoryFailed, OSError) as error:
            raise CheckpointFailed(str(error)) from error
        return path

    # ---- the end ---------------------------------------------------------------------------------------------------

    def close(self, vm: Vm | None = None) -> None:
        """Ends a machine, or all of them; the others hear nothing from it any more. Without a machine
        named, the tiers of their memory are closed as well. Raises MemoryFailed where one of these fails then."""
        for each in [vm] if vm else list(self.machines.values()):
            if not each.is_closed:
                each.close()
        if self._pager and vm is None:
            try:
                self._pager.close()
            except PagingError as error:
                raise MemoryFailed(f"closing the tiers: {error}") from error

    def __enter__(self) -> VacRuntime:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _numbers_in(run: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, int]:
    """Of machines of these names, in the order in which they were made; none where they are no such numbers."""
    numbers = run.get("numbers")
    if not isinstance(numbers, dict) or numbers.keys() != names.keys():
        return {}
    if any(type(number) is not int or number < 0 for number in numbers.values()):
        return {}
    return dict(sorted(numbers.items(), key=lambda item: item[1]))
