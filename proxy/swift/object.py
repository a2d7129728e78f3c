"""Objects: PUT, GET, HEAD, POST and DELETE of one name.

PUT streams the body to the store and learns its MD5 there; GET streams verified bytes back. POST replaces
the user metadata and keeps what is not in it (content type, static manifest). Copies, large objects and
symbolic links have files of their own.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Mapping

from core import limits
from core.errors import NotFound
from core.http import Response
from proxy.large import LINK, listed_etag
from proxy.store.port import Check
from proxy.store.record import BodyDigest, Draft, Found, ObjectRecord
from proxy.swift import assembled, bulk, condition, copy, draft, metadata, slo, symlink
from proxy.swift.call import Call
from proxy.swift.delivery import WHOLE_BYTES_MAX, Source, deliver
from proxy.swift.errors import HTML, SwiftError
from proxy.swift.names import check_object
from proxy.swift.quota import check_quota
from proxy.swift.timestamp import http_date, x_timestamp

# -- headers -----------------------------------------------------------------------------------


def plain_headers(record: ObjectRecord, etag: str) -> list[tuple[str, str]]:
    """Headers of GET and HEAD, without Content-Type and Content-Length."""
    modified_us = record.modified_us
    headers = [
        ("Etag", etag),
        ("Last-Modified", http_date(modified_us)),
        ("X-Timestamp", x_timestamp(modified_us)),
        ("Accept-Ranges", "bytes"),
    ]
    if record.attributes:
        headers += metadata.object_headers(record.attributes)
        mark = record.attributes.get(draft.DLO)
        if mark is not None:
            headers.append(("X-Object-Manifest", mark))
    if record.expires_s:
        headers.append(("X-Delete-At", str(record.expires_s)))
    return headers


def created(found: Found, etag: str) -> Response:
    """201 of a PUT."""
    return Response(
        201, [HTML, ("Etag", etag), ("Last-Modified", http_date(found.record.modified_us))]
    )


# -- GET and HEAD ------------------------------------------------------------------------------


async def get(call: Call) -> Response:
    """GET and HEAD."""
    found = await call.store.get_object(call.where)
    record = found.record
    attributes = record.attributes
    if record.parts or (attributes and any(key.startswith("swift:") for key in attributes)):
        return await _get_special(call, found)
    return deliver(call, plain_source(call, found), plain_headers(record, record.etag))


async def _get_special(call: Call, found: Found) -> Response:
    """Symbolic links, large objects, and what the other dialect made of parts."""
    extra: list[tuple[str, str]] = []
    if LINK in found.record.attributes:
        if call.params.get("symlink") == "get":
            extra = symlink.link_headers(found.record.attributes)
        else:
            found = await symlink.resolve(call, found)
            extra = [("Content-Location", symlink.location_of(found.where))]
    record = found.record
    headers = plain_headers(record, listed_etag(record.etag)) + extra
    if assembled.is_assembled(found):
        return await assembled.get(call, found, headers)
    return deliver(call, plain_source(call, found), headers)


def plain_source(call: Call, found: Found) -> Source:
    """The stored body itself."""
    record = found.record
    size = record.body_size
    whole = found.inline if not record.manifest and size <= WHOLE_BYTES_MAX else None
    return Source(
        size,
        (listed_etag(record.etag),),
        record.modified_us,
        record.content_type,
        functools.partial(call.store.read, found),
        whole,
    )


# -- PUT ---------------------------------------------------------------------------------------


async def put(call: Call) -> Response:
    """PUT: of a body, a copy, a manifest or a link."""
    headers = call.headers
    if b"x-copy-from" in headers:
        return await copy.put_copy(call)
    if call.params and call.params.get("multipart-manifest") == "put":
        return await slo.put(call)
    if symlink.TARGET in headers:
        return await symlink.put(call)
    if not call.has_length:
        raise SwiftError(411, "Missing Content-Length header.")
    length = call.request.body.length
    if length is not None and length > limits.PUT_BYTES_MAX:
        raise SwiftError(413, "Your request is too large.")
    check_object(call.name)
    wanted = draft.draft_of(headers, call.name, call.now_us)
    etag = headers.get(b"etag")
    expected = condition.plain_etag(etag.decode("latin-1")).lower() if etag else ""

    def finish(digest: BodyDigest) -> Draft:
        if expected and digest.md5 != expected:
            raise SwiftError(422)
        return wanted

    left = await check_quota(call, call.account, call.container, length)
    if length is not None:
        body = call.request.body.__aiter__()
    else:
        body = limited(call, limits.PUT_BYTES_MAX if left is None else left)
    found = await call.store.put_object(
        call.where, body, finish, check=condition.write_check(headers)
    )
    return created(found, found.record.etag)


async def limited(call: Call, left: int) -> AsyncIterator[bytes]:
    """A chunked body, refused when it grows past `left` bytes."""
    body = call.request.body
    while chunk := await body.read():
        left -= len(chunk)
        if left < 0:
            raise SwiftError(413, "Your request is too large.")
        yield chunk


# -- POST and DELETE ---------------------------------------------------------------------------


async def post(call: Call) -> Response:
    """POST replaces the metadata and answers 202."""
    headers = call.headers
    if symlink.TARGET in headers:
        raise SwiftError(400, "A PUT request is required to set a symlink target")
    attributes = metadata.object_attributes(headers)
    if b"x-object-manifest" in headers:
        attributes[draft.DLO] = draft.manifest_mark(headers[b"x-object-manifest"])
    expires_s = draft.expiry_of(headers, call.now_us)
    content_type = draft.content_type_of(headers, "") if headers.get(b"content-type") else ""

    def change(record: ObjectRecord) -> Draft:
        kept = {key: value for key, value in record.attributes.items() if keeps(key)}
        return Draft(
            content_type or record.content_type,
            {**attributes, **kept},
            expires_s,
            etag=record.etag,
            size=record.size,
            parts=record.parts,
        )

    found = await call.store.update_object(call.where, change)
    if LINK in found.record.attributes:
        raise symlink.redirect(call, found.record.attributes)
    return Response(202, [HTML], b"<html><h1>Accepted</h1></html>")


def keeps(key: str) -> bool:
    """Attributes that a POST cannot touch: what makes a static manifest, and the other dialect's."""
    return key.startswith("s3:") or (key.startswith("swift:") and key != draft.DLO)


async def delete(call: Call) -> Response:
    """DELETE; deleting a name that is not there is 404."""
    if call.params.get("multipart-manifest") == "delete":
        return await bulk.delete_large(call)
    try:
        await call.store.delete_object(call.where, check=delete_check(call.headers))
    except NotFound:
        raise SwiftError(404) from None
    return Response(204, [HTML])


def delete_check(headers: Mapping[bytes, bytes]) -> Check | None:
    """The condition of a DELETE; with X-If-Delete-At the object must expire at that very second."""
    check = condition.write_check(headers)
    value = headers.get(b"x-if-delete-at")
    if value is None:
        return check
    text = value.decode("latin-1").strip()
    if not (text.isascii() and text.isdigit()):
        raise SwiftError(400, "Bad X-If-Delete-At header value", html=True)

    def check_expiry(current: ObjectRecord | None) -> None:
        if check is not None:
            check(current)
        if current is None:
            raise SwiftError(404)
        if str(current.expires_s) != text.lstrip("0"):
            raise SwiftError(412, "X-If-Delete-At and X-Delete-At do not match", html=True)

    return check_expiry
