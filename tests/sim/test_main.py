"""`make sim` from the outside: what it leaves behind, and how it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
import pywellen
from typer.testing import CliRunner

from vac.assembler.assemble import assemble_file
from vac.cli import app
from vac.golden.model import GoldenMachine
from vac.image.image import Image
from vac_sim import main as main_module
from vac_sim import replay, wave
from vac_sim.decoding import add_texts
from vac_sim.main import DEMO, main
from vac_sim.trace import read_trace

pytestmark = pytest.mark.rtl

CONTENT = bytes(range(256)) * 2 + b"the end"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sim")
    (folder / "input").write_bytes(CONTENT)
    assert main(["--input", str(folder / "input"), "--reference", "golden", "--out", str(folder / "out")]) == 0
    return folder / "out"


def report_of(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def _variables(path: Path) -> dict[str, Any]:
    """A waveform's variables by their full names, as a parser of another make reads them."""
    waveform = pywellen.Waveform(str(path))  # pyright: ignore[reportAttributeAccessIssue]
    return {variable.full_name: variable for variable in waveform.all_vars()}


_READ_CLOCK = """
import sys
from vcdvcd import VCDVCD
print(sum(value == "1" for _, value in VCDVCD(sys.argv[1])["vac_core.core.clk"].tv))
"""


def _rising_edges(path: Path) -> int:
    """Of the clock, as vcdvcd counts them. It changes what a broken pipe does, so it gets a process of its own."""
    done = subprocess.run([sys.executable, "-c", _READ_CLOCK, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_the_firmware_agrees_with_zlib(folder: Path) -> None:
    report = report_of(folder)
    assert f"{zlib.crc32(CONTENT):08x}" in report["output"].lower()
    assert report["lockstep"] == "equal"
    assert report["stop"] == "HALTED"
    assert report["compared_instructions"] == report["ticks"] > 8 * 5 * len(CONTENT)
    assert report["cycles"] > report["ticks"]
    assert report["digest_rtl"] == report["digest_reference"]
    assert "agrees" in (folder / "report.md").read_text()


def test_the_beams_are_the_golden_models(folder: Path) -> None:
    from vac.devices.console import Console
    from vac.host.session import Host

    golden = GoldenMachine()
    Host(golden, assemble_file(DEMO), console=Console(CONTENT)).run(1 << 30)
    assert (folder / "beams.bin").read_bytes() == golden.drain_beams()
    lines = [json.loads(line) for line in (folder / "beams.jsonl").read_text().splitlines()]
    assert [line["tick"] for line in lines] == list(range(1000))
    assert f"{golden.state().digest:016x}" == report_of(folder)["digest_rtl"]


def test_the_waveforms_open_in_independent_readers(folder: Path) -> None:
    report = report_of(folder)
    vcd, fst = (_variables(folder / name) for name in ("wave.vcd", "wave.fst"))
    for variables in (vcd, fst):
        assert sum(value == 1 for _, value in variables["vac_core.core.clk"].tv) == report["wave_cycles"]
    assert _rising_edges(folder / "wave.vcd") == report["wave_cycles"]
    mode = fst["vac_core.core.mode"]
    assert ("001", "RUN") in mode.enum_type[1]
    assert (folder / "wave.fst").stat().st_size * 10 < (folder / "wave.vcd").stat().st_size
    # The save file names signals that are there.
    named = [
        line.partition("[")[0]
        for line in (folder / "wave.gtkw").read_text().splitlines()
        if line.startswith(("vac_core.", "decoded."))
    ]
    assert len(named) > 20
    assert set(named) <= fst.keys() & vcd.keys()


def test_the_decoded_instructions_are_the_retired_ones(folder: Path) -> None:
    """What the write-back stage says it holds, cycle by cycle, against the beams' instructions."""
    trace = read_trace(folder / "wave.vcd")
    add_texts(trace, Image.load(folder / wave.IMAGE_NAME))
    retired = [edge - 1 for edge in trace.edges if trace["vac_core.retire_valid"].at(edge - 1)]
    pcs = [trace["vac_core.retire__payload.beam.pc"].number_at(time) for time in retired]
    lines = [json.loads(line) for line in (folder / "beams.jsonl").read_text().splitlines()]
    first = report_of(folder)["wave_first_tick"]
    count = min(len(pcs), len(lines) - first)
    assert count > 400
    assert pcs[:count] == [line["pc"] for line in lines[first : first + count]]
    shown = {text for text in trace["decoded.w_instruction"].values if text}
    assert shown == {line["instruction"] for line in lines[first : first + len(pcs) + 10]} & shown
    assert len(shown) > 8


def test_the_picture_is_one(folder: Path) -> None:
    picture = matplotlib.image.imread(folder / "wave.png")
    assert picture.shape[1] > 1500
    assert picture[..., :3].std() > 0.02
    svg = (folder / "wave.svg").read_text()
    for text in ("write back", "page fault", "WALK", "djnz"):
        assert text in svg


def test_the_picture_is_drawn_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "wave.svg").read_bytes()
    assert wave.main(["--folder", str(folder)]) == 0
    assert (folder / "wave.svg").read_bytes() == before
    assert wave.main(["--folder", str(folder), "--from", "40"]) == 0
    assert (folder / "wave.svg").read_bytes() != before
    assert wave.main(["--folder", str(folder), "--from", "1000000"]) == 2
    assert "has cycles 0 to" in capsys.readouterr().err


def test_the_run_can_be_replayed(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay.main([str(folder / "run.case.json"), "--around", "500", "--out", str(tmp_path)]) == 0
    assert "agree" in capsys.readouterr().out
    assert (tmp_path / "wave.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "missing.txt"], "no input file missing.txt"),
        (["--program", "missing.vasm"], "no program missing.vasm"),
        (["--ticks", "0"], "--ticks is 0"),
        (["--program", "broken.vasm"], "broken.vasm:2"),
        (["--program", "broken.vacimg"], "not a VAC image"),
        (["--program", "truncated.vacimg"], "damaged or truncated"),
        (["--program", "broken.vac"], "broken.vac"),
    ],
)
def test_bad_input_leaves_nothing(
    arguments: list[str],
    message: str,
    summing: Image,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.vasm").write_text("nop\nfrobnicate 3\n")
    Path("broken.vacimg").write_bytes(b"something else")
    Path("broken.vac").write_bytes(b"no archive")
    Path("truncated.vacimg").write_bytes(summing.to_bytes()[:-3])
    assert main([*arguments, "--out", "out"]) == 2
    assert message in capsys.readouterr().err
    names = ["broken.vac", "broken.vacimg", "broken.vasm", "truncated.vacimg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_package_gets_what_it_was_granted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "input").write_bytes(CONTENT)
    for name, granted in (("console", ["--cap", "console"]), ("nothing", [])):
        package = tmp_path / f"{name}.vac"
        assert CliRunner().invoke(app, ["pack", str(DEMO), "-o", str(package), *granted]).exit_code == 0
        arguments = ["--program", str(package), "--input", str(tmp_path / "input"), "--out", str(tmp_path / name)]
        assert main(arguments) == (0 if granted else 1)
    assert report_of(tmp_path / "console")["output"].strip().lower() == f"{zlib.crc32(CONTENT):08x}"
    assert "Denied" in capsys.readouterr().err


def test_a_program_that_traps_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("traps.vasm").write_text("lit 1\nlit 0\ndivu\nhalt\n")
    assert main(["--program", "traps.vasm", "--reference", "golden", "--out", "out"]) == 1
    assert report_of(tmp_path / "out")["trap"] == "DIVISION_BY_ZERO"
    assert "trapped: DIVISION_BY_ZERO" in capsys.readouterr().err


def test_a_missing_compiler_is_said_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("VAC_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "fine.vasm"
    source.write_text("halt\n")
    assert main_module.main(["--program", str(source), "--out", str(tmp_path / "out")]) == 2
    assert "no-such-compiler" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
