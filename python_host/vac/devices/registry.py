"""Kinds of devices by name, as package manifests name them; one's own are added here, or as an entry point.

A package installed beside this one adds a kind by an entry point of the group `vac.devices`, whose name is the kind and
whose object is a factory: it gets the options and the surroundings and returns the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import BinaryIO

from .clock import Clock
from .console import ByteSource, Console, ReadWindow
from .device import Device
from .key_value import DEFAULT_QUOTA, KeyValueStorage
from .mailbox import DEFAULT_CAPACITY
from .message_bus import MAX_MEMBERS, MessageBus
from .net import Net
from .qwave import QWave
from .storage import Storage

ENTRY_POINTS = "vac.devices"
Value = bool | int | str
_MOST = (1 << 63) - 1


class DeviceKindError(Exception):
    """No such kind of device, an option that it does not have, or something that it needs was not given."""


class Options:
    """Options of one device. A factory takes each that it knows; what is left over is a mistake."""

    def __init__(self, kind: str, values: Mapping[str, Value]) -> None:
        self._kind = kind
        self._left = dict(values)

    def number(self, name: str, default: int, least: int = 0, most: int = _MOST) -> int:
        """Raises DeviceKindError, as all of these do."""
        value = self._left.pop(name, default)
        if type(value) is not int or not least <= value <= most:
            raise DeviceKindError(f"{self._kind}: {name} is {value!r}; a number from {least} to {most} belongs there")
        return value

    def text(self, name: str, default: str) -> str:
        value = self._left.pop(name, default)
        if not isinstance(value, str):
            raise DeviceKindError(f"{self._kind}: {name} is {value!r}; text belongs there")
        return value

    def is_word(self, name: str, word: str) -> bool:
        """Whether the option is this word, which then is taken, or was not given."""
        if self._left.get(name, word) != word:
            return False
        self._left.pop(name, None)
        return True

    def flag(self, name: str, default: bool) -> bool:
        value = self._left.pop(name, default)
        if not isinstance(value, bool):
            raise DeviceKindError(f"{self._kind}: {name} is {value!r}; true or false belongs there")
        return value

    def numbers(self, name: str, default: str = "") -> frozenset[int]:
        """Cells with commas or spaces between them, such as "1, 2"."""
        value = self._left.pop(name, default)
        if isinstance(value, bool):
            raise DeviceKindError(f"{self._kind}: {name} is {value!r}; numbers belong there")
        text = str(value)
        try:
            found = frozenset(int(part, 0) for part in text.replace(",", " ").split())
        except ValueError:
            found = frozenset({-1})
        if any(not 0 <= number < 1 << 32 for number in found):
            raise DeviceKindError(
                f"{self._kind}: {name} is {text!r}; numbers with commas or spaces between them belong there"
            )
        return found

    def finish(self) -> None:
        if self._left:
            raise DeviceKindError(f"{self._kind} has no option {min(self._left)!r}")


@dataclass
class DeviceContext:
    """What a run gives to its devices. number: of the machine among those of the run, u16. run: names the run.

    console_source, console_sink: what stands behind the console. files: those that a storage may be, by name; a package
    reaches no other. net, qwave: the busses of the run.
    """

    number: int = 0
    run: str = "run"
    console_source: ByteSource | bytes = b""
    console_sink: Callable[[bytes], object] = lambda data: None
    files: Mapping[str, tuple[BinaryIO, bool]] = field(default_factory=dict)
    """File, and whether programs may change it."""
    net: MessageBus | None = None
    qwave: MessageBus | None = None


Factory = Callable[[Options, DeviceContext], Device]


def _console(options: Options, context: DeviceContext) -> Device:
    word = options.text("window", ReadWindow.ARRIVED.value)
    if word not in [window.value for window in ReadWindow]:
        raise DeviceKindError(f"console: no window {word!r}; {', '.join(window.value for window in ReadWindow)}")
    return Console(context.console_source, context.console_sink, ReadWindow(word))


def _clock(options: Options, context: DeviceContext) -> Device:
    return Clock()


def _storage(options: Options, context: DeviceContext) -> Device:
    name = options.text("file", "storage")
    if name not in context.files:
        given = ", ".join(sorted(context.files)) or "none"
        raise DeviceKindError(f"storage: the run was given no file {name!r}; files given: {given}")
    return Storage(*context.files[name])


def _key_value(options: Options, context: DeviceContext) -> Device:
    return KeyValueStorage(options.number("quota", DEFAULT_QUOTA))


def _net(options: Options, context: DeviceContext) -> Device:
    if context.net is None:
        context.net = MessageBus()
    hears = None if options.is_word("hears", "all") else options.numbers("hears")
    capacity = options.number("capacity", DEFAULT_CAPACITY)
    number = options.number("number", context.number, most=MAX_MEMBERS - 1)
    return Net(context.net, number, options.numbers("peers"), hears, capacity)


def _qwave(options: Options, context: DeviceContext) -> Device:
    if context.qwave is None:
        context.qwave = MessageBus()
    number = options.number("number", context.number, most=MAX_MEMBERS - 1)
    capacity = options.number("capacity", DEFAULT_CAPACITY)
    return QWave(context.qwave, number, options.numbers("topics"), context.run, capacity)


_FACTORIES: dict[str, Factory] = {
    "console": _console,
    "clock": _clock,
    "storage": _storage,
    "key_value": _key_value,
    "net": _net,
    "qwave": _qwave,
}


def register_device(kind: str, factory: Factory) -> None:
    """Adds a kind for this process. Raises DeviceKindError when there is one of that name."""
    if kind in _FACTORIES:
        raise DeviceKindError(f"there is a kind of device called {kind!r} already")
    _FACTORIES[kind] = factory


def device_kinds() -> list[str]:
    """All names that `create_device` knows."""
    return sorted({*_FACTORIES, *(point.name for point in metadata.entry_points(group=ENTRY_POINTS))})


def create_device(
    kind: str, options: Mapping[str, Value] | None = None, context: DeviceContext | None = None
) -> Device:
    """A device of this kind. Raises DeviceKindError, ValueError and BusError, saying what is wrong with the options."""
    factory = _FACTORIES.get(kind)
    if factory is None:
        points = [point for point in metadata.entry_points(group=ENTRY_POINTS) if point.name == kind]
        if not points:
            raise DeviceKindError(f"there is no kind of device called {kind!r}; there are {', '.join(device_kinds())}")
        factory = points[0].load()
        _FACTORIES[kind] = factory
    known = Options(kind, options or {})
    device = factory(known, context or DeviceContext())
    known.finish()
    return device
