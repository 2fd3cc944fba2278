"""The page on packages: its commands run, its table and the schema are those of the model."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.package.programs import hello

from vac.package.__main__ import PAGE, SCHEMA
from vac.package.manifest_documentation import schema_text, with_table

TEXT = PAGE.read_text(encoding="utf-8")
ROOT = Path(__file__).parents[2]


def test_the_table_and_the_schema_are_the_models() -> None:
    assert with_table(TEXT) == TEXT, "run `python -m vac.package`"
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), "run `python -m vac.package`"
    fields = json.loads(hello().files["hello.vac.json"])
    assert set(json.loads(schema_text())["required"]) <= set(fields) <= set(json.loads(schema_text())["properties"])


def test_the_example_runs(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "firmware", tmp_path / "firmware")
    (tmp_path / "LICENSE").write_text("b\na\n")
    commands, stopping = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    (script,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "vac").write_text(f"#!{sys.executable}\nfrom vac.cli import main\nmain()\n")
    (tools / "vac").chmod(0o755)
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euc", commands], cwd=tmp_path, env=environment, capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "trusted as ada.pub" in done.stdout and "a\nb\n" in done.stdout
    printed = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    root, ticks = printed.stdout.split()
    assert root in done.stdout and int(ticks) > 100
    ends = [
        subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True)
        for line in stopping.splitlines()
    ]
    assert [end.returncode for end in ends] == [4, 0] and ends[0].stdout + ends[1].stdout == "a\nb\n"
    assert "max_ticks reached" in ends[0].stderr and f"ticks   {ticks} " in ends[1].stderr
