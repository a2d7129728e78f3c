"""Backups in SQL: rows, chains of increments, and the work that fills and restores them."""

from __future__ import annotations

import sqlalchemy as sa

from blockd import volumes, work
from blockd.fault import absent
from blockd.service import Service
from blockd.tables import backup
from core import rows
from core.api.call import Call
from core.database import Connection
from core.rows import Row

TABLE = backup.backup
DEADLINE_S = 86_400
DEFAULT_CONTAINER = "volumebackups"


async def get(db: Connection, backup_id: str) -> Row:
    """A backup, whoever asks. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, backup_id)
    if row is None:
        raise absent("Backup", backup_id[:80])
    return row


async def change(db: Connection, service: Service, backup_id: str, **changes: object) -> None:
    """Change columns; the time of the change is kept."""
    await rows.update(db, TABLE, backup_id, {**changes, "updated_us": service.now_us()})


async def children_of(db: Connection, *backup_ids: str) -> set[str]:
    """Those of some backups that others build on."""
    statement = sa.select(TABLE.c.parent_id).where(TABLE.c.parent_id.in_(backup_ids))
    return {str(name) for (name,) in (await db.execute(statement)).all()}


async def newest_of(db: Connection, volume_id: str, project_id: str) -> Row | None:
    """The newest complete backup of a volume: what an increment builds on."""
    statement = (
        sa.select(TABLE)
        .where(
            TABLE.c.volume_id == volume_id,
            TABLE.c.project_id == project_id,
            TABLE.c.status == "available",
        )
        .order_by(TABLE.c.data_us.desc(), TABLE.c.created_us.desc())
    )
    return await rows.first(db, statement.limit(1))


async def chain_of(db: Connection, row: Row) -> list[Row]:
    """A backup and all that it builds on, the full one first. Raises Fault 404 when one is missing."""
    chain = [row]
    while chain[0]["parent_id"] is not None:
        chain.insert(0, await get(db, chain[0]["parent_id"]))
    return chain


async def begin_restore(
    db: Connection, service: Service, call: Call, backup_id: str, target: Row, *, fresh: bool
) -> None:
    """Write the work that puts a backup into a volume. `fresh`: the volume has still to be made."""
    await change(db, service, backup_id, status="restoring", restore_volume_id=target["id"])
    if not fresh:
        await volumes.change(db, service, target["id"], status="restoring-backup")
    await work.add(
        db,
        service,
        call,
        "backup.restore",
        backup_id,
        deadline_s=DEADLINE_S,
        volume_id=target["id"],
        fresh=fresh,
    )
