"""The programs in the pages run, and print what the pages say."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "printed"),
    [
        ("lineage.md", ["[0 1 2 3]", "[0]", "VALUE mul3 s, l0, l1 462", "flowchart TD"]),
        ("proofs.md", ["2 5"]),
    ],
)
def test_programs_in_the_pages(page: str, printed: list[str]) -> None:
    programs = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    assert len(programs) == 1
    out = StringIO()
    with redirect_stdout(out):
        exec(compile(programs[0], page, "exec"), {"__name__": page})
    assert out.getvalue().splitlines()[: len(printed)] == printed
