"""Signals over time, as read from a waveform that Verilator wrote."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

_TOP = "TOP"


class TraceError(Exception):
    """The file is no waveform of the core; the message names it and says what is missing."""


@dataclass
class Wave:
    """One signal. times, values: its changes, times ascending. width: in bits, 0 where the values are texts."""

    name: str
    width: int
    times: list[int] = field(default_factory=list)
    values: list[int | str] = field(default_factory=list)

    def at(self, time: int) -> int | str:
        """Value at this time; before the first change, 0 or no text."""
        index = bisect_right(self.times, time) - 1
        return self.values[index] if index >= 0 else (0 if self.width else "")

    def number_at(self, time: int) -> int:
        """Value of a signal of bits."""
        value = self.at(time)
        return value if isinstance(value, int) else 0

    def add(self, time: int, value: int | str) -> None:
        """Takes a value from `time` on, where it is another than the last."""
        if self.values and self.values[-1] == value:
            return
        self.times.append(time)
        self.values.append(value)


@dataclass
class Trace:
    """waves: by hierarchical name with dots. start, end: first and last time. edges: times of rising clock edges."""

    waves: dict[str, Wave]
    start: int
    end: int
    edges: list[int]

    def __getitem__(self, name: str) -> Wave:
        """The signal whose hierarchical name is this, or ends so. Raises TraceError where there is none."""
        wave = self.waves.get(name)
        if wave is None:
            endings = [key for key in self.waves if key.endswith("." + name)]
            if not endings:
                raise TraceError(f"the waveform has no signal {name}")
            wave = self.waves[min(endings, key=len)]
        return wave


def read_trace(path: Path) -> Trace:
    """Reads a VCD. Nameless intermediate signals (with a dollar sign) are left out.

    Raises TraceError when there is nothing in it, or OSError.
    """
    waves: dict[str, Wave] = {}
    by_code: dict[str, list[Wave]] = {}
    scopes: list[str] = []
    start: int | None = None
    time = 0
    with path.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            words = line.split()
            if not words:
                continue
            if words[0] == "$scope":
                scopes.append(words[2])
            elif words[0] == "$upscope":
                scopes.pop()
            elif words[0] == "$var":
                name = ".".join([*(scope for scope in scopes if scope != _TOP), words[4]])
                if "$" not in name and scopes != [_TOP] and words[1] != "string":
                    wave = waves.setdefault(name, Wave(name, int(words[2])))
                    by_code.setdefault(words[3], []).append(wave)
            elif words[0] == "$enddefinitions":
                break
        for line in lines:
            first = line[0]
            if first == "#":
                time = int(line[1:])
                start = time if start is None else start
            elif first in "01":
                for wave in by_code.get(line[1:].rstrip(), ()):
                    wave.add(time, int(first))
            elif first == "b":
                bits, _, code = line[1:].rstrip().partition(" ")
                found = by_code.get(code)
                if found:
                    value = int(bits, 2)
                    for wave in found:
                        wave.add(time, value)
    if start is None or start == time:
        raise TraceError(f"{path} holds no waveform")
    clock = next((wave for name, wave in waves.items() if name.endswith(".clk")), None)
    if clock is None:
        raise TraceError(f"{path} has no clock")
    edges = [at for at, value in zip(clock.times, clock.values, strict=True) if value]
    return Trace(waves, start, time, edges)
