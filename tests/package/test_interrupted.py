"""Whatever happens while a package is written, what has its name is whole."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.package.programs import HELLO, leaf_of

from vac.image.image import Image, Segment
from vac.package.pack import Description, pack, write_archive, write_files
from vac.package.package import Package

KILLS = 60
PACK = [sys.executable, "-c", "from vac.cli import main; main()", "pack"]


def _versions() -> list[Package]:
    """Two packages of one name, large enough that writing takes its time."""
    draw = random.Random(1)
    images = [
        Image(0, 0, 1, (Segment(0, 0, 1, b"\2"), Segment(1, 0, 1 << 20, draw.randbytes(1 << 20)))) for _ in range(2)
    ]
    return [pack(image, Description("big", author=f"version {number}")) for number, image in enumerate(images)]


@pytest.mark.parametrize("is_archive", [True, False], ids=["one file", "files"])
def test_killed_at_any_moment(is_archive: bool, tmp_path: Path) -> None:
    """What `kill -9` leaves is a whole package: the last one, or the one before. Or a manifest that names an image that
    is there in another version, which is said; never half a file."""
    versions = _versions()
    contents = {name: {package.files[name] for package in versions} for name in versions[0].files}
    draw = random.Random(2)
    target = tmp_path / "big.vac" if is_archive else tmp_path
    opened = 0
    for _ in range(KILLS):
        if not (child := os.fork()):
            while True:
                for package in versions:
                    write_archive(package, target) if is_archive else write_files(package, target)
        time.sleep(draw.uniform(0.0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if is_archive and target.exists():
            assert Package.open(target).files in [package.files for package in versions]
            opened += 1
        for name, whole in contents.items():
            path = tmp_path / name
            if not is_archive and path.exists():
                assert path.read_bytes() in whole
                opened += 1
    assert opened > KILLS // 2
    write_archive(versions[0], target) if is_archive else write_files(versions[0], target)
    assert Package.open(target).root == versions[0].root


def test_the_command_killed(tmp_path: Path) -> None:
    source = tmp_path / "hello.vasm"
    source.write_text(HELLO + "\n.data\n" + "\n".join(f".word {leaf_of(n)[0]}" for n in range(3000)))
    subprocess.run([*PACK, source], check=True, capture_output=True)
    before = (tmp_path / "hello.vac").read_bytes()
    draw = random.Random(3)
    for author in range(3):
        with subprocess.Popen([*PACK, source, "--author", str(author)], stdout=subprocess.DEVNULL) as process:
            time.sleep(draw.uniform(0.3, 1.0))
            process.kill()
        package = Package.open(tmp_path / "hello.vac")
        assert package.manifest.author is not None or package.path.read_bytes() == before
        assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {
            "hello.vac",
            "hello.vasm",
        }


def test_a_full_disk(tmp_path: Path) -> None:
    """A limit on file sizes fails as a full disk does: in the middle of a write."""
    source = tmp_path / "hello.vasm"
    source.write_text(HELLO)
    limit = 600

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    for output in ("hello.vac", "folder"):
        done = subprocess.run([*PACK, source, "-o", tmp_path / output], capture_output=True, preexec_fn=full)
        assert done.returncode == 2 and b"cannot write" in done.stderr and b"Traceback" not in done.stderr
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["folder", "hello.vacimg", "hello.vasm"]
    assert (tmp_path / "folder" / "hello.vacimg").stat().st_size < limit, "it is whole; no manifest names it yet"


def test_a_file_system_that_takes_nothing(tmp_path: Path) -> None:
    source = tmp_path / "hello.vasm"
    source.write_text(HELLO)
    done = subprocess.run([*PACK, source, "-o", "/proc/hello.vac"], capture_output=True)
    assert done.returncode == 2 and b"cannot write '/proc/hello.vac'" in done.stderr
