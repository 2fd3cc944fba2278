"""One client's conversation: its packets in, replies out. Knows nothing of sockets."""

from __future__ import annotations

import binascii
from collections.abc import Callable

from ..debugger.breakpoints import Breakpoint
from ..debugger.commands import FAILURES, Commands
from ..debugger.session import Session, Stopped
from ..isa.traps import Trap
from .address_space import NoMemory, place_of, read
from .packets import MOST_PAYLOAD, Packet, Signal, frame
from .registers import RegisterSet

_SIGINT, _SIGILL, _SIGTRAP, _SIGFPE, _SIGSEGV = 2, 4, 5, 8, 11
_SIGNAL_OF_TRAP = {
    Trap.ILLEGAL: _SIGILL,
    Trap.DIVISION_BY_ZERO: _SIGFPE,
}
_WATCHES = {2: ("write", "watch"), 3: ("read", "rwatch"), 4: ("access", "awatch")}
_FEATURES = (
    f"PacketSize={MOST_PAYLOAD // 4:x};qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+;"
    "ReverseContinue+;ReverseStep+"
)


class _Refused(Exception):
    """What was asked cannot be done; the reply is an error with this text."""


class Server:
    """Answers one client. shape: of the registers, one of `registers.SHAPES`; None: x86-64 for a client that says that
    it takes that architecture's description, else the machine's own.

    acknowledges: as long as the client has not said otherwise. is_over: once it has detached or killed; is_killed tells
    which.
    """

    def __init__(self, session: Session, shape: str | None = None) -> None:
        self._session = session
        self._commands = Commands(session)
        self._is_shape_open = shape is None
        self._registers = RegisterSet(shape or "vac")
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._watches: dict[int, tuple[str, int]] = {}
        """By breakpoint: how a hit is told, and the address that the client gave."""
        self.acknowledges = True
        self._last = b""
        self._trap_told: int | None = None
        """Tick of the trap that the client knows of."""
        self.is_over = False
        self.is_killed = False

    def acknowledge(self, item: Packet | Signal) -> bytes:
        """What to send at once for what came, before its answer is worked out."""
        if not self.acknowledges or not (isinstance(item, Packet) or item is Signal.BROKEN):
            return b""
        return b"+" if isinstance(item, Packet) else b"-"

    def take(self, item: Packet | Signal) -> bytes:
        """The framed answer to what came; empty where it has none."""
        if item is Signal.NAK:
            return self._last
        if not isinstance(item, Packet):
            return b""  # an interrupt comes too late here: the client has its stop
        try:
            reply = self._answer(item.payload)
        except (_Refused, NoMemory, *FAILURES) as error:
            reply = b"E." + str(error).encode()
        except (ValueError, IndexError, binascii.Error):
            reply = b"E01"
        return b"" if reply is None else self._framed(reply)

    def _framed(self, reply: bytes) -> bytes:
        self._last = frame(reply)
        return self._last

    def close(self) -> None:
        """Takes away the breakpoints that the client left."""
        for number in self._numbers.values():
            self._session.breakpoints.pop(number, None)
        self._numbers.clear()

    # ---- packets -------------------------------------------------------------------------------------------------

    def _answer(self, payload: bytes) -> bytes | None:
        """The reply; empty for a packet that is unknown, None for one that gets none."""
        text = payload.decode("latin-1")
        for name, answer in _LONG.items():
            if text == name or (text.startswith(name) and text[len(name)] in ":;,?"):
                return answer(self, text[len(name) :].removeprefix(":"))
        answer = _SHORT.get(text[:1])
        return answer(self, text[1:]) if answer else b""

    def _query_supported(self, rest: str) -> bytes:
        offered = next((f[13:].split(",") for f in rest.split(";") if f.startswith("xmlRegisters=")), [])
        if self._is_shape_open:
            self._registers = RegisterSet("x86-64" if "i386" in offered else "vac")
        return _FEATURES.encode()

    def _no_acknowledgements(self, _: str) -> bytes:
        self.acknowledges = False
        return b"OK"

    def _transfer(self, rest: str) -> bytes:
        kind, action, annex, span = rest.split(":")
        if (kind, action, annex) != ("features", "read", "target.xml"):
            return b"E00" if kind == "features" else b""
        start, length = (_number(part) for part in span.split(","))
        content = self._registers.description().encode()
        part = content[start : start + min(length, MOST_PAYLOAD // 4)]
        return (b"l" if start + len(part) >= len(content) else b"m") + part

    def _command(self, rest: str) -> bytes:
        """qRcmd: a line of the debugger's own command language, in hexadecimal."""
        line = binascii.unhexlify(rest.removeprefix(",")).decode(errors="replace")
        before = self._session.tick
        said = self._commands.run(line)
        if self._session.tick != before:
            said += "\n(the run was moved: say `maintenance flush register-cache`, or step, to see it)"
        return (said + "\n").encode().hex().encode()

    def _read_all(self, _: str) -> bytes:
        return self._registers.packed(self._session).encode()

    def _read_one(self, rest: str) -> bytes:
        return self._registers.one(self._session, _number(rest)).encode()

    def _refuse_write(self, _: str) -> bytes:
        raise _Refused("a run is not changed by looking at it: registers and memory are read only")

    def _read_memory(self, rest: str) -> bytes:
        address, length = (_number(part) for part in rest.split(","))
        return read(self._session, address, length).hex().encode()

    def _last_stop(self, _: str) -> bytes:
        return self._told(_SIGTRAP)

    def _set_breakpoint(self, rest: str) -> bytes:
        key = self._breakpoint_key(rest)
        kind, address, length = key
        if key not in self._numbers:
            if kind in (0, 1):
                if not 0 <= address < self._session.state.code_length:
                    raise _Refused(f"there is no code at {address:#x}")
                number = self._session.add_breakpoint(Breakpoint.at([address]))
            elif kind in _WATCHES:
                name, told = _WATCHES[kind]
                place = place_of(self._session, address, length)
                number = self._session.add_breakpoint(Breakpoint.watching(place, name))
                self._watches[number] = (told, address)
            else:
                return b""
            self._numbers[key] = number
        return b"OK"

    def _clear_breakpoint(self, rest: str) -> bytes:
        number = self._numbers.pop(self._breakpoint_key(rest), None)
        if number is not None:
            self._session.breakpoints.pop(number, None)
            self._watches.pop(number, None)
        return b"OK"

    def _breakpoint_key(self, rest: str) -> tuple[int, int, int]:
        kind, address, length = (_number(part) for part in rest.split(";")[0].split(","))
        return kind, address, length

    def _resume(self, rest: str) -> bytes:
        self._check_address(rest)
        return self._stopped(self._session.resume())

    def _step(self, rest: str) -> bytes:
        self._check_address(rest)
        return self._stopped(self._session.step())

    def _resume_with_signal(self, rest: str) -> bytes:
        return self._resume(rest[2:].removeprefix(";"))

    def _step_with_signal(self, rest: str) -> bytes:
        return self._step(rest[2:].removeprefix(";"))

    def _check_address(self, rest: str) -> None:
        if rest and _number(rest) != self._session.state.pc:
            raise _Refused("a recorded run goes on where it is and nowhere else")

    def _backwards(self, rest: str) -> bytes:
        if rest == "c":
            return self._stopped(self._session.reverse())
        return self._stopped(self._session.step_back()) if rest == "s" else b""

    def _continue_threads(self, rest: str) -> bytes:
        if rest == "?":
            return b"vCont;c;C;s;S"
        action = rest.removeprefix(";").split(";")[0].split(":")[0]
        if action[:1] not in ("c", "C", "s", "S"):
            raise _Refused(f"vCont of {action!r} is not possible here")
        return self._step("") if action[0] in "sS" else self._resume("")

    def _detach(self, _: str) -> bytes:
        self.is_over = True
        return b"OK"

    def _kill(self, rest: str) -> bytes | None:
        self.is_over = self.is_killed = True
        return b"OK" if rest else None

    # ---- stops ---------------------------------------------------------------------------------------------------

    def _stopped(self, stopped: Stopped) -> bytes:
        trap = self._session.state.trap
        if stopped.reason == "interrupted":
            return self._told(_SIGINT)
        if stopped.reason == "begin":
            return self._told(_SIGTRAP, "replaylog:begin;")
        if trap and self._trap_told != stopped.tick:
            self._trap_told = stopped.tick
            return self._told(_SIGNAL_OF_TRAP.get(trap, _SIGSEGV))
        self._trap_told = self._trap_told if trap else None
        if stopped.reason == "end":
            return self._told(_SIGTRAP, "replaylog:end;")
        return self._told(_SIGTRAP, self._hits(stopped))

    def _hits(self, stopped: Stopped) -> str:
        for number in stopped.breakpoints:
            if number in self._watches:
                told, address = self._watches[number]
                return f"{told}:{address:x};"
        is_breakpoint = any(self._session.breakpoints[number].pcs for number in stopped.breakpoints)
        return "swbreak:;" if is_breakpoint else ""

    def _told(self, signal: int, more: str = "") -> bytes:
        number = self._registers.pc_number
        pc = self._registers.one(self._session, number)
        return f"T{signal:02x}{more}{number:x}:{pc};thread:1;".encode()


def _number(text: str) -> int:
    """A number in hexadecimal without sign or prefix. Raises ValueError."""
    if not text or any(digit not in "0123456789abcdefABCDEF" for digit in text):
        raise ValueError(text)
    return int(text, 16)


def _constant(reply: bytes) -> Callable[[Server, str], bytes]:
    return lambda _, __: reply


_LONG: dict[str, Callable[[Server, str], bytes | None]] = {
    "qSupported": Server._query_supported,
    "QStartNoAckMode": Server._no_acknowledgements,
    "qXfer": Server._transfer,
    "qRcmd": Server._command,
    "qAttached": _constant(b"1"),
    "qC": _constant(b"QC1"),
    "qfThreadInfo": _constant(b"m1"),
    "qsThreadInfo": _constant(b"l"),
    "qSymbol": _constant(b"OK"),
    "vCont": Server._continue_threads,
    "vKill": Server._kill,
}
_SHORT: dict[str, Callable[[Server, str], bytes | None]] = {
    "?": Server._last_stop,
    "g": Server._read_all,
    "p": Server._read_one,
    "G": Server._refuse_write,
    "P": Server._refuse_write,
    "m": Server._read_memory,
    "M": Server._refuse_write,
    "X": Server._refuse_write,
    "Z": Server._set_breakpoint,
    "z": Server._clear_breakpoint,
    "c": Server._resume,
    "C": Server._resume_with_signal,
    "s": Server._step,
    "S": Server._step_with_signal,
    "b": Server._backwards,
    "D": Server._detach,
    "k": Server._kill,
    "H": _constant(b"OK"),
    "T": _constant(b"OK"),
}
