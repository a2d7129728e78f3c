"""What a JSON listing says of symbolic links: `symlink_path`, and of static ones etag and size.

A listing row does not carry it, so the record of each link is read; links are rare in a listing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from core.errors import NotFound
from proxy.large import LINK, LINK_ACCOUNT, LINK_ETAG
from proxy.store.record import ObjectName
from proxy.swift.call import Call
from proxy.swift.listing import Entry, LinkEntry
from proxy.swift.symlink import LINK_BYTES, LINK_SLO, location_of

CONCURRENCY = 16


async def describe(call: Call, entries: Sequence[Entry]) -> bool:
    """Fill in the rows of links; whether there were any."""
    links = [entry for entry in entries if type(entry) is LinkEntry]
    for start in range(0, len(links), CONCURRENCY):
        group = links[start : start + CONCURRENCY]
        await asyncio.gather(*(_describe(call, entry) for entry in group))
    return bool(links)


async def _describe(call: Call, entry: LinkEntry) -> None:
    try:
        found = await call.store.get_object(ObjectName(call.account, call.container, entry.name))
    except NotFound:
        return
    attributes = found.record.attributes
    target = attributes.get(LINK)
    if target is None:
        return
    container, _, name = target.partition("/")
    account = attributes.get(LINK_ACCOUNT) or call.account
    entry.symlink_path = location_of(ObjectName(account, container, name))
    if LINK_ETAG in attributes:
        entry.symlink_etag = attributes[LINK_ETAG]
        entry.symlink_bytes = int(attributes.get(LINK_BYTES, "0"))
    if LINK_SLO in attributes:
        entry.slo_etag = f'"{attributes[LINK_SLO]}"'
