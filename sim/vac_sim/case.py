"""A run that can be done again: image, build of the core, disturbance, and every call that the host made."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vac.files.durable import write_whole
from vac.image.image import Image, ImageError, Segment, Window
from vac.isa.limits import LEAF_BITS, LEAF_BYTES
from vac.isa.traps import Trap
from vac.machine.protocol import Answer, Leaf, Machine, StopReason
from vac_hdl.config import CoreConfig

from .disturbance import Disturbance

_VERSION = 1


class CaseError(Exception):
    """The file is no case, or of another version; the message names it."""


@dataclass
class Case:
    """calls: ``["run", until]``, ``["answer", {...}]``, ``["install", slot, leaf, data, labels]`` or
    ``["evict", slot, leaf]``, in order; bytes are in base64."""

    image: Image
    disturbance: Disturbance
    config: CoreConfig
    calls: list[list[Any]] = field(default_factory=list)

    @property
    def whole_image(self) -> Image:
        """The image with the leaves that the host brought where it was loaded without contents."""
        first: dict[tuple[int, int], bytes] = {}
        for name, *arguments in self.calls:
            if name == "install":
                slot, number, data, _ = arguments
                first.setdefault((slot, number), base64.b64decode(data))
        brought = tuple(Segment(slot, number << LEAF_BITS, LEAF_BYTES, data) for (slot, number), data in first.items())
        return replace(self.image, segments=(*brought, *self.image.segments))

    def add_run(self, until_tick: int) -> None:
        """The host ran the machine."""
        self.calls.append(["run", until_tick])

    def add_answer(self, answer: Answer) -> None:
        """The host answered an event."""
        content: dict[str, Any] = {"value": answer.value}
        if answer.refused:
            content["refused"] = True
        if answer.trap:
            content["trap"] = int(answer.trap)
        if answer.windows:
            content["windows"] = [[i, w.slot, w.base, w.length, w.permissions] for i, w in answer.windows]
        if answer.writes:
            content["writes"] = [[slot, offset, _text(data)] for slot, offset, data in answer.writes]
        self.calls.append(["answer", content])

    def add_install(self, slot: int, number: int, leaf: Leaf) -> None:
        """The host brought a leaf."""
        self.calls.append(["install", slot, number, _text(leaf.data), leaf.labels])

    def add_evict(self, slot: int, number: int) -> None:
        """The host took a leaf."""
        self.calls.append(["evict", slot, number])

    def replay(self, machine: Machine, until_tick: int | None = None) -> None:
        """Loads the image and makes the calls again, up to this tick. Raises what the machine raises."""
        machine.load(self.image)
        for name, *arguments in self.calls:
            if name == "run" and until_tick is not None and arguments[0] >= until_tick:
                if machine.run(until_tick).reason is StopReason.TICK:
                    return
            elif name == "run":
                machine.run(arguments[0])
            elif name == "answer":
                machine.answer(_answer_from(arguments[0]))
            elif name == "install":
                slot, number, data, labels = arguments
                machine.install(slot, number, Leaf(base64.b64decode(data), labels))
            else:
                machine.evict(*arguments)

    def save(self, path: Path) -> None:
        """Writes the file through a temporary name."""
        content = {
            "version": _VERSION,
            "image": _text(self.image.to_bytes()),
            "disturbance": asdict(self.disturbance),
            "config": asdict(self.config),
            "calls": self.calls,
        }
        write_whole(path, json.dumps(content, separators=(",", ":")).encode("ascii"))

    @staticmethod
    def load(path: Path) -> Case:
        """Inverse of `save`. Raises CaseError, or OSError."""
        try:
            content = json.loads(path.read_text(encoding="ascii"))
            if content["version"] != _VERSION:
                raise CaseError(f"{path}: version {content['version']}; this program reads version {_VERSION}")
            image = Image.from_bytes(base64.b64decode(content["image"]))
            return Case(image, Disturbance(**content["disturbance"]), CoreConfig(**content["config"]), content["calls"])
        except (ValueError, KeyError, TypeError, ImageError) as error:
            raise CaseError(f"{path}: not a lockstep case: {error}") from error


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _answer_from(content: dict[str, Any]) -> Answer:
    return Answer(
        value=content["value"],
        refused=content.get("refused", False),
        trap=Trap(content.get("trap", 0)),
        windows=tuple((index, Window(*fields)) for index, *fields in content.get("windows", ())),
        writes=tuple((slot, offset, base64.b64decode(data)) for slot, offset, data in content.get("writes", ())),
    )
