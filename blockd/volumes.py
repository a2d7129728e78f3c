"""Volumes in SQL: look up, change of status, and what hangs on a volume."""

from __future__ import annotations

import sqlalchemy as sa

from blockd.fault import absent, wrong_status
from blockd.service import Service
from blockd.tables import attachment, snapshot, transfer, volume
from core import rows
from core.api.fault import bad_request
from core.database import Connection
from core.rows import Row

TABLE = volume.volume
DELETABLE = ("available", "error", "error_restoring", "error_extending", "error_managing")


async def get(db: Connection, volume_id: str) -> Row:
    """A volume, whoever asks. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, volume_id)
    if row is None:
        raise absent("Volume", volume_id[:80])
    return row


async def change(db: Connection, service: Service, volume_id: str, **changes: object) -> None:
    """Change columns; the time of the change is kept."""
    await rows.update(db, TABLE, volume_id, {**changes, "updated_us": service.now_us()})


async def snapshots_of(db: Connection, volume_id: str) -> list[Row]:
    """Its snapshots, oldest first."""
    table = snapshot.snapshot
    statement = sa.select(table).where(table.c.volume_id == volume_id)
    return await rows.rows(db, statement.order_by(table.c.created_us, table.c.id))


async def attachments_of(db: Connection, *volume_ids: str) -> list[Row]:
    """The attachments of some volumes, oldest first."""
    table = attachment.attachment
    statement = sa.select(table).where(table.c.volume_id.in_(volume_ids))
    return await rows.rows(db, statement.order_by(table.c.created_us, table.c.id))


async def offered(db: Connection, volume_id: str) -> bool:
    """Whether it is offered to another project."""
    table = transfer.transfer
    open_ones = (table.c.volume_id == volume_id, table.c.accepted == sa.false())
    return await rows.count(db, table, *open_ones) > 0


def check_status(row: Row, *allowed: str) -> None:
    """Raise Fault 400 unless a volume is in one of these statuses."""
    if row["status"] not in allowed:
        raise wrong_status("volume", row["id"], row["status"], " or ".join(allowed))


async def check_deletable(db: Connection, row: Row, *, cascade: bool) -> list[Row]:
    """The snapshots that go with a volume. Raises Fault 400 for what keeps it from going."""
    check_status(row, *DELETABLE)
    if row["migration_status"] in {"migrating", "starting"}:
        raise bad_request(f"Volume {row['id']} is being migrated.")
    if await attachments_of(db, row["id"]):
        raise bad_request(f"Volume {row['id']} is still attached, detach volume first.")
    if row["group_id"] is not None:
        raise bad_request(f"Volume {row['id']} belongs to a group.")
    found = await snapshots_of(db, row["id"])
    if not cascade and found:
        raise bad_request(
            f"Volume {row['id']} still has {len(found)} dependent snapshots: delete these first."
        )
    for one in found:
        if one["status"] not in {"available", "error", "deleting"} or one["group_snapshot_id"]:
            raise bad_request(
                f"Snapshot {one['id']} is {one['status']} or belongs to a group snapshot."
            )
    return found
