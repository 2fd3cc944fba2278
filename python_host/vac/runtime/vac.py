"""`VAC`: one machine, ticked by hand, that gives its beams."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..checkpoint.point import Point
from ..devices.message_bus import DEFAULT_LATENCY, MessageBus
from ..engines.registry import EngineError
from ..image.image import Image
from ..isa.beam import Beam
from ..machine.protocol import MachineError
from ..memory.address import LA128
from .errors import InvalidOption
from .kept_beams import KeptBeams
from .machine_handle import Vm, unpacked
from .options import StartOptions
from .vac_image import VacImage

if TYPE_CHECKING:
    from ..beams.store import BeamStore


class VAC:
    """image: what it starts from. limits: quotas. qwave: a bus that it is on, with number `number`; it then has the
    device at 0x20. store: where its beams are kept as well, with denials and EIDs
    beside them, under the name `run`. engine: a name. options: further
    fields of `StartOptions`. Raises InvalidOption.
    """

    def __init__(
        self,
        image: VacImage | Image,
        limits: Mapping[str, int | None] | None = None,
        qwave: MessageBus | None = None,
        store: BeamStore | None = None,
        *,
        number: int = 0,
        run: str = "run",
        engine: str = "fast",
        **options: Any,
    ) -> None:
        image = VacImage(image) if isinstance(image, Image) else image
        self._store = store
        if qwave is not None and image.package is None:
            from ..devices.qwave import QWave

            options["devices"] = {0x20: QWave(qwave, number, run=run), **options.get("devices", {})}
        busses = {"net": MessageBus(DEFAULT_LATENCY), "qwave": qwave or MessageBus(DEFAULT_LATENCY)}
        try:
            start = StartOptions(quotas=limits, **options)
            self.vm = Vm(
                image.name or "vac", number, image, start, engine=engine, keeps_beams=True, busses=busses, run=run
            )  # fmt: skip
        except (TypeError, EngineError, MachineError) as error:
            raise InvalidOption(str(error)) from error
        self._kept = KeptBeams(store, self.vm.host, run) if store is not None else None

    @property
    def state(self) -> str:
        """As `Vm.state`."""
        return self.vm.state

    def tick(self, max_steps: int) -> list[Beam]:
        """Runs up to so many instructions; a beam for each that retired, none where it does not run any more.

        Raises InvalidOption, MachineStopped, and what the store raises: the beams are in no list then, but the machine
        has run.
        """
        first = self.vm.tick
        self.vm.advance(max_steps)
        records = self.vm.take_beams()
        if self._kept:
            self._kept.keep(first, records)
        return unpacked(records)

    def read(self, la: LA128, n: int) -> bytes:
        """n bytes at an address. Raises InvalidAddress."""
        return self.vm.read(la, n)

    def write(self, la: LA128, data: bytes) -> None:
        """As `Vm.write`."""
        self.vm.write(la, data)

    def checkpoint(self) -> Point:
        """This moment, in memory; what the store has taken is made to last."""
        if self._store is not None:
            self._store.commit()
        return self.vm.point()

    def close(self) -> None:
        """As `Vm.close`; the store stays open."""
        self.vm.close()

    def __enter__(self) -> VAC:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
