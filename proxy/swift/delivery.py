"""Turning an object's bytes into a response: conditions, ranges, multipart/byteranges.

The bytes come from a `Source`, so that plain objects, large objects and manifests share one path.
A small object is answered from memory without a generator.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from core.http import Headers, Response
from proxy.swift import condition, ranges
from proxy.swift.call import Call
from proxy.swift.errors import HTML, SwiftError

WHOLE_BYTES_MAX = 64 * 1024  # bodies in memory up to this are sent with the head in one write


class Source(NamedTuple):
    """What a GET delivers: `whole` is the body when it is at hand, else `read(start, length)`."""

    size: int
    etags: tuple[str, ...]  # the tag to show first, then others by which it is known
    modified_us: int
    content_type: str
    read: Callable[[int, int], AsyncIterator[bytes]]
    whole: bytes | None = None


def deliver(call: Call, source: Source, headers: list[tuple[str, str]]) -> Response:
    """Answer GET or HEAD. `headers` holds everything but Content-Type and Content-Length."""
    if condition.has_conditions(call.headers):
        status = condition.read_status(call.headers, source.etags, source.modified_us)
        if status is not None:
            return _unmet(status, headers)
    if call.method == "HEAD":
        headers.append(("Content-Type", source.content_type))
        return Response(200, headers, length=source.size)
    value = call.header(b"range")
    if value is not None:
        specs = ranges.parse(value)
        if specs and condition.range_applies(call.headers, source.etags, source.modified_us):
            return _ranged(call, source, headers, specs)
    headers.append(("Content-Type", source.content_type))
    if source.whole is not None:
        return Response(200, headers, source.whole)
    return Response(200, headers, source.read(0, source.size), length=source.size)


def _unmet(status: int, headers: Headers) -> Response:
    if status == 304:
        return Response(304, headers)
    return Response(412, [*headers, HTML])


def _ranged(
    call: Call, source: Source, headers: list[tuple[str, str]], specs: list[ranges.Spec]
) -> Response:
    size = source.size
    spans = ranges.satisfiable(specs, size)
    if not spans:
        kept = [(n, v) for n, v in headers if n in {"Etag", "Last-Modified", "X-Timestamp"}]
        extra = [*kept, ("Accept-Ranges", "bytes"), ("Content-Range", f"bytes */{size}")]
        raise SwiftError(416, headers=extra)
    if size == 0:
        headers.append(("Content-Type", source.content_type))
        return Response(200, headers)
    if len(spans) == 1:
        start, length = spans[0]
        headers.append(("Content-Type", source.content_type))
        headers.append(("Content-Range", ranges.content_range(spans[0], size)))
        if source.whole is not None:
            return Response(206, headers, source.whole[start : start + length])
        return Response(206, headers, source.read(start, length), length=length)
    boundary = call.env.random_bytes(16).hex()
    headers.append(("Content-Type", f"multipart/byteranges;boundary={boundary}"))
    length = ranges.multipart_length(boundary, source.content_type, spans, size)
    return Response(206, headers, _parts(source, spans, boundary), length=length)


async def _parts(source: Source, spans: list[ranges.Span], boundary: str) -> AsyncIterator[bytes]:
    for span in spans:
        yield ranges.part_head(boundary, source.content_type, span, source.size)
        start, length = span
        if source.whole is not None:
            yield source.whole[start : start + length]
        else:
            async for chunk in source.read(start, length):
                yield chunk
        yield b"\r\n"
    yield f"--{boundary}--".encode()
