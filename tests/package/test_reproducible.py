"""The same inputs give the same bytes: elsewhere, later, under other hash seeds, time zones and languages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.package.programs import HELLO

PACK = [sys.executable, "-c", "from vac.cli import main; main()", "pack"]
OPTIONS = [
    "hello.vasm", "--cap", "memory,console", "--cap", "clock", "--seed", "waves=5", "--seed", "3", "--label", "b=1",
    "--label", "a=0", "--mark", "a=0", "--quota", "max_ticks=10", "--author", "Ada Ünsal", "--policy", "policy.cedar",
]  # fmt: skip

BOTH = ("out", "hello.vac")


def _packed(folder: Path, *options: str, outputs: tuple[str, ...] = ("out",), **environment: str) -> dict[str, bytes]:
    folder.mkdir()
    (folder / "hello.vasm").write_text(HELLO)
    (folder / "policy.cedar").write_text("permit(principal, action, resource);\n")
    environment = os.environ | environment
    for output in outputs:
        subprocess.run([*PACK, *OPTIONS, *options, "-o", output], cwd=folder, env=environment, check=True)
    made = [*folder.glob("*.vac"), *(folder / "out").iterdir()]
    return {path.name: path.read_bytes() for path in made}


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    first = _packed(tmp_path / "first", outputs=BOTH, PYTHONHASHSEED="0", TZ="UTC", LC_ALL="C.UTF-8")
    again = _packed(tmp_path / "again", outputs=BOTH, PYTHONHASHSEED="12345", TZ="Asia/Tokyo", LC_ALL="C")
    assert first == again
    assert sorted(first) == ["hello.vac", "hello.vac.json", "hello.vacimg"]
    assert all(str(tmp_path).encode() not in content for content in first.values())
    dated = _packed(tmp_path / "dated", SOURCE_DATE_EPOCH="86400", TZ="Asia/Tokyo")
    told = _packed(tmp_path / "told", "--created", "1970-01-02T02:00:00+02:00", SOURCE_DATE_EPOCH="5")
    assert dated == told
    assert dated["hello.vac.json"] != first["hello.vac.json"] and dated["hello.vacimg"] == first["hello.vacimg"]
