"""The one file: only what this program writes is read, and nothing of it gets out of the target folder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.package.programs import hello

from vac.package.archive import decode_archive, encode_archive
from vac.package.errors import ArchiveError
from vac.package.pack import write_archive, write_files
from vac.package.package import Package

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}", fullmatch=True)


@given(st.dictionaries(NAMES, st.binary(max_size=2000), max_size=6))
def test_what_goes_in_comes_out(members: dict[str, bytes]) -> None:
    if len({name.casefold() for name in members}) < len(members):
        with pytest.raises(ArchiveError, match="capital letters"):
            encode_archive(members)
        return
    content = encode_archive(members)
    assert decode_archive(content) == members
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getnames() == sorted(members), "other programs read it, too"


@given(st.binary(max_size=3000))
def test_anything_else_is_refused_or_is_one(content: bytes) -> None:
    try:
        members = decode_archive(content)
    except ArchiveError:
        return
    assert encode_archive(members) == content


def _tar(*members: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return file.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 4, **fields: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    for field, value in fields.items():
        setattr(member, field, value)
    return member


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: _tar(_member("../x.vacimg")), "cannot be a member"),
        (lambda: _tar(_member("/etc/x.vacimg")), "cannot be a member"),
        (lambda: _tar(_member("a/b.vacimg")), "cannot be a member"),
        (lambda: _tar(_member(".hidden")), "cannot be a member"),
        (lambda: _tar(_member("x\\..\\y")), "cannot be a member"),
        (lambda: _tar(_member("")), "cannot be a member"),
        (lambda: _tar(_member("x", tarfile.SYMTYPE, 0, linkname="/etc/passwd")), "damaged or was written by another"),
        (lambda: _tar(_member("x", tarfile.LNKTYPE, 0, linkname="y")), "damaged or was written by another"),
        (lambda: _tar(_member("x", tarfile.DIRTYPE, 0)), "cannot be a member"),
        (lambda: _tar(_member("x", tarfile.CHRTYPE, 0)), "damaged or was written by another"),
        (lambda: _tar(_member("x", mtime=1)), "damaged or was written by another"),
        (lambda: _tar(_member("x", mode=0o777)), "damaged or was written by another"),
        (lambda: _tar(_member("x", uid=1)), "damaged or was written by another"),
        (lambda: _tar(_member("x"), _member("x"))[: 4 * 512 + 1024], "member x twice"),
        (lambda: _tar(_member("y"), _member("x"))[: 4 * 512 + 1024], "not in the order"),
        (lambda: _tar(_member("X"), _member("x"))[: 4 * 512 + 1024], "capital letters"),
        (lambda: encode_archive({"x": b"1"}) + bytes(512), "something follows its end"),
        (lambda: encode_archive({"x": b"1"})[:-512], "is truncated"),
        (lambda: encode_archive({"x": bytes(600)})[:1000], "truncated inside member x"),
        (lambda: b"", "truncated"),
        (lambda: b"PK\3\4" + bytes(600), "damaged, or this is no package"),
    ],
)
def test_hostile_archives(content: Callable[[], bytes], message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        decode_archive(content())


def test_more_than_the_manifest_names(tmp_path: Path) -> None:
    path = tmp_path / "hello.vac"
    path.write_bytes(encode_archive({**hello().files, "surplus.sh": b"#!/bin/sh\n"}))
    with pytest.raises(ArchiveError, match=r"does not name member surplus\.sh"):
        Package.open(path)
    path.write_bytes(encode_archive({"hello.vacimg": b""}))
    with pytest.raises(ArchiveError, match=r"0 members end in \.vac\.json"):
        Package.open(path)


def test_unpacking_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in hello().files:
        (folder / name).symlink_to(outside)
    write_files(hello(), folder)
    assert outside.read_text() == "untouched"
    outside.write_bytes(hello().files["hello.vacimg"])
    (folder / "hello.vacimg").unlink()
    (folder / "hello.vacimg").symlink_to(outside)
    write_files(hello(), folder)
    assert outside.read_bytes() == hello().files["hello.vacimg"], "a link to the same bytes is replaced, too"
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert Package.open(folder).root == hello().root


def test_there_and_back_gives_the_same_bytes(tmp_path: Path) -> None:
    write_archive(hello(), tmp_path / "first.vac")
    write_files(Package.open(tmp_path / "first.vac"), tmp_path)
    write_archive(Package.open(tmp_path), tmp_path / "second.vac")
    assert (tmp_path / "first.vac").read_bytes() == (tmp_path / "second.vac").read_bytes()
