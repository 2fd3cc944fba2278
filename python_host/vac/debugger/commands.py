"""The debugger's command language: a line in, text out. The same in the terminal view and behind `monitor` in gdb."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..checkpoint.errors import CheckpointError
from ..engines.registry import EngineError
from ..history.errors import HistoryError
from ..history.last_write import Write
from ..history.tracing import name_of
from ..host.input_log import ReplayError
from ..lineage.errors import LineageError
from ..machine.protocol import MachineError
from .dreams import Change, Run
from .errors import DebuggerError
from .landmarks import request_name
from .places import Bytes, StackCell, number
from .session import Session, Stopped

if TYPE_CHECKING:
    from ..lineage.lineage import Node

_ROW_BYTES = 16
_MOST_BYTES = 4096
_WHY_DEPTH, _WHY_ROWS = 6, 60


@dataclass(frozen=True)
class Command:
    """names: the first is the full one. usage: its arguments. doc: what it does."""

    names: tuple[str, ...]
    usage: str
    doc: str
    run: Callable[[Commands, list[str]], str]


FAILURES = (CheckpointError, DebuggerError, EngineError, HistoryError, LineageError, MachineError, OSError, ReplayError)
"""What a line can raise; the session goes on after each."""


class Commands:
    """Carries out lines on a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, line: str) -> str:
        """What the line has to say, without a line feed at the end. Raises one of FAILURES."""
        words = line.split()
        if not words:
            return ""
        command = _BY_NAME.get(words[0])
        if command is None:
            raise DebuggerError(f"there is no command {words[0]!r}; `help` lists them")
        return command.run(self, words[1:])

    # ---- movements -----------------------------------------------------------------------------------------------

    def told(self, stopped: Stopped) -> str:
        """Where it stands now, and why."""
        session = self._session
        state = session.state
        where = f"tick {session.tick:,}  {state.pc:06x} {session.source.name(state.pc)}"
        if location := session.source.location(state.pc):
            where += f"  {location}"
        why = {"begin": "the beginning", "end": f"the end: {session.status}", "interrupted": "interrupted"}
        hits = ", ".join(f"{each} ({session.breakpoints[each].text})" for each in stopped.breakpoints)
        reason = f"breakpoint {hits}" if stopped.breakpoints else why.get(stopped.reason, "")
        return f"{where}  {reason}".rstrip()

    def _step(self, words: list[str]) -> str:
        return self.told(self._session.step(_count(words)))

    def _back(self, words: list[str]) -> str:
        return self.told(self._session.step_back(_count(words)))

    def _seek(self, words: list[str]) -> str:
        return self.told(self._session.seek(number(_one(words, "TICK"), "tick")))

    def _tick(self, words: list[str]) -> str:
        history = self._session.history
        last = "?" if history.last_tick is None else f"{history.last_tick:,}"
        return f"tick {history.tick:,} of {history.first_tick:,} to {last}, {self._session.status}"

    def _to(self, words: list[str]) -> str:
        return self.told(self._session.run_to(self._session.parse(words).forward))

    def _back_to(self, words: list[str]) -> str:
        return self.told(self._session.run_back_to(self._session.parse(words).backward))

    # ---- breakpoints ---------------------------------------------------------------------------------------------

    def _break(self, words: list[str]) -> str:
        session = self._session
        if not words:
            rows = [f"{each:3}  {breakpoint.text}" for each, breakpoint in session.breakpoints.items()]
            return "\n".join(rows) or "no breakpoints"
        breakpoint = session.parse(words)
        return f"breakpoint {session.add_breakpoint(breakpoint)}: {breakpoint.text}"

    def _delete(self, words: list[str]) -> str:
        text = _one(words, "NUMBER or all")
        chosen = list(self._session.breakpoints) if text == "all" else [number(text, "number of a breakpoint")]
        for each in chosen:
            self._session.remove_breakpoint(each)
        return f"removed {', '.join(map(str, chosen))}" if chosen else "no breakpoints"

    # ---- questions -----------------------------------------------------------------------------------------------

    def _who(self, words: list[str]) -> str:
        place = self.place(words)
        found = self._session.who_wrote(place)
        if not found:
            return f"{place}: as the run found it; nobody wrote it before tick {self._session.tick:,}"
        if isinstance(found, Write):
            return f"{place}: {self._writer(found)}"
        return f"{place}: {self._at(found.tick, found.pc)}  {found.text} gave {found.value or 0:#x}"

    def _writer(self, write: Write) -> str:
        where = self._at(write.tick, write.pc)
        extent = f"{write.length} bytes at {write.slot}:{write.offset:#x}"
        if write.entry:
            return f"{where}  {request_name(write.entry.kind, write.entry.number)}: the answer wrote {extent}"
        return f"{where}  {name_of(write.opcode or 0)} wrote {write.value or 0:#x}, {extent}"

    def _at(self, tick: int, pc: int) -> str:
        location = self._session.source.location(pc)
        return f"tick {tick:,}  {pc:06x} {self._session.source.name(pc)}" + (f"  {location}" if location else "")

    def _why(self, words: list[str]) -> str:
        place = self.place(words, 4)
        lineage = self._session.why(place)
        rows = [f"{place}: made of {lineage.writes:,} writes and {len(lineage.inputs):,} inputs"]

        def add(index: int, depth: int, role: str) -> None:
            if len(rows) > _WHY_ROWS:
                return
            rows.append(f"{'  ' * depth}{role}{node_text(lineage.node(index))}")
            for source, of in lineage.sources(index) if depth < _WHY_DEPTH else []:
                add(source, depth + 1, "" if of == 0 else f"{of.name.lower()}: ")

        for source, of in lineage.sources(lineage.root):
            add(source, 1, "" if of == 0 else f"{of.name.lower()}: ")
        return "\n".join(rows[: _WHY_ROWS + 1])

    def _events(self, words: list[str]) -> str:
        session = self._session
        session.landmarks.scan()
        rows = [f"tick {each.tick:>14,}  {each.text}" for each in session.landmarks.near(session.tick)]
        return "\n".join(rows) or "nothing has been asked of the host"

    def place(self, words: list[str], length: int = 1) -> Bytes | StackCell:
        """PLACE [LENGTH], by default of so many bytes."""
        if len(words) == 1:
            return self._session.places.any(words[0], length)
        return self._bytes(words)

    def _memory(self, words: list[str]) -> str:
        place = self._bytes(words, 64)
        data = self._session.read(place)
        return "\n".join(memory_row(place, data, start) for start in range(0, len(data), _ROW_BYTES))

    def _bytes(self, words: list[str], length: int = 1) -> Bytes:
        if not 1 <= len(words) <= 2:
            raise DebuggerError("PLACE [LENGTH] is wanted, such as `buffer 16`, `0x100`, `1:0x2000 4`, `*l2 4`")
        if len(words) == 2:
            length = number(words[1], "number of bytes")
            if not 1 <= length <= _MOST_BYTES:
                raise DebuggerError(f"{length} bytes; 1 to {_MOST_BYTES} are possible")
        return self._session.places.memory(words[0], length)

    def _code(self, words: list[str]) -> str:
        session = self._session
        pc = session.places.code(words[0])[0] if words else None
        lines: list[str] = []
        for line in session.code(pc, 4, number(words[1], "number of lines") if len(words) > 1 else 12):
            if line.label:
                lines.append(f"{line.label}:")
            mark = ("=>" if line.is_current else "  ") + ("*" if line.has_breakpoint else " ")
            source = f"{line.span.line:5} {line.span.text.strip()}" if line.span and line.is_first else ""
            lines.append(f"{mark} {line.pc:06x}  {line.text:<28} {source}".rstrip())
        return "\n".join(lines)

    def _where(self, words: list[str]) -> str:
        rows: list[str] = []
        for depth, frame in enumerate(self._session.frames()):
            values = [
                f"{frame.names[index] if index < len(frame.names) else f'l{index}'}={value:#x}"
                for index, value in enumerate(frame.locals)
            ]
            place = f"{frame.pc:06x} {self._session.source.name(frame.pc)}"
            rows.append(f"#{depth}  {place}  {' '.join(values)}".rstrip())
        return "\n".join(rows)

    def _registers(self, words: list[str]) -> str:
        state, sqi = self._session.state, self._session.state.sqi
        stack = " ".join(f"{cell:#x}" for cell in state.data_stack)
        rows = [
            f"pc {state.pc:06x}  sp {state.sp}  rp {state.rp}  fp {state.fp}  {self._session.status}",
            f"stack  {stack}".rstrip(),
            f"sqi  coherence {sqi.coherence}  entropy {sqi.entropy}  drift {sqi.drift}  score {sqi.score}",
            f"cone  in {state.cone_in:,}  out {state.cone_out:,}  joins {state.joins}",
        ]
        for index, window in enumerate(state.windows):
            if window.permissions:
                access = "-rwx"[0] if not window.permissions else ("r" if window.permissions & 1 else "-")
                access += "w" if window.permissions & 2 else "-"
                rows.append(f"w{index:<3} slot {window.slot} base {window.base:#x} length {window.length:#x} {access}")
        return "\n".join(rows)

    def _print(self, words: list[str]) -> str:
        place = self._session.places.any(_one(words, "PLACE or cell"), 4)
        if isinstance(place, StackCell):
            value = self._session.places.value(place)
        else:
            value = int.from_bytes(self._session.read(place), "little")
        signed = value - (1 << 32) if value >> 31 else value
        return f"{place}: {value:#x} = {signed}"

    def _output(self, words: list[str]) -> str:
        return self._session.output().decode(errors="replace")

    def _mismatch(self, words: list[str]) -> str:
        comparison = self._session.program.comparison
        if comparison is None:
            raise DebuggerError("this run is compared with no other; `vac debug --mismatch CASE` opens one that is")
        if self._session.tick != comparison.tick:
            self._session.seek(comparison.tick)
        return "\n".join(comparison.lines())

    # ---- other futures -------------------------------------------------------------------------------------------

    def _dream(self, words: list[str]) -> str:
        changes: list[Change] = []
        console_input = None
        for index, word in enumerate(words):
            if word == "input":
                console_input = _unescaped(" ".join(words[index + 1 :]))
                break
            changes.append(self._change(word))
        run = self._session.dream(changes, console_input)
        return f"dream {run.number} of run {run.parent}, from tick {run.tick:,}: {run.what}"

    def _change(self, word: str) -> Change:
        name, sign, text = word.rpartition("=")
        if not sign:
            raise DebuggerError(
                f"{word!r}: PLACE=VALUE is wanted, such as l2=5, 1:0x40=0xffff, buffer=hex:00ff, pc=sift"
            )
        places = self._session.places
        if name == "pc":
            return Change(None, places.code(text)[0].to_bytes(4, "little"))
        if text.startswith("hex:"):
            try:
                data = bytes.fromhex(text[4:])
            except ValueError:
                data = b""
            if not data:
                raise DebuggerError(f"{text!r}: pairs of hexadecimal digits are wanted behind hex:")
            return Change(places.memory(name, len(data)), data)
        value = number(text.removeprefix("-"), "value")
        value = -value if text.startswith("-") else value
        if not -(1 << 31) <= value < 1 << 32:
            raise DebuggerError(f"{text} does not fit a cell of 32 bits")
        return Change(places.any(name, 4), (value & 0xFFFFFFFF).to_bytes(4, "little"))

    def _dreams(self, words: list[str]) -> str:
        session = self._session
        rows: list[str] = []

        def add(run: Run, depth: int) -> None:
            mark = "=>" if run is session.run else "  "
            origin = session.program.title if run.parent is None else f"from tick {run.tick:,}: {run.what}"
            rows.append(f"{mark} {'  ' * depth}{run.number}  {origin}")
            for child in session.runs.values():
                if child.parent == run.number:
                    add(child, depth + 1)

        add(session.runs[0], 0)
        return "\n".join(rows)

    def _wake(self, words: list[str]) -> str:
        session = self._session
        if len(words) > 1:
            raise DebuggerError("the number of one run is wanted, or none")
        if not words and session.run.parent is None:
            raise DebuggerError("this is no dream; `dreams` lists them")
        chosen = number(words[0], "number of a run") if words else session.run.parent or 0
        return f"run {chosen}: {self.told(session.go_over(chosen))}"

    def _forget(self, words: list[str]) -> str:
        dropped = self._session.forget(number(_one(words, "NUMBER"), "number of a dream"))
        return f"forgot {', '.join(map(str, dropped))}; in run {self._session.run.number}"

    def _help(self, words: list[str]) -> str:
        if words:
            command = _BY_NAME.get(words[0])
            if command is None:
                raise DebuggerError(f"there is no command {words[0]!r}")
            return f"{', '.join(command.names)} {command.usage}\n{command.doc}"
        return "\n".join(f"{f'{command.names[0]} {command.usage}':<34} {command.doc}" for command in COMMANDS)


def memory_row(place: Bytes, data: bytes, start: int) -> str:
    """Sixteen bytes of a dump: place, hexadecimal, characters."""
    row = data[start : start + _ROW_BYTES]
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
    return f"{place.slot}:{place.offset + start:08x}  {row.hex(' '):<{3 * _ROW_BYTES}} {text}"


def node_text(node: Node) -> str:
    """A node of a lineage in one line."""
    value = "" if node.value is None else f" = {node.value:#x}"
    if node.tick < 0:
        return f"{node.kind.value}: {node.text}{value}"
    source = f"  {node.source[0].rpartition('/')[2]}:{node.source[1]}" if node.source else ""
    return f"tick {node.tick:,}  {node.pc:06x}  {node.text}  {node.place}{value}{source}"


def _one(words: list[str], what: str) -> str:
    if len(words) != 1:
        raise DebuggerError(f"{what} is wanted")
    return words[0]


def _unescaped(text: str) -> bytes:
    """Text as bytes; ``\\n``, ``\\t``, ``\\x41`` mean what they mean in Python."""
    try:
        return text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")
    except UnicodeError as error:
        raise DebuggerError(f"input {text!r}: {error}") from error


def _count(words: list[str]) -> int:
    count = number(words[0], "number of instructions") if words else 1
    if count < 0 or len(words) > 1:
        raise DebuggerError("a number of instructions is wanted, from 0 up")
    return count


def _moving(method: Callable[[Session], Stopped]) -> Callable[[Commands, list[str]], str]:
    def run(commands: Commands, words: list[str]) -> str:
        if words:
            raise DebuggerError(f"nothing is expected behind this command, but {words[0]!r}")
        return commands.told(method(commands._session))

    return run


COMMANDS = (
    Command(("step", "s"), "[N]", "N instructions on, by default one", Commands._step),
    Command(("back", "b"), "[N]", "N instructions back", Commands._back),
    Command(("over", "n"), "", "one instruction on; a call runs until it has returned", _moving(Session.step_over)),
    Command(("out", "o"), "", "on until the function has returned", _moving(Session.step_out)),
    Command(("call",), "", "back to the call of the function", _moving(Session.step_back_out)),
    Command(("continue", "c"), "", "on to the next breakpoint, or the end", _moving(Session.resume)),
    Command(("reverse", "r"), "", "back to the last breakpoint, or the beginning", _moving(Session.reverse)),
    Command(("to",), "CONDITION", "on to where it holds next", Commands._to),
    Command(("backto",), "CONDITION", "back to where it held last", Commands._back_to),
    Command(("seek",), "TICK", "to a tick", Commands._seek),
    Command(("tick",), "", "the tick, and those that there are", Commands._tick),
    Command(("start",), "", "to the first tick", _moving(Session.start)),
    Command(("end",), "", "to the end of the run", _moving(Session.end)),
    Command(("undo", "u"), "", "to where it was before the last long movement", _moving(Session.go_back)),
    Command(("break",), "[CONDITION]", "set a breakpoint; without CONDITION, list them", Commands._break),
    Command(("delete",), "NUMBER|all", "remove a breakpoint", Commands._delete),
    Command(
        ("who-wrote", "who"), "PLACE [LENGTH]", "back to the last write of these bytes or this cell", Commands._who
    ),
    Command(("why",), "PLACE [LENGTH]", "what went into these bytes or this cell, down to inputs", Commands._why),
    Command(
        ("dream",),
        "[PLACE=VALUE ...] [input TEXT]",
        "another future from here: with cells (l2=5), bytes (1:0x40=hex:00ff) or pc changed, or other input",
        Commands._dream,
    ),
    Command(("dreams",), "", "the runs, each under the one that it was dreamt from", Commands._dreams),
    Command(("wake",), "[NUMBER]", "back to the run that this one was dreamt from, or over to another", Commands._wake),
    Command(("forget",), "NUMBER", "drop a dream and all that were dreamt from it", Commands._forget),
    Command(("events",), "", "requests to the host and milestones around here", Commands._events),
    Command(("memory", "x"), "PLACE [LENGTH]", "bytes of memory", Commands._memory),
    Command(("print", "p"), "PLACE", "one cell of memory or of a stack", Commands._print),
    Command(("disasm", "code"), "[PLACE [LINES]]", "instructions with their source", Commands._code),
    Command(("where", "bt"), "", "functions that have not returned, with their locals", Commands._where),
    Command(("registers", "info"), "", "registers, data stack, SQI, windows", Commands._registers),
    Command(("mismatch",), "", "to where the RTL differs, with both states", Commands._mismatch),
    Command(("output",), "", "what the program had written to its console", Commands._output),
    Command(("help", "h"), "[COMMAND]", "this", Commands._help),
)
_BY_NAME = {name: command for command in COMMANDS for name in command.names}
