"""SSH keys: a given one read and its fingerprint, or a new pair made.

Key pairs of type x509 are not built.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from core.api.fault import bad_request

RSA_BITS = 2048


class Pair(NamedTuple):
    """A new pair, as text."""

    public: str
    private: str


def fingerprint_of(public: str) -> str:
    """MD5 of an SSH public key, in pairs of digits. Raises Fault 400 for what is none."""
    try:
        blob = base64.b64decode(public.split()[1], validate=True)
        serialization.load_ssh_public_key(" ".join(public.split()[:2]).encode())
    except (IndexError, binascii.Error, ValueError, UnsupportedAlgorithm):
        raise bad_request("Keypair data is invalid: failed to generate fingerprint") from None
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def generate(comment: str = "Generated-by-Nova") -> Pair:
    """A new RSA pair; the private part is remembered by nobody here. Takes tenths of a second."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return Pair(f"{public.decode()} {comment}\n", private.decode())
