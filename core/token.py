"""Compact authenticated tokens: who a caller is and until when, sealed with HMAC-SHA256. Pure.

A token is `AUTH_tk` + base64url(32-byte MAC, msgpack array of the claims). Nothing in it is secret,
everything in it is authenticated, and only the canonical base64 form is accepted, so that flipping
any bit of a token makes it worthless. `TokenDesk` remembers tokens it has verified, so that the hot
path costs one dictionary look-up; the memory is bounded and a remembered token still expires.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import NamedTuple

import msgspec

from core.errors import Refused

PREFIX = "AUTH_tk"
MAC_BYTES = 32
KEY_BYTES_MIN = 32
TOKEN_CHARS_MAX = 2048
REMEMBERED_MAX = 4096
_DOMAIN = b"ringstack token 1\0"


class Claims(NamedTuple):
    """What a token says: `expires_s` is seconds since 1970 UTC, exclusive."""

    user: str
    account: str
    admin: bool
    expires_s: int


_decoder = msgspec.msgpack.Decoder(Claims)


def seal(key: bytes, claims: Claims) -> str:
    """Make a token of `claims` under `key` (at least 32 bytes)."""
    assert len(key) >= KEY_BYTES_MIN
    payload = msgspec.msgpack.encode(claims)
    mac = hmac.digest(key, _DOMAIN + payload, hashlib.sha256)
    return PREFIX + base64.urlsafe_b64encode(mac + payload).decode().rstrip("=")


def unseal(key: bytes, token: str) -> Claims:
    """Claims of a token, whether or not they have expired; raises Refused("BadToken")."""
    if not token.startswith(PREFIX) or len(token) > TOKEN_CHARS_MAX:
        raise Refused("BadToken", "this is not a token")
    text = token[len(PREFIX) :]
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Refused("BadToken", "the token is not base64") from None
    mac, payload = sealed[:MAC_BYTES], sealed[MAC_BYTES:]
    expected = hmac.digest(key, _DOMAIN + payload, hashlib.sha256)
    canonical = base64.urlsafe_b64encode(sealed).decode().rstrip("=")
    if not hmac.compare_digest(mac, expected) or canonical != text:
        raise Refused("BadToken", "the token does not verify")
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError:
        raise Refused("BadToken", "the token holds no claims") from None


class TokenDesk:
    """Hands out and verifies the tokens of one installation."""

    def __init__(self, key: bytes) -> None:
        assert len(key) >= KEY_BYTES_MIN
        self._key = key
        self._remembered: dict[str, Claims] = {}

    def issue(self, claims: Claims) -> str:
        """Make a token."""
        return seal(self._key, claims)

    def verify(self, token: str, now_s: int) -> Claims:
        """Claims of a token that holds at `now_s`; raises Refused("BadToken" | "ExpiredToken")."""
        claims = self._remembered.get(token)
        if claims is None:
            claims = unseal(self._key, token)
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[token] = claims
        if now_s >= claims.expires_s:
            self._remembered.pop(token, None)
            raise Refused("ExpiredToken", "the token has expired")
        return claims


def same_secret(given: str, expected: str) -> bool:
    """Compare in a time that depends on neither value nor on their lengths."""
    left = hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()
    right = hashlib.sha256(expected.encode("utf-8", "surrogatepass")).digest()
    return hmac.compare_digest(left, right)
