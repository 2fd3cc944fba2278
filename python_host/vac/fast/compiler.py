"""Builds the fast engine's library with the system's C compiler, once for each source, flag set and compiler."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .generate import generated_files

_HERE = Path(__file__).parent
INCLUDE_DIRECTORY = _HERE
"""Holds `vac_fast.h`."""

_CANDIDATES = ("cc", "gcc", "clang", "c++", "g++")
_COMMON = ("-std=gnu11", "-fPIC", "-shared", "-fno-strict-aliasing", "-fvisibility=hidden", "-pthread")
_OPTIMISED = (
    "-O2",
    "-march=native",
    "-fomit-frame-pointer",
    "-foptimize-sibling-calls",
    "-fno-gcse",
    "-fno-crossjumping",
    "-fno-tree-slp-vectorize",
)
_SANITIZED = ("-O1", "-g", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all", "-DVAC_TRAMPOLINE=1")
"""Sanitizers put epilogues behind calls in tail position, so that handlers return to a loop instead."""


class EngineBuildError(Exception):
    """The fast engine cannot be built here; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Flavour:
    """One way of compiling the engine. sanitizers: names for -fsanitize, comma-separated; empty for speed."""

    sanitizers: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        if self.sanitizers:
            return (*_COMMON, *_SANITIZED, f"-fsanitize={self.sanitizers}")
        # Three-operand shifts save the interpreter an instruction here and there.
        own = ("-march=native",) if platform.machine() == "x86_64" else ()
        return (*_COMMON, *_OPTIMISED, *own)


FAST = Flavour()
SANITIZED = Flavour("address,undefined")


def find_compiler() -> str:
    """Path of the C compiler: `$CC`, or the first of cc, gcc, clang, c++, g++. Raises EngineBuildError."""
    named = os.environ.get("CC")
    for candidate in [named] if named else _CANDIDATES:
        found = shutil.which(candidate)
        if found:
            return found
    tried = named or ", ".join(_CANDIDATES)
    raise EngineBuildError(
        f"the fast engine needs a C compiler, and there is none on PATH ({tried}); "
        "install one (Debian: apt-get install gcc libc6-dev), name it in CC, or use --engine golden"
    )


def cache_directory() -> Path:
    """Where what was built is kept: `$VAC_CACHE_DIR`, or `vac` under the user's cache directory."""
    named = os.environ.get("VAC_CACHE_DIR")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vac"


@cache
def _sources() -> dict[str, str]:
    files = {path.name: path.read_text() for path in sorted(_HERE.iterdir()) if path.suffix in (".c", ".h")}
    return files | generated_files()


@cache
def _compiler_version(compiler: str) -> str:
    try:
        return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise EngineBuildError(f"{compiler} --version fails ({error}); name a working C compiler in CC") from error


@cache
def _processor() -> str:
    """What the processor can do: a library made for one may be found by another through a shared home directory."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _is_c_plus_plus(compiler: str) -> bool:
    return Path(compiler).name.split("-")[0].endswith("++")


def library_path(flavour: Flavour = FAST) -> Path:
    """Path of the shared library, built now if it is not there yet. Raises EngineBuildError.

    A first build takes 10 to 20 seconds. Several processes may ask at once: each sees a whole library or none.
    """
    compiler = find_compiler()
    key = hashlib.sha256()
    parts = (part for item in _sources().items() for part in item)
    for text in (_compiler_version(compiler), _processor(), *flavour.flags, *parts):
        key.update(text.encode() + b"\0")
    path = cache_directory() / f"fast-{key.hexdigest()[:24]}.so"
    if not path.exists():
        _build(compiler, flavour, path)
    return path


def _build(compiler: str, flavour: Flavour, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        directory = Path(name)
        for file, text in _sources().items():
            (directory / file).write_text(text)
        units = [file for file in _sources() if file.endswith(".c")]
        language = ("-x", "c") if _is_c_plus_plus(compiler) else ()
        command = [compiler, *language, *flavour.flags, "-o", "library.so", *units]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise EngineBuildError(
                f"{compiler} could not build the fast engine (exit {done.returncode}):\n"
                + "\n".join(lines[:20])
                + "\nname another C compiler in CC, or use --engine golden"
            )
        (directory / "library.so").replace(path)
