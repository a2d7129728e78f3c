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
from proxy.store.port import Check
from proxy.store.record import BodyDigest, Draft, Found, ObjectRecord
from proxy.swift import condition, draft, metadata
from proxy.swift.call import Call
from proxy.swift.delivery import WHOLE_BYTES_MAX, Source, deliver
from proxy.swift.errors import HTML, SwiftError
from proxy.swift.names import check_object, quoted
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
            headers.append(("X-Object-Manifest", quoted(mark)))
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
    return deliver(call, plain_source(call, found), plain_headers(record, record.etag))


def plain_source(call: Call, found: Found) -> Source:
    """The stored body itself."""
    record = found.record
    size = record.body_size
    whole = found.inline if not record.manifest and size <= WHOLE_BYTES_MAX else None
    return Source(
        size,
        (record.etag,),
        record.modified_us,
        record.content_type,
        functools.partial(call.store.read, found),
        whole,
    )


# -- PUT ---------------------------------------------------------------------------------------


async def put(call: Call) -> Response:
    """PUT of a body."""
    headers = call.headers
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

    body = call.request.body.__aiter__() if length is not None else limited(call)
    found = await call.store.put_object(call.where, body, finish, check=put_check(headers))
    return created(found, found.record.etag)


async def limited(call: Call) -> AsyncIterator[bytes]:
    """A chunked body, refused when it grows past the limit of one PUT."""
    left = limits.PUT_BYTES_MAX
    body = call.request.body
    while chunk := await body.read():
        left -= len(chunk)
        if left < 0:
            raise SwiftError(413, "Your request is too large.")
        yield chunk


def put_check(headers: Mapping[bytes, bytes]) -> Check | None:
    """The condition of a PUT or DELETE, decided by the store on the confirmed record."""
    none_match = headers.get(b"if-none-match")
    match = headers.get(b"if-match")
    if none_match is None and match is None:
        return None
    condition.refuse_put_tags(headers)

    def check(current: ObjectRecord | None) -> None:
        if none_match is not None and current is not None:
            raise SwiftError(412)
        if match is not None and (
            current is None or not condition.matches(match, record_etags(current))
        ):
            raise SwiftError(412)

    return check


def record_etags(record: ObjectRecord) -> tuple[str, ...]:
    """Every tag under which a record is known: a large object has its own and its manifest's."""
    etag = record.etag
    return (etag,) if len(etag) == 32 else (etag[:32], etag[33:], etag)


# -- POST and DELETE ---------------------------------------------------------------------------


async def post(call: Call) -> Response:
    """POST replaces the metadata and answers 202."""
    headers = call.headers
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

    await call.store.update_object(call.where, change)
    return Response(202, [HTML], b"<html><h1>Accepted</h1></html>")


def keeps(key: str) -> bool:
    """Attributes that a POST cannot touch: what makes a static manifest, and the other dialect's."""
    return key.startswith("s3:") or (key.startswith("swift:") and key != draft.DLO)


async def delete(call: Call) -> Response:
    """DELETE; deleting a name that is not there is 404."""
    check = put_check(call.headers)
    try:
        await call.store.delete_object(call.where, check=check)
    except NotFound:
        raise SwiftError(404) from None
    return Response(204, [HTML])
