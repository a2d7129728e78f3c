"""Splitting a Swift path into account, container and object, and the limits of names. Pure.

The path is percent-decoded as a whole and then split, as the API has always done, so `%2F` separates
like `/`. Names are opaque UTF-8: `..`, `//` and trailing slashes of objects mean nothing special.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from core import limits
from proxy.swift.errors import SwiftError

BAD_NAME = "Invalid UTF8 or contains NULL"
VERSIONS = ("v1", "v1.0")


class Target(NamedTuple):
    """What a path names; `container` and `name` are empty when the path ends before them."""

    account: str
    container: str
    name: str


def decode(text: str) -> str:
    """Percent-decode to UTF-8 text; raises SwiftError 412 on bad UTF-8 or NUL."""
    if "%" not in text:
        if "\0" in text:
            raise SwiftError(412, BAD_NAME)
        return text
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise SwiftError(412, BAD_NAME) from None
    if "\0" in decoded:
        raise SwiftError(412, BAD_NAME)
    return decoded


def parse_path(path: str) -> Target:
    """Target of `/v1/account[/container[/object]]`; raises SwiftError 404 or 412."""
    parts = decode(path).split("/", 4)
    if len(parts) < 2 or parts[1] not in VERSIONS:
        raise SwiftError(404)
    if len(parts) == 2 or (len(parts) == 3 and not parts[2]):
        raise SwiftError(412, "Bad URL", html=True)
    account = parts[2]
    container = parts[3] if len(parts) > 3 else ""
    name = parts[4] if len(parts) > 4 else ""
    if not account or (name and not container):
        raise SwiftError(404)
    return Target(account, container, name)


def quoted(name: str) -> str:
    """Percent-encoded form of a path or name for a header or a body; `/` stays, as do bad bytes."""
    return quote(name, errors="surrogateescape")


def is_name(text: str) -> bool:
    """Text decoded with `surrogateescape` is UTF-8 without NUL."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def check_container(container: str) -> None:
    """Refuse a container name that cannot be created (Swift: at most 256 bytes, no slash)."""
    size = len(container.encode())
    if size > limits.CONTAINER_NAME_BYTES_MAX:
        raise SwiftError(
            400,
            f"Container name length of {size} longer than {limits.CONTAINER_NAME_BYTES_MAX}",
            html=True,
        )


def check_object(name: str) -> None:
    """Refuse an object name that cannot be created (Swift: at most 1024 bytes)."""
    if len(name) * 4 <= limits.OBJECT_NAME_BYTES_MAX:
        return
    size = len(name.encode())
    if size > limits.OBJECT_NAME_BYTES_MAX:
        raise SwiftError(
            400, f"Object name length of {size} longer than {limits.OBJECT_NAME_BYTES_MAX}"
        )


def split_pair(value: str, header: str) -> tuple[str, str]:
    """Container and object of a header such as `Destination`; raises SwiftError 412.

    The value is percent-encoded `[/]container/object`.
    """
    container, slash, name = decode(value.removeprefix("/")).partition("/")
    if not (container and slash and name):
        raise SwiftError(
            412, f"{header} header must be of the form <container name>/<object name>", html=True
        )
    return container, name


def check_account_header(value: str) -> str:
    """Account named by `Destination-Account` or `X-Copy-From-Account`; raises SwiftError 412."""
    account = decode(value)
    if not account:
        raise SwiftError(412, "Account name cannot be empty", html=True)
    if "/" in account:
        raise SwiftError(412, "Account name cannot contain slashes", html=True)
    return account
