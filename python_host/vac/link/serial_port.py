"""A serial port as a transport (POSIX, without dependencies)."""

from __future__ import annotations

import os
import select
import sys
import termios
from types import TracebackType

from .session import LinkError

DEFAULT_BAUD = 1_000_000
READ_TIMEOUT_S = 0.1


class SerialPort:
    """Raw 8N1 access to a serial device. Raises LinkError where it cannot be opened or does not know the rate."""

    def __init__(self, device: str, baud: int = DEFAULT_BAUD) -> None:
        speed = getattr(termios, f"B{baud}", None)
        if speed is None:
            raise LinkError(f"{sys.platform} does not know {baud} baud; choose another rate")
        try:
            self._file = os.open(device, os.O_RDWR | os.O_NOCTTY)
        except OSError as error:
            raise LinkError(f"cannot open {device}: {error.strerror}; name the board's serial device") from None
        try:
            control = [0] * 32
            control[termios.VMIN], control[termios.VTIME] = 1, 0
            flags = termios.CS8 | termios.CREAD | termios.CLOCAL
            termios.tcsetattr(self._file, termios.TCSANOW, [0, 0, flags, 0, speed, speed, control])
            termios.tcflush(self._file, termios.TCIOFLUSH)
        except termios.error as error:
            os.close(self._file)
            raise LinkError(f"{device} is no serial device: {error.args[-1]}") from None

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._file, data) :]

    def read(self) -> bytes:
        ready, _, _ = select.select([self._file], [], [], READ_TIMEOUT_S)
        return os.read(self._file, 4096) if ready else b""

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> SerialPort:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
