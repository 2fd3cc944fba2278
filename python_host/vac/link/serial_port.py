"""A serial port as a transport (POSIX, without dependencies)."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
from types import TracebackType

from .board import Board
from .session import LinkError, LinkSession, Transport

DEFAULT_BAUD = 1_000_000
READ_TIMEOUT_S = 0.1
FIRST_PATIENCE_S = 1.5
"""For a board that has not answered yet: perhaps there is none."""
PATIENCE_S = 30.0
_LONGEST_WAIT = 16
"""Read timeouts between a request and its repetition."""
_RETRY_S = 0.2
_CHUNK = 4096


class SerialPort:
    """Raw 8N1 access to a serial device.

    When the device goes away, as when a cable is pulled, the port waits up to `patience_s` seconds for it to come back
    under the same name; what was under way is lost, and a `LinkSession` goes on with it. Raises LinkError where the
    device cannot be opened, does not know the rate, or does not come back.
    """

    def __init__(self, device: str, baud: int = DEFAULT_BAUD, patience_s: float = PATIENCE_S) -> None:
        speed = getattr(termios, f"B{baud}", None)
        if speed is None:
            raise LinkError(f"{sys.platform} does not know {baud} baud; choose another rate")
        self._device, self._speed, self._patience_s = device, speed, patience_s
        self._file = -1
        self._open()

    def write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            self._reopen()

    def read(self) -> bytes:
        ready, _, _ = select.select([self._file], [], [], READ_TIMEOUT_S)
        if not ready:
            return b""
        try:
            data = os.read(self._file, _CHUNK)
        except OSError:
            data = b""
        if not data:  # a line that has hung up is always ready, with nothing
            self._reopen()
        return data

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def __enter__(self) -> SerialPort:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        try:
            self._file = os.open(self._device, os.O_RDWR | os.O_NOCTTY)
        except OSError as error:
            raise LinkError(f"cannot open {self._device}: {error.strerror}; name the board's serial device") from None
        try:
            control = [0] * 32
            control[termios.VMIN], control[termios.VTIME] = 1, 0
            flags = termios.CS8 | termios.CREAD | termios.CLOCAL
            termios.tcsetattr(self._file, termios.TCSANOW, [0, 0, flags, 0, self._speed, self._speed, control])
            termios.tcflush(self._file, termios.TCIOFLUSH)
        except termios.error as error:
            self.close()
            raise LinkError(f"{self._device} is no serial device: {error.args[-1]}") from None

    def _reopen(self) -> None:
        self.close()
        until = time.monotonic() + self._patience_s
        while True:
            try:
                self._open()
                return
            except LinkError as error:
                if time.monotonic() >= until:
                    raise LinkError(f"{self._device} went away and did not come back: {error}") from None
            time.sleep(_RETRY_S)


def open_session(port: Transport, patience_s: float | None = None) -> LinkSession:
    """A session with the board at this port. Raises LinkError.

    patience_s: seconds that a board that does not answer is waited for, whatever the request; None: FIRST_PATIENCE_S
    until it has answered once, then PATIENCE_S.
    """
    session = LinkSession(port, _attempts(patience_s or FIRST_PATIENCE_S), longest_wait=_LONGEST_WAIT)
    session.attempts = _attempts(patience_s or PATIENCE_S)
    return session


def _attempts(patience_s: float) -> int:
    """Attempts whose waits last so long together."""
    attempts, waited = 1, READ_TIMEOUT_S
    while waited < patience_s:
        waited += READ_TIMEOUT_S * min(1 << attempts, _LONGEST_WAIT)
        attempts += 1
    return attempts


def open_board(
    device: str, baud: int = DEFAULT_BAUD, keeps_beams: bool = True, patience_s: float | None = None
) -> Board:
    """The board at this serial device, for as long as the process lives. patience_s: as for `open_session`; a device
    that went away is waited for as long. Raises LinkError."""
    port = SerialPort(device, baud, patience_s or PATIENCE_S)
    try:
        return Board(open_session(port, patience_s), keeps_beams)
    except LinkError as error:
        port.close()
        raise LinkError(f"{device}: {error}") from None
