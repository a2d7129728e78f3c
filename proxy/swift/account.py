"""Accounts: listing of containers, totals, metadata.

An account exists as soon as someone may enter it. Making and deleting accounts is the business of an
operator (405), as in a Swift cluster without account management.
"""

from __future__ import annotations

from core.http import Response
from proxy.store.record import AccountInfo, ListQuery
from proxy.swift import accept, listing, metadata, quota
from proxy.swift.auth import denied
from proxy.swift.call import Call
from proxy.swift.errors import HTML, SwiftError
from proxy.swift.query import list_query
from proxy.swift.timestamp import http_date, x_timestamp

POLICY_SCAN_MAX = 10_000  # containers looked at for totals per policy


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
        return Response(204, headers)
    page = await call.store.list_containers(call.account, query)
    entries = listing.container_entries(page.rows, call.site.policy_name)
    body = listing.render("account", call.account, entries, content_type)
    return Response(200 if body else 204, headers, body)


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
    if call.owner:
        return headers
    return [(n, v) for n, v in headers if not n.lower().startswith("x-account-meta-temp-url-key")]


async def policy_headers(call: Call, info: AccountInfo) -> list[tuple[str, str]]:
    """Totals per storage policy; left out for accounts with very many containers."""
    policies = call.store.policies
    if not info.container_count or info.container_count > POLICY_SCAN_MAX:
        return []
    totals = {policy.id: [0, 0, 0] for policy in policies}
    if len(policies) == 1:
        totals[policies[0].id] = [info.container_count, info.object_count, info.bytes_used]
    else:
        query = ListQuery(limit=POLICY_SCAN_MAX)
        page = await call.store.list_containers(call.account, query)
        for row in page.rows:
            if row.info is None:
                continue
            total = totals.setdefault(row.info.record.policy, [0, 0, 0])
            total[0] += 1
            total[1] += row.info.object_count
            total[2] += row.info.bytes_used
    headers: list[tuple[str, str]] = []
    for policy_id, (containers, objects, size) in totals.items():
        if containers:
            prefix = f"X-Account-Storage-Policy-{call.site.policy_name(policy_id).title()}-"
            headers.append((prefix + "Container-Count", str(containers)))
            headers.append((prefix + "Object-Count", str(objects)))
            headers.append((prefix + "Bytes-Used", str(size)))
    return headers


async def post(call: Call) -> Response:
    """POST merges metadata."""
    if not call.owner:
        raise denied(call)
    if b"x-account-access-control" in call.headers:
        raise SwiftError(501, "Account access control lists are not implemented.")
    change = metadata.merge_change("account", call.headers)
    if "meta:quota-bytes" in change:
        if call.identity is None or not call.identity.admin:
            raise SwiftError(403)
        metadata.check_quota((change["meta:quota-bytes"] or "").encode())
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
