"""A slice of the fuzzing campaign: mutations of whole files, and the real fuzzer for a second."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vac.campaigns import fuzz_link, fuzz_readers

TARGETS = {**fuzz_readers.TARGETS, **fuzz_link.TARGETS}


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=80)
@given(data=st.data())
def test_typed_errors_alone(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    content = bytearray(data.draw(st.sampled_from(target.seeds())))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        width = data.draw(st.sampled_from([0, 1, 2, 4, 8]))
        content[at : at + width] = data.draw(st.binary(min_size=width, max_size=width) | st.binary(max_size=20))
    target.read(bytes(content))


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_get_through(name: str) -> None:
    assert TARGETS[name].seeds()
    for content in TARGETS[name].seeds():
        TARGETS[name].read(content)


def _campaign(folder: Path, *arguments: str, code: str = "pass") -> subprocess.CompletedProcess[str]:
    run = f"import sys; {code}; from vac.campaigns.fuzz import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", run, *arguments], cwd=folder, env=os.environ, capture_output=True, text=True
    )  # fmt: skip


def test_the_fuzzer_runs(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    done = _campaign(tmp_path, "--target", "image", "--seconds", "1")
    assert done.returncode == 0 and "nothing but typed errors" in done.stdout, done.stderr
    assert list((tmp_path / "build" / "fuzz" / "image").iterdir())


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    done = _campaign(tmp_path, "--target", "warp")
    assert done.returncode == 2 and "there is no target 'warp'; there are manifest, image" in done.stderr
    done = _campaign(tmp_path, code="sys.modules['atheris'] = None")
    assert done.returncode == 2 and "atheris is not installed" in done.stderr
