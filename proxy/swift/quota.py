"""Quotas: X-Container-Meta-Quota-Bytes, X-Container-Meta-Quota-Count, X-Account-Meta-Quota-Bytes.

Sizes and counts come from fresh statistics whenever a quota is set. That none is set is remembered for
a second, so that the hot path of containers without quotas costs one look-up; a quota set through
another process therefore holds from a second later on.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.swift.call import Call, Site
from proxy.swift.errors import SwiftError

FREE_US = 1_000_000
REMEMBERED_MAX = 10_000
EXCEEDED = "Upload exceeds quota."


def _limit(attributes: Mapping[str, str], key: str) -> int | None:
    text = attributes.get(key, "")
    return int(text) if text.isascii() and text.isdigit() else None


async def check_quota(call: Call, account: str, container: str, size: int | None) -> int | None:
    """Bytes that may still be stored, None when no quota limits them.

    `size` of the new object in bytes, None when unknown. Raises SwiftError 413, NotFound.
    """
    free = call.site.quota_free
    key = (account, container)
    if free.get(key, 0) > call.now_us:
        return None
    info = await call.store.get_container(account, container)
    whole = await call.store.get_account(account)
    attributes = info.record.attributes
    count = _limit(attributes, "meta:quota-count")
    if count is not None and info.object_count + 1 > count:
        raise SwiftError(413, EXCEEDED, html=True)
    left = [
        limit - used
        for limit, used in (
            (_limit(attributes, "meta:quota-bytes"), info.bytes_used),
            (_limit(whole.record.attributes, "meta:quota-bytes"), whole.bytes_used),
        )
        if limit is not None
    ]
    if not left and count is None:
        if len(free) >= REMEMBERED_MAX:
            free.clear()
        free[key] = call.now_us + FREE_US
        return None
    if not left:
        return None
    if (size or 0) > min(left):
        raise SwiftError(413, EXCEEDED, html=True)
    return min(left)


def forget(site: Site, account: str, container: str = "") -> None:
    """Metadata changed: look again. An account's change touches all its containers."""
    if container:
        site.quota_free.pop((account, container), None)
    else:
        site.quota_free.clear()
