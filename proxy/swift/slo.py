"""Static large objects: storing a manifest, and deleting one together with its segments.

A manifest is stored as the body of its object; the record carries the total size and an etag of both
kinds, so that HEAD and listings need not read it. Every segment is looked at when the manifest is put
(concurrently, each object once) and again when it is read.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence

from core.errors import NotFound, RingstackError
from core.http import Response
from proxy.large import SLO, LargeObject, Segment, encode_manifest, etag_of, open_large
from proxy.store.record import BodyDigest, Draft, Found, ObjectName
from proxy.swift import condition, draft, manifest, metadata, ranges
from proxy.swift.accept import report_type
from proxy.swift.auth import authorise_in, reader
from proxy.swift.call import Call
from proxy.swift.errors import (
    HTML,
    SwiftError,
    explanation,
    status_line,
    status_of,
)
from proxy.swift.info import MANIFEST_BYTES_MAX
from proxy.swift.names import check_object, quoted
from proxy.swift.query import is_true
from proxy.swift.quota import check_quota
from proxy.swift.report import Report, render, reported
from proxy.swift.timestamp import http_date, iso

CONCURRENCY = 16


async def put(call: Call) -> Response:
    """`PUT ?multipart-manifest=put`."""
    if b"x-copy-from" in call.headers:
        raise SwiftError(405, "Multipart Manifest PUTs cannot be COPY requests", html=True)
    if not call.has_length:
        raise SwiftError(411)
    check_object(call.name)
    length = call.request.body.length
    if length is not None and length > MANIFEST_BYTES_MAX:
        raise SwiftError(413, f"Manifest File > {MANIFEST_BYTES_MAX} bytes")
    body = await call.request.body.read_all(MANIFEST_BYTES_MAX)
    wanted = manifest.parse(body, (call.container, call.name))
    etag = call.headers.get(b"etag")
    expected = condition.plain_etag(etag.decode("latin-1")) if etag else ""
    attributes = metadata.object_attributes(call.headers)
    expires_s = draft.expiry_of(call.headers, call.now_us)
    content_type = draft.content_type_of(call.headers, call.name)
    plan = Draft(content_type, attributes, expires_s)
    return await store(call, wanted, plan, expected)


async def store(
    call: Call, wanted: Sequence[manifest.Wanted], plan: Draft, expected: str
) -> Response:
    """Check all segments and store the manifest; the answer follows `heartbeat=on`."""
    kind = report_type(call.header(b"accept"))
    if is_true(call.params.get("heartbeat")):
        work = _reported(call, wanted, plan, expected)
        return await reported(call.header(b"accept"), 202, "upload", work, at_once=True)
    segments, problems = await look_up(call, wanted)
    if problems:
        return Response(400, [("Content-Type", kind)], render(kind, "upload", {}, problems))
    found, slo_etag = await _commit(call, segments, plan, expected)
    modified = http_date(found.record.modified_us)
    return Response(201, [HTML, ("Etag", f'"{slo_etag}"'), ("Last-Modified", modified)])


async def _reported(
    call: Call, wanted: Sequence[manifest.Wanted], plan: Draft, expected: str
) -> Report:
    segments, problems = await look_up(call, wanted)
    if problems:
        fields = {"Response Status": status_line(400), "Response Body": explanation(400)}
        return fields, problems
    found, slo_etag = await _commit(call, segments, plan, expected)
    return {
        "Response Status": status_line(201),
        "Response Body": "",
        "Etag": f'"{slo_etag}"',
        "Last Modified": http_date(found.record.modified_us),
    }, []


async def _commit(
    call: Call, segments: list[Segment], plan: Draft, expected: str
) -> tuple[Found, str]:
    slo_etag = etag_of([segment.digest for segment in segments])
    if expected and expected != slo_etag:
        raise SwiftError(422)
    body = encode_manifest(segments)
    await check_quota(call, call.account, call.container, len(body))
    size = sum(segment.piece[1] for segment in segments)

    def finish(digest: BodyDigest) -> Draft:
        return plan._replace(
            attributes={**plan.attributes, SLO: str(len(segments))},
            etag=f"{slo_etag}-{digest.md5}",
            size=size,
        )

    where = call.where
    check = condition.write_check(call.headers)
    return await call.store.put_object(where, _once(body), finish, check=check), slo_etag


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


# -- looking at segments -----------------------------------------------------------------------


async def look_up(
    call: Call, wanted: Sequence[manifest.Wanted]
) -> tuple[list[Segment], list[tuple[str, str]]]:
    """Stored form of every segment, and what is wrong with them."""
    paths = list({(item.container, item.name): None for item in wanted if item.path})
    gate = asyncio.Semaphore(CONCURRENCY)
    denied: dict[str, RingstackError] = {}
    for container in {container for container, _ in paths}:
        try:
            await authorise_in(call, call.account, container, write=False)
        except SwiftError as error:
            denied[container] = error

    async def look(path: tuple[str, str]) -> Found | RingstackError:
        if path[0] in denied:
            return denied[path[0]]
        async with gate:
            try:
                return await call.store.get_object(ObjectName(call.account, *path))
            except RingstackError as error:
                return error

    looked = dict(zip(paths, await asyncio.gather(*map(look, paths)), strict=True))
    segments: list[Segment] = []
    problems: list[tuple[str, str]] = []
    for index, item in enumerate(wanted):
        if not item.path:
            segments.append(Segment(data=base64.b64encode(item.data).decode()))
            continue
        found = looked[item.container, item.name]
        if isinstance(found, RingstackError):
            problems.append((quoted(item.path), status_line(status_of(found))))
            continue
        segment, wrong = await _judge(call, item, found, last=index == len(wanted) - 1)
        segments.append(segment)
        problems += [(quoted(item.path), reason) for reason in wrong]
    return segments, problems


async def _judge(
    call: Call, item: manifest.Wanted, found: Found, *, last: bool
) -> tuple[Segment, list[str]]:
    """One segment against what the client said of it."""
    record = found.record
    size, etag = record.size, record.etag
    if record.attributes:
        try:
            inner = await open_large(call.store, found, permit=reader(call))
        except RingstackError as error:
            return Segment(), [status_line(status_of(error))]
        if inner is not None:
            size, etag = inner.size, inner.digest
    wrong: list[str] = []
    span, length = "", size
    if item.span is not None:
        spans = ranges.satisfiable([item.span], size)
        if not spans:
            wrong.append("Unsatisfiable Range")
        elif spans[0] != (0, size):
            start, length = spans[0]
            span = f"{start}-{start + length - 1}"
    if length < 1 and not last:
        wrong.append("Too small; each segment must be at least 1 byte.")
    if item.size is not None and item.size != size:
        wrong.append("Size Mismatch")
    if item.etag is not None and item.etag != etag:
        wrong.append("Etag Mismatch")
    segment = Segment(
        name=f"/{item.container}/{item.name}",
        size=size,
        etag=etag,
        content_type=record.content_type,
        modified=iso(record.modified_us),
        span=span,
        sub_slo=SLO in record.attributes,
    )
    return segment, wrong


# -- deleting ----------------------------------------------------------------------------------


async def all_segments(call: Call, found: Found) -> list[str]:
    """Paths `/container/object` of all segments below a manifest, its own last."""
    paths: dict[str, None] = {}
    await _collect(call, found, paths, 0)
    return list(paths)


async def _collect(call: Call, found: Found, paths: dict[str, None], depth: int) -> None:
    own = f"/{found.where.container}/{found.where.name}"
    if SLO in found.record.attributes and depth < CONCURRENCY:
        large = LargeObject(call.store, found, permit=None, depth=0)
        for segment in await large.segments():
            if not segment.name or segment.name in paths:
                continue
            if segment.sub_slo:
                container, _, name = segment.name[1:].partition("/")
                try:
                    inner = await call.store.get_object(ObjectName(call.account, container, name))
                except NotFound:
                    paths[segment.name] = None
                    continue
                await _collect(call, inner, paths, depth + 1)
            else:
                paths[segment.name] = None
    paths.pop(own, None)
    paths[own] = None
