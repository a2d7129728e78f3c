"""Listings with `path=`: the names directly under a pseudo-directory (Swift API, deprecated but kept).

Unlike `delimiter`, `path` shows no common prefixes, only objects, among them those that stand for a
directory itself (a name that ends right after the next slash).
"""

from __future__ import annotations

from core.errors import NotFound
from proxy.store.record import ListQuery, ObjectName, ObjectRow, Summary
from proxy.swift.call import Call

SLASH = "/"


async def list_path(call: Call, path: str, query: ListQuery) -> list[ObjectRow]:
    """Rows of a `path=` listing, at most `query.limit`."""
    prefix = path.rstrip(SLASH) + SLASH if path else ""
    asked = query._replace(prefix=prefix, delimiter=SLASH)
    rows: list[ObjectRow] = []
    while len(rows) < query.limit:
        page = await call.store.list_objects(call.account, call.container, asked)
        for row in page.rows:
            shown = row if row.summary is not None else await _directory(call, row.name)
            if shown is not None and shown.name != prefix and len(rows) < query.limit:
                rows.append(shown)
        if not page.truncated or not page.rows:
            break
        asked = asked._replace(marker=page.rows[-1].name)
    return rows


async def _directory(call: Call, name: str) -> ObjectRow | None:
    where = ObjectName(call.account, call.container, name)
    try:
        record = (await call.store.get_object(where)).record
    except NotFound:
        return None
    summary = Summary(record.modified_us, record.size, record.etag, record.content_type)
    return ObjectRow(name, summary)
