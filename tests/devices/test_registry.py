"""Devices by the names and options of a manifest."""

import io
from pathlib import Path
from typing import Any

import pytest

from vac.devices.clock import Clock
from vac.devices.console import Console
from vac.devices.device import BaseDevice, Reply
from vac.devices.key_value import KeyValueStorage
from vac.devices.message_bus import MessageBus
from vac.devices.net import Net
from vac.devices.qwave import QWave
from vac.devices.registry import (
    DeviceContext,
    DeviceKindError,
    Options,
    create_device,
    device_kinds,
    register_device,
)
from vac.devices.storage import Storage


def test_every_kind_can_be_made() -> None:
    context = DeviceContext(number=4, files={"storage": (io.BytesIO(b"abc"), False)}, console_source=b"hello")
    made = {
        kind: create_device(kind, {}, context) for kind in ("console", "clock", "storage", "key_value", "net", "qwave")
    }
    assert [type(device) for device in made.values()] == [Console, Clock, Storage, KeyValueStorage, Net, QWave]
    assert made["storage"].read(9) == b"abc" and made["console"].read(9) == b"hello"
    assert made["net"].read_register(1, 0) == Reply(4)
    assert context.net and context.net.members == [4]


def test_options_reach_the_device() -> None:
    net = create_device("net", {"peers": "1, 0x2", "capacity": 9, "number": 3, "hears": "1"})
    assert isinstance(net, Net) and net.peers == {1, 2} and net.number == 3
    assert net._mailbox.port.hears == {1}
    storage = create_device("key_value", {"quota": 77})
    assert isinstance(storage, KeyValueStorage) and storage.quota == 77
    context = DeviceContext(console_source=b"one\ntwo\n", qwave=MessageBus())
    assert create_device("console", {"window": "line"}, context).read(99) == b"one\n"
    qwave = create_device("qwave", {"topics": "7 8"}, context)
    assert qwave.read_register(2, 0) == Reply(2)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("toaster", {}, "no kind of device called 'toaster'; there are clock, console"),
        ("clock", {"speed": 2}, "clock has no option 'speed'"),
        ("key_value", {"quota": -1}, "quota is -1; a number from 0"),
        ("key_value", {"quota": True}, "quota is True; a number"),
        ("console", {"window": "wide"}, "no window 'wide'; arrived, line, full"),
        ("console", {"window": 1}, "window is 1; text"),
        ("net", {"peers": "1,x"}, "numbers with commas"),
        ("net", {"peers": "-1"}, "numbers with commas"),
        ("storage", {"file": "/etc/passwd"}, "the run was given no file '/etc/passwd'; files given: none"),
    ],
)
def test_mistakes_are_named(kind: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DeviceKindError, match=words):
        create_device(kind, options)


def test_a_kind_of_ones_own() -> None:
    class Dice(BaseDevice):
        def __init__(self, sides: int) -> None:
            self.sides = sides

    def dice(options: Options, context: DeviceContext) -> Dice:
        options.flag("loaded", False)
        return Dice(options.number("sides", 6, least=2))

    register_device("dice", dice)
    assert "dice" in device_kinds()
    made = create_device("dice", {"sides": 20, "loaded": True})
    assert isinstance(made, Dice) and made.sides == 20
    with pytest.raises(DeviceKindError, match="already"):
        register_device("dice", dice)
    with pytest.raises(DeviceKindError, match="true or false"):
        create_device("dice", {"loaded": 1})


def test_an_installed_package_adds_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lamp_for_vac.py").write_text(
        "from vac.devices.device import BaseDevice\n\n\ndef lamp(options, context):\n"
        "    device = BaseDevice()\n    device.watts = options.number('watts', 40)\n    return device\n"
    )
    installed = tmp_path / "lamp_for_vac-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lamp-for-vac\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[vac.devices]\nlamp = lamp_for_vac:lamp\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "lamp" in device_kinds()
    made = create_device("lamp", {"watts": 60})
    assert isinstance(made, BaseDevice) and vars(made)["watts"] == 60
