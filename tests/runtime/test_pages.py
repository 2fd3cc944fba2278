"""The pages' Python runs, in order, and prints what stands below it."""

import contextlib
import io
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["devices", "policy", "virtual_cpu", "python_api"])
def test_examples_do_what_the_page_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"Path": Path, "__name__": page}
    printed, count = "", 0
    for match in BLOCK.finditer((DOCS / f"{page}.md").read_text()):
        kind, body = match.groups()
        if kind == "python":
            assert printed == "", f"what this prints is not on the page: {printed}"
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compile(body, f"{page}.md", "exec"), names)  # the page is part of the project
            printed, count = output.getvalue(), count + 1
        elif printed:
            assert printed == body
            printed = ""
    assert count and not printed
