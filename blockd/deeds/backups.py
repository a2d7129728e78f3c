"""Backups filled, restored and removed.

A backup reads a frozen position of the volume. An increment reads only what differs from the position of its parent
while that is still there, and otherwise compares digests. Every chunk is verified when it is restored.
"""

from __future__ import annotations

from contextlib import suppress

from blockd import backups, cut, manifest, messages, snapshots, volumes
from blockd import work as promises
from blockd.deeds.deed import Deed, Finish
from blockd.deeds.volumes import make_empty
from blockd.manifest import CHUNK_BYTES, About, Chunk, Manifest
from blockd.service import GIB, Service
from blockd.volume_types import TABLE as TYPES
from core import rows
from core.database import Connection
from core.errors import Conflict, NotFound, Refused
from core.rows import Row
from volume.port import Disk


async def _pin(service: Service, row: Row, volume: Row) -> tuple[str, str]:
    """The position to back up: the snapshot's, or a new one of the volume."""
    if row["snapshot_id"] is not None:
        async with service.database.read() as db:
            found = await snapshots.get(db, row["snapshot_id"])
        return found["engine_id"], found["engine_snapshot_id"]
    pin = f"backup-{row['id']}"
    await cut.flush(service, volume["engine_id"])
    with suppress(Conflict):
        await service.volumes.snapshot(volume["engine_id"], pin)
    return volume["engine_id"], pin


async def _manifest_of(service: Service, row: Row) -> Manifest:
    data = await service.chunks.get(row["container"], f"{row['prefix']}/manifest")
    return manifest.decode(data, row["manifest_digest"])


async def _touched(service: Service, parent: Row, engine_id: str, pin: str) -> set[int] | None:
    """The chunks that differ from a parent's position, or None when that is gone."""
    if parent["engine_id"] != engine_id or parent["engine_snapshot_id"] is None:
        return None
    touched: set[int] = set()
    try:
        async for extent in service.volumes.changes(engine_id, parent["engine_snapshot_id"], pin):
            last = (extent.offset + extent.length - 1) // CHUNK_BYTES
            touched.update(range(extent.offset // CHUNK_BYTES, last + 1))
    except NotFound:
        return None
    return touched


async def _holding_data(disk: Disk) -> set[int]:
    """The chunks in which anything is stored."""
    found: set[int] = set()
    for start in range(0, disk.size, GIB):
        for extent in await disk.extents(start, min(GIB, disk.size - start)):
            if extent.data:
                last = (extent.offset + extent.length - 1) // CHUNK_BYTES
                found.update(range(extent.offset // CHUNK_BYTES, last + 1))
    return found


async def _store(
    service: Service, row: Row, disk: Disk, wanted: set[int], old: dict[int, Chunk]
) -> dict[int, Chunk]:
    """Read chunks, put those that differ from `old`; all chunks of the new manifest."""
    chunks = dict(old)
    for at in sorted(wanted):
        offset = at * CHUNK_BYTES
        data = await disk.read(offset, min(CHUNK_BYTES, disk.size - offset))
        if not any(data):
            chunks.pop(at, None)
            continue
        digest = manifest.digest_of(data)
        if at in old and old[at].digest == digest:
            continue
        name = f"{row['prefix']}/{at:08x}"
        await service.chunks.put(row["container"], name, data)
        chunks[at] = Chunk(name, digest, len(data))
    return chunks


async def create(service: Service, work: Row) -> Finish:
    """Fill a backup."""
    async with service.database.read() as db:
        row = await backups.get(db, work["subject_id"])
        parent = await backups.get(db, row["parent_id"]) if row["parent_id"] else None
        volume = await volumes.get(db, row["volume_id"])
    engine_id, pin = await _pin(service, row, volume)
    disk = await service.volumes.view(engine_id, snapshot_id=pin)
    try:
        old: dict[int, Chunk] = {}
        wanted = await _holding_data(disk)
        if parent is not None:
            old = (await _manifest_of(service, parent)).chunks
            touched = await _touched(service, parent, engine_id, pin)
            wanted = (wanted | set(old)) if touched is None else touched
        chunks = await _store(service, row, disk, wanted, old)
        about = About(volume["bootable"], volume["metadata"], volume["image_metadata"])
        made = Manifest(row["id"], row["volume_id"], disk.size, chunks, about)
    finally:
        await disk.close()
    data = manifest.encode(made)
    await service.chunks.put(row["container"], f"{row['prefix']}/manifest", data)
    await _drop_older_pins(service, row, engine_id, pin)

    async def finish(db: Connection) -> None:
        now = await backups.get(db, row["id"])
        await backups.change(
            db,
            service,
            row["id"],
            status="available" if now["status"] == "creating" else now["status"],
            object_count=manifest.own_objects(made, row["prefix"]),
            manifest_digest=manifest.digest_of(data),
            engine_id=engine_id,
            engine_snapshot_id=pin,
        )
        await _release(db, service, work)

    return finish


async def _drop_older_pins(service: Service, row: Row, engine_id: str, pin: str) -> None:
    """Only the newest backup's position is kept for the next increment."""
    with suppress(NotFound):
        info = await service.volumes.describe(engine_id)
        for one in info.snapshots:
            if one.id.startswith("backup-") and one.id not in {pin, f"backup-{row['parent_id']}"}:
                await service.volumes.drop_snapshot(engine_id, one.id)


async def _release(db: Connection, service: Service, work: Row) -> None:
    """The volume or snapshot that was read is as before."""
    asked = work["parameters"]
    if asked.get("snapshot_id") is not None:
        row = await rows.by_id(db, snapshots.TABLE, asked["snapshot_id"])
        if row is not None and row["status"] == "backing-up":
            await snapshots.change(db, service, row["id"], status="available")
        return
    row = await rows.by_id(db, volumes.TABLE, asked["volume_id"])
    if row is not None and row["status"] == "backing-up":
        await volumes.change(db, service, row["id"], status=asked["back_to"])


async def give_up_create(service: Service, db: Connection, work: Row, reason: str) -> None:
    """The backup is in error."""
    await backups.change(db, service, work["subject_id"], status="error", fail_reason=reason)
    await _release(db, service, work)
    await messages.tell(db, service, work, f"create backup:{reason}")


async def restore(service: Service, work: Row) -> Finish:
    """Put a backup into a volume, every chunk verified."""
    asked = work["parameters"]
    async with service.database.read() as db:
        row = await backups.get(db, work["subject_id"])
        volume = await volumes.get(db, asked["volume_id"])
        kind = await rows.by_id(db, TYPES, volume["volume_type_id"])
    contents = await _manifest_of(service, row)
    if contents.size > volume["size"] * GIB:
        raise Refused("TooLarge", "the backup is larger than the volume")
    if asked["fresh"]:
        await make_empty(service, volume, kind or {"extra_specs": {}})
    disk = await service.volumes.attach(volume["engine_id"], "restore")
    try:
        await pour(service, row, contents, disk, fresh=asked["fresh"])
    finally:
        await disk.close()

    async def finish(db: Connection) -> None:
        await backups.change(db, service, row["id"], status="available")
        about = contents.about
        await volumes.change(
            db,
            service,
            volume["id"],
            status="available",
            bootable=about.bootable,
            metadata=about.metadata,
            image_metadata=about.image_metadata,
        )

    return finish


async def pour(service: Service, row: Row, contents: Manifest, disk: Disk, *, fresh: bool) -> None:
    """Write the chunks of a backup; what it does not hold becomes zeros."""
    if not fresh:
        end = 0
        for at in sorted(contents.chunks):
            if at * CHUNK_BYTES > end:
                await disk.zero(end, at * CHUNK_BYTES - end)
            end = at * CHUNK_BYTES + contents.chunks[at].length
        if end < disk.size:
            await disk.zero(end, disk.size - end)
    for at, chunk in sorted(contents.chunks.items()):
        data = await service.chunks.get(row["container"], chunk.name)
        await disk.write(at * CHUNK_BYTES, manifest.check(data, chunk))
    await disk.flush()


async def give_up_restore(service: Service, db: Connection, work: Row, reason: str) -> None:
    """The volume is in error; the backup is as before."""
    asked = work["parameters"]
    status = "error" if asked["fresh"] else "error_restoring"
    await backups.change(db, service, work["subject_id"], status="available")
    await volumes.change(db, service, asked["volume_id"], status=status)
    await messages.tell(db, service, work, f"restore backup:{reason}")


async def delete(service: Service, work: Row) -> Finish:
    """Remove a backup's own objects."""
    await promises.stop(service, work["subject_id"], "backup.create", "backup.restore")
    async with service.database.read() as db:
        row = await backups.get(db, work["subject_id"])
    # the manifest goes first, so that what is half removed can no longer be restored
    await service.chunks.delete(row["container"], f"{row['prefix']}/manifest")
    while names := await service.chunks.names(row["container"], f"{row['prefix']}/"):
        for name in names:
            await service.chunks.delete(row["container"], name)
    if row["engine_id"] is not None and (row["engine_snapshot_id"] or "").startswith("backup-"):
        with suppress(NotFound):
            await service.volumes.drop_snapshot(row["engine_id"], row["engine_snapshot_id"])

    async def finish(db: Connection) -> None:
        await rows.delete(db, backups.TABLE, backups.TABLE.c.id == row["id"])

    return finish


async def give_up_delete(service: Service, db: Connection, work: Row, reason: str) -> None:
    """It stays, marked."""
    await backups.change(
        db, service, work["subject_id"], status="error_deleting", fail_reason=reason
    )
    await messages.tell(db, service, work, f"delete backup:{reason}")


DEEDS = {
    "backup.create": Deed(create, give_up_create),
    "backup.restore": Deed(restore, give_up_restore),
    "backup.delete": Deed(delete, give_up_delete),
}
