"""`vac record` and `vac fork` with quotas; devices that let a machine wait; denials by kind."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vac.assembler.assemble import assemble
from vac.cli import app
from vac.devices.device import AccessDenied, BaseDevice, NotYet, Reply
from vac.devices.registry import register_device
from vac.host.capabilities import DEFAULT
from vac.package.manifest import DeviceSpec, Quotas
from vac.package.pack import Description, pack, write_archive
from vac.recording.recording import Recording
from vac.scheduler.quota import StopCause

VAC = [sys.executable, "-c", "from vac.cli import main; main()"]
IMAGE = assemble("""
.memory 0x20000
        li l0, 0
        li l1, 20
again:  in 0; out 0                     # a request or two a turn, and a leaf of its own
        st32 l0, l1
        addw l0, l0, 4096
        djnz l1, again
        halt
""")
INPUT = b"abcdefghijklmnopqrst"
KINDS = {"capability": 0, "policy": 0, "device": 0, "error": 0}


class Rain(BaseDevice):
    """Register 0 never comes, register 1 when it is asked for again; no program has a right to register 2."""

    def __init__(self) -> None:
        self.asked = 0

    def read_register(self, register: int, tick: int) -> Reply:
        self.asked += 1
        if register == 2:
            raise AccessDenied("the sky is not granted")
        if register == 0 or self.asked == 1:
            raise NotYet("it waits for rain")
        return Reply(7)


register_device("weather", lambda options, context: Rain())


def package(folder: Path, source: str | None = None, policy: str | None = None, quotas: Quotas | None = None) -> None:
    caps = [str(capability.name).lower() for capability in DEFAULT]
    devices = {"0x00": DeviceSpec(kind="console"), "0x50": DeviceSpec(kind="weather")} if source else None
    given = Description("count", caps, devices, quotas or Quotas(), policy=policy)
    write_archive(pack(assemble(source) if source else IMAGE, given), folder / "count.vac")


def vac(folder: Path, *words: object, text: bytes = INPUT) -> tuple[int, bytes, dict[str, Any]]:
    """Exit code, console, report."""
    done = subprocess.run([*VAC, *map(str, words)], input=text, capture_output=True, cwd=folder, check=False)
    try:
        return done.returncode, done.stdout, json.loads(done.stderr)
    except ValueError:
        return done.returncode, done.stdout, {"error": done.stderr.decode()}


def here(*words: object) -> tuple[int, dict[str, Any]]:
    """As `vac`, in this process, which has the device, and this folder."""
    done = CliRunner().invoke(app, [*map(str, words), "--json"], input=INPUT)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.exit_code, json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    ("name", "limit"),
    [("max_ticks", 60), ("max_resident_pages", 9), ("max_beams", 60), ("max_io_per_slice", 17)],
)
def test_a_recording_stops_where_a_run_does_and_says_at_which_quota(tmp_path: Path, name: str, limit: int) -> None:
    package(tmp_path, quotas=Quotas(**{name: limit}))
    run = ("run", "count.vac", "--engine", "fast", "--json", *(("--beams", "beams") if name == "max_beams" else ()))
    stopped, shown, by_run = vac(tmp_path, *run)
    code, recorded, report = vac(tmp_path, "record", "count.vac", "-o", "run", "--json")
    assert (code, recorded, report["reason"]) == (stopped, shown, f"{name} reached") == (4, shown, by_run["status"])
    assert (report["ticks"], report["digest"]) == (by_run["ticks"], by_run["digest"])

    again = vac(tmp_path, "replay", "run", "--engine", "jit", "--json")[2]
    assert (again["is_end_checked"], again["root"]) == (True, report["root"])
    code, _, resumed = vac(tmp_path, "record", "--resume", "run", "--json")
    assert (code, resumed["reason"], resumed["ticks_now"]) == (4, f"{name} reached", 0)
    assert (resumed["root"], resumed["digest"]) == (report["root"], report["digest"])
    assert vac(tmp_path, "replay", "run")[0] == 0
    assert vac(tmp_path, "verify", "run/program.vac", "--json")[0] == 0

    words = ("fork", "run", "--at", report["ticks"], "-o", "on", "--quota", f"{name}=none", "--json")
    code, rest, gone_on = vac(tmp_path, *words, text=INPUT[(report["entries"] + 1) // 2 :])
    straight = vac(tmp_path, "record", "count.vac", "-o", "straight", "--quota", f"{name}=none", "--json")[2]
    assert (code, gone_on["reason"], recorded + rest) == (0, "halted", INPUT)
    assert (gone_on["root"], gone_on["digest"]) == (straight["root"], straight["digest"])


def test_a_quota_of_the_command_is_kept_with_the_recording(tmp_path: Path) -> None:
    package(tmp_path, quotas=Quotas(max_ticks=60))
    words = ("record", "count.vac", "-o", "run", "--quota", "max_ticks=90", "--json")
    report = vac(tmp_path, *words, "--ticks", 30)[2]
    assert (report["reason"], report["ticks"]) == ("limit", 30)
    report = vac(tmp_path, "record", "--resume", "run", "--json")[2]
    assert (report["reason"], report["ticks"]) == ("max_ticks reached", 90)
    assert Recording(tmp_path / "run").quota.max_ticks == 90
    code, _, report = vac(tmp_path, "record", "--resume", "run", "--quota", "max_ticks=none")
    assert code == 2 and "held to the quotas it was made with" in report["error"]
    code, _, report = vac(tmp_path, "record", "--resume", "run")
    assert code == 4 and "vac fork run --at 90 --quota max_ticks=N -o NEW" in report["error"]
    for words, message in (
        (("record", "count.vac", "-o", "x", "--quota", "max_fun=3"), "there is no such quota"),
        (("fork", "run", "--at", 9, "-o", "x", "--quota", "max_beams=0"), "max_beams is 0"),
    ):
        code, _, report = vac(tmp_path, *words)
        assert code == 2 and message in report["error"] and not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "--stop-at", "tick:5"),
        ("run", "--stop-at", "end", "--quota", "max_io_per_slice=9"),
        ("run", "--info-at", "in:0x50"),
        ("run", "--proof-at", 5),
        ("record", "-o", "recorded"),
    ],
)
def test_a_machine_that_waits_for_ever_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    package(tmp_path, "nop; in 0x50; nop; nop; nop; halt")
    code, report = here(words[0], "count.vac", *words[1:])
    assert (code, report["ticks"], report["waits_for"]) == (4, 1, "it waits for rain")
    assert report.get("status", report.get("reason")) == StopCause.PEERS.value


def test_what_a_recording_waits_for_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    package(tmp_path, "nop; in 0x50; halt")
    done = CliRunner().invoke(app, ["record", "count.vac", "-o", "run"])
    assert "run: it waits for machines that do not go on at tick 1" in done.stderr
    assert "waits   it waits for rain" in done.stderr
    assert "goes on with: vac record --resume run" in done.stderr


@pytest.mark.parametrize(("stop_at", "ticks"), [("tick:3", 3), ("halt", 5)])
def test_what_comes_when_it_is_asked_for_again_lets_conditions_be_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: str, ticks: int
) -> None:
    monkeypatch.chdir(tmp_path)
    package(tmp_path, "nop; in 0x51; nop; nop; halt")
    done = CliRunner().invoke(app, ["run", "count.vac", "--stop-at", stop_at, "--json"])
    assert (done.exit_code, json.loads(done.stdout)["tick"]) == (4, ticks)


ALL = "permit(principal, action, resource);"


@pytest.mark.parametrize(
    ("source", "policy", "kind"),
    [
        ("in 0x60", None, "capability"),
        ("lit 1; out 0", 'permit(principal, action == Action::"in", resource);', "policy"),
        ("in 0x52", None, "device"),
        ("in 0x51; halt", ALL, None),
    ],
)
def test_denials_are_told_by_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, policy: str | None, kind: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    package(tmp_path, source, policy)
    expected = KINDS | ({kind: 1} if kind else {})
    for words in (("run",), ("record", "-o", "recorded")):
        code, report = here(words[0], "count.vac", *words[1:])
        assert (code, report["denials_by_kind"]) == (3 if kind else 0, expected)
        assert len(report.get("denials", ())) == (kind is not None)
    told = CliRunner().invoke(app, ["run", "count.vac"]).stderr
    assert (f"denials {kind} 1" in told) if kind else ("denials" not in told)
