"""Symbolic links: an object that stands for another one (Swift API, "Symlinks").

A link is an empty object with `swift:symlink` attributes. A static link is pinned to the etag its target
had; a dynamic one follows the name. Reading follows up to two links unless `?symlink=get` asks for
the link itself; writing, deleting and POST concern the link only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

from core.errors import Conflict, NotFound
from core.http import Response
from proxy.large import (
    LINK,
    LINK_ACCOUNT,
    LINK_ETAG,
    LINK_SUFFIX,
    MD5_CHARS,
    SLO,
    check_pin,
    follow,
    listed_etag,
)
from proxy.store.record import BodyDigest, Draft, Found, ObjectName
from proxy.swift import condition, draft
from proxy.swift.auth import reader
from proxy.swift.call import Call
from proxy.swift.errors import HTML, SwiftError
from proxy.swift.names import check_account_header, check_object, decode, quoted
from proxy.swift.timestamp import http_date

TARGET = b"x-symlink-target"
ACCOUNT = b"x-symlink-target-account"
ETAG = b"x-symlink-target-etag"
LINK_BYTES = "swift:symlink-bytes"
LINK_SLO = "swift:symlink-slo"
CONTENT_TYPE = "application/symlink"


class Target(NamedTuple):
    """What a new link points to; `etag` pins it."""

    account: str
    where: ObjectName
    etag: str


def target_of(call: Call) -> Target:
    """Target that the headers of a PUT name; raises SwiftError 400 or 412."""
    container, slash, name = decode(call.header(TARGET) or "").partition("/")
    if not (container and slash and name):
        raise SwiftError(
            412, "X-Symlink-Target header must be of the form <container name>/<object name>"
        )
    given = call.header(ACCOUNT)
    account = check_account_header(given) if given is not None else ""
    where = ObjectName(account or call.account, container, name)
    if where == call.where:
        raise SwiftError(400, "Symlink cannot target itself")
    etag = condition.plain_etag((call.headers.get(ETAG) or b"").decode("latin-1"))
    if any(char in etag for char in ';"\\'):
        raise SwiftError(400, "Bad X-Symlink-Target-Etag format")
    return Target(account, where, etag)


async def put(call: Call) -> Response:
    """PUT with X-Symlink-Target and no body."""
    check_object(call.name)
    if call.request.body.length != 0 and await call.request.body.read():
        raise SwiftError(400, "Symlink requests require a zero byte body")
    target = target_of(call)
    plan = draft.draft_of(call.headers, call.name, call.now_us)
    content_type = plan.content_type if b"content-type" in call.headers else CONTENT_TYPE
    attributes = plan.attributes
    attributes[LINK] = f"{target.where.container}/{target.where.name}"
    if target.account:
        attributes[LINK_ACCOUNT] = target.account
    if target.etag:
        found = await _pin(call, target)
        attributes[LINK_ETAG] = target.etag
        size = found.record.attributes.get(LINK_BYTES) or str(found.record.size)
        attributes[LINK_BYTES] = size
        slo_etag = found.record.attributes.get(LINK_SLO)
        if SLO in found.record.attributes:
            slo_etag = found.record.etag[:MD5_CHARS]
        if slo_etag:
            attributes[LINK_SLO] = slo_etag
        if b"content-type" not in call.headers:
            content_type = found.record.content_type

    def finish(digest: BodyDigest) -> Draft:
        return Draft(content_type, attributes, plan.expires_s, etag=digest.md5 + LINK_SUFFIX)

    check = condition.write_check(call.headers)
    stored = await call.store.put_object(call.where, _nothing(), finish, check=check)
    etag = listed_etag(stored.record.etag)
    modified = http_date(stored.record.modified_us)
    return Response(201, [HTML, ("Etag", etag), ("Last-Modified", modified)])


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


async def _pin(call: Call, target: Target) -> Found:
    """The target of a static link, which must exist and have the etag it is pinned to."""
    where = target.where
    await reader(call)(where.account, where.container, False)
    location = [("Content-Location", location_of(where))]
    try:
        found = await call.store.get_object(where)
    except NotFound:
        raise SwiftError(409, "X-Symlink-Target does not exist", headers=location) from None
    try:
        check_pin(target.etag, found)
        if LINK_ETAG in found.record.attributes:
            await follow(call.store, found, permit=reader(call))
    except Conflict as error:
        raise SwiftError(409, error.message, headers=location) from None
    return found


def location_of(where: ObjectName) -> str:
    """Path of an object, for Content-Location and Location."""
    return f"/v1/{quoted(where.account)}/{quoted(where.container)}/{quoted(where.name)}"


def link_headers(attributes: Mapping[str, str]) -> list[tuple[str, str]]:
    """What `?symlink=get` shows of a link."""
    if LINK not in attributes:
        return []
    headers = [("X-Symlink-Target", quoted(attributes[LINK]))]
    if LINK_ACCOUNT in attributes:
        headers.append(("X-Symlink-Target-Account", quoted(attributes[LINK_ACCOUNT])))
    if LINK_ETAG in attributes:
        headers.append(("X-Symlink-Target-Etag", attributes[LINK_ETAG]))
        headers.append(("X-Symlink-Target-Bytes", attributes.get(LINK_BYTES, "0")))
    return headers


async def resolve(call: Call, found: Found) -> Found:
    """The object at the end of a link; raises SwiftError 404 or 409 that names where it led."""
    try:
        return await follow(call.store, found, permit=reader(call))
    except Conflict as error:
        raise SwiftError(409, error.message, headers=_first(found)) from None
    except NotFound:
        raise SwiftError(404, headers=_first(found)) from None
    except SwiftError as error:
        raise SwiftError(error.status, headers=[*error.headers, *_first(found)]) from None


def _first(found: Found) -> list[tuple[str, str]]:
    attributes = found.record.attributes
    container, _, name = attributes[LINK].partition("/")
    account = attributes.get(LINK_ACCOUNT) or found.where.account
    return [("Content-Location", location_of(ObjectName(account, container, name)))]


def redirect(call: Call, attributes: Mapping[str, str]) -> SwiftError:
    """307 of a POST: it was applied to the link, the client should ask the target itself."""
    container, _, name = attributes[LINK].partition("/")
    account = attributes.get(LINK_ACCOUNT) or call.account
    headers = [("Location", location_of(ObjectName(account, container, name)))]
    if LINK_ETAG in attributes:
        headers.append(("X-Symlink-Target-Etag", attributes[LINK_ETAG]))
    text = (
        "The requested POST was applied to a symlink. POST directly to the target to apply "
        "requested metadata."
    )
    return SwiftError(307, text, headers=headers, html=True)
