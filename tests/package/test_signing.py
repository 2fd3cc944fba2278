"""Signatures: whose they are, what they are for, and that none passes that is not whole."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.package.programs import HELLO, hello

from vac.assembler.assemble import assemble
from vac.package.errors import SignatureError
from vac.package.keys import generate_key, key_id, read_private_key, read_public_keys, trusted_keys
from vac.package.pack import Description, pack
from vac.package.package import Package
from vac.package.signing import check_signatures, sign, statement


def signed(package: Package, *envelopes: bytes) -> Package:
    members = dict(package.files)
    for envelope in envelopes:
        members["hello.dsse.json"] = envelope
    return Package.from_members(members, Path("hello.vac"))


def test_two_sign_and_each_is_known_by_its_key(tmp_path: Path) -> None:
    first, second = (generate_key(tmp_path / name)[0] for name in ("ada", "bob"))
    package = signed(hello(), sign(hello(), read_private_key(first)))
    package = signed(package, sign(package, read_private_key(second)))
    everybody = check_signatures(package, trusted_keys([tmp_path]), needed=2)
    assert sorted(str(signer.trusted_as) for signer in everybody) == ["ada.pub", "bob.pub"]
    only_bob = trusted_keys([tmp_path / "bob.pub"])
    assert {signer.trusted_as for signer in check_signatures(package, only_bob, needed=1)} == {None, "bob.pub"}
    with pytest.raises(SignatureError, match="1 of the trusted keys signed it, not 2"):
        check_signatures(package, only_bob, needed=2)
    with pytest.raises(SignatureError, match="nobody has signed it"):
        check_signatures(hello(), only_bob, needed=1)
    again = sign(package, read_private_key(first))
    assert again == package.signatures, "the same key signs the same again"


def test_the_envelope_is_what_the_standards_say(tmp_path: Path) -> None:
    """Read with nothing of this project: base64, JSON, the pre-authentication encoding, Ed25519."""
    path, public, _ = generate_key(tmp_path / "ada")
    package = signed(hello(), sign(hello(), read_private_key(path)))
    assert package.signatures
    envelope = json.loads(package.signatures)
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    assert kind == "application/vnd.in-toto+json"
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    (signature,) = envelope["signatures"]
    der = base64.b64decode("".join(public.read_text().splitlines()[1:-1]))
    Ed25519PublicKey.from_public_bytes(der[-32:]).verify(base64.b64decode(signature["sig"]), encoded)
    assert signature["keyid"] == hashlib.sha256(der).hexdigest()
    said = json.loads(payload)
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert {subject["name"]: subject["digest"]["sha256"] for subject in said["subject"]} == {
        name: hashlib.sha256(package.files[name]).hexdigest() for name in ("hello.vac.json", "hello.vacimg")
    }
    assert said["subject"][1]["digest"]["vacStateRoot"] == package.root.hex()


def test_a_signature_of_another_package_names_what_differs(tmp_path: Path) -> None:
    path, _, _ = generate_key(tmp_path / "ada")
    key = read_private_key(path)
    envelope = sign(hello(), key)
    other = pack(assemble(HELLO), Description("hello", caps=("console",)))
    package = signed(other, envelope)
    with pytest.raises(SignatureError, match=r"another package: hello.vac.json differs"):
        check_signatures(package, {})
    with pytest.raises(SignatureError, match="--replace"):
        sign(package, key)
    assert check_signatures(signed(other, sign(package, key, replaces=True)), {})


@pytest.mark.parametrize("field", ["payload", "payloadType", "signatures", "sig", "keyid", "publicKey"])
def test_a_changed_envelope_is_refused(field: str, tmp_path: Path) -> None:
    path, _, _ = generate_key(tmp_path / "ada")
    fields = json.loads(sign(hello(), read_private_key(path)))
    other, _, other_id = generate_key(tmp_path / "eve")
    changes = {
        "payload": base64.b64encode(statement(hello()) + b" ").decode(),
        "payloadType": "text/plain",
        "signatures": [],
        "sig": base64.b64encode(bytes(64)).decode(),
        "keyid": other_id,
        "publicKey": base64.b64encode(read_private_key(other).public_key().public_bytes_raw()).decode(),
    }
    (fields if field in fields else fields["signatures"][0])[field] = changes[field]
    content = (json.dumps(fields, sort_keys=True, indent=2) + "\n").encode()
    with pytest.raises(SignatureError):
        check_signatures(signed(hello(), content), {})


def test_keys_are_files_that_others_cannot_read(tmp_path: Path) -> None:
    private, public, name = generate_key(tmp_path / "ada", b"secret")
    assert private.stat().st_mode & 0o777 == 0o600
    assert [key_id(key) for key in read_public_keys(public)] == [name] and key_id(
        read_private_key(private, b"secret").public_key()
    ) == name
    with pytest.raises(SignatureError, match="passphrase"):
        read_private_key(private, b"wrong")
    with pytest.raises(SignatureError, match="exists"):
        generate_key(tmp_path / "ada.key")
    with pytest.raises(SignatureError, match="no private key"):
        read_private_key(public)
    with pytest.raises(SignatureError, match="no public key"):
        read_public_keys(private)
    generate_key(tmp_path / "bob")
    (tmp_path / "both").write_bytes(public.read_bytes() + (tmp_path / "bob.pub").read_bytes())
    assert trusted_keys([tmp_path / "both"]).keys() == trusted_keys([tmp_path]).keys()
    (tmp_path / "empty").mkdir()
    with pytest.raises(SignatureError, match="holds no public key"):
        trusted_keys([tmp_path / "empty"])
