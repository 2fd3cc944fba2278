"""What programs read from and write to each device."""

import io
import os
from itertools import islice
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vac.devices.clock import Clock
from vac.devices.console import INPUT_BYTES, RECENT_BYTES, Console, ReadWindow
from vac.devices.device import REFUSAL, Device, Reply
from vac.devices.entropy import Entropy, splitmix64
from vac.devices.storage import Storage


def opened(path: Path, content: bytes, mode: str = "rb", is_writable: bool = False) -> Storage:
    path.write_bytes(content)
    file = path.open(mode)
    assert isinstance(file, io.BufferedReader | io.BufferedRandom)
    return Storage(file, is_writable)


# ---- console -----------------------------------------------------------------------------------------------------


def test_console_input_ends_in_a_refusal() -> None:
    console = Console(b"\x00\xff")
    assert [console.read_register(0, 0) for _ in range(4)] == [Reply(0), Reply(0xFF), REFUSAL, REFUSAL]


def test_console_counts_what_is_there() -> None:
    console = Console(b"abc")
    assert console.read_register(1, 0) == Reply(3)
    console.read_register(0, 0)
    assert console.read_register(1, 0) == Reply(2)
    assert console.read(10) == b"bc" and console.read(10) == b""
    assert console.read_register(1, 0) == Reply(0)


def test_console_does_not_wait_to_count() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as source, os.fdopen(writer, "wb", buffering=0) as typist:
        console = Console(source)
        counted: list[Reply] = []
        counting = Thread(target=lambda: counted.append(console.read_register(1, 0)), daemon=True)
        counting.start()
        counting.join(timeout=5)
        typist.write(b"hi")  # also ends the wait of a console that does wait
        counting.join()
        assert counted == [Reply(0)]
        assert console.read_register(1, 0) == Reply(2)
        assert console.read(100) == b"hi", "what is there comes at once"


def test_console_output_goes_out_byte_by_byte_or_in_runs() -> None:
    out = bytearray()
    console = Console(sink=out.extend)
    assert console.write_register(0, 0x141, 0) == Reply()
    assert console.write(b"BC") == 2
    assert out == b"ABC"


class Dribble(io.BytesIO):
    """Gives its bytes in these portions."""

    def __init__(self, content: bytes, portions: list[int]) -> None:
        super().__init__(content)
        self.portions = portions

    def read1(self, size: int | None = -1, /) -> bytes:
        portion = self.portions.pop() if self.portions else size
        return super().read1(portion if size is None or size < 0 else min(size, portion or 1))


@pytest.mark.parametrize("window", [ReadWindow.LINE, ReadWindow.FULL])
@given(
    st.lists(st.sampled_from(b"ab\n"), max_size=60).map(bytes),
    st.lists(st.integers(1, 9)),
    st.lists(st.integers(-2, 9)),
)
def test_windows_depend_on_the_bytes_alone(
    window: ReadWindow, content: bytes, portions: list[int], asked: list[int]
) -> None:
    def answers(source: io.BytesIO) -> list[object]:
        console = Console(source, window=window)
        given: list[object] = []
        for length in [*asked, *[5] * 20]:
            given.append(console.read_register(-1 - length, 0) if length < 0 else console.read(length))
        return given

    assert answers(Dribble(content, portions)) == answers(io.BytesIO(content))


def test_a_window_ends_at_a_line_or_is_full() -> None:
    lines = Console(Dribble(b"one\ntwo", [1] * 7), window=ReadWindow.LINE)
    assert [lines.read(2), lines.read(9), lines.read(9), lines.read(9)] == [b"on", b"e\n", b"two", b""]
    full = Console(Dribble(b"one\ntwo", [1] * 7), window=ReadWindow.FULL)
    assert [full.read(5), full.read_register(1, 0), full.read(9)] == [b"one\nt", Reply(2), b"wo"]


def test_the_input_ring_has_an_end() -> None:
    console = Console(bytes(INPUT_BYTES + 5), window=ReadWindow.FULL)
    assert [len(console.read(1 << 20)), len(console.read(1 << 20))] == [INPUT_BYTES, 5]


def test_the_last_output_is_kept() -> None:
    console = Console()
    for number in range(RECENT_BYTES):
        console.write(b"%d," % number)
    whole = b"".join(b"%d," % number for number in range(RECENT_BYTES))
    assert console.recent == whole[-RECENT_BYTES:] and console.given == len(whole)


# ---- clock -------------------------------------------------------------------------------------------------------


def test_clock_counts_ticks_and_sleep() -> None:
    clock = Clock()
    assert clock.read_register(0, 7) == Reply(7)
    clock.sleep(1 << 32)
    assert (clock.read_register(0, 8), clock.read_register(1, 9)) == (Reply(8), Reply(1))


def test_frozen_time_moves_by_steps_and_sleep_and_goes_on_from_there() -> None:
    clock = Clock()
    assert clock.write_register(3, 5, 90) == REFUSAL
    assert clock.write_register(2, 1, 100) == Reply() and clock.read_register(2, 101) == Reply(1)
    assert clock.read_register(0, 500) == Reply(100)
    clock.write_register(3, 7, 501)
    clock.sleep(20)
    copy = Clock()
    copy.restore(clock.save())
    for each in (clock, copy):
        assert each.read_register(0, 502) == Reply(127)
        assert each.write_register(2, 0, 600) == Reply()
        assert each.read_register(0, 610) == Reply(137) and each.read_register(2, 611) == Reply(0)
        each.freeze(620)
        each.freeze(700)
        assert each.time(800) == 147


def test_reading_the_low_half_keeps_the_high_half() -> None:
    clock = Clock()
    assert clock.read_register(0, 0xFFFFFFFF) == Reply(0xFFFFFFFF)
    assert clock.read_register(1, 0x1_0000_0000) == Reply(0)
    assert clock.read_register(0, 0x1_0000_0001) == Reply(1)
    assert clock.read_register(1, 0x1_0000_0002) == Reply(1)


# ---- storage -----------------------------------------------------------------------------------------------------


def test_storage_is_read_in_order_from_a_position(tmp_path: Path) -> None:
    storage = opened(tmp_path / "file", bytes(range(10)))
    assert storage.read_register(0, 0) == Reply(0)
    assert storage.read(3) == b"\x01\x02\x03"
    assert (storage.read_register(1, 0), storage.read_register(2, 0), storage.read_register(4, 0)) == (
        Reply(6), Reply(4), Reply(10),
    )  # fmt: skip
    assert storage.write_register(2, 8, 0) == Reply()
    assert storage.read(100) == b"\x08\x09"
    assert storage.read(100) == b"" and storage.read_register(0, 0) == REFUSAL


def test_storage_position_has_two_cells(tmp_path: Path) -> None:
    storage = opened(tmp_path / "file", b"abc")
    storage.write_register(3, 2, 0)
    storage.write_register(2, 5, 0)
    assert storage.position == (2 << 32) + 5
    assert (storage.read_register(2, 0), storage.read_register(3, 0)) == (Reply(5), Reply(2))
    assert storage.read_register(1, 0) == Reply(0) and storage.read(5) == b""


def test_read_only_storage_refuses_bytes(tmp_path: Path) -> None:
    storage = opened(tmp_path / "file", b"abc")
    assert storage.write_register(0, 65, 0) == REFUSAL
    assert storage.write(b"x") is None
    assert (tmp_path / "file").read_bytes() == b"abc"


def test_writable_storage_grows(tmp_path: Path) -> None:
    storage = opened(tmp_path / "file", b"abc", "r+b", is_writable=True)
    storage.write_register(2, 2, 0)
    assert storage.write(b"CD") == 2
    assert storage.write_register(0, 69, 0) == Reply()
    assert storage.read_register(4, 0) == Reply(5)
    assert (tmp_path / "file").read_bytes() == b"abCDE"


@pytest.mark.parametrize(
    "device", [Console(b"x"), Clock(), Storage(io.BytesIO(b"x"))], ids=["console", "clock", "storage"]
)
def test_registers_that_are_not_there_refuse(device: Device) -> None:
    assert all(device.read_register(register, 0) == REFUSAL for register in range(6, 16))
    assert all(device.write_register(register, 1, 0) == REFUSAL for register in range(6, 16))


# ---- entropy -----------------------------------------------------------------------------------------------------


def test_splitmix64_gives_the_published_sequence() -> None:
    # From seed 1234567, as listed for this generator on Rosetta Code ("Pseudo-random numbers/Splitmix64").
    assert list(islice(splitmix64(1234567), 5)) == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_xoshiro128plusplus_gives_the_published_sequence() -> None:
    # From state 1, 2, 3, 4, as in the test vectors of the rand_xoshiro crate, made with the authors' C code.
    entropy = Entropy()
    entropy.words = (1, 2, 3, 4)
    assert [entropy.next() for _ in range(10)] == [
        641, 1573767, 3222811527, 3517856514, 836907274, 4247214768, 3867114732, 1355841295, 495546011, 621204420,
    ]  # fmt: skip


def test_the_seed_alone_decides() -> None:
    assert [Entropy(5).next() for _ in range(3)] == [Entropy(5).next() for _ in range(3)]
    assert Entropy(5).next() != Entropy(6).next()
    low, high = islice(splitmix64(5), 2)
    assert Entropy(5).words == (low % 2**32, low // 2**32, high % 2**32, high // 2**32)
