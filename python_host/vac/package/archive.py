"""A package in one file, `NAME.vac`: an uncompressed tar archive that can be written in one way only.

Members are regular files in the order of their names, which lie in no folder. Mode is 644, owner, group and time are 0,
the format is POSIX ustar, the end is two blocks of zeros. `tar tf` lists it.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping

from .errors import ArchiveError

_BLOCK = 512
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
MOST_MEMBERS = 256


def encode_archive(members: Mapping[str, bytes]) -> bytes:
    """The archive's bytes. Raises ArchiveError when a name cannot be one of a member."""
    parts: list[bytes] = []
    _check_names(sorted(members))
    for name in sorted(members):
        content = members[name]
        parts += [_header(name, len(content)), content, bytes(-len(content) % _BLOCK)]
    return b"".join((*parts, bytes(2 * _BLOCK)))


def decode_archive(content: bytes) -> dict[str, bytes]:
    """Members by name. Raises ArchiveError for anything that `encode_archive` does not write, byte for byte."""
    members: dict[str, bytes] = {}
    at = 0
    while content[at : at + _BLOCK].strip(b"\0"):
        header = content[at : at + _BLOCK]
        where = f"the header at byte {at:,} of the archive"
        try:
            name, size = header[:100].rstrip(b"\0").decode("ascii"), int(header[124:135], 8)
        except ValueError:
            raise ArchiveError(f"{where} is damaged, or this is no package in one file") from None
        _check_name(name)
        if size < 0 or header != _header(name, size):
            raise ArchiveError(f"{where} (member {name}) is damaged or was written by another program")
        at += _BLOCK
        end = at + size
        if end > len(content):
            raise ArchiveError(f"the archive is truncated inside member {name}")
        if name in members:
            raise ArchiveError(f"the archive holds member {name} twice")
        members[name] = content[at:end]
        at = end + -size % _BLOCK
        if content[end:at].strip(b"\0"):
            raise ArchiveError(f"what follows member {name} in the archive is damaged")
        if len(members) > MOST_MEMBERS:
            raise ArchiveError(f"the archive has more than {MOST_MEMBERS} members")
    if content[at:] != bytes(2 * _BLOCK):
        raise ArchiveError("the archive is truncated, or something follows its end")
    if list(members) != sorted(members):
        raise ArchiveError("the archive's members are not in the order of their names")
    _check_names(list(members))
    return members


def _check_names(names: list[str]) -> None:
    for name in names:
        _check_name(name)
    if len({name.casefold() for name in names}) != len(names):
        raise ArchiveError("two of the archive's members differ in capital letters alone")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ArchiveError(
            f"{name!r} cannot be a member of a package: it takes letters, digits, '.', '_', '-', the first of them a "
            "letter or digit, and no folder"
        )


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    try:
        return member.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    except ValueError as error:
        raise ArchiveError(f"member {name} does not fit an archive: {error}") from error
