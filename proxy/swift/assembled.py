"""GET and HEAD of large objects: static, dynamic, and the multipart objects of the other dialect.

They differ from plain objects in where the bytes come from, in a quoted etag that is not the MD5 of the
bytes, and in `multipart-manifest=get` and `part-number`. A segment that is missing or changed is 409 before
the first byte.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import AsyncIterator

import msgspec

from core.http import Response
from proxy.large import DLO, SLO, LargeObject, Segment, listed_etag, open_large
from proxy.store.record import Found
from proxy.swift import condition, manifest, ranges
from proxy.swift.auth import reader
from proxy.swift.call import Call
from proxy.swift.delivery import Source, deliver
from proxy.swift.errors import SwiftError
from proxy.swift.names import quoted

MANIFEST_TYPE = "application/json; charset=utf-8"
Headers = list[tuple[str, str]]


def is_assembled(found: Found) -> bool:
    """The record is no plain object."""
    record = found.record
    return SLO in record.attributes or DLO in record.attributes or bool(record.parts)


async def get(call: Call, found: Found, headers: Headers) -> Response:
    """GET or HEAD. `headers` are those of the record, the first of them its etag."""
    record = found.record
    if SLO in record.attributes:
        return await _static(call, found, headers)
    if record.parts:
        return await _multipart(call, found, headers)
    if call.params.get("multipart-manifest") == "get":
        return deliver(call, stored_source(call, found, record.content_type), headers)
    large = await open_large(call.store, found, permit=reader(call))
    assert large is not None
    headers[0] = ("Etag", f'"{large.digest}"')
    return await _whole(call, large, headers, (large.digest,), one_range=True)


def stored_source(call: Call, found: Found, content_type: str) -> Source:
    """The manifest itself."""
    record = found.record
    read = functools.partial(call.store.read, found)
    return Source(
        record.body_size, (listed_etag(record.etag),), record.modified_us, content_type, read
    )


async def _whole(
    call: Call,
    large: LargeObject,
    headers: Headers,
    etags: tuple[str, ...],
    *,
    one_range: bool = False,
) -> Response:
    """Deliver the concatenated bytes. `one_range`: several ranges are answered with the whole."""
    start = 0
    if call.method == "GET":
        specs = ranges.parse(call.header(b"range") or "")
        if specs and one_range and len(specs) > 1:
            call.headers.pop(b"range")
        elif specs and (spans := ranges.satisfiable(specs, large.size)):
            start = spans[0][0]
    record = large.found.record
    source = Source(large.size, etags, record.modified_us, record.content_type, large.read)
    response = deliver(call, source, headers)
    if call.method == "GET" and response.status in {200, 206} and large.size:
        await large.prepare(start)
    return response


# -- static ------------------------------------------------------------------------------------


async def _static(call: Call, found: Found, headers: Headers) -> Response:
    record = found.record
    headers.append(("X-Static-Large-Object", "True"))
    large = LargeObject(call.store, found, permit=reader(call), depth=0)
    if call.params.get("multipart-manifest") == "get":
        headers[0] = ("Etag", listed_etag(record.etag))
        if call.params.get("format") == "raw":
            body = manifest.raw(await large.segments())
            return _document(call, found, headers, body, content_type=record.content_type)
        return deliver(call, stored_source(call, found, MANIFEST_TYPE), headers)
    headers[0] = ("Etag", f'"{large.digest}"')
    headers.append(("X-Manifest-Etag", listed_etag(record.etag)))
    number = part_number(call)
    if number is not None:
        return await _span(call, large, headers, number)
    return await _whole(call, large, headers, (large.digest,))


def _document(
    call: Call, found: Found, headers: Headers, body: bytes, *, content_type: str
) -> Response:
    etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
    headers[0] = ("Etag", etag)

    async def read(start: int, length: int) -> AsyncIterator[bytes]:
        yield body[start : start + length]

    source = Source(len(body), (etag,), found.record.modified_us, content_type, read, body)
    return deliver(call, source, headers)


def part_number(call: Call) -> int | None:
    """`part-number` of the query; SwiftError 400 when it is odd or stands beside a Range."""
    text = call.params.get("part-number")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text)):
        raise SwiftError(400, "Part number must be an integer greater than 0", html=True)
    if ranges.parse(call.header(b"range") or ""):
        raise SwiftError(
            400, "Range requests are not supported with part number queries", html=True
        )
    return int(text)


async def _span(call: Call, large: LargeObject, headers: Headers, number: int) -> Response:
    """One segment, as 206."""
    spans = await large.parts()
    headers.append(("X-Parts-Count", str(len(spans))))
    if number > len(spans):
        headers.append(("Content-Range", f"bytes */{large.size}"))
        text = "The requested part number is not satisfiable" if call.method == "GET" else ""
        headers.append(("Content-Type", "text/html; charset=UTF-8"))
        return Response(416, headers, text.encode())
    span = spans[number - 1]
    status = condition.read_status(call.headers, (large.digest,), large.modified_us)
    headers.append(("Content-Type", large.content_type))
    if status is not None:
        return Response(status, headers)
    headers.append(("Content-Range", ranges.content_range(span, large.size)))
    if call.method == "HEAD":
        return Response(206, headers, length=span[1])
    await large.prepare(span[0])
    return Response(206, headers, large.read(*span), length=span[1])


# -- multipart objects -------------------------------------------------------------------------


class _Parts(LargeObject):
    """A multipart object: one body, whose parts are known by number."""

    async def prepare(self, start: int = 0) -> None:
        del start

    async def parts(self) -> list[tuple[int, int]]:
        sizes = [part.size for part in self.found.record.parts]
        starts = itertools.accumulate(sizes, initial=0)
        return list(zip(starts, sizes, strict=False))

    def read(self, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        return self._store.read(self.found, start, length)


async def _multipart(call: Call, found: Found, headers: Headers) -> Response:
    record = found.record
    headers.append(("X-Static-Large-Object", "True"))
    if call.params.get("multipart-manifest") == "get":
        where = quoted(found.where.name)
        items = [
            Segment(
                name=f"/{quoted(found.where.container)}/{where}?part-number={part.number}",
                size=part.size,
                etag=part.etag,
                content_type=record.content_type,
            )
            for part in record.parts
        ]
        return _document(
            call, found, headers, msgspec.json.encode(items), content_type=MANIFEST_TYPE
        )
    headers[0] = ("Etag", f'"{record.etag}"')
    large = _Parts(call.store, found, permit=None, depth=0)
    number = part_number(call)
    if number is not None:
        return await _span(call, large, headers, number)
    return await _whole(call, large, headers, (record.etag,))
