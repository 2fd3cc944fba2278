"""Measure VAC next to its peers; write records into `benchmarks/results` and their tables into `docs`: `make bench`.

Every part is a command of its own too, `python -m benchmarks.PART`.
"""

import argparse
import sys

from benchmarks.beams import BEAMS
from benchmarks.checkpoints import CHECKPOINTS
from benchmarks.cores import CORES
from benchmarks.documentation import main as update_documentation
from benchmarks.engines import ENGINES
from benchmarks.packages import PACKAGES
from benchmarks.paging import PAGING
from benchmarks.placement import PLACEMENT
from benchmarks.scheduling import SCHEDULING

_PARTS = (CORES, ENGINES, PAGING, SCHEDULING, BEAMS, PACKAGES, CHECKPOINTS)
_COMMAND = "python -m benchmarks.run"


def main(arguments: list[str] | None = None) -> int:
    """Run the measurements. Returns the exit status: 0, or 1 with a message for each that could not go on."""
    parts = ", ".join(part.name for part in (*_PARTS, PLACEMENT))
    parser = argparse.ArgumentParser(prog=_COMMAND, description=__doc__, epilog=f"Parts: {parts}.")
    parser.add_argument("--quick", action="store_true", help="less of everything; writes no file")
    parser.add_argument("--no-place", action="store_true", help="leave out placing and routing: a quarter of an hour")
    options = parser.parse_args(arguments)
    status = 0
    for part in _PARTS if options.no_place else (*_PARTS, PLACEMENT):
        print(f"{part.name} ({part.command})", file=sys.stderr)
        status |= part.main(["--quick"] if options.quick else [])
    return status if options.quick else status | update_documentation()


if __name__ == "__main__":
    sys.exit(main())
