"""How subcommands open packages: what is wrong ends the command. Nothing is imported until there is a package."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .failure import fail

if TYPE_CHECKING:
    from ..host.session import Host
    from ..machine.protocol import Machine
    from ..package.package import Package
    from ..package.signing import Signer

PACKAGE_SUFFIXES = (".vac", ".vac.json")


def is_package(path: Path) -> bool:
    """Whether a path names a package rather than an image or a source."""
    return path.name.endswith(PACKAGE_SUFFIXES) or any(path.glob(f"*{PACKAGE_SUFFIXES[1]}"))


@contextmanager
def package_errors(path: Path, doing: str = "read") -> Iterator[None]:
    """Ends the command with what a package, an image or a file system says is wrong. doing: "read" or "write"."""
    from ..image.image import ImageError
    from ..package.errors import PackageError

    try:
        yield
    except (PackageError, ImageError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot {doing} {str(path)!r}: {error.strerror or error}")


@contextmanager
def working(what: str) -> Iterator[None]:
    """Says on a terminal what takes its time."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


def open_package(path: Path, parents: Sequence[Path] = (), trusted: Sequence[Path] = ()) -> Package:
    """A package that is whole and, where keys are given, signed by one of them; ends the command otherwise."""
    from ..package.package import Package

    with package_errors(path), working(f"checking {path}"):
        package = Package.open(path, parents)
    if trusted:
        signers(package, trusted)
    return package


def package_host(package: Package, machine: Machine, **given: Any) -> Host:
    """A host that grants what the manifest does; ends the command where the manifest and what is given do not fit."""
    from ..package.package_session import create_host

    with package_errors(package.path):
        return create_host(package, machine, **given)


def signers(package: Package, trusted: Sequence[Path], needed: int = 1) -> list[Signer]:
    """Who signed; ends the command where a signature is wrong or, with keys given, too few of them signed."""
    from ..package.keys import trusted_keys
    from ..package.signing import check_signatures

    keys: dict[str, str] = {}
    for path in trusted:
        with package_errors(path):
            keys |= trusted_keys([path])
    with package_errors(package.path):
        return check_signatures(package, keys, needed if trusted else 0)


def passphrase(path: Path | None) -> bytes | None:
    """The first line of a file, without its end."""
    if path is None:
        return None
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        fail(f"cannot read {str(path)!r}: {error.strerror or error}")
    if not lines or not lines[0]:
        fail(f"{path} holds no passphrase in its first line")
    return lines[0]
