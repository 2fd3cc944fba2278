"""The program of a recording and the hosts that run it: the first one, and those that continue it or play it back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..devices.console import ByteSource, Console
from ..devices.message_bus import MessageBus
from ..devices.registry import DeviceContext
from ..devices.storage import Storage
from ..host.input_log import InputLog
from ..host.session import Host
from ..image.image import Image
from ..machine.protocol import Machine
from ..memory.pager import Pager
from ..package.package import Package
from ..scheduler.quota import Quota
from .errors import RecordingError
from .held_quota import QUOTA, limits_to_json
from .recording import Recording

IMAGE_FILE = "program.vacimg"
PACKAGE_FILE = "program.vac"


@dataclass
class Program:
    """What is run, with what its devices stand on. source, sink: of the console. storage: path of the bytes of device
    0x30. seed: of `entropy_probe`; None for the package's, or 0. pager: pages the memory of what runs, not of what is
    played back. quota: what a recording of it is held to; None for what the package says. quota_class: what the
    package's policy is told; None for the manifest's. number: of the machine among those that it shares busses with,
    None where it is alone. group: names these. net, qwave: their busses."""

    image: Image
    package: Package | None = None
    source: ByteSource | bytes = b""
    sink: Any = None
    storage: Path | None = None
    seed: int | None = None
    pager: Pager | None = None
    quota: Quota | None = None
    quota_class: str | None = None
    number: int | None = None
    group: str | None = None
    net: MessageBus | None = None
    qwave: MessageBus | None = None

    @property
    def name(self) -> str:
        return self.package.manifest.name if self.package else self.image.name

    @property
    def limits(self) -> Quota:
        """Its quota, or else the package's; none for what is no package."""
        if self.quota is not None:
            return self.quota
        return Quota(**self.package.manifest.quotas.model_dump()) if self.package else Quota()

    @property
    def most_ticks(self) -> int | None:
        """Of its quota."""
        return self.limits.max_ticks

    def file(self) -> tuple[str, bytes]:
        """Name and bytes of the file that a recording keeps."""
        if self.package is None:
            return IMAGE_FILE, self.image.to_bytes()
        from ..package.archive import encode_archive

        return PACKAGE_FILE, encode_archive(self.package.files)

    @property
    def options(self) -> dict[str, Any]:
        """What `from_recording` needs to make it again, as JSON values."""
        storage = None if self.storage is None else str(self.storage.absolute())
        options = {"seed": self.seed, "storage": storage, QUOTA: limits_to_json(self.limits)}
        given = {"quota_class": self.quota_class, "number": self.number, "group": self.group}
        return options | {name: value for name, value in given.items() if value is not None}

    @staticmethod
    def from_recording(recording: Recording) -> Program:
        """Without a console. Raises RecordingError."""
        options = recording.about.options
        storage = options.get("storage")
        return Program(
            recording.image, recording.package, storage=Path(storage) if storage else None, seed=options.get("seed"),
            quota=recording.quota, quota_class=options.get("quota_class"), number=options.get("number"),
            group=options.get("group"),
        )  # fmt: skip

    def check_live(self) -> None:
        """Raises RecordingError where no live host can be made: what the machine would be sent is not to be had."""
        if self.number is not None and (self.net is None or self.qwave is None):
            raise RecordingError(
                f"{self.name} ran as machine {self.number} among others, which it could send to and hear; it can be "
                "replayed alone, but not go on alone"
            )

    def host(self, machine: Machine, replay: InputLog | None = None) -> Host:
        """A host on a fresh machine; with a log, one that plays back and lets nothing out. Raises OSError where the
        storage cannot be read, PackageError where the package does not grant what is given, RecordingError as
        `check_live`."""
        if replay is None:
            self.check_live()
        source, sink = (b"", _nowhere) if replay else (self.source, self.sink or _nowhere)
        file = self.storage.open("rb") if self.storage else None
        pager = None if replay else self.pager
        if self.package:
            from ..package.package_session import create_host

            files = {"storage": (file, False)} if file else {}
            context = DeviceContext(
                self.number or 0, console_source=source, console_sink=sink, files=files, net=self.net, qwave=self.qwave
            )
            return create_host(
                self.package, machine, context=context, seed=self.seed, replay=replay, pager=pager,
                quota_class=self.quota_class,
            )  # fmt: skip
        return Host(
            machine, self.image, console=Console(source, sink), storage=Storage(file) if file else None,
            seed=self.seed or 0, replay=replay, pager=pager,
        )  # fmt: skip


def _nowhere(_: bytes) -> None:
    pass
