"""Standard output, as the console of a machine writes to it."""

from __future__ import annotations

import os

from .failure import fail


class ConsoleOutput:
    """Straight to standard output: a person at the console sees every byte at once.

    What cannot be written is refused to the program, which goes on; `check` says so once it has ended.
    """

    def __init__(self) -> None:
        self._error: OSError | None = None

    def __call__(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError as error:
            self._error = self._error or error
            raise

    def check(self) -> None:
        """Ends the command where something was not written."""
        if self._error:
            fail(f"cannot write standard output: {self._error.strerror}; the program was told so, and went on")
