"""Building the engine, and what happens where it cannot be built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vac.fast.compiler import FAST, INCLUDE_DIRECTORY, EngineBuildError, find_compiler, library_path
from vac.fast.generate import generated_files
from vac.fast.operations import CONDITION_EXPRESSIONS, FUNCTION_EXPRESSIONS
from vac.isa.alu import AluFunction, Condition


def test_second_request_builds_nothing() -> None:
    path = library_path(FAST)
    stamp = path.stat().st_mtime_ns
    assert library_path(FAST) == path
    assert path.stat().st_mtime_ns == stamp


def test_every_function_has_an_expression() -> None:
    assert set(FUNCTION_EXPRESSIONS) == set(AluFunction)
    assert set(CONDITION_EXPRESSIONS) == set(Condition)


def test_generated_texts_are_repeatable() -> None:
    script = "import hashlib; from vac.fast.generate import generated_files as g; "
    script += "print(hashlib.sha256(repr(sorted(g().items())).encode()).hexdigest())"
    found = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineBuildError, match="install one"):
        find_compiler()


def test_golden_model_serves_where_there_is_no_compiler(tmp_path: Path) -> None:
    script = "from vac.engines.registry import create_machine; print(type(create_machine('fast')).__name__)"
    environment = {"PATH": str(tmp_path), "VAC_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "GoldenMachine\n"
    assert "golden model serves" in done.stderr and "C compiler" in done.stderr


def test_compiler_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken-cc"
    broken.write_text(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo broken 1.0 && exit 0\necho 'no such luck' >&2\nexit 1\n"
    )
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    monkeypatch.setenv("VAC_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(EngineBuildError, match="no such luck"):
        library_path(FAST)
    assert not list((tmp_path / "cache").iterdir())


def test_header_serves_c_plus_plus(tmp_path: Path) -> None:
    """The interface compiles as C++ and links against the library."""
    source = tmp_path / "use.cpp"
    source.write_text(
        '#include "vac_fast.h"\n'
        "int main() { vac_machine *m = vac_new(1); vac_state s; vac_get_state(m, &s); vac_free(m);"
        " return vac_abi_version() == VAC_ABI_VERSION && s.tick == 0 ? 0 : 1; }\n"
    )
    program = tmp_path / "use"
    command = ["c++", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE_DIRECTORY}", "-o", str(program)]
    subprocess.run([*command, str(source), str(library_path(FAST))], check=True)
    assert subprocess.run([str(program)]).returncode == 0
    assert "vac_tables.h" in generated_files()
