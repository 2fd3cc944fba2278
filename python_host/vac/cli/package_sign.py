"""`vac keygen` and `vac sign`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .package_file import open_package, package_errors, passphrase

Passphrase = Annotated[
    Path | None, typer.Option(help="File whose first line encrypts the private key.", metavar="FILE")
]  # fmt: skip


def keygen(
    name: Annotated[Path, typer.Argument(help="Writes NAME.key, which stays with you, and NAME.pub.", metavar="NAME")],
    passphrase_file: Passphrase = None,
) -> None:
    """Make an Ed25519 key pair for signing. Exits 2 when one of the files exists or cannot be written."""
    from ..package.keys import generate_key

    with package_errors(name, "write"):
        private, public, identity = generate_key(name, passphrase(passphrase_file))
    typer.echo(f"{private}: private key, keep it\n{public}: public key {identity}")


def sign(
    package: Annotated[Path, typer.Argument(help="Package in one file, or its manifest.", metavar="PACKAGE")],
    key: Annotated[Path, typer.Option(help="Private key of `vac keygen`.", metavar="FILE")],
    passphrase_file: Passphrase = None,
    replace: Annotated[bool, typer.Option("--replace", help="Drop the signatures that are there.")] = False,
    parent: Annotated[
        list[Path] | None, typer.Option(help="Image in which to look for parents, beside those there.")
    ] = None,
) -> None:
    """Add a signature to PACKAGE, which is checked first. Several may sign.

    Exits 2 when the package is damaged, or the signatures that are there are for another one.
    """
    from ..package.keys import key_id, read_private_key
    from ..package.pack import write_signature
    from ..package.signing import sign as envelope_of

    opened = open_package(package, parent or [])
    with package_errors(key):
        private = read_private_key(key, passphrase(passphrase_file))
    with package_errors(package, "write"):
        written = write_signature(opened, envelope_of(opened, private, replace))
    typer.echo(f"{written}: signed by {key_id(private.public_key())}")
