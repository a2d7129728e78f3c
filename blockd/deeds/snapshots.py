"""Snapshots taken and dropped, one by one or of a whole group at one cut."""

from __future__ import annotations

from contextlib import suppress

from blockd import cut, messages, snapshots, volumes
from blockd import work as promises
from blockd.deeds.deed import Deed, Finish
from blockd.deeds.volumes import remove_from_library
from blockd.service import Service
from core import rows
from core.database import Connection
from core.errors import Conflict, NotFound
from core.rows import Row


async def create(service: Service, work: Row) -> Finish:
    """Remember a position; what the clients of an attached volume have written is made durable first."""
    async with service.database.read() as db:
        row = await snapshots.get(db, work["subject_id"])
    await cut.flush(service, row["engine_id"])
    with suppress(Conflict):  # an earlier attempt has made it
        await service.volumes.snapshot(row["engine_id"], row["engine_snapshot_id"])

    async def finish(db: Connection) -> None:
        now = await snapshots.get(db, row["id"])
        if now["status"] == "creating":
            await snapshots.change(db, service, row["id"], status="available", progress="100%")

    return finish


async def give_up_create(service: Service, db: Connection, work: Row, reason: str) -> None:
    """The snapshot is in error."""
    await snapshots.change(db, service, work["subject_id"], status="error")
    await messages.tell(db, service, work, f"create snapshot:{reason}")


async def drop(service: Service, row: Row) -> None:
    """Forget a position; and the volume it was of, when nothing stands for that any more."""
    with suppress(NotFound):
        await service.volumes.drop_snapshot(row["engine_id"], row["engine_snapshot_id"])
    async with service.database.read() as db:
        volume = await rows.by_id(db, volumes.TABLE, row["volume_id"])
        keep = await snapshots.pins_of(db, row["engine_id"]) - {row["engine_snapshot_id"]}
    if volume is not None and volume["engine_id"] != row["engine_id"]:
        await remove_from_library(service.volumes, row["engine_id"], keep)


async def delete(service: Service, work: Row) -> Finish:
    """Drop a snapshot; clones of it keep what they need."""
    await promises.stop(service, work["subject_id"], "snapshot.create")
    async with service.database.read() as db:
        row = await snapshots.get(db, work["subject_id"])
    await drop(service, row)

    async def finish(db: Connection) -> None:
        await rows.delete(db, snapshots.TABLE, snapshots.TABLE.c.id == row["id"])

    return finish


async def give_up_delete(service: Service, db: Connection, work: Row, reason: str) -> None:
    """It stays, marked."""
    await snapshots.change(db, service, work["subject_id"], status="error_deleting")
    await messages.tell(db, service, work, f"delete snapshot:{reason}")


DEEDS = {
    "snapshot.create": Deed(create, give_up_create),
    "snapshot.delete": Deed(delete, give_up_delete),
}
