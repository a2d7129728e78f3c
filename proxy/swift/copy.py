"""Copies: `COPY` with Destination, and `PUT` with X-Copy-From.

A plain object is copied by naming its bytes again, without moving them. A large object is copied as the
bytes it stands for, or with `multipart-manifest=get` as the manifest. Reading the source and writing the
destination are authorised separately; metadata of the request wins over that of the source, and
`X-Fresh-Metadata` forgets the source's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from core import limits
from core.http import Response
from proxy.large import DLO, LINK, LINK_ACCOUNT, SLO, LargeObject, open_large
from proxy.store.record import BodyDigest, Draft, Found, ObjectName
from proxy.swift import assembled, condition, draft, manifest, metadata, ranges, slo, symlink
from proxy.swift.auth import authorise_in, owns, reader
from proxy.swift.call import Call
from proxy.swift.errors import HTML, SwiftError
from proxy.swift.names import check_account_header, check_object, quoted, split_pair
from proxy.swift.quota import check_quota
from proxy.swift.timestamp import http_date


async def copy(call: Call) -> Response:
    """COPY of the object in the path to Destination[-Account]."""
    destination = call.header(b"destination")
    if not destination:
        raise SwiftError(412, "Destination header required", html=True)
    given = call.header(b"destination-account")
    account = check_account_header(given) if given is not None else call.account
    container, name = split_pair(destination, "Destination")
    source = call.where
    found = await _source(call, source)
    await authorise_in(call, account, container, write=True)
    call.account, call.container, call.name = account, container, name
    call.owner = call.identity is not None and owns(call.identity, account)
    return await _copy(call, source, found)


async def put_copy(call: Call) -> Response:
    """PUT of the object in the path from X-Copy-From[-Account]."""
    length = call.request.body.length
    if length is None or length:
        raise SwiftError(400, "Copy requests require a zero byte body")
    given = call.header(b"x-copy-from-account")
    account = check_account_header(given) if given is not None else call.account
    container, name = split_pair(call.header(b"x-copy-from") or "", "X-Copy-From")
    condition.refuse_put_tags(call.headers)
    source = ObjectName(account, container, name)
    return await _copy(call, source, await _source(call, source))


async def _source(call: Call, where: ObjectName) -> Found:
    """The source, if the caller may read it; it is looked at before the destination is."""
    await authorise_in(call, where.account, where.container, write=False)
    return await call.store.get_object(where)


async def _copy(call: Call, where: ObjectName, found: Found) -> Response:
    check_object(call.name)
    if LINK in found.record.attributes and call.params.get("symlink") != "get":
        found = await symlink.resolve(call, found)
    manifest_only = call.params.get("multipart-manifest") == "get"
    plan = _plan(call, found, keep_dlo=manifest_only)
    if manifest_only and SLO in found.record.attributes:
        response = await _copy_manifest(call, found, plan)
    else:
        response = await _copy_body(call, found, plan, manifest_only=manifest_only)
    if response.status < 300:
        response.headers += _copied(where, found, plan)
    return response


def _plan(call: Call, found: Found, *, keep_dlo: bool) -> Draft:
    """What the copy shall be, but for its etag and size."""
    record = found.record
    asked = metadata.object_attributes(call.headers)
    if b"x-object-manifest" in call.headers:
        asked[DLO] = draft.manifest_mark(call.headers[b"x-object-manifest"])
    attributes: dict[str, str] = {}
    expires_s = draft.expiry_of(call.headers, call.now_us)
    if not call.flag(b"x-fresh-metadata"):
        attributes = {
            key: value
            for key, value in record.attributes.items()
            if key.startswith(("meta:", "header:"))
        }
        expires_s = expires_s or record.expires_s
    if LINK in record.attributes:
        links = {k: v for k, v in record.attributes.items() if k.startswith(LINK)}
        attributes.update(links)
        account = call.header(symlink.ACCOUNT)
        if account is not None:
            attributes[LINK_ACCOUNT] = check_account_header(account)
    if keep_dlo and DLO in record.attributes:
        attributes[DLO] = record.attributes[DLO]
    attributes.update(asked)
    metadata.check_totals((k[5:], v) for k, v in attributes.items() if k.startswith("meta:"))
    content_type = record.content_type
    if call.headers.get(b"content-type") or call.flag(b"x-detect-content-type"):
        content_type = draft.content_type_of(call.headers, call.name)
    return Draft(content_type, attributes, expires_s)


def _copied(where: ObjectName, found: Found, plan: Draft) -> list[tuple[str, str]]:
    headers = [
        ("X-Copied-From-Account", quoted(where.account)),
        ("X-Copied-From", quoted(f"{where.container}/{where.name}")),
        ("X-Copied-From-Last-Modified", http_date(found.record.modified_us)),
    ]
    return headers + metadata.meta_headers("object", plan.attributes)


async def _copy_manifest(call: Call, found: Found, plan: Draft) -> Response:
    """Put the same manifest again, with all its segments looked at anew."""
    segments = await LargeObject(call.store, found, permit=None, depth=0).segments()
    wanted = manifest.parse(manifest.raw(segments), (call.container, call.name))
    return await slo.store(call, wanted, plan, "")


async def _copy_body(call: Call, found: Found, plan: Draft, *, manifest_only: bool) -> Response:
    record = found.record
    large = None
    if not manifest_only and LINK not in record.attributes:
        large = await open_large(call.store, found, permit=reader(call))
    size = record.body_size if large is None else large.size
    etags = (large.digest,) if large is not None else (record.etag,)
    if call.method == "COPY":
        status = condition.read_status(call.headers, etags, record.modified_us)
        if status is not None:
            return Response(status, [HTML])
    span = await _span(call, large, size)
    length = size if span is None else span[1]
    await check_quota(call, call.account, call.container, length)
    check = condition.write_check(call.headers) if call.method == "PUT" else None
    if large is None and span is None:
        draft_ = plan._replace(parts=record.parts, size=record.size, etag=record.etag)
        stored = await call.store.copy_object(found, call.where, draft_, check=check)
    else:
        if length > limits.PUT_BYTES_MAX:
            raise SwiftError(413)
        start = 0 if span is None else span[0]
        body = _read(call, found, large, start, length)
        if large is not None:
            await large.prepare(start)

        def finish(digest: BodyDigest) -> Draft:
            del digest
            return plan

        stored = await call.store.put_object(call.where, body, finish, check=check)
    modified = http_date(stored.record.modified_us)
    etag = condition.record_etags(stored.record)[0]
    return Response(201, [HTML, ("Etag", etag), ("Last-Modified", modified)])


def _read(
    call: Call, found: Found, large: LargeObject | None, start: int, length: int
) -> AsyncIterator[bytes]:
    if large is not None:
        return large.read(start, length)
    return call.store.read(found, start, length)


async def _span(call: Call, large: LargeObject | None, size: int) -> ranges.Span | None:
    """Part of the source that Range or part-number choose; None for all of it."""
    if large is not None and "part-number" in call.params:
        number = assembled.part_number(call)
        spans = await large.parts()
        if number is None or number > len(spans):
            raise SwiftError(416, headers=[("Content-Range", f"bytes */{size}")])
        return spans[number - 1]
    specs = ranges.parse(call.header(b"range") or "")
    if not specs or len(specs) > 1:
        return None
    satisfied = ranges.satisfiable(specs, size)
    if not satisfied:
        raise SwiftError(416, headers=[("Content-Range", f"bytes */{size}")])
    return satisfied[0]
