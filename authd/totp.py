"""Time-based one-time passwords (RFC 6238: HMAC-SHA1, six digits, 30 seconds). Pure."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable

STEP_S = 30
DIGITS = 6
PREVIOUS_WINDOWS = 1  # a passcode is typed by hand, so the one before still counts


def passcode(secret: bytes, counter: int) -> str:
    """The passcode of one window (RFC 4226 section 5.3)."""
    digest = hmac.digest(secret, counter.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def secret_of(text: str) -> bytes | None:
    """The bytes of a base32 secret, however it is padded; None when it is none."""
    text = text.strip().replace(" ", "").upper().rstrip("=")
    try:
        return base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        return None


def matching_window(secrets: Iterable[str], given: str, now_s: int) -> int | None:
    """The window (counter) whose passcode was given, for any of a user's secrets; None when none fits."""
    now = now_s // STEP_S
    found: int | None = None
    for text in secrets:
        secret = secret_of(text)
        if secret is None:
            continue
        for counter in range(now - PREVIOUS_WINDOWS, now + 1):
            if counter >= 0 and hmac.compare_digest(
                passcode(secret, counter).encode(), given.encode("utf-8", "replace")
            ):
                found = counter
    return found
