"""Accounts: listing of containers, totals, metadata.

An account exists as soon as someone may enter it. Making and deleting accounts is the business of an
operator (405), as in a Swift cluster without account management.
"""

from __future__ import annotations

from core.http import Response
from proxy.store.record import AccountInfo
from proxy.swift import accept, account_acl, listing, metadata, quota
from proxy.swift.auth import denied
from proxy.swift.call import Call
from proxy.swift.container import nothing
from proxy.swift.errors import HTML, SwiftError
from proxy.swift.query import list_query
from proxy.swift.timestamp import http_date, x_timestamp


async def get(call: Call) -> Response:
    """GET and HEAD: totals as headers, containers as the body."""
    content_type = accept.listing_type(call.params, call.header(b"accept"))
    query = list_query(call.params)
    info = await call.store.get_account(call.account)
    headers = account_headers(call, info)
    headers += await policy_headers(call, info)
    headers.append(("Content-Type", f"{content_type}; charset=utf-8"))
    if "format" not in call.params:
        headers.append(("Vary", "Accept"))
    if call.method == "HEAD":
        return nothing(headers)
    page = await call.store.list_containers(call.account, query)
    entries = listing.container_entries(page.rows, call.site.policy_name)
    body = listing.render("account", call.account, entries, content_type)
    return Response(200, headers, body) if body else nothing(headers)


def account_headers(call: Call, info: AccountInfo) -> list[tuple[str, str]]:
    """Totals and metadata."""
    record = info.record
    headers = [
        ("X-Account-Container-Count", str(info.container_count)),
        ("X-Account-Object-Count", str(info.object_count)),
        ("X-Account-Bytes-Used", str(info.bytes_used)),
        ("X-Timestamp", x_timestamp(record.created_us)),
        ("X-Put-Timestamp", x_timestamp(record.modified_us)),
        ("Last-Modified", http_date(record.modified_us)),
        ("Accept-Ranges", "bytes"),
    ]
    headers += metadata.meta_headers("account", record.attributes)
    headers += quota.account_headers(record.attributes)
    if call.owner:
        if account_acl.ATTRIBUTE in record.attributes:
            access = record.attributes[account_acl.ATTRIBUTE]
            headers.append(("X-Account-Access-Control", access))
        return headers
    return [(n, v) for n, v in headers if not n.lower().startswith("x-account-meta-temp-url-key")]


async def policy_headers(call: Call, info: AccountInfo) -> list[tuple[str, str]]:
    """Totals per storage policy; left out for accounts with very many containers."""
    if not info.container_count or info.container_count > quota.POLICY_SCAN_MAX:
        return []
    headers: list[tuple[str, str]] = []
    for policy_id, totals in (await quota.policy_totals(call, info)).items():
        prefix = f"X-Account-Storage-Policy-{call.site.policy_name(policy_id).title()}-"
        names = ("Container-Count", "Object-Count", "Bytes-Used")
        headers += [(prefix + n, str(v)) for n, v in zip(names, totals, strict=True)]
    return headers


async def post(call: Call) -> Response:
    """POST merges metadata; only an administrator sets quotas, only an owner anything."""
    if not call.owner:
        raise denied(call)
    change = metadata.merge_change("account", call.headers)
    if "meta:quota-bytes" in change:
        quota.require_setter(call)
        quota.number((change["meta:quota-bytes"] or "").encode())
    change.update(quota.account_change(call))
    if account_acl.HEADER in call.headers:
        text = metadata.text_of(call.headers[account_acl.HEADER])
        change[account_acl.ATTRIBUTE] = account_acl.clean(text) or None
    if change:
        info = await call.store.get_account(call.account)
        metadata.check_merged(info.record.attributes, change)
    await call.store.update_account(call.account, change)
    quota.forget(call.site, call.account)
    return Response(204, [HTML])


async def delete(call: Call) -> Response:
    """Deleting an account is an operator's business."""
    raise not_allowed(call)


async def put(call: Call) -> Response:
    """Making an account is an operator's business."""
    raise not_allowed(call)


def not_allowed(call: Call) -> SwiftError:
    """403 for all but administrators, 405 for them."""
    if not call.owner:
        return denied(call)
    if call.identity is None or not call.identity.admin:
        return SwiftError(403)
    return SwiftError(405, headers=[("Allow", "GET, HEAD, POST, OPTIONS")])
