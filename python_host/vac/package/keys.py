"""Ed25519 keys as files: PKCS #8 and SubjectPublicKeyInfo in PEM, which other tools read, too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ..files.durable import write_durably
from .errors import SignatureError

PRIVATE_SUFFIX = ".key"
PUBLIC_SUFFIX = ".pub"
_MOST_KEY_BYTES = 1 << 20
_BEGIN = b"-----BEGIN "


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256 of the key's SubjectPublicKeyInfo in DER, 64 hexadecimal digits."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def generate_key(path: Path, passphrase: bytes | None = None) -> tuple[Path, Path, str]:
    """Writes a fresh key pair; returns the private key's file, which only its owner can read, the public one's and the
    key's id.

    path: with or without the suffix .key. passphrase: encrypts the private key. Raises SignatureError where one of the
    files exists, and OSError.
    """
    stem = path.with_suffix("") if path.suffix in (PRIVATE_SUFFIX, PUBLIC_SUFFIX) else path
    private_path, public_path = (stem.with_name(stem.name + suffix) for suffix in (PRIVATE_SUFFIX, PUBLIC_SUFFIX))
    for existing in (private_path, public_path):
        if existing.exists():
            raise SignatureError(f"{existing} exists; a key that is overwritten is lost: choose another name")
    key = Ed25519PrivateKey.generate()
    encryption = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    write_durably(private_path, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption), 0o600)
    public = key.public_key()
    write_durably(public_path, public.public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private_path, public_path, key_id(public)


def read_private_key(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """Raises SignatureError, naming the file, and OSError."""
    try:
        key = serialization.load_pem_private_key(_read(path), passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SignatureError(f"{path} is no private key in PEM, or its passphrase is another one: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError(f"{path} is no Ed25519 key; `vac keygen` makes one")
    return key


def read_public_keys(path: Path) -> list[Ed25519PublicKey]:
    """All keys in a file, which has one or several. Raises SignatureError, naming the file, and OSError."""
    keys: list[Ed25519PublicKey] = []
    for block in _read(path).split(_BEGIN)[1:] or [b""]:
        try:
            key = serialization.load_pem_public_key(_BEGIN + block)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SignatureError(f"{path} is no public key in PEM: {error}") from error
        if not isinstance(key, Ed25519PublicKey):
            raise SignatureError(f"{path} holds a key that is no Ed25519 key")
        keys.append(key)
    return keys


def trusted_keys(paths: Iterable[Path]) -> dict[str, str]:
    """Who is trusted: file name by key id. paths: files of public keys, and folders whose files `*.pub` all
    count.

    Raises SignatureError, naming the file, and OSError.
    """
    trusted: dict[str, str] = {}
    for path in paths:
        files = sorted(path.glob(f"*{PUBLIC_SUFFIX}")) if path.is_dir() else [path]
        if not files:
            raise SignatureError(f"{path} holds no public key: no file there ends in {PUBLIC_SUFFIX}")
        for file in files:
            trusted |= {key_id(key): file.name for key in read_public_keys(file)}
    return trusted


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_KEY_BYTES)
