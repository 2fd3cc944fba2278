"""The input log: every answer that a machine was given. Image and log together determine a run.

As text it is one JSON object a line, in the order of the run. `tick` is the tick of the waiting instruction, `kind` is
"in", "out" or "sys", `number` the address or system call; then what of the answer differs from an empty one: `value`,
`refused`, `trap` (by name), `windows` [[index, slot, base, length, permissions]], `writes` [[slot, offset, hex]].
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..image.image import ImageError, Window
from ..isa.traps import Trap
from ..machine.protocol import Answer, Event, EventKind


class InputLogError(Exception):
    """The text is no input log."""


class ReplayError(Exception):
    """The run asks for something else than the one that was recorded."""


@dataclass(frozen=True)
class Entry:
    tick: int
    kind: EventKind
    number: int
    answer: Answer

    def to_json(self) -> str:
        answer = self.answer
        fields: dict[str, Any] = {"tick": self.tick, "kind": self.kind.value, "number": self.number}
        if answer.value:
            fields["value"] = answer.value
        if answer.refused:
            fields["refused"] = True
        if answer.trap:
            fields["trap"] = answer.trap.name
        if answer.windows:
            fields["windows"] = [[i, w.slot, w.base, w.length, w.permissions] for i, w in answer.windows]
        if answer.writes:
            fields["writes"] = [[slot, offset, data.hex()] for slot, offset, data in answer.writes]
        return json.dumps(fields, separators=(",", ":"))

    @staticmethod
    def from_json(line: str) -> Entry:
        """Raises InputLogError."""
        try:
            fields = json.loads(line)
            windows = tuple((index, Window(*parts)) for index, *parts in fields.get("windows", ()))
            for _, window in windows:
                window.check()
            answer = Answer(
                value=fields.get("value", 0),
                refused=fields.get("refused", False),
                trap=Trap[fields.get("trap", "NONE")],
                windows=windows,
                writes=tuple((slot, offset, bytes.fromhex(data)) for slot, offset, data in fields.get("writes", ())),
            )
            return Entry(fields["tick"], EventKind(fields["kind"]), fields["number"], answer)
        except (KeyError, TypeError, ValueError, AttributeError, ImageError) as error:
            raise InputLogError(f"no entry of an input log: {error}: {line[:80]!r}") from error


class InputLog:
    """Entries in the order of the run."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = list(entries)

    def record(self, event: Event, answer: Answer) -> None:
        self.entries.append(Entry(event.tick, event.kind, event.number, answer))

    def to_text(self) -> str:
        return "".join(entry.to_json() + "\n" for entry in self.entries)

    @staticmethod
    def from_text(text: str) -> InputLog:
        """Raises InputLogError, naming the line."""
        entries: list[Entry] = []
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                entries.append(Entry.from_json(line))
            except InputLogError as error:
                raise InputLogError(f"line {number}: {error}") from error
        return InputLog(entries)

    def answers(self) -> Replay:
        return Replay(self)


class Replay:
    """Gives the recorded answers, one after another, to a run that must ask the same."""

    def __init__(self, log: InputLog) -> None:
        self._entries: Iterator[Entry] = iter(log.entries)

    def answer(self, event: Event) -> Answer:
        """Raises ReplayError when the log ends here or was recorded from another run."""
        asked = f"at tick {event.tick} the run asks for {event.kind.value} {event.number}"
        entry = next(self._entries, None)
        if entry is None:
            raise ReplayError(f"{asked}; the recording ends before that")
        if (entry.tick, entry.kind, entry.number) != (event.tick, event.kind, event.number):
            recorded = f"at tick {entry.tick} for {entry.kind.value} {entry.number}"
            raise ReplayError(f"{asked}; the recorded run asked {recorded}: another image, or another version of it")
        return entry.answer
