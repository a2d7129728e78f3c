"""Continuation tokens: the last name of a page, made opaque. Pure."""

from __future__ import annotations

import base64
import binascii

from proxy.s3.errors import invalid_argument


def encode_token(name: str) -> str:
    """A token that continues after `name`."""
    return base64.urlsafe_b64encode(b"1" + name.encode()).decode()


def decode_token(token: str) -> str:
    """The name in a token; an empty token starts at the beginning. Raises InvalidArgument."""
    if not token:
        return ""
    try:
        data = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        name = data[1:].decode()
    except (binascii.Error, ValueError):
        data, name = b"", ""
    if data[:1] != b"1" or "\0" in name:
        raise invalid_argument(
            "continuation-token", token, "The continuation token provided is incorrect"
        )
    return name
