"""Containers: creation, listing of objects, metadata, ACLs, deletion.

Features that change what a container means and are not built (versioning, synchronisation) are refused
with 501 rather than stored and ignored.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import Conflict, Refused
from core.http import Response
from proxy.store.record import ContainerInfo, ListQuery, ObjectPage
from proxy.swift import accept, acl, link_listing, listing, metadata, quota
from proxy.swift.call import Call
from proxy.swift.errors import HTML, SwiftError
from proxy.swift.names import check_container
from proxy.swift.path_listing import list_path
from proxy.swift.query import list_query
from proxy.swift.timestamp import http_date, x_timestamp

READ = "swift:read"
WRITE = "swift:write"
REFUSED_HEADERS = {
    b"x-versions-location": "Object versioning is not implemented.",
    b"x-history-location": "Object versioning is not implemented.",
    b"x-versions-enabled": "Object versioning is not implemented.",
    b"x-container-sync-to": "Container synchronisation is not implemented.",
    b"x-container-sync-key": "Container synchronisation is not implemented.",
}


async def get(call: Call) -> Response:
    """GET and HEAD: statistics as headers, objects as the body."""
    content_type = accept.listing_type(call.params, call.header(b"accept"))
    query = list_query(call.params)
    info = await call.store.get_container(call.account, call.container)
    headers = container_headers(call, info)
    headers.append(("Content-Type", f"{content_type}; charset=utf-8"))
    if "format" not in call.params:
        headers.append(("Vary", "Accept"))
    if call.method == "HEAD":
        return nothing(headers)
    body = await _body(call, query, content_type)
    return Response(200, headers, body) if body else nothing(headers)


async def _body(call: Call, query: ListQuery, content_type: str) -> bytes:
    """The listing in one form; made once for as long as the page stays the same."""
    page = await _page(call, query)
    memo = {} if page.memo is None else page.memo
    known: bytes | None = memo.get(("swift", content_type))
    if known is not None:
        return known
    entries = listing.object_entries(page.rows)
    if content_type == accept.JSON and await link_listing.describe(call, entries):
        memo = {}  # what links lead to changes without them
    body = listing.render("container", call.container, entries, content_type)
    memo["swift", content_type] = body
    return body


def nothing(headers: list[tuple[str, str]]) -> Response:
    """204 of a HEAD or an empty text listing; Swift announces the length that RFC 9110 leaves out."""
    return Response(204, [*headers, ("Content-Length", "0")])


async def _page(call: Call, query: ListQuery) -> ObjectPage:
    if "path" in call.params:
        rows = await list_path(call, call.params["path"], query)
        return ObjectPage(rows, truncated=False)
    return await call.store.list_objects(call.account, call.container, query)


def container_headers(call: Call, info: ContainerInfo) -> list[tuple[str, str]]:
    """Statistics, policy and metadata; ACLs and secrets only for the owner."""
    record = info.record
    headers = [
        ("X-Container-Object-Count", str(info.object_count)),
        ("X-Container-Bytes-Used", str(info.bytes_used)),
        ("X-Timestamp", x_timestamp(record.created_us)),
        ("X-Put-Timestamp", x_timestamp(record.modified_us)),
        ("Last-Modified", http_date(record.modified_us)),
        ("X-Storage-Policy", call.site.policy_name(record.policy)),
        ("Accept-Ranges", "bytes"),
    ]
    headers += metadata.meta_headers("container", record.attributes)
    if not call.owner:
        secret = "x-container-meta-temp-url-key"  # noqa: S105 - a header's name
        return [(n, v) for n, v in headers if not n.lower().startswith(secret)]
    for name, key in (("X-Container-Read", READ), ("X-Container-Write", WRITE)):
        if key in record.attributes:
            headers.append((name, record.attributes[key]))
    return headers


def change_of(headers: Mapping[bytes, bytes]) -> dict[str, str | None]:
    """Attribute change of a container PUT or POST; SwiftError 400 or 501."""
    for name, message in REFUSED_HEADERS.items():
        if headers.get(name):
            raise SwiftError(501, message)
    change = metadata.merge_change("container", headers)
    quota.number(headers.get(b"x-container-meta-quota-bytes", b""))
    quota.number(headers.get(b"x-container-meta-quota-count", b""), "Invalid count quota.")
    for name, key in ((b"x-container-read", READ), (b"x-container-write", WRITE)):
        removal = name.replace(b"x-", b"x-remove-", 1)
        if name in headers:
            try:
                cleaned = acl.clean(metadata.text_of(headers[name]), write=key == WRITE)
            except ValueError as error:
                raise SwiftError(400, str(error), html=True) from None
            change[key] = cleaned or None
        elif removal in headers:
            change[key] = None
    return change


async def put(call: Call) -> Response:
    """PUT creates (201) or updates (202)."""
    check_container(call.container)
    change = change_of(call.headers)
    policy = call.header(b"x-storage-policy")
    try:
        new = await call.store.create_container(
            call.account, call.container, policy=policy or None, change=change
        )
    except Conflict:
        info = await call.store.get_container(call.account, call.container)
        existing = call.site.policy_name(info.record.policy)
        raise SwiftError(
            409,
            f"Storage Policy specified does not match the existing one {existing!r}",
            html=True,
        ) from None
    except Refused as error:
        if error.code != "NoSuchPolicy":
            raise
        raise SwiftError(400, f"Invalid X-Storage-Policy '{policy}'") from None
    quota.forget(call.site, call.account, call.container)
    return Response(201 if new else 202, [HTML])


async def post(call: Call) -> Response:
    """POST merges metadata."""
    change = change_of(call.headers)
    info = await call.store.get_container(call.account, call.container)
    metadata.check_merged(info.record.attributes, change)
    await call.store.update_container(call.account, call.container, change)
    quota.forget(call.site, call.account, call.container)
    return Response(204, [HTML])


async def delete(call: Call) -> Response:
    """DELETE of an empty container."""
    await call.store.delete_container(call.account, call.container)
    return Response(204, [HTML])
