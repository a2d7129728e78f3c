"""Account ACLs: `X-Account-Access-Control`, a JSON object of three lists of names. Pure.

`admin` may do everything in the account, `read-write` everything below it, `read-only` may read
(OpenStack docs, "Access Control Lists", account ACLs). Only owners and administrators see it.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from proxy.identity import Identity
from proxy.swift.acl import groups_of
from proxy.swift.errors import SwiftError

ATTRIBUTE = "swift:access"
HEADER = b"x-account-access-control"
LEVELS = ("admin", "read-write", "read-only")


class Grant(NamedTuple):
    """What an account ACL gives a caller."""

    admin: bool
    write: bool
    read: bool


NOTHING = Grant(admin=False, write=False, read=False)


def clean(text: str) -> str:
    """Canonical JSON of a header, empty when it grants nothing; raises SwiftError 400."""
    if not text:
        return ""
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise refused(f"Syntax error in input ({text!r})", text) from None
    if not isinstance(document, dict):
        raise refused(f"Syntax error in input ({text!r})", text)
    for key, names in document.items():
        quoted = msgspec.json.encode(key).decode()
        if key not in LEVELS:
            raise refused(f"Key {quoted} not recognized", text)
        if not isinstance(names, list):
            raise refused(f"Value for key {quoted} must be a list", text)
        if not all(isinstance(name, str) for name in names):
            raise refused(f"Elements of {quoted} list must be strings", text)
    granted = {key: document[key] for key in sorted(document) if document[key]}
    return msgspec.json.encode(granted).decode() if granted else ""


def refused(why: str, text: str) -> SwiftError:
    """400 that shows the input."""
    return SwiftError(400, f"X-Account-Access-Control invalid: {why}\n\nInput: {text}\n")


def grant_of(stored: str | None, identity: Identity | None) -> Grant:
    """What a stored ACL gives a caller."""
    if not stored or identity is None:
        return NOTHING
    lists = msgspec.json.decode(stored, type=dict[str, list[str]])
    names = groups_of(identity)
    admin, write, read = (not names.isdisjoint(lists.get(level, ())) for level in LEVELS)
    return Grant(admin, admin or write, admin or write or read)
