"""Keeps what the last long campaigns ran, with counts and seeds: `python -m benchmarks.campaigns`, in `make verify`.

Takes the reports that the campaigns left in `build` into `benchmarks/results/campaigns.json`; a campaign that was not
run keeps its last record.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.results import RESULTS_FOLDER
from vac.files.durable import write_whole

_REPORTS = {
    "software": "campaigns/differential.json",
    "sanitized": "campaigns/differential-sanitized.json",
    "rtl": "campaigns/differential-rtl.json",
    "lockstep.pipelined": "verify/pipelined/lockstep.json",
    "lockstep.gates": "verify/gates/lockstep.json",
    "lockstep.compact": "verify/compact/lockstep.json",
    "crashes": "campaigns/crashes.json",
    "beam_crashes": "campaigns/beam_crashes.json",
    "scheduling": "campaigns/scheduling.json",
    "paging": "campaigns/paging.json",
    "link": "campaigns/link.json",
}
"""Where a campaign leaves its report, below the build folder."""
_FILE = RESULTS_FOLDER / "campaigns.json"


def gathered(build: Path, before: dict[str, Any]) -> dict[str, Any]:
    """The records of before; of the reports that are there, those instead. Raises OSError, ValueError."""
    found = dict(before)
    for name, place in _REPORTS.items():
        path = build / place
        if path.exists():
            found[name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 1 with a message where a report cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaigns", description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build"), help="folder that the campaigns wrote to")
    options = parser.parse_args(arguments)
    try:
        before = json.loads(_FILE.read_text(encoding="utf-8")) if _FILE.exists() else {}
        after = gathered(options.build, before)
        write_whole(_FILE, (json.dumps(after, indent=1) + "\n").encode())
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    renewed = [name for name in after if after[name] != before.get(name)]
    print(f"benchmarks/results/{_FILE.name}: {', '.join(renewed) or 'nothing new'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
