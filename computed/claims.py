"""Claims on hosts: allocations of a consumer, changed in the caller's transaction together with what they are for.

The sum of an inventory's allocations stands beside it; both change here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from computed.service import Service
from computed.tables import provider as tables
from core import rows
from core.database import Connection
from core.rows import Row

Amounts = Mapping[str, Mapping[str, int]]  # provider id: resource class: how much


async def of(db: Connection, consumer_id: str) -> dict[str, dict[str, int]]:
    """What a consumer has claimed."""
    found: dict[str, dict[str, int]] = {}
    table = tables.allocation
    for row in await rows.rows(db, sa.select(table).where(table.c.consumer_id == consumer_id)):
        found.setdefault(row["provider_id"], {})[row["resource_class"]] = row["used"]
    return found


async def put(
    db: Connection, service: Service, consumer_id: str, wanted: Amounts, *, owner: Row
) -> None:
    """Replace all that a consumer has claimed. `owner` names project_id, user_id and, if it has one, kind.

    Room was looked at before, in the same transaction. Without anything claimed the consumer is forgotten.
    """
    now_us = service.now_us()
    held = await of(db, consumer_id)
    for provider_id in held.keys() | wanted.keys():
        before, after = held.get(provider_id, {}), wanted.get(provider_id, {})
        for name in before.keys() | after.keys():
            change = after.get(name, 0) - before.get(name, 0)
            if change:
                await _add_used(db, provider_id, name, change)
    table = tables.allocation
    await rows.delete(db, table, table.c.consumer_id == consumer_id)
    new = [
        {
            "id": service.new_id(),
            "consumer_id": consumer_id,
            "provider_id": provider_id,
            "resource_class": name,
            "used": used,
            "updated_us": now_us,
        }
        for provider_id, amounts in wanted.items()
        for name, used in amounts.items()
        if used
    ]
    if new:
        await db.execute(sa.insert(table), new)
    await _consumer(db, consumer_id, owner, now_us, keep=bool(new))


async def _add_used(db: Connection, provider_id: str, name: str, change: int) -> None:
    table = tables.inventory
    same = (table.c.provider_id == provider_id, table.c.resource_class == name)
    await db.execute(sa.update(table).where(*same).values(used=table.c.used + change))


async def _consumer(
    db: Connection, consumer_id: str, owner: Row, now_us: int, *, keep: bool
) -> None:
    table = tables.consumer
    row = await rows.by_id(db, table, consumer_id)
    if not keep:
        await rows.delete(db, table, table.c.id == consumer_id)
        return
    columns = {
        "project_id": owner["project_id"],
        "user_id": owner["user_id"],
        "kind": owner.get("kind") or (row or {}).get("kind"),
        "updated_us": now_us,
    }
    if row is None:
        await rows.insert(db, table, {"id": consumer_id, **columns, "generation": 1})
    else:
        columns["generation"] = row["generation"] + 1
        await rows.update(db, table, consumer_id, columns)


async def release(db: Connection, service: Service, consumer_id: str) -> None:
    """Give everything back."""
    await put(db, service, consumer_id, {}, owner={"project_id": "", "user_id": ""})


async def move(db: Connection, service: Service, source: str, target: str, *, owner: Row) -> None:
    """What one consumer has claimed is another's from now on (a resize keeps the way back)."""
    held = await of(db, source)
    await put(db, service, target, held, owner=owner)
    await release(db, service, source)
