"""`vac run` with quotas, checkpoints to go on from, and a beam store."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vac.assembler.assemble import assemble
from vac.beams.opening import open_store
from vac.cli.run_session import RunSession
from vac.devices.device import BaseDevice, NotYet, Reply
from vac.engines.registry import create_machine
from vac.host.capabilities import DEFAULT
from vac.host.session import Host
from vac.isa.beam import BEAM_BYTES
from vac.isa.ports import REFUSED
from vac.package.manifest import DeviceSpec, Quotas
from vac.package.pack import Description, pack, write_archive
from vac.scheduler.guarded_machine import GuardedMachine
from vac.scheduler.quota import Quota, StopCause

VAC = [sys.executable, "-c", "from vac.cli import main; main()"]
IMAGE = assemble("""
.memory 0x20000
        li l0, 0
        li l1, 20
again:  in 0; out 0                     # a request or two a turn, and a leaf of its own
        st32 l0, l1
        addw l0, l0, 4096
        djnz l1, again
        sys 6; emit
        halt
""")
TICKS = 105
INPUT = b"abcdefghijklmnopqrst"


def vac(folder: Path, *words: object, text: bytes = INPUT) -> tuple[int, bytes, dict[str, Any]]:
    """Exit code, console, report."""
    done = subprocess.run([*VAC, *map(str, words)], input=text, capture_output=True, cwd=folder, check=False)
    try:
        return done.returncode, done.stdout, json.loads(done.stderr)
    except ValueError:
        return done.returncode, done.stdout, {"error": done.stderr.decode()}


def package(folder: Path, **limits: int) -> Path:
    caps = [str(capability.name).lower() for capability in DEFAULT]
    made = pack(IMAGE, Description("count", caps=caps, quotas=Quotas(**limits)))
    write_archive(made, folder / "count.vac")
    return folder / "count.vac"


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """What the package shows and the digest of all its beams, when nothing stops it."""
    folder = tmp_path_factory.mktemp("straight")
    code, shown, report = vac(folder, "run", package(folder), "--json")
    assert (code, shown, report["ticks"]) == (0, INPUT, TICKS)
    return shown, report["digest"]


@pytest.mark.parametrize(
    ("engine", "name", "limit", "options"),
    [
        ("golden", "max_ticks", 60, ()),
        ("jit", "max_resident_pages", 9, ()),
        ("fast", "max_resident_pages", 9, ("--frames", 20, "--page-size", "4KiB")),
        ("golden", "max_beams", 60, ("--beams", "beams")),
        ("jit", "max_beams", 60, ("--store", "store")),
        ("fast", "max_io_per_slice", 17, ()),
    ],
)
def test_every_quota_stops_by_its_name_and_goes_on_with_a_larger_one(
    tmp_path: Path, straight: tuple[bytes, str], engine: str, name: str, limit: int, options: tuple[object, ...]
) -> None:
    program, run = package(tmp_path, **{name: limit}), ("run", "count.vac", "--engine", engine, "--json", *options)
    assert program.exists()
    code, first, report = vac(tmp_path, *run, "--keep", "here")
    assert (code, report["status"], report["checkpoint"]) == (4, f"{name} reached", "here.dc.json"), report
    assert 0 < report["ticks"] < TICKS
    if name in ("max_ticks", "max_beams"):
        assert report["ticks"] == limit
    code, rest, report = vac(tmp_path, *run, "--from", "here.dc.json", "--quota", f"{name}=none")
    assert (code, report["status"], report["ticks"]) == (0, "halted", TICKS), report
    assert (first + rest, report["digest"]) == straight
    if "--store" in options:
        with open_store(tmp_path / "store") as store:
            assert store.run("count").next_tick == TICKS


def test_requests_are_counted_by_slices_of_the_program_not_of_the_clock(tmp_path: Path) -> None:
    source = tmp_path / "slow.vasm"
    source.write_text("li l1, 30\nagain: in 0; drop; liw l0, 4000\nwait: djnz l0, wait\ndjnz l1, again\nhalt")
    # Three requests fall into a slice of 10,000 ticks, at most.
    for limit, status in ((3, "halted"), (2, "max_io_per_slice reached")):
        for engine in ("golden", "fast"):
            _, _, report = vac(
                tmp_path, "run", source, "--quota", f"max_io_per_slice={limit}", "--engine", engine, "--json"
            )
            assert report["status"] == status


@pytest.mark.parametrize("quota", ["max_ticks=60", "max_io_per_slice=17", "max_resident_pages=9"])
def test_quotas_hold_while_conditions_are_looked_for(tmp_path: Path, quota: str) -> None:
    words = ("run", package(tmp_path), "--json", "--quota", quota, "--stop-at", "tick:100")
    code, shown, report = vac(tmp_path, *words)
    assert (code, report["status"]) == (4, f"{quota.partition('=')[0]} reached") and len(shown) < 20


def test_a_quota_of_the_command_takes_the_place_of_the_package_s(tmp_path: Path) -> None:
    program = package(tmp_path, max_ticks=60)
    for words, status in (
        (("--quota", "max_ticks=100"), "max_ticks reached"),
        (("--quota", "max_ticks=100", "--ticks", 99), "tick limit reached"),
        (("--quota", "max_ticks=none"), "halted"),
    ):
        assert vac(tmp_path, "run", program, "--json", *words)[2]["status"] == status


def test_a_machine_alone_does_not_wait_for_messages(tmp_path: Path) -> None:
    made = pack(assemble("in 0x46; halt"), Description("wait", caps=("net",), devices={"0x40": DeviceSpec(kind="net")}))
    write_archive(made, tmp_path / "wait.vac")
    for words in (("run",), ("run", "--stop-at", "tick:5"), ("record", "-o", "recorded")):
        code, _, report = vac(tmp_path, words[0], "wait.vac", *words[1:], "--json")
        assert (code, report["ticks"]) == (0, 2)
    assert vac(tmp_path, "run", "wait.vac", "--json")[2]["stack"] == [REFUSED]


class Never(BaseDevice):
    def read_register(self, register: int, tick: int) -> Reply:
        raise NotYet("it waits for rain")


def test_a_device_that_lets_a_machine_wait_for_ever_ends_the_run() -> None:
    machine = GuardedMachine(create_machine("golden"))
    host = Host(machine, assemble("nop; in 0x50; halt"), devices={0x50: Never()})
    session = RunSession(host, machine, 1000, Quota(), None, None)
    session.run()
    assert (session.cause, session.state.tick, str(host.waits_for)) == (StopCause.PEERS, 1, "it waits for rain")


def test_beams_and_denials_go_straight_into_a_store(tmp_path: Path) -> None:
    source = tmp_path / "denied.vasm"
    source.write_text("lit 1; lit 2; add; in 0x60")
    code, _, _ = vac(tmp_path, "run", source, "--store", "kept", "--beams", "beams", "--json")
    assert code == 3
    with open_store(tmp_path / "kept") as store:
        events = store.beam_events("denied", store.range("denied"))
        assert [event.stage for event in events] == ["cpu", "cpu", "cpu", "policy"]
        assert (
            events[-1].result["policy"] == "not granted" and events[-1].cell_id == f"site:{events[-1].result['pc']:#x}"
        )
    assert (tmp_path / "beams").stat().st_size == 3 * BEAM_BYTES
    code, _, report = vac(tmp_path, "run", source, "--store", "kept")
    assert code == 2 and "run 'denied' is there up to tick 3; name another one with --run" in report["error"]
    assert vac(tmp_path, "run", source, "--store", "kept", "--run", "again", "--json")[0] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--quota", "max_fun=3"], "there is no such quota"),
        (["--quota", "max_ticks=0"], "max_ticks is 0"),
        (["--quota", "max_ticks=lots"], "'lots' is no number"),
        (["--quota-class", "trial"], "is no package"),
        (["--run", "x"], "say --store as well"),
        (["--store", "s", "--stop-at", "tick:3"], "leave out --beams and --store"),
        (["--from", "a.dc.json", "--record", "log"], "--from goes with no condition"),
        (["--from", "none.dc.json"], "cannot read none.dc.json"),
        (["--from", "halt.vasm"], "does not end in .dc.json"),
        (["--store", "halt.vasm"], "halt.vasm"),
        (["--keep", "halt.vasm/x"], "cannot write"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "halt.vasm").write_text("halt")
    code, _, report = vac(tmp_path, "run", "halt.vasm", *words)
    assert code == 2 and message in report["error"] and "Traceback" not in report["error"]


def test_a_snapshot_without_devices_is_no_place_to_go_on_from(tmp_path: Path) -> None:
    assert vac(tmp_path, "run", package(tmp_path), "--snapshot-at", "tick:30")[0] == 0
    (kept,) = tmp_path.glob("tick-*.dc.json")
    code, _, report = vac(tmp_path, "run", "count.vac", "--from", kept.name)
    assert code == 2 and "says nothing of the devices" in report["error"]


def test_a_checkpoint_of_other_devices_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "halt.vasm").write_text("halt")
    (tmp_path / "bytes").write_bytes(b"x")
    assert vac(tmp_path, "run", "halt.vasm", "--storage", "bytes", "--keep", "a", "--json")[0] == 0
    code, _, report = vac(tmp_path, "run", "halt.vasm", "--from", "a.dc.json")
    assert code == 2 and "a.dc.json does not fit this run: saved with the devices 0x00, 0x10, 0x30" in report["error"]
