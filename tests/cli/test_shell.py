"""What every command has: help that says its exit codes, completion, errors without tracebacks."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from vac.cli import app

COMMAND = typer.main.get_command(app)


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that is no group of others."""
    if not hasattr(group, "commands"):
        yield words
        return
    for name, command in group.commands.items():
        yield from commands(command, (*words, name))


ALL = list(commands(COMMAND))


def help_of(*words: str) -> str:
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_says_the_exit_codes(words: tuple[str, ...]) -> None:
    texts = (help_of(*words[:count]) for count in range(len(words), 0, -1))  # a group may say it for all of its own
    assert any("xits" in text or "xit codes" in text for text in texts)


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_wrong_options_end_with_two_and_no_traceback(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*words, "--no-such-option"])
    assert done.exit_code == 2 and "no-such-option" in done.stderr.replace("\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell: str) -> None:
    variables = {
        "bash": {"COMP_WORDS": "vac sche", "COMP_CWORD": "1"},
        "zsh": {"_TYPER_COMPLETE_ARGS": "vac sche"},
        "fish": {"_TYPER_COMPLETE_ARGS": "vac sche", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    environment = os.environ | variables | {"_VAC_COMPLETE": f"complete_{shell}"}
    code = "import sys; sys.argv = ['vac']; from vac.cli import app; app(prog_name='vac')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "schedule" in done.stdout, done.stderr
