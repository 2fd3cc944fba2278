"""Builds the bitstream of a board: `python -m vac_hdl.build --board ulx3s [--flash]`.

Outputs go to `build/boards/<board>/`: the bitstream, `report.json` and the tools' logs. Exits with 1 where a tool is
missing or fails, the design does not fit, or timing is not met at the declared clock; the bitstream is then not left.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from amaranth.back import rtlil

from .boards import BOARDS, Board, BoardTop
from .collisions import release_collisions

ROOT = Path(__file__).resolve().parents[2]
TOP_NAME = "vac_board"
SEEDS = (1, 2, 3)


class BuildError(Exception):
    """The bitstream cannot be built or written; the message says why and what to do."""


ECP5_SYNTHESIS = (
    "scratchpad -copy abc9.script.flow3 abc9.script; synth_ecp5 -widelut -top {top} -run :map_luts; "
    "abc9 -W 700; clean; synth_ecp5 -widelut -top {top} -run map_cells:"
)
"""Yosys commands, with the top's name to be filled in.

The longer of ABC's scripts gives a smaller and much faster netlist. A look-up table costs 0.24 ns and the wire to it
0.5 to 1.5: told of 0.7 (700 ps) instead of the usual 0.3, ABC spares levels rather than tables.
"""
ECP5_PLACEMENT = ("--placer-heap-timingweight", "30")
"""Options of nextpnr. At the usual weight of 10 the slowest paths come out some 5 % slower."""
ICE40_SYNTHESIS = "synth_ice40 -device u -dsp -abc9 -top {top}"


@dataclass(frozen=True)
class Report:
    """What a bitstream takes, and how fast it may be clocked.

    lut: look-up table sites in use. ff: flip-flops. bram: block RAMs. spram: single-port RAMs. dsp: multipliers.
    clock_mhz: declared clock of the core. fmax_mhz: highest clock of the core after routing, for each seed;
    median_mhz of those. seed: the one that the bitstream is from. timing_met: every clock of that seed, and the
    median, meet what is declared.
    """

    board: str
    lut: int
    ff: int
    bram: int
    spram: int
    dsp: int
    clock_mhz: float
    fmax_mhz: dict[int, float]
    median_mhz: float
    seed: int
    timing_met: bool


@dataclass(frozen=True)
class _Family:
    synthesis: str
    place: str
    options: tuple[str, ...]
    constraints_option: str
    routed_option: str
    pack: str
    routed: str
    bitstream: str
    sites: dict[str, tuple[str, ...]]
    flip_flops: str


_FAMILIES = {
    "ecp5": _Family(
        synthesis=ECP5_SYNTHESIS,
        place="nextpnr-ecp5",
        options=ECP5_PLACEMENT,
        constraints_option="--lpf",
        routed_option="--textcfg",
        pack="ecppack",
        routed="config",
        bitstream="bit",
        sites={"lut": ("TRELLIS_COMB",), "bram": ("DP16KD",), "spram": (), "dsp": ("MULT18X18D",)},
        flip_flops="TRELLIS_FF",
    ),
    "ice40": _Family(
        synthesis=ICE40_SYNTHESIS,
        place="nextpnr-ice40",
        options=(),
        constraints_option="--pcf",
        routed_option="--asc",
        pack="icepack",
        routed="asc",
        bitstream="bin",
        sites={
            "lut": ("ICESTORM_LC",),
            "bram": ("ICESTORM_RAM",),
            "spram": ("ICESTORM_SPRAM",),
            "dsp": ("ICESTORM_DSP",),
        },
        flip_flops="SB_DFF",
    ),
}


def tell(message: str) -> None:
    """Progress, for people."""
    print(f"build: {message}", file=sys.stderr, flush=True)


def require_tool(name: str) -> str:
    """Path of one of the open FPGA tools: beside this Python, as `make setup` installs it, or on PATH."""
    for candidate in (f"yowasp-{name}", name):
        beside = Path(sys.executable).with_name(candidate)
        found = str(beside) if beside.is_file() else shutil.which(candidate)
        if found:
            return found
    raise BuildError(f"{name} is missing: looked beside {sys.executable} and on PATH; run `make setup`")


def run_tool(name: str, arguments: Sequence[str], folder: Path, log: str) -> None:
    """Runs a tool in `folder`, which is all that it sees. Raises BuildError with the end of its output."""
    command = [require_tool(name), *arguments]
    with open(folder / log, "wb") as output:
        code = subprocess.run(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT).returncode
    if code:
        lines = (folder / log).read_text(errors="replace").splitlines()
        errors = [line for line in lines if "ERROR" in line] or lines[-5:]
        text = "\n  ".join(errors[-5:])
        raise BuildError(f"{name} failed with exit status {code} ({folder / log}):\n  {text}")


def synthesise(family: str, design: str, top: str, folder: Path, outputs: Sequence[str]) -> dict[str, int]:
    """Synthesises RTLIL text in `folder`. Returns the number of cells of each type.

    outputs: names of netlists to write, `.json` or `.v`.
    """
    (folder / "design.il").write_text(release_collisions(design))
    writes = [f"write_verilog -noattr {name}" if name.endswith(".v") else f"write_json {name}" for name in outputs]
    statistics_step = "tee -q -o cells.json stat -json"
    script = [_FAMILIES[family].synthesis.format(top=top), statistics_step, *writes]
    run_tool("yosys", ["-q", "-p", "; ".join(["read_rtlil design.il", *script])], folder, "synthesis.log")
    text = (folder / "cells.json").read_text()
    return json.loads(text[text.index("{") :])["design"]["num_cells_by_type"]


def _fmax(report: dict, board: Board) -> tuple[float, bool]:
    """Fmax of the core's clock in MHz, and whether every clock is met."""
    clocks = list(report["fmax"].values())
    core = [clock for clock in clocks if clock["constraint"] > board.oscillator_hz / 1e6 * 1.01] or clocks
    if not core:
        raise BuildError("place and route reports no clock; the design has lost its logic")
    achieved = min(clock["achieved"] for clock in core)
    return achieved, all(clock["achieved"] >= clock["constraint"] for clock in clocks)


def build(board: Board, folder: Path, seeds: Sequence[int] = SEEDS) -> Report:
    """Builds `board` into `folder`. Raises BuildError; otherwise the bitstream is there, with timing met or not."""
    family = _FAMILIES[board.family]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    constraints = ROOT / "constraints" / board.constraints
    try:
        shutil.copy(constraints, folder / constraints.name)
    except OSError as error:
        raise BuildError(f"cannot read {constraints}: {error.strerror}") from error
    for tool in ("yosys", family.place, family.pack):
        require_tool(tool)

    tell(f"{board.name}: synthesis")
    design = rtlil.convert(BoardTop(board), name=TOP_NAME, emit_src=False)
    cells = synthesise(board.family, design, TOP_NAME, folder, ["netlist.json"])

    fmax: dict[int, float] = {}
    met: dict[int, bool] = {}
    used: dict[str, dict[str, int]] = {}
    for seed in seeds:
        started = time.monotonic()
        report_name, routed = f"seed_{seed}.json", f"seed_{seed}.{family.routed}"
        arguments = [*board.device, *family.options, "--json", "netlist.json", "--seed", str(seed)]
        arguments += [family.constraints_option, constraints.name, family.routed_option, routed]
        arguments += ["--report", report_name, "--freq", f"{board.clock_hz / 1e6:g}", "--timing-allow-fail", "-q"]
        run_tool(family.place, arguments, folder, f"seed_{seed}.log")
        report = json.loads((folder / report_name).read_text())
        fmax[seed], met[seed] = _fmax(report, board)
        used = report["utilization"]
        tell(f"{board.name}: place and route, seed {seed}: {fmax[seed]:.1f} MHz, {time.monotonic() - started:.0f} s")

    best = max(seeds, key=lambda seed: (met[seed], fmax[seed]))
    run_tool(family.pack, [f"seed_{best}.{family.routed}", f"{board.name}.{family.bitstream}"], folder, "pack.log")
    sites = {what: sum(used.get(site, {}).get("used", 0) for site in names) for what, names in family.sites.items()}
    median = statistics.median(fmax.values())
    result = Report(
        board=board.name,
        **sites,
        ff=sum(count for cell, count in cells.items() if re.match(family.flip_flops, cell)),
        clock_mhz=board.clock_hz / 1e6,
        fmax_mhz={seed: round(value, 2) for seed, value in fmax.items()},
        median_mhz=round(median, 2),
        seed=best,
        timing_met=met[best] and median >= board.clock_hz / 1e6,
    )
    (folder / "report.json").write_text(json.dumps(asdict(result), indent=2) + "\n")
    return result


def bitstream_path(board: Board, folder: Path) -> Path:
    return folder / f"{board.name}.{_FAMILIES[board.family].bitstream}"


def flash(board: Board, bitstream: Path) -> None:
    """Writes the bitstream to the attached board. Raises BuildError where openFPGALoader is missing or fails."""
    loader = shutil.which("openFPGALoader")
    if not loader:
        raise BuildError(
            f"openFPGALoader is not on PATH; install it (Debian: apt-get install openfpgaloader). The bitstream is "
            f"built: {bitstream}"
        )
    tell(f"{board.name}: writing {bitstream.name}")
    if subprocess.run([loader, "-b", board.programmer, "-f", str(bitstream)]).returncode:
        raise BuildError("openFPGALoader failed; check that the board is attached and that you may use it")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m vac_hdl.build", description="Builds the bitstream of a board.")
    parser.add_argument("--board", required=True, choices=sorted(BOARDS))
    parser.add_argument("--flash", action="store_true", help="write it to the attached board")
    parser.add_argument("--output", type=Path, help="folder of the outputs (default: build/boards/<board>)")
    options = parser.parse_args(arguments)
    board = BOARDS[options.board]
    folder = options.output or ROOT / "build" / "boards" / board.name
    try:
        report = build(board, folder)
        print(json.dumps(asdict(report), indent=2))
        if not report.timing_met:
            bitstream_path(board, folder).unlink()
            raise BuildError(
                f"timing is not met: median {report.median_mhz} MHz of seeds {list(report.fmax_mhz)}, declared "
                f"{report.clock_mhz:g} MHz; the critical path is in {folder}/seed_{report.seed}.json"
            )
        if options.flash:
            flash(board, bitstream_path(board, folder))
    except BuildError as error:
        print(f"build: {board.name}: {error}", file=sys.stderr)
        return 1
    tell(f"{board.name}: {bitstream_path(board, folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
