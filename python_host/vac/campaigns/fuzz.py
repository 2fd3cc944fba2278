"""Fuzzes the readers of files, guided by what the inputs reach: ``python -m vac.campaigns.fuzz --seconds 20``.

Each target has a process of its own and the time given. An exception that is not the reader's own error, a hang or a
gigabyte of memory ends the campaign with exit status 1; the input that did it stays in ``build/fuzz``, where the
inputs that reached something new are kept for the next time, too. Needs atheris (in the extra ``dev``).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TARGET_MODULES = (
    "vac.campaigns.fuzz_readers",
    "vac.campaigns.fuzz_beams",
    "vac.campaigns.fuzz_recordings",
    "vac.campaigns.fuzz_link",
)
"""Each has `TARGETS`: by name, what reads bytes and what to begin with."""
_FOLDER = Path("build/fuzz")
_HANG_SECONDS = 20
_MEMORY_MIB = 1024
_FUZZING = "--in-this-process"
_DONE = re.compile(r"^Done (\d+) runs", re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, 1 for a finding, 2 where atheris is missing or there is no such target."""
    parser = argparse.ArgumentParser(prog="python -m vac.campaigns.fuzz", description=__doc__)
    parser.add_argument("--target", default="all", help="what to fuzz; all by default")
    parser.add_argument("--seconds", type=int, default=20, help="time for each target")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations")
    parser.add_argument(_FUZZING, dest="is_inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: atheris is not installed; `make setup` installs it, or pip install atheris", file=sys.stderr)
        return 2
    if options.is_inside:
        return _fuzz(options.target, options.seconds, options.seed)
    names = _names()
    if options.target != "all" and options.target not in names:
        print(f"fuzz: there is no target {options.target!r}; there are {', '.join(names)}", file=sys.stderr)
        return 2
    chosen = names if options.target == "all" else [options.target]
    return max(_run(name, options.seconds, options.seed) for name in chosen)


def _names() -> list[str]:
    return [name for module in TARGET_MODULES for name in importlib.import_module(module).TARGETS]


def _run(name: str, seconds: int, seed: int) -> int:
    """One target in a process of its own. Returns the exit status."""
    command = [sys.executable, "-m", "vac.campaigns.fuzz", _FUZZING, "--target", name]
    done = subprocess.run(
        [*command, "--seconds", str(seconds), "--seed", str(seed)], stderr=subprocess.PIPE, text=True, errors="replace"
    )
    runs = _DONE.search(done.stderr)
    if done.returncode == 0 and runs:
        print(f"fuzz {name}: {int(runs[1]):,} inputs in {seconds} s, nothing but typed errors")
        return 0
    print(f"fuzz {name}: a finding, its input is in {_FOLDER}; the end of the report:", file=sys.stderr)
    print("\n".join(done.stderr.splitlines()[-40:]), file=sys.stderr)
    return 1


def _fuzz(name: str, seconds: int, seed: int) -> int:
    import atheris

    with atheris.instrument_imports(include=["vac"]):  # pyright: ignore[reportAttributeAccessIssue]
        targets = {
            key: target for module in TARGET_MODULES for key, target in importlib.import_module(module).TARGETS.items()
        }
    corpus = _FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    for index, content in enumerate(targets[name].seeds()):
        (corpus / f"seed{index}").write_bytes(content)
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={seconds}",
            f"-timeout={_HANG_SECONDS}",
            f"-rss_limit_mb={_MEMORY_MIB}",
            f"-seed={seed}",
            "-max_len=32768",
            "-print_final_stats=1",
            f"-artifact_prefix={_FOLDER}/{name}-",
            str(corpus),
        ],
        targets[name].read,
    )
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
