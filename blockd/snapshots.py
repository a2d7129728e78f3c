"""Snapshots in SQL."""

from __future__ import annotations

import sqlalchemy as sa

from blockd.fault import absent
from blockd.service import Service
from blockd.tables import snapshot
from core import rows
from core.database import Connection
from core.rows import Row

TABLE = snapshot.snapshot


async def get(db: Connection, snapshot_id: str) -> Row:
    """A snapshot, whoever asks. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, snapshot_id)
    if row is None:
        raise absent("Snapshot", snapshot_id[:80])
    return row


async def change(db: Connection, service: Service, snapshot_id: str, **changes: object) -> None:
    """Change columns; the time of the change is kept."""
    await rows.update(db, TABLE, snapshot_id, {**changes, "updated_us": service.now_us()})


async def pins_of(db: Connection, engine_id: str) -> frozenset[str]:
    """The positions of a volume of the library that snapshots stand for."""
    statement = sa.select(TABLE.c.engine_snapshot_id).where(TABLE.c.engine_id == engine_id)
    return frozenset(str(name) for (name,) in (await db.execute(statement)).all())
