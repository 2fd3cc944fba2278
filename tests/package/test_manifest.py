"""The manifest: strict, versioned, canonical, and described where users look."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.package.programs import hello

from vac.package.canonical import compact_json, readable_json
from vac.package.errors import ManifestError
from vac.package.manifest import Manifest, Quotas, blake3_text, rfc3339

FIELDS = hello().manifest.fields()


def sealed(fields: dict[str, Any]) -> bytes:
    """A manifest of these fields whose id is right."""
    fields = dict(fields)
    fields["id"] = blake3_text(compact_json({name: value for name, value in fields.items() if name != "id"}))
    return readable_json(fields)


def test_what_is_written_is_read() -> None:
    manifest = hello().manifest
    assert sealed(FIELDS) == manifest.to_bytes()
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


WORDS = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
U64 = st.integers(0, (1 << 64) - 1)


@given(
    caps=st.dictionaries(WORDS, st.booleans(), max_size=4),
    seeds=st.dictionaries(WORDS, U64, max_size=4),
    labels=st.dictionaries(WORDS, st.integers(0, 15), max_size=4),
    limit=st.none() | st.integers(1, (1 << 64) - 1),
    policy=st.none() | st.text(max_size=50),
    quota_class=st.none() | WORDS,
    author=st.none() | st.text(max_size=50),
    seconds=st.integers(-(10**10), 10**11),
)
def test_any_manifest_survives(
    caps: dict[str, bool], seeds: dict[str, int], labels: dict[str, int], limit: int | None, policy: str | None,
    quota_class: str | None, author: str | None, seconds: int,
) -> None:  # fmt: skip
    base = hello().manifest
    fields = {name: getattr(base, name) for name in Manifest.model_fields if name not in ("version", "id")}
    fields |= {"caps": caps, "seeds": seeds, "labels": labels, "quotas": Quotas(max_ticks=limit), "policy": policy}
    fields |= {"quota_class": quota_class, "author": author, "creation_time": rfc3339(seconds)}
    made = Manifest.build(**fields)
    assert Manifest.from_bytes(made.to_bytes()) == made
    assert made.version == (1 if quota_class is None else 2)
    assert (made.id == base.id) == (made == base)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "format version 3; this program reads versions 1 to 2"),
        ({"version": 0}, "format version 0"),
        ({"version": 2}, "version 2 goes with the field quota_class"),
        ({"quota_class": "trial"}, "version 1 goes without the field quota_class"),
        ({"version": 2, "quota_class": None}, "version 2 goes with the field quota_class"),
        ({"quota_class": None}, "the manifest was changed"),
        ({"version": 2, "quota_class": "Trial"}, "quota_class"),
        ({"version": "1"}, "version"),
        ({"version": True}, "version"),
        ({"surplus": 1}, "surplus: Extra inputs are not permitted"),
        ({"entrypoint": 1.0}, "entrypoint"),
        ({"entrypoint": "0"}, "entrypoint"),
        ({"entrypoint": -1}, "entrypoint"),
        ({"entrypoint": 1 << 24}, "entrypoint"),
        ({"bytecode_hash": "blake3:00"}, "bytecode_hash"),
        ({"name": "../hello"}, "name"),
        ({"name": "hello\n"}, "name"),
        ({"caps": ["console"]}, "caps"),
        ({"caps": {"console": 1}}, "caps.console"),
        ({"caps": {"Console": True}}, "caps.Console"),
        ({"devices": {"0": {"kind": "console", "options": {}}}}, "devices.0"),
        ({"devices": {"0x01": {"kind": "console", "options": {}}}}, "multiple of 0x10"),
        ({"devices": {"0x00": {"kind": "console", "options": {"x": 1.5}}}}, "devices.0x00.options.x"),
        ({"devices": {"0x00": {"kind": "console", "options": {}, "y": 1}}}, "Extra inputs"),
        ({"quotas": {**FIELDS["quotas"], "max_ticks": 0}}, "quotas.max_ticks"),
        ({"quotas": {**FIELDS["quotas"], "max_wishes": 3}}, "quotas.max_wishes"),
        ({"labels": {"secret": 16}}, "labels.secret"),
        ({"images": []}, "images"),
        ({"images": [FIELDS["images"][0] | {"file": "../x"}]}, "images.0.file"),
        ({"images": [FIELDS["images"][0] | {"root": "AB" * 32}]}, "images.0.root"),
        ({"seeds": {"entropy": 1 << 64}}, "seeds.entropy"),
        ({"seeds": {"entropy": -1}}, "seeds.entropy"),
        ({"policy": 3}, "policy"),
        ({"signature": "a/b"}, "signature"),
        ({"creation_time": "2026-02-30T00:00:00Z"}, "RFC 3339"),
        ({"creation_time": "2026-01-31T00:00:00+00:00"}, "creation_time"),
        ({"isa_version": 99}, "isa_version is 99, but the image has 1"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], message: str) -> None:
    content = sealed(FIELDS | change)
    with pytest.raises(ManifestError) as caught:
        Manifest.from_bytes(content)
        _with_manifest(content)
    assert message in str(caught.value)


def _with_manifest(content: bytes) -> None:
    package = hello()
    type(package).from_members({**package.files, package.manifest_name: content}, package.path)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_no_field_may_be_missing(name: str) -> None:
    fields = {key: value for key, value in FIELDS.items() if key != name}
    content = readable_json(fields) if name == "id" else sealed(fields)
    with pytest.raises(ManifestError, match=rf"{name}|canonical|changed"):
        Manifest.from_bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no manifest"),
        (b"[]", "malformed"),
        (b"\xff", "UTF-8"),
        (b'{"version": 1, "version": 1}', "malformed"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"version": ' + b"9" * 5000 + b"}", "no manifest"),
        (b'{"version": NaN}', "malformed"),
        (b" " * (9 << 20), "bytes; 8,388,608 are allowed"),
        (compact_json(FIELDS), "canonical"),
        (hello().manifest.to_bytes() + b"\n", "canonical"),
        (hello().manifest.to_bytes().replace(b'"seeds": {', b'"seeds": {\n    "entropy": 9,'), "changed|canonical"),
        (json.dumps({**FIELDS, "author": "Eve"}).encode(), "was changed: its contents give id blake3:"),
    ],
)
def test_other_bytes_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        Manifest.from_bytes(content)


def test_a_time_that_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="no time"):
        rfc3339(10**15)
