"""The examples of the pages on recordings and time travel run."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["time_travel.md", "recording.md"])
def test_examples_run(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {})
    if page == "time_travel.md":
        assert capsys.readouterr().out.splitlines() == [
            "2002 StopReason.HALTED",
            "7 djnz l0, 0x3 f5010000",
            "997 0x3 502",
        ]
