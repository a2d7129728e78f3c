"""Join tokens: text that lets one machine in, once, within a time.

A token carries the fingerprint of the authority, so that the machine knows whom it gives its secret to,
and a secret, of which only a hash is kept.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from pathlib import Path

import msgspec

from core.errors import Refused
from core.real import write_durably

FILE = "tokens.json"
PREFIX = "rsj1."
FINGERPRINT_BYTES = 32
SECRET_BYTES = 24
TOKENS_MAX = 1000


class Kept(msgspec.Struct, frozen=True):
    """What is stored of a token."""

    digest: bytes
    until_us: int


def encode_token(fingerprint: bytes, secret: bytes) -> str:
    """The text that a person copies."""
    return PREFIX + base64.urlsafe_b64encode(fingerprint + secret).decode()


def decode_token(text: str) -> tuple[bytes, bytes]:
    """Fingerprint and secret. Raises Refused."""
    try:
        data = base64.urlsafe_b64decode(text.strip().removeprefix(PREFIX))
    except (ValueError, binascii.Error):
        data = b""
    if not text.strip().startswith(PREFIX) or len(data) != FINGERPRINT_BYTES + SECRET_BYTES:
        raise Refused("BadToken", "this is not a token of `ringstack node token`")
    return data[:FINGERPRINT_BYTES], data[FINGERPRINT_BYTES:]


def keep(directory: Path, secret: bytes, *, until_us: int, now_us: int) -> None:
    """Remember a token until it is used or too old. Raises Refused when there are very many."""
    kept = [one for one in _load(directory) if one.until_us > now_us]
    if len(kept) >= TOKENS_MAX:
        raise Refused("TooManyTokens", "there are too many tokens that nobody has used")
    _store(directory, [*kept, Kept(_digest(secret), until_us)])


def check(directory: Path, secret: bytes, now_us: int) -> None:
    """Raises Refused unless the token is known and fresh."""
    digest = _digest(secret)
    good = [hmac.compare_digest(one.digest, digest) for one in _load(directory)]
    if not any(good) or _load(directory)[good.index(True)].until_us <= now_us:
        raise Refused("BadToken", "the token is unknown, used or too old: make another one")


def use(directory: Path, secret: bytes) -> None:
    """Forget a token."""
    digest = _digest(secret)
    _store(directory, [one for one in _load(directory) if one.digest != digest])


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _load(directory: Path) -> list[Kept]:
    try:
        return msgspec.json.decode((directory / FILE).read_bytes(), type=list[Kept])
    except (FileNotFoundError, msgspec.MsgspecError):
        return []


def _store(directory: Path, kept: list[Kept]) -> None:
    write_durably(directory / FILE, msgspec.json.encode(kept))
