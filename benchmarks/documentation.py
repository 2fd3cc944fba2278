"""Brings the tables of `docs` up to the kept records: `python -m benchmarks.documentation`.

A table stands between a line `<!-- NAME: from benchmarks/results/NAME.json -->` and a line `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import cores, engines, placement
from benchmarks.results import RESULTS_FOLDER, Result, ResultsUnreadable, read_results

DOCS_FOLDER = Path(__file__).resolve().parents[1] / "docs"
_TABLE = re.compile(
    r"(?P<begin><!-- (?P<name>\w+): from benchmarks/results/(?P=name)\.json -->\n).*?(?P<end><!-- end -->\n)", re.DOTALL
)
_TABLES: dict[str, Callable[[Sequence[Result]], str]] = {
    "engines": engines.markdown,
    "cores": cores.markdown,
    "placement": placement.markdown,
}


def with_tables(page: str) -> str:
    """The page with all its tables as the records have them. Raises ResultsUnreadable, KeyError for an unknown name."""

    def table(found: re.Match[str]) -> str:
        name = found["name"]
        return found["begin"] + _TABLES[name](read_results(RESULTS_FOLDER / f"{name}.json")) + found["end"]

    return _TABLE.sub(table, page)


def main() -> int:
    """Rewrites the pages that are out of date. Exit status: 0, or 1 with a message on standard error."""
    for path in sorted(DOCS_FOLDER.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        try:
            fresh = with_tables(page)
        except ResultsUnreadable as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        if fresh != page:
            path.write_text(fresh, encoding="utf-8")
            print(f"written: docs/{path.name}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
