"""What commands that export events share: a file that is there whole or not, a policy, its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .failure import fail, write_whole

if TYPE_CHECKING:
    from ..beams.redaction.policy import Redactor


def read_redactor(path: Path) -> Redactor:
    """Of the policy in this file."""
    from ..beams.errors import BadQuery
    from ..beams.redaction.policy import Policy, Redactor

    try:
        return Redactor(Policy.read(path.read_bytes()))
    except OSError as error:
        fail(f"cannot read {str(path)!r}: {error.strerror or error}")
    except BadQuery as error:
        fail(f"{path}: {error}")


def tell_report(redactor: Redactor, path: Path | None) -> None:
    """What was taken out, into this file, else on standard error."""
    content = json.dumps(redactor.report.to_json(), indent=1)
    write_whole(path, content.encode() + b"\n") if path else typer.echo(content, err=True)
