"""The report of a lockstep mismatch: where, what, what came before, and how to see it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vac.image.decode import decode
from vac.isa.beam import Beam, BeamFlag
from vac.isa.encoding import MAX_LENGTH
from vac.isa.limits import CODE_SLOT, LEAF_BITS, LEAF_BYTES
from vac.machine.protocol import Machine, MachineError
from vac.machine.state import State

from .case import Case
from .replay_command import replay_command

CodeReader = Callable[[int], bytes]
"""Up to five bytes of code from this pc; fewer where memory ends."""


class Difference(NamedTuple):
    """One thing that differs: its name, the reference's value and the RTL's."""

    what: str
    expected: str
    found: str


def code_reader(machine: Machine) -> CodeReader:
    """Reads code as `machine` holds it now."""

    def read(pc: int) -> bytes:
        content = b""
        while len(content) < MAX_LENGTH:
            address = pc + len(content)
            try:
                leaf = machine.read_leaf(CODE_SLOT, address >> LEAF_BITS)
            except MachineError:
                break
            start = address % LEAF_BYTES
            content += leaf.data[start : start + MAX_LENGTH - len(content)]
        return content

    return read


def instruction_text(code: CodeReader, pc: int) -> str:
    """The instruction at pc as source."""
    content = code(pc)
    decoded = decode(content, 0, pc)
    return decoded.text() if decoded else f"(no instruction: {content.hex(' ') or 'no memory'})"


def compare_rows(expected: np.ndarray, found: np.ndarray) -> tuple[int, list[Difference]] | None:
    """First position at which two runs of RETIRED_DTYPE records differ, and how; None where they are equal."""
    count = min(len(expected), len(found))
    if len(expected) == len(found) and expected.tobytes() == found.tobytes():
        return None
    names = [name for name in expected.dtype.names or () if name != "reserved"]
    equal = np.ones(count, bool)
    for name in names:
        same = expected[name][:count] == found[name][:count]
        equal &= same.all(axis=1) if same.ndim == 2 else same
    wrong = np.flatnonzero(~equal)
    if not len(wrong):
        if len(expected) == len(found):
            return None
        return count, [Difference("retired instructions", f"{len(expected)}", f"{len(found)}")]
    at = int(wrong[0])
    differences: list[Difference] = []
    for name in names:
        mine, theirs = expected[name][at], found[name][at]
        if name == "beam":
            differences += _beam_differences(mine.tobytes(), theirs.tobytes())
        elif mine != theirs:
            differences.append(Difference(name, f"{int(mine):#x}", f"{int(theirs):#x}"))
    return at, differences


def _beam_differences(expected: bytes, found: bytes) -> list[Difference]:
    mine, theirs = Beam.unpack(expected), Beam.unpack(found)
    return [
        Difference(f"beam {name}", f"{getattr(mine, name):#x}", f"{getattr(theirs, name):#x}")
        for name in Beam.__slots__
        if getattr(mine, name) != getattr(theirs, name)
    ]


def flag_names(flags: int) -> str:
    """Names of a beam's flags, such as ``TAKEN|PUSH``."""
    return "|".join(flag.name or "" for flag in BeamFlag if flag & flags)


def row_line(row: np.void, tick: int, code: CodeReader) -> str:
    """One line for one retired instruction."""
    beam = Beam.unpack(row["beam"].tobytes())
    text = instruction_text(code, beam.pc)
    return (
        f"{tick:>10}  {beam.pc:06x}  {text:<28} value {beam.value:08x}  aux {beam.aux:08x}  "
        f"sp {int(row['sp']):2} rp {int(row['rp']):3} fp {int(row['fp']):3}  {flag_names(beam.flags)}"
    ).rstrip()


def state_lines(state: State) -> list[str]:
    """A state in a few lines: registers, live stacks, windows in use."""
    sqi = state.sqi
    frame = state.return_stack[state.fp :]
    lines = [
        f"pc {state.pc:06x}  tick {state.tick}  {state.status.name}  {state.trap.name}  "
        f"sp {state.sp} rp {state.rp} fp {state.fp}  digest {state.digest or 0:016x}",
        f"coherence {sqi.coherence} entropy {sqi.entropy} drift {sqi.drift}  history {sqi.history:04x}  "
        f"counts {sqi.mispredictions} {sqi.distance} {sqi.refusals}  cone {state.cone_in} "
        f"{state.cone_out}  joins {state.joins}",
        "data stack  " + " ".join(f"{cell:08x}" for cell in state.data_stack),
        "frame       " + " ".join(f"{cell:08x}" for cell in frame),
    ]
    for index, window in enumerate(state.windows):
        if window.permissions:
            lines.append(
                f"window {index:2}   slot {window.slot} base {window.base:#x} length {window.length:#x} "
                f"permissions {window.permissions}"
            )
    return lines


class LockstepMismatch(AssertionError):
    """The RTL and the reference disagree. `str()` is the whole report.

    Attributes: tick: of the first instruction known to differ (0 is the first of a run). pc, instruction: its own.
    differences: what differs. seed: of the disturbance. case: the host's calls up to here, None where the run did not
    begin from an image. command: replays the case and writes a waveform around the tick, once `save` was called.
    """

    def __init__(
        self,
        tick: int,
        is_record: bool,
        checked_tick: int,
        differences: list[Difference],
        state_differences: list[str],
        states: tuple[State, State],
        last: np.ndarray,
        code: CodeReader,
        seed: int,
        case: Case | None,
    ) -> None:
        self.tick, self.differences, self.seed, self.case = tick, differences, seed, case
        self.states = states
        self.command: str | None = None
        first = tick - len(last) + (1 if is_record else 0)
        self.last_lines = [row_line(row, first + index, code) for index, row in enumerate(last)]
        if is_record and len(last):
            self.pc = Beam.unpack(last[-1]["beam"].tobytes()).pc
        else:
            self.pc = states[0].pc
        self.instruction = instruction_text(code, self.pc)
        self._found_at = (
            f"in the record of tick {tick}"
            if is_record
            else f"between instructions, before tick {tick}; everything was equal before tick {checked_tick}"
        )
        self._state_differences = state_differences
        super().__init__(self.report())

    def save(self, folder: Path, suffix: str = "") -> Path:
        """Writes case and report into `folder`, names the command that replays it, and returns the report's path.

        suffix: of the files' names, which otherwise have the seed alone. Raises OSError.
        """
        name = f"mismatch-seed{self.seed}{suffix}"
        folder.mkdir(parents=True, exist_ok=True)
        if self.case:
            path = folder / f"{name}.case.json"
            self.case.save(path)
            self.command = replay_command(path, self.tick)
        report = folder / f"{name}.txt"
        report.write_text(self.report() + "\n", encoding="utf-8")
        self.args = (self.report(),)
        return report

    def report(self) -> str:
        """Tick, instruction, both states, the last instructions, seed and how to replay it."""
        lines = [
            f"the RTL differs from the reference {self._found_at}",
            f"  tick {self.tick}, pc {self.pc:#08x}: {self.instruction}   (seed {self.seed})",
            "",
            f"  {'what':<28} {'reference':<24} RTL",
        ]
        lines += [f"  {what:<28} {expected:<24} {found}" for what, expected, found in self.differences]
        lines += ["", "reference, where it stopped:", *("  " + line for line in state_lines(self.states[0]))]
        lines += ["RTL, where it stopped:", *("  " + line for line in state_lines(self.states[1]))]
        if self._state_differences:
            lines += ["they differ in:", *("  " + line for line in self._state_differences[:24])]
        lines += ["", f"the last {len(self.last_lines)} instructions of the reference:", *self.last_lines]
        lines += ["", f"replay with a waveform: {self.command or 'save() the mismatch first'}"]
        return "\n".join(lines)
