"""The peer cores: which files of which package, under which of our wrappers."""

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

RTL_FOLDER = Path(__file__).resolve().parent / "rtl"
MEMORY = RTL_FOLDER / "peer_memory.v"
MEMORY_UP5K = RTL_FOLDER / "peer_memory_up5k.v"


class PeerMissing(RuntimeError):
    """The package of a peer core is not installed, or does not hold the files that it should."""


@dataclass(frozen=True)
class PeerCore:
    """One configuration of a peer core.

    Attributes
    ----------
    name: name in tables and records
    package: Python package that carries its Verilog under `verilog/`
    files: patterns of its source files below `verilog/`
    without: names of files that match but are not part of the core
    wrapper: our module around it and its memory, in `rtl/`
    parameters: parameters of the wrapper
    defines: Verilog macros for simulation
    reports_retirement: whether the wrapper has port `retired` when RISCV_FORMAL is defined
    """

    name: str
    package: str
    files: tuple[str, ...]
    wrapper: str
    without: tuple[str, ...] = ()
    parameters: Mapping[str, int] = field(default_factory=dict)
    defines: tuple[str, ...] = ()
    reports_retirement: bool = False

    def core_sources(self) -> list[Path]:
        """The package's source files of this core, sorted.

        Raises
        ------
        PeerMissing: the package is not installed or lacks a file
        """
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            pip_name = self.package.replace("_", "-")
            raise PeerMissing(f"{self.name}: package {pip_name} is not installed in {sys.prefix}; run `make setup`")
        folder = Path(spec.origin).parent / "verilog"
        found: list[Path] = []
        for pattern in self.files:
            matches = [path for path in sorted(folder.glob(pattern)) if path.name not in self.without]
            if not matches:
                raise PeerMissing(f"{self.name}: no file {pattern} in {folder}; reinstall {self.package}")
            found += matches
        return found

    def sources(self, memory: Path = MEMORY) -> list[Path]:
        """Wrapper, memory and core, ready for simulation or synthesis; top module `peer_top`."""
        return [RTL_FOLDER / self.wrapper, memory, *self.core_sources()]


def _picorv32(name: str, look_ahead: int) -> PeerCore:
    return PeerCore(
        name,
        "pythondata_cpu_picorv32",
        ("picorv32.v",),
        "peer_picorv32.v",
        parameters={"LOOK_AHEAD": look_ahead},
        reports_retirement=True,
    )


def _vexriscv(name: str, file: str) -> PeerCore:
    return PeerCore(name, "pythondata_cpu_vexriscv", (file,), "peer_vexriscv.v")


SERV = PeerCore(
    "SERV",
    "pythondata_cpu_serv",
    ("rtl/*.v",),
    "peer_serv.v",
    without=("serv_synth_wrapper.v",),
    defines=("SERV_CLEAR_RAM",),
)

PEERS: tuple[PeerCore, ...] = (
    _vexriscv("VexRiscv", "VexRiscv.v"),
    _vexriscv("VexRiscv Lite", "VexRiscv_Lite.v"),
    _vexriscv("VexRiscv Min", "VexRiscv_Min.v"),
    _picorv32("picorv32 small", look_ahead=0),
    _picorv32("picorv32 small, look-ahead", look_ahead=1),
    SERV,
)
