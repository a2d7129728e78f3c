"""The cluster's own certificate authority: made on the keeper, whose key never leaves it.

Ed25519 throughout. Certificates do not expire in practice: a node is put out by the list of nodes, at
once, and not by a date that a wrong clock could bring early.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import NameOID

from core.errors import Corrupt, Refused
from core.real import make_directory, write_durably
from core.roster import Roster, Signed, decode_signed, encode_signed, signed_bytes
from core.trust import AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY, ROSTER

BEFORE = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
AFTER = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)


def make_authority(directory: Path, installation: str) -> None:
    """A new authority: its certificate for everybody, its key for the keeper alone."""
    make_directory(directory)
    key = Ed25519PrivateKey.generate()
    certificate = _certificate(
        f"ringstack {installation}", key.public_key(), f"ringstack {installation}", key, is_ca=True
    )
    write_durably(directory / AUTHORITY_KEY, _private_pem(key))
    write_durably(directory / AUTHORITY, certificate)


def make_key(directory: Path) -> bytes:
    """This node's own key, made once; returns its public half as PEM."""
    make_directory(directory)
    path = directory / KEY
    if not path.exists():
        write_durably(path, _private_pem(Ed25519PrivateKey.generate()))
    return (
        _load_key(path).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )


def issue(directory: Path, name: str, public_pem: bytes) -> bytes:
    """A certificate for a node, as PEM. Raises Refused for what is no Ed25519 key."""
    try:
        public = load_pem_public_key(public_pem)
    except ValueError as error:
        raise Refused("BadKey", f"the node's key cannot be read: {error}") from None
    if not isinstance(public, Ed25519PublicKey):
        raise Refused("BadKey", "the node's key is not an Ed25519 key")
    authority = x509.load_pem_x509_certificate((directory / AUTHORITY).read_bytes())
    issuer = authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return _certificate(name, public, str(issuer), _load_key(directory / AUTHORITY_KEY))


def store_certificate(directory: Path, certificate: bytes, authority: bytes) -> None:
    """Keep what a keeper has issued."""
    make_directory(directory)
    write_durably(directory / AUTHORITY, authority)
    write_durably(directory / CERTIFICATE, certificate)


def fingerprint(authority_pem: bytes) -> bytes:
    """SHA-256 of an authority's certificate. Raises Corrupt."""
    try:
        certificate = x509.load_pem_x509_certificate(authority_pem)
    except ValueError as error:
        raise Corrupt("BadCertificate", f"no certificate: {error}") from None
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()


def sign(directory: Path, roster: Roster) -> Signed:
    """Sign a list of nodes. Raises Refused on a node that is not the keeper."""
    return Signed(roster, _load_key(directory / AUTHORITY_KEY).sign(signed_bytes(roster)))


def verify(authority_pem: bytes, data: bytes | memoryview) -> Signed:
    """Decode a list and check that the keeper has signed it. Raises Corrupt."""
    signed = decode_signed(data)
    public = x509.load_pem_x509_certificate(authority_pem).public_key()
    assert isinstance(public, Ed25519PublicKey)
    try:
        public.verify(signed.signature, signed_bytes(signed.roster))
    except InvalidSignature:
        raise Corrupt("BadSignature", "the keeper has not signed this list of nodes") from None
    return signed


def store_roster(directory: Path, signed: Signed) -> None:
    """Replace the list of nodes, durably."""
    write_durably(directory / ROSTER, encode_signed(signed))


def _certificate(
    name: str,
    public: Ed25519PublicKey,
    issuer: str,
    key: Ed25519PrivateKey,
    *,
    is_ca: bool = False,
) -> bytes:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(public)
        .serial_number(int.from_bytes(os.urandom(16), "big") >> 1 or 1)
        .not_valid_before(BEFORE)
        .not_valid_after(AFTER)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), True)
        .add_extension(usage, True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
        .sign(key, None)
    )
    return certificate.public_bytes(Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        raise Refused("NotKeeper", f"{path} is not here: this is the keeper's work") from None
    except ValueError as error:
        raise Corrupt("BadKey", f"{path}: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Corrupt("BadKey", f"{path} is not an Ed25519 key")
    return key
