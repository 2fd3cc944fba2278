"""The tables of the documentation are those of the kept records."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.documentation import DOCS_FOLDER, with_tables

WITH_TABLES = [
    path for path in sorted(DOCS_FOLDER.glob("*.md")) if "from benchmarks/results" in path.read_text("utf-8")
]


def test_three_tables_are_made_from_records() -> None:
    assert sum(path.read_text("utf-8").count("<!-- end -->") for path in WITH_TABLES) == 3


@pytest.mark.parametrize("path", WITH_TABLES, ids=lambda path: path.name)
def test_a_page_says_what_was_measured(path: Path) -> None:
    page = path.read_text("utf-8")
    assert with_tables(page) == page, "run `python -m benchmarks.documentation`"
    assert with_tables(page.replace("| VAC | 1.00", "| VAC | 0.10").replace("plain | 1", "plain | 2")) == page
