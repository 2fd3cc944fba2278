"""A simulated board at a pseudo-terminal: `python tests/boards/pty_board.py LIBRARY LINK`.

The Verilated system on chip, behind its serial line, runs whenever the host says something. LINK becomes a symbolic
link to the terminal, as udev makes them. A line `pull BYTES ...` on standard input pulls the cable each time when so
many more bytes have come from the host: the terminal goes away, and after half a second a new one comes under the same
name; the board keeps its state. Says `ready` when it is, `armed` to each such line, `pulled` each time.
"""

import importlib.util
import os
import select
import sys
import time
import tty
from pathlib import Path

_spec = importlib.util.spec_from_file_location("serial_model", Path(__file__).with_name("serial_model.py"))
assert _spec and _spec.loader
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

_PULL_S = 0.5


class Terminal:
    """The host's end is LINK."""

    def __init__(self, link: Path) -> None:
        self._link = link
        self._plug_in()

    def _plug_in(self) -> None:
        self.file, other = os.openpty()
        tty.setraw(other)
        self._other = other  # held open, so that hosts may come and go
        self._link.symlink_to(os.ttyname(other))

    def pull(self) -> None:
        self._link.unlink()
        os.close(self._other)
        os.close(self.file)
        time.sleep(_PULL_S)
        self._plug_in()


def main() -> None:
    library, link = Path(sys.argv[1]), Path(sys.argv[2])
    board, terminal = _module.SerialModel(library), Terminal(link)
    pulls: list[int] = []
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([terminal.file, sys.stdin], [], [])
        if sys.stdin in ready:
            words = sys.stdin.readline().split()
            if not words:
                return
            pulls = [int(word) for word in words[1:]]
            print("armed", flush=True)
        if terminal.file not in ready:
            continue
        data = os.read(terminal.file, 4096)
        board.write(data)
        if pulls:
            pulls[0] -= len(data)
            if pulls[0] < 0:
                pulls.pop(0)
                terminal.pull()  # with the answer on its way
                print("pulled", flush=True)
                continue
        while answer := board.read():
            os.write(terminal.file, answer)
            if select.select([terminal.file], [], [], 0)[0]:
                break


if __name__ == "__main__":
    main()
