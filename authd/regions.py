"""Regions: a forest of names for where endpoints are."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables import catalog, limit
from core import rows
from core.api.fault import bad_request, conflict, forbidden, not_found
from core.database import Connection
from core.rows import Row

TABLE = catalog.region


async def get(db: Connection, region_id: str) -> Row:
    """The region. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, region_id)
    if row is None:
        raise not_found("region", region_id)
    return row


async def create(db: Connection, row: Row) -> None:
    """Add a region. Raises Fault 404 without its parent, 409 when the id is taken."""
    if await rows.by_id(db, TABLE, row["id"]) is not None:
        raise conflict(f"Conflict occurred attempting to store region - Duplicate ID, {row['id']}.")
    if row["parent_region_id"] is not None:
        await get(db, row["parent_region_id"])
    await rows.insert(db, TABLE, row)


async def update(db: Connection, old: Row, changes: Row) -> None:
    """Change a region. Raises Fault 400 when it would be below itself, 404 without its parent."""
    parent_id = changes.get("parent_region_id")
    if parent_id is not None:
        await get(db, parent_id)
        if parent_id in await below(db, old["id"]):
            raise bad_request(
                f"The specified parent region {parent_id} would create a circular region hierarchy."
            )
    await rows.update(db, TABLE, old["id"], changes)


async def below(db: Connection, region_id: str) -> list[str]:
    """Ids of a region and of all below it, nearest first."""
    found, level = [region_id], [region_id]
    while level:
        statement = sa.select(TABLE.c.id).where(TABLE.c.parent_region_id.in_(level))
        level = [row["id"] for row in await rows.rows(db, statement) if row["id"] not in found]
        found += level
    return found


async def delete(db: Connection, row: Row) -> None:
    """Remove a region and those below it. Raises Fault 403 while something is there."""
    ids = await below(db, row["id"])
    endpoint, registered = catalog.endpoint, limit.registered_limit
    for table in (endpoint, registered):
        used = sa.select(table.c.id).where(table.c.region_id.in_(ids))
        if await rows.first(db, used) is not None:
            raise forbidden(
                f"Unable to delete region {row['id']} because it or its child regions have associated"
                " endpoints or limits."
            )
    for region_id in reversed(ids):
        await rows.delete(db, TABLE, TABLE.c.id == region_id)
