"""What is forgotten in time: servers deleted a month ago with their records, and consoles' tokens that have expired."""

from __future__ import annotations

import sqlalchemy as sa

from computed import servers
from computed.tables import server as tables
from core import rows
from core.database import Connection

KEPT_US = 30 * 86_400 * 1_000_000


async def forget(db: Connection, now_us: int) -> None:
    """Remove what is old."""
    console, table = tables.console, servers.TABLE
    await rows.delete(db, console, console.c.expires_us < now_us)
    old = sa.select(table.c.id).where(table.c.deleted_us > 0, table.c.deleted_us < now_us - KEPT_US)
    ids = [row["id"] for row in await rows.rows(db, old)]
    if ids:
        await rows.delete(db, servers.ACTIONS, servers.ACTIONS.c.server_id.in_(ids))
        await rows.delete(db, tables.verdict, tables.verdict.c.id.in_(ids))
        await rows.delete(db, table, table.c.id.in_(ids))
