"""Builds the bench's simulator, once for each configuration, sources and compiler."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import cocotb_tools.config

from vac_hdl.config import SIMULATION, CoreConfig
from vac_hdl.simulation_top import TOP_NAME, core_verilog

from ..model import announce_build, cache_folder, exclusive, run_tool, state_map_header
from ..toolchain import require_cxx, verilator_binary
from .wrapper import BENCH_NAME, bench_pins_header, bench_step_source, bench_verilog, ports_of

_HERE = Path(__file__).parent
_HARNESS = _HERE.parent
_SOURCES = (_HERE / "bench_agent.cpp", _HERE / "bench_core.h", _HARNESS / "harness.cpp", _HARNESS / "harness.h")
# No --public-flat-rw: the runner's own would make every signal readable, at a several times slower model.
_FLAGS = ("--cc", "--exe", "--build", "-j", "2", "--vpi", "--timing", "-O3", "--x-assign", "fast", "--x-initial",
          "fast", "--noassert", "-Wno-fatal", "-Wno-lint", "--prefix", "Vtop")  # fmt: skip
_COMPILER_FLAGS = "-O2 -fno-strict-aliasing -DVAC_BENCH=1"


def build_bench(config: CoreConfig = SIMULATION) -> Path:
    """Folder with the simulator `vac_bench` in it; builds it where the cache has none.

    Raises ToolMissing when Verilator or the compiler is missing, BuildFailed when they refuse.
    """
    verilog = core_verilog(config)
    ports = ports_of(verilog)
    generated = {
        f"{TOP_NAME}.v": verilog,
        f"{BENCH_NAME}.sv": bench_verilog(ports),
        "bench_pins.h": bench_pins_header(ports),
        "bench_step.cpp": bench_step_source(ports),
        "state_map.h": state_map_header(),
    }
    parts = [*generated.values(), *(path.read_text() for path in _SOURCES)]
    parts += [repr((_FLAGS, _COMPILER_FLAGS, require_cxx(), cocotb_tools.config.share_dir))]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    models = cache_folder() / "models"
    folder = models / f"bench-{key}"
    if (folder / BENCH_NAME).exists():
        return folder
    with exclusive(models / f"bench-{key}.lock"):
        if (folder / BENCH_NAME).exists():
            return folder
        announce_build("the core's test bench")
        with tempfile.TemporaryDirectory(dir=models) as temporary:
            built = _compile(Path(temporary), generated)
            folder.mkdir(exist_ok=True)
            built.replace(folder / BENCH_NAME)
    return folder


def _compile(folder: Path, generated: dict[str, str]) -> Path:
    for name, text in generated.items():
        (folder / name).write_text(text)
    libraries = cocotb_tools.config.libs_dir
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    run_tool(
        [
            str(verilator_binary()), *_FLAGS, "--top-module", BENCH_NAME, "-o", BENCH_NAME, "--Mdir", "model",
            "-CFLAGS", f"{_COMPILER_FLAGS} -I{folder} -I{_HERE} -I{_HARNESS}",
            "-LDFLAGS", f"-rdynamic -Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator",
            f"{BENCH_NAME}.sv", f"{TOP_NAME}.v", str(main), str(_HERE / "bench_agent.cpp"),
            str(_HARNESS / "harness.cpp"), "bench_step.cpp",
        ],
        folder,
    )  # fmt: skip
    return folder / "model" / BENCH_NAME
