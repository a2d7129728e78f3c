"""Groups removed with their volumes, snapshots of whole groups at one cut, and groups that wait for their volumes."""

from __future__ import annotations

from blockd import cut, groups, messages, snapshots, volumes
from blockd.deeds.deed import Deed, Finish
from blockd.deeds.snapshots import drop
from blockd.deeds.volumes import remove_from_library
from blockd.service import Service
from core import rows
from core.database import Connection
from core.errors import Unavailable
from core.rows import Row


async def delete(service: Service, work: Row) -> Finish:
    """Remove the volumes, then the group."""
    group_id = work["subject_id"]
    async with service.database.read() as db:
        members = await groups.volumes_of(db, group_id)
    for row in members:
        await remove_from_library(service.volumes, row["engine_id"], frozenset())

    async def finish(db: Connection) -> None:
        await rows.delete(db, volumes.TABLE, volumes.TABLE.c.group_id == group_id)
        await rows.delete(db, groups.TABLE, groups.TABLE.c.id == group_id)

    return finish


async def give_up(service: Service, db: Connection, work: Row, reason: str) -> None:
    """The group is in error, and so are volumes that were on their way out."""
    await groups.change(db, service, work["subject_id"], status="error")
    for row in await groups.volumes_of(db, work["subject_id"]):
        if row["status"] == "deleting":
            await volumes.change(db, service, row["id"], status="error_deleting")
    await messages.tell(db, service, work, f"group:{reason}")


async def await_volumes(service: Service, work: Row) -> Finish:
    """A copy of a group is available when its volumes are. Raises Unavailable until then."""
    group_id = work["subject_id"]
    async with service.database.read() as db:
        statuses = {row["status"] for row in await groups.volumes_of(db, group_id)}
    if "creating" in statuses:
        raise Unavailable("NotYet", "volumes of the group are still being made")

    async def finish(db: Connection) -> None:
        status = "error" if "error" in statuses else "available"
        await groups.change(db, service, group_id, status=status)

    return finish


async def snapshot(service: Service, work: Row) -> Finish:
    """Remember a position of every volume while no client writes to any."""
    async with service.database.read() as db:
        pins = await groups.snapshots_of(db, work["subject_id"])
    pairs = [(pin["engine_id"], pin["engine_snapshot_id"]) for pin in pins]
    if any([await cut.attached(service, engine_id) for engine_id, _ in pairs]):
        await service.exports.snapshot_together(pairs)
    else:
        for engine_id, snapshot_id in pairs:
            await service.volumes.snapshot(engine_id, snapshot_id)

    async def finish(db: Connection) -> None:
        await _set(db, service, work["subject_id"], "available")
        for pin in pins:
            await snapshots.change(db, service, pin["id"], status="available", progress="100%")

    return finish


async def _set(db: Connection, service: Service, group_snapshot_id: str, status: str) -> None:
    changes = {"status": status, "updated_us": service.now_us()}
    await rows.update(db, groups.SNAPSHOTS, group_snapshot_id, changes)


async def give_up_snapshot(service: Service, db: Connection, work: Row, reason: str) -> None:
    """All of it is in error."""
    await _set(db, service, work["subject_id"], "error")
    for pin in await groups.snapshots_of(db, work["subject_id"]):
        await snapshots.change(db, service, pin["id"], status="error")
    await messages.tell(db, service, work, f"group snapshot:{reason}")


async def drop_snapshot(service: Service, work: Row) -> Finish:
    """Drop all its positions."""
    group_snapshot_id = work["subject_id"]
    async with service.database.read() as db:
        pins = await groups.snapshots_of(db, group_snapshot_id)
    for pin in pins:
        await drop(service, pin)

    async def finish(db: Connection) -> None:
        table = snapshots.TABLE
        await rows.delete(db, table, table.c.group_snapshot_id == group_snapshot_id)
        await rows.delete(db, groups.SNAPSHOTS, groups.SNAPSHOTS.c.id == group_snapshot_id)

    return finish


DEEDS = {
    "group.delete": Deed(delete, give_up),
    "group.await": Deed(await_volumes, give_up),
    "group_snapshot.create": Deed(snapshot, give_up_snapshot),
    "group_snapshot.delete": Deed(drop_snapshot, give_up_snapshot),
}
