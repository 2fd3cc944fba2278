"""Who vouches for a package: a DSSE envelope around an in-toto statement, signed with Ed25519.

The statement's subjects are the manifest and the image, each by the SHA-256 of its file, the image by its root, too.
Its bytes follow from the package alone, so that several signers sign the same. The envelope is `NAME.dsse.json`: JSON
with sorted keys, two spaces a level and a line feed at the end. A signature carries its public key in `publicKey` (32
bytes, base64) beside `keyid` and `sig`: a damaged signature is found by anybody, whoever is trusted.

DSSE: github.com/secure-systems-lab/dsse, version 1. Statement: in-toto.io/Statement/v1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as SecureSystemsError
from securesystemslib.signer import (
    CryptoSigner,  # pyright: ignore[reportPrivateImportUsage]
    Signature,  # pyright: ignore[reportPrivateImportUsage]
    SSlibKey,  # pyright: ignore[reportPrivateImportUsage]
)

from .canonical import compact_json, parse_json, readable_json
from .errors import SignatureError
from .keys import key_id
from .package import Package

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:vac:package:1"
MOST_ENVELOPE_BYTES = 1 << 20
_PUBLIC_KEY = "publicKey"


@dataclass(frozen=True)
class Signer:
    """Whose signature was found good. trusted_as: file name of the key; None when nobody said that it is trusted."""

    key_id: str
    trusted_as: str | None = None


def statement(package: Package) -> bytes:
    """What is signed: compact JSON."""
    manifest, name = package.manifest, package.manifest_name
    subjects = [
        {"name": name, "digest": {"sha256": _sha256(package.files[name])}},
        {
            "name": manifest.image.file,
            "digest": {"sha256": _sha256(package.files[manifest.image.file]), "vacStateRoot": package.root.hex()},
        },
    ]
    predicate = {"id": manifest.id, "author": manifest.author, "creationTime": manifest.creation_time}
    return compact_json(
        {"_type": STATEMENT_TYPE, "subject": subjects, "predicateType": PREDICATE_TYPE, "predicate": predicate}
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sign(package: Package, key: Ed25519PrivateKey, replaces: bool = False) -> bytes:
    """The package's envelope with one signature more; one of the same key is made again.

    replaces: drops the signatures that are there, whatever they sign. Raises SignatureError when the envelope that is
    there is damaged or belongs to another package, or the manifest has no place for one.
    """
    if package.manifest.signature is None:
        raise SignatureError(f"the manifest of {package.manifest.name} names no file for signatures; pack it again")
    envelope = Envelope(statement(package), PAYLOAD_TYPE, {})
    if package.signatures is not None and not replaces:
        check_signatures(package, {})
        envelope = read_envelope(package.signatures)
    public = SSlibKey.from_crypto(key.public_key(), keyid=key_id(key.public_key()))
    signature = envelope.sign(CryptoSigner(key, public))
    signature.unrecognized_fields[_PUBLIC_KEY] = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    envelope.signatures = dict(sorted(envelope.signatures.items()))
    return _to_bytes(envelope)


def check_signatures(package: Package, trusted: Mapping[str, str], needed: int = 0) -> list[Signer]:
    """Everybody who signed. trusted: as `keys.trusted_keys` gives it. needed: how many trusted ones must have signed.

    Raises SignatureError when a signature is wrong, signs another package, or fewer have signed than are needed.
    """
    signers: list[Signer] = []
    if package.signatures is not None:
        try:
            envelope = read_envelope(package.signatures)
        except SignatureError as error:
            raise SignatureError(f"{package.path}: {package.manifest.signature}: {error}") from error
        if envelope.payload != statement(package):
            differs = _what_differs(envelope, package)
            raise SignatureError(f"{package.path}: {package.manifest.signature}: {differs}")
        signers = [Signer(name, trusted.get(name)) for name in envelope.signatures]
    found = sum(signer.trusted_as is not None for signer in signers)
    if found < needed:
        raise SignatureError(
            f"{package.path}: {found} of the trusted keys signed it, not {needed}"
            + ("" if signers else "; nobody has signed it")
        )
    return signers


def read_envelope(content: bytes) -> Envelope:
    """An envelope whose signatures are all good, each by its own key. Raises SignatureError."""
    try:
        fields = parse_json(content, MOST_ENVELOPE_BYTES)
        envelope = Envelope.from_dict(fields)
        is_canonical = _to_bytes(envelope) == content
    except (KeyError, TypeError, ValueError, AttributeError, SecureSystemsError) as error:
        raise SignatureError(f"no DSSE envelope: {error or type(error).__name__}") from error
    if not is_canonical or envelope.payload_type != PAYLOAD_TYPE or not envelope.signatures:
        raise SignatureError("the DSSE envelope is damaged, or not written in the one way that this program writes it")
    pae = envelope.pae()
    for signature in envelope.signatures.values():
        _check(signature, pae)
    return envelope


def _check(signature: Signature, pae: bytes) -> None:
    text = signature.unrecognized_fields.get(_PUBLIC_KEY)
    try:
        if set(signature.unrecognized_fields) != {_PUBLIC_KEY} or not isinstance(text, str):
            raise ValueError(f"it has the fields keyid, sig and {_PUBLIC_KEY}, and no others")
        raw = base64.b64decode(text, validate=True)
        key = Ed25519PublicKey.from_public_bytes(raw)
        if key_id(key) != signature.keyid or base64.b64encode(raw).decode() != text:
            raise ValueError("its key is not the one of its key id")
        SSlibKey.from_crypto(key, keyid=signature.keyid).verify_signature(signature, pae)
    except (ValueError, binascii.Error, SecureSystemsError) as error:
        raise SignatureError(f"the signature of key {signature.keyid!s:.16} is wrong: {error}") from error


def _to_bytes(envelope: Envelope) -> bytes:
    return readable_json(envelope.to_dict())


def _what_differs(envelope: Envelope, package: Package) -> str:
    """Names the first subject that the signed statement gives another digest."""
    try:
        signed: Any = parse_json(envelope.payload, MOST_ENVELOPE_BYTES)
        subjects = {subject["name"]: subject["digest"] for subject in signed["subject"]}
    except (KeyError, TypeError, ValueError):
        return "what is signed is no statement about a package"
    for subject in parse_json(statement(package), MOST_ENVELOPE_BYTES)["subject"]:
        if subjects.get(subject["name"]) != subject["digest"]:
            return (
                f"what is signed is another package: {subject['name']} differs; sign this one with `vac sign --replace`"
            )
    return "what is signed differs from this package in its predicate"
