"""What headers of PUT and POST ask an object to be: type, metadata, expiry, manifest marks. Pure."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping

from core.http import header_text
from proxy.store.record import Draft
from proxy.swift import names
from proxy.swift.errors import SwiftError
from proxy.swift.metadata import object_attributes, text_of
from proxy.swift.query import TRUE

DEFAULT_TYPE = "application/octet-stream"
DLO = "swift:dlo"
SLO = "swift:slo"
SYMLINK = "swift:symlink"
EXPIRES_S_MAX = 9_999_999_999
_types = mimetypes.MimeTypes()  # the built-in table, the same on every machine


def content_type_of(headers: Mapping[bytes, bytes], name: str) -> str:
    """Content type of a new object: as given, else guessed from its name."""
    value = headers.get(b"content-type")
    if value and not (
        b"x-detect-content-type" in headers
        and header_text(headers[b"x-detect-content-type"]).lower() in TRUE
    ):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise SwiftError(400, "Invalid Content-Type") from None
    guessed, _ = _types.guess_type(name, strict=True)
    return guessed or DEFAULT_TYPE


def _integer(value: bytes, message: str) -> int:
    text = value.decode("latin-1").strip()
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise SwiftError(400, message)
    return int(text[:20])


def expiry_of(headers: Mapping[bytes, bytes], now_us: int) -> int:
    """Second of expiry that X-Delete-After or X-Delete-At ask for, 0 for never.

    X-Delete-After wins; both must be whole numbers and lie in the future (SwiftError 400). Times beyond
    ten digits mean the last of those.
    """
    after = headers.get(b"x-delete-after")
    now_s = now_us / 1_000_000
    if after is not None:
        at = int(now_s + _integer(after, "Non-integer X-Delete-After"))
        if at <= now_s:
            raise SwiftError(400, "X-Delete-After in past")
        return min(at, EXPIRES_S_MAX)
    value = headers.get(b"x-delete-at")
    if value is None:
        return 0
    at = _integer(value, "Non-integer X-Delete-At")
    if at <= now_s:
        raise SwiftError(400, "X-Delete-At in past")
    return min(at, EXPIRES_S_MAX)


def manifest_mark(value: bytes) -> str:
    """X-Object-Manifest as given, once it is known to be `container/prefix`; SwiftError 400."""
    text = text_of(value)
    container, slash, prefix = names.decode(text).removeprefix("/").partition("/")
    if not (container and slash and prefix) or "?" in text or "&" in text or prefix[0] == "/":
        raise SwiftError(400, "X-Object-Manifest must be in the format container/prefix", html=True)
    return text


def draft_of(headers: Mapping[bytes, bytes], name: str, now_us: int) -> Draft:
    """Draft of a plain object from the headers of its PUT."""
    attributes = object_attributes(headers)
    if b"x-object-manifest" in headers:
        attributes[DLO] = manifest_mark(headers[b"x-object-manifest"])
    expires_s = 0
    if b"x-delete-at" in headers or b"x-delete-after" in headers:
        expires_s = expiry_of(headers, now_us)
    return Draft(content_type_of(headers, name), attributes, expires_s)
