"""What the bench is asked to do and what it found out, as files between two processes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vac.files.durable import write_whole

from ..disturbance import Disturbance

JOB_VARIABLE = "VAC_BENCH_JOB"
"""Environment variable with the path of the job's file."""


@dataclass(frozen=True)
class Job:
    """One program in lockstep.

    program: path of a .vacimg, or of a package (.vac). input: path of what the console reads, or empty.
    reference: `golden` or `fast`. max_ticks: where to stop a program that does not halt. folder: where results go.
    """

    program: str
    input: str
    reference: str
    max_ticks: int
    folder: str
    disturbance: Disturbance = field(default_factory=Disturbance)

    @property
    def result_path(self) -> Path:
        return Path(self.folder) / "lockstep.json"

    @property
    def progress_path(self) -> Path:
        return Path(self.folder) / "progress.json"

    @property
    def case_path(self) -> Path:
        return Path(self.folder) / "run.case.json"

    @property
    def beams_path(self) -> Path:
        return Path(self.folder) / "beams.bin"

    def save(self, path: Path) -> None:
        """Writes the job's file."""
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def load(path: Path) -> Job:
        """Inverse of `save`."""
        content = json.loads(path.read_text())
        return Job(**{**content, "disturbance": Disturbance(**content["disturbance"])})


@dataclass(frozen=True)
class Result:
    """How a job ended.

    stop: the reason, as the engines give it. state: registers at the end by name. counts: of LockstepCounts.
    output: console output in Latin-1. seconds: of the run itself, processor time of the simulator's process.
    mismatch: path of the report, or empty.
    """

    stop: str
    trap: str
    ticks: int
    cycles: int
    seconds: float
    reference_digest: int
    rtl_digest: int
    sqi: dict[str, int]
    counts: dict[str, int]
    output: str
    stack: list[int]
    denials: list[str]
    mismatch: str = ""

    def save(self, path: Path) -> None:
        """Writes the file through a temporary name."""
        write_json(path, asdict(self))

    @staticmethod
    def load(path: Path) -> Result:
        """Inverse of `save`."""
        return Result(**json.loads(path.read_text()))


def write_json(path: Path, content: Any) -> None:
    """Replaces the file as a whole: a reader never sees half of it."""
    write_whole(path, json.dumps(content, indent=1).encode())
