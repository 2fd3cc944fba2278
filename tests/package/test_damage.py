"""Any single changed byte is refused, with a message that names what is wrong."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.package.programs import hello, leaf_of

from vac.image.image import Image, Segment
from vac.package.archive import encode_archive
from vac.package.errors import PackageError
from vac.package.image_file import decode_head, encode_image_file
from vac.package.image_source import find_chain
from vac.package.pack import Description, pack
from vac.package.package import Package
from vac.package.signing import check_signatures, sign


@cache
def whole() -> Package:
    """A package of every kind of file: manifest, image, its parent, signatures of two."""
    base = Image(0, 0, 1, (Segment(0, 0, 1, b"\2"), Segment(1, 0, 8192, leaf_of(1) + leaf_of(2))), name="base")
    parent = pack(base, Description("base"))
    chain = find_chain("base.vacimg", parent.files["base.vacimg"], [])
    image = Image(0, 0, 1, (Segment(0, 0, 1, b"\2"), Segment(1, 0, 8192, leaf_of(1) + leaf_of(3))), name="child")
    made = pack(image, Description("child", caps=("console",), quotas=hello().manifest.quotas), chain)
    for seed in (b"a", b"b"):
        envelope = sign(made, Ed25519PrivateKey.from_private_bytes(32 * seed))
        made = Package.from_members({**made.files, "child.dsse.json": envelope}, Path("child.vac"))
    return made


def _refusal(files: dict[str, bytes]) -> str:
    with pytest.raises(PackageError) as caught:
        check_signatures(Package.from_members(files, Path("child.vac")), {})
    return str(caught.value)


KINDS = ["child.vac.json", "child.vacimg", "base.vacimg", "child.dsse.json"]


@pytest.mark.parametrize("name", KINDS)
def test_every_bit_of_any_file(name: str) -> None:
    package = whole()
    content = package.files[name]
    check_signatures(package, {})
    for at in range(len(content)):
        changed = bytearray(content)
        for bit in {0, at % 8} if "dsse" in name else range(8):  # signatures take their time
            changed[at] = content[at] ^ 1 << bit
            said = _refusal(package.files | {name: bytes(changed)})
            assert name in said, (at, bit, said)


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
@settings(max_examples=60)
def test_any_change_of_any_file(name: str, data: st.DataObject) -> None:
    """Bytes put in, taken away, overwritten."""
    content = whole().files[name]
    at = data.draw(st.integers(0, len(content)))
    behind = data.draw(st.integers(at, min(len(content), at + 40)))
    changed = content[:at] + data.draw(st.binary(max_size=40)) + content[behind:]
    if changed != content:
        _refusal(whole().files | {name: changed})


@given(data=st.data())
@settings(max_examples=300)
def test_a_byte_of_the_one_file(data: st.DataObject) -> None:
    content = bytearray(encode_archive(whole().files))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with NamedTemporaryFile(suffix=".vac") as file:
        file.write(content)
        file.flush()
        with pytest.raises(PackageError) as caught:
            check_signatures(Package.open(file.name), {})
    assert file.name in str(caught.value)


def test_the_damaged_part_is_named() -> None:
    package = whole()
    image = package.files["child.vacimg"]
    head = decode_head(image)
    at = {
        "first eight bytes differ": 0,
        "header or a table": 30,
        "blob 0 of the image is damaged": head.size + 5,
    }
    for said, place in at.items():
        changed = image[:place] + bytes([image[place] ^ 1]) + image[place + 1 :]
        assert said in _refusal(package.files | {"child.vacimg": changed})
    assert "truncated or too long" in _refusal(package.files | {"child.vacimg": image + b"\0"})
    assert "truncated" in _refusal(package.files | {"child.vacimg": image[:-1]})


def test_the_file_of_another_package_is_refused() -> None:
    package = whole()
    other = pack(package.image, Description("child"))
    assert "its parent is None" in _refusal(package.files | {"child.vacimg": other.files["child.vacimg"]})
    head = decode_head(package.files["child.vacimg"])
    renamed = replace(head, program=replace(head.program, name="other"))
    content = encode_image_file(renamed, [package.files["child.vacimg"][head.size :]])
    assert "its digest is blake3:" in _refusal(package.files | {"child.vacimg": content})
    signed = package.files["child.dsse.json"]
    said = _refusal({**other.files, "child.dsse.json": signed})
    assert "child.vac.json differs" in said
