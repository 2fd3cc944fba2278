"""Builds a board's bitstream twice and compares the bytes: `python -m vac_hdl.reproduce --board ulx3s`.

One seed of place and route each time, in two folders of different names. Exit status 0 when both bitstreams are the
same, 1 when they differ or cannot be built.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .boards import BOARDS, Board
from .build import SEEDS, BuildError, bitstream_path, build, tell


def build_twice(board: Board, folder: Path, seed: int = SEEDS[0]) -> tuple[bytes, bytes]:
    """The bitstreams of two builds below `folder`. Raises BuildError."""
    contents: list[bytes] = []
    for name in ("first", "the-second-one"):
        started = time.monotonic()
        build(board, folder / name, (seed,))
        content = bitstream_path(board, folder / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        tell(f"{board.name}: {len(content):,} bytes, SHA-256 {digest}, {time.monotonic() - started:.0f} s")
        contents.append(content)
    return contents[0], contents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m vac_hdl.reproduce", description="Builds a bitstream twice.")
    parser.add_argument("--board", required=True, choices=sorted(BOARDS))
    options = parser.parse_args(arguments)
    board = BOARDS[options.board]
    try:
        with tempfile.TemporaryDirectory() as folder:
            first, second = build_twice(board, Path(folder))
    except BuildError as error:
        print(f"reproduce: {board.name}: {error}", file=sys.stderr)
        return 1
    if first != second:
        at = next((at for at, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), len(first))
        print(f"reproduce: {board.name}: the two bitstreams differ from byte {at:,} on", file=sys.stderr)
        return 1
    print(f"{board.name}: built twice, the same {len(first):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
