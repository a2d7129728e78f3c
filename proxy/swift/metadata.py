"""Metadata headers: limits, what is kept as attributes, and how attributes become headers. Pure.

Object metadata is replaced as a whole (object PUT and POST); account and container metadata is
merged, where an empty value or `X-Remove-...` removes an item. Limits are Swift's: names of 128
bytes, values of 256, 90 items, 4096 bytes together.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from proxy.swift.errors import SwiftError

META_NAME_BYTES_MAX = 128
META_VALUE_BYTES_MAX = 256
META_COUNT_MAX = 90
META_TOTAL_BYTES_MAX = 4096
HEADER_VALUE_BYTES_MAX = 8192

# Kept with an object as attributes "header:<name>" and sent back as they came.
KEPT_HEADERS: dict[bytes, str] = {
    b"content-disposition": "header:content-disposition",
    b"content-encoding": "header:content-encoding",
    b"content-language": "header:content-language",
    b"cache-control": "header:cache-control",
    b"expires": "header:expires",
    b"x-robots-tag": "header:x-robots-tag",
}
PREFIX_OF_KIND = {
    "account": b"x-account-meta-",
    "container": b"x-container-meta-",
    "object": b"x-object-meta-",
}
OBJECT_PREFIX = b"x-object-meta-"
OBJECT_PREFIX_SIZE = len(OBJECT_PREFIX)

Attributes = dict[str, str]


def text_of(value: bytes) -> str:
    """Header value as text; SwiftError 400 unless it is UTF-8 without control characters."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise SwiftError(400, "Metadata must be valid UTF-8") from None
    if not text.isprintable() and any(ord(c) < 32 or ord(c) == 127 for c in text if c != "\t"):
        raise SwiftError(400, "Header values must not hold control characters")
    return text


def check_token(name: str) -> None:
    """A name that did not come as a header must still be able to leave as one (RFC 9110 token)."""
    if not all((c.isascii() and c.isalnum()) or c in "!#$%&'*+-.^_`|~" for c in name):
        raise SwiftError(400, "Metadata name is no header name")


def check_item(kind: str, name: str, value: bytes) -> None:
    """Limits of one item."""
    if not name:
        raise SwiftError(400, "Metadata name cannot be empty")
    if len(name) > META_NAME_BYTES_MAX:
        raise SwiftError(400, f"Metadata name too long: x-{kind}-meta-{name}")
    if len(value) > META_VALUE_BYTES_MAX:
        raise SwiftError(
            400, f"Metadata value longer than {META_VALUE_BYTES_MAX}: x-{kind}-meta-{name}"
        )


def check_totals(items: Iterable[tuple[str, str]]) -> None:
    """Limits of all items together; names come without their prefix."""
    count = total = 0
    for name, value in items:
        count += 1
        total += len(name) + (len(value) if value.isascii() else len(value.encode()))
    if count > META_COUNT_MAX:
        raise SwiftError(400, f"Too many metadata items; max {META_COUNT_MAX}")
    if total > META_TOTAL_BYTES_MAX:
        raise SwiftError(400, f"Total metadata too large; max {META_TOTAL_BYTES_MAX}")


def object_attributes(headers: Mapping[bytes, bytes]) -> Attributes:
    """Attributes that the headers of an object PUT, POST or COPY ask for."""
    attributes: Attributes = {}
    count = total = 0
    for name, value in headers.items():
        if name.startswith(OBJECT_PREFIX):
            key = name[OBJECT_PREFIX_SIZE:].decode("latin-1")
            check_item("object", key, value)
            count += 1
            total += len(key) + len(value)
            attributes["meta:" + key] = text_of(value)
        elif name in KEPT_HEADERS and value:
            attributes[KEPT_HEADERS[name]] = text_of(value)
        if len(value) > HEADER_VALUE_BYTES_MAX:
            raise SwiftError(400, f"Header value too long: {name[:128].decode('latin-1')}")
    if count > META_COUNT_MAX:
        raise SwiftError(400, f"Too many metadata items; max {META_COUNT_MAX}")
    if total > META_TOTAL_BYTES_MAX:
        raise SwiftError(400, f"Total metadata too large; max {META_TOTAL_BYTES_MAX}")
    return attributes


def merge_change(kind: str, headers: Mapping[bytes, bytes]) -> dict[str, str | None]:
    """Change of account or container metadata that headers ask for; None removes an item."""
    prefix = PREFIX_OF_KIND[kind]
    removal = prefix.replace(b"x-", b"x-remove-", 1)
    change: dict[str, str | None] = {}
    for name, value in headers.items():
        if len(value) > HEADER_VALUE_BYTES_MAX:
            raise SwiftError(400, f"Header value too long: {name[:128].decode('latin-1')}")
        if name.startswith(prefix):
            key = name[len(prefix) :].decode("latin-1")
            check_item(kind, key, value)
            change["meta:" + key] = text_of(value) or None
        elif name.startswith(removal):
            key = name[len(removal) :].decode("latin-1")
            check_item(kind, key, b"")
            change.setdefault("meta:" + key, None)
    added = [(key[5:], value) for key, value in change.items() if value is not None]
    check_totals(added)
    return change


def check_merged(known: Mapping[str, str], change: Mapping[str, str | None]) -> None:
    """Refuse a change after which the metadata of an account or container is over its limits."""
    after = {key: value for key, value in known.items() if key.startswith("meta:")}
    for key, value in change.items():
        if not key.startswith("meta:"):
            continue
        if value is None:
            after.pop(key, None)
        else:
            after[key] = value
    check_totals((key[5:], value) for key, value in after.items())


@functools.lru_cache(maxsize=4096)
def header_name(kind: str, key: str) -> str:
    """`X-Object-Meta-Some-Name` of an attribute key `meta:some-name`."""
    return f"X-{kind.title()}-Meta-{key[5:].title()}"


@functools.lru_cache(maxsize=64)
def _kept_name(key: str) -> str:
    return key[7:].title()


def object_headers(attributes: Mapping[str, str]) -> list[tuple[str, str]]:
    """Response headers of an object's user metadata and kept headers."""
    headers: list[tuple[str, str]] = []
    for key, value in attributes.items():
        if key.startswith("meta:"):
            headers.append((header_name("object", key), value))
        elif key.startswith("header:"):
            headers.append((_kept_name(key), value))
    return headers


def meta_headers(kind: str, attributes: Mapping[str, str]) -> list[tuple[str, str]]:
    """Response headers of account or container metadata."""
    return [
        (header_name(kind, key), value)
        for key, value in attributes.items()
        if key.startswith("meta:")
    ]
