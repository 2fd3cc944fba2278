"""Keys and values against a dictionary, the quota, and what a checkpoint keeps."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.devices.device import REFUSAL, Access, DeviceStateError, Reply
from vac.devices.key_value import KeyValueStorage

QUOTA = 40
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("key"), st.sampled_from([0x41, 0x42, 0x434343])),
        st.tuples(st.just("name"), st.binary(min_size=0, max_size=3)),
        st.tuples(st.just("write"), st.binary(max_size=12)),
        st.tuples(st.just("byte"), st.integers(0, 255)),
        st.tuples(st.just("read"), st.integers(0, 12)),
        st.tuples(st.just("seek"), st.integers(0, 20)),
        st.tuples(st.just("nth"), st.integers(0, 4)),
        st.tuples(st.just("remove"), st.just(0)),
    ),
    max_size=40,
)


class Model:
    """What the page on the device says, in the shortest way."""

    def __init__(self) -> None:
        self.items: dict[bytes, bytes] = {}
        self.key, self.position = bytes(4), 0

    def do(self, what: str, argument: Any) -> Any:
        value = self.items.get(self.key, b"")
        if what in ("key", "name"):
            key = argument.to_bytes(4, "little") if what == "key" else argument
            if not key:
                return None
            self.key, self.position = key, 0
            return True if what == "key" else len(key)
        if what in ("write", "byte"):
            data = argument if what == "write" else bytes([argument])
            new = value.ljust(self.position, b"\0")[: self.position] + data + value[self.position + len(data) :]
            items = self.items | {self.key: new}
            if sum(len(key) + len(value) for key, value in items.items()) > QUOTA:
                return None
            self.items, self.position = items, self.position + len(data)
            return len(data) if what == "write" else True
        if what == "read":
            data = value[self.position : self.position + argument]
            self.position += len(data)
            return data
        if what == "seek":
            self.position = argument
            return True
        if what == "nth":
            if argument >= len(self.items):
                return None
            self.key, self.position = sorted(self.items)[argument], 0
            return True
        if self.key not in self.items:
            return None
        del self.items[self.key]
        self.position = 0
        return True


REGISTERS = {"key": 6, "byte": 0, "seek": 2, "nth": 9, "remove": 8}


def do(device: KeyValueStorage, what: str, argument: Any) -> Any:
    if what == "name":
        assert device.write_register(7, 0, 0) == Reply()
        return device.write(argument)
    if what == "write":
        return device.write(argument)
    if what == "read":
        return device.read(argument)
    return None if device.write_register(REGISTERS[what], argument, 0).refused else True


@given(STEPS)
def test_it_is_a_dictionary_with_a_quota(steps: list[tuple[str, Any]]) -> None:
    device, model = KeyValueStorage(QUOTA), Model()
    for step in steps:
        assert do(device, *step) == model.do(*step), step
        assert {key: bytes(value) for key, value in device.items.items()} == model.items
        value = model.items.get(model.key, b"")
        used = sum(len(key) + len(value) for key, value in model.items.items())
        assert [device.read_register(register, 0).value for register in (1, 2, 4, 6, 7, 9, 10)] == [
            max(0, len(value) - model.position), model.position, len(value), int(model.key in model.items),
            len(model.key), len(model.items), QUOTA - used,
        ]  # fmt: skip
        copy = KeyValueStorage(QUOTA)
        copy.restore(json.loads(json.dumps(device.save())))
        assert copy.save() == device.save()
        device = copy


@given(STEPS)
def test_a_recording_moves_it_as_the_run_did(steps: list[tuple[str, Any]]) -> None:
    device, follower = KeyValueStorage(QUOTA), KeyValueStorage(QUOTA)
    for what, argument in steps:
        if what == "name":
            device.write_register(7, 0, 0)
            follower.follow(Access(True, 7, 0, b"", 0))
            what = "write"
        answer = do(device, what, argument)
        if answer is None:
            device._is_name_next = follower._is_name_next = False
        elif what in ("read", "write"):
            data = answer if what == "read" else argument
            follower.follow(Access(what == "write", None, len(data), data, 0))
        else:
            follower.follow(Access(True, REGISTERS[what], argument, b"", 0))
        assert follower.save() == device.save()


def test_names_of_keys_can_be_read() -> None:
    device = KeyValueStorage(items={b"alpha": b"1", b"beta": b"22"})
    assert device.write_register(9, 1, 0) == Reply()
    device.write_register(10, 0, 0)
    assert device.read(99) == b"beta" and device.read(99) == b"22"
    assert device.read_register(0, 0) == REFUSAL and device.read_register(15, 0) == REFUSAL


def test_what_is_wrong_from_the_start_is_refused() -> None:
    with pytest.raises(ValueError, match="the quota is 3"):
        KeyValueStorage(3, {b"key": b"v"})
    with pytest.raises(ValueError, match="1 to 255 bytes"):
        KeyValueStorage(items={b"": b"v"})
    large, small = KeyValueStorage(items={b"key": bytes(50)}), KeyValueStorage(10)
    for saved in (large.save(), {}, {"items": [[1, 2]]}, {"items": [["QQ==", "?"]]}):
        with pytest.raises(DeviceStateError):
            small.restore(saved)
        assert not small.items
