"""Volumes made, grown, reverted, given another image and removed: the part that the volume library does.

Every step may be repeated after a crash: names in the library come from ids that are in SQL already.
"""

from __future__ import annotations

from contextlib import suppress

from blockd import cut, messages, snapshots, volume_types, volumes
from blockd import work as promises
from blockd.copying import copy
from blockd.deeds.deed import Deed, Finish
from blockd.service import GIB, Service
from core import rows
from core.database import Connection
from core.errors import Conflict, NotFound, Refused
from core.rows import Row
from volume.port import Volumes

MAKING = ("volume.create", "volume.refuse", "volume.extend", "volume.reimage", "volume.upload")


async def _rows(service: Service, work: Row) -> tuple[Row, Row]:
    """The volume that a row of work is about, and its type."""
    async with service.database.read() as db:
        row = await volumes.get(db, work["subject_id"])
        kind = await rows.by_id(db, volume_types.TABLE, row["volume_type_id"])
    return row, kind or {"extra_specs": {}}


async def make_empty(service: Service, row: Row, kind: Row) -> None:
    """A blank volume of the library for a row."""
    await service.volumes.create(
        row["engine_id"],
        row["size"] * GIB,
        policy=volume_types.policy_of(kind),
        encrypted=row["encrypted"],
        retention_s=volume_types.retention_s(kind),
    )


async def make_from(
    service: Service, row: Row, kind: Row, source_id: str, snapshot_id: str
) -> None:
    """A volume that begins at a position: a clone, or a copy where only one of the two is encrypted."""
    source = await service.volumes.describe(source_id)
    if source.encrypted == row["encrypted"]:
        await service.volumes.clone(
            row["engine_id"], source_id, snapshot_id, size=row["size"] * GIB
        )
        return
    await make_empty(service, row, kind)
    await copy(service.volumes, source_id, snapshot_id, row["engine_id"])


async def create(service: Service, work: Row) -> Finish:
    """Make what a new row of a volume stands for."""
    row, kind = await _rows(service, work)
    asked = work["parameters"]
    if asked["source"] == "snapshot":
        await make_from(service, row, kind, asked["engine_id"], asked["engine_snapshot_id"])
    elif asked["source"] == "volume":
        await _from_volume(service, row, kind, asked)
    elif asked["source"] == "image":
        place = await service.images.place(asked["image_id"])
        await make_from(service, row, kind, place.volume_id, place.snapshot_id)
    else:
        await make_empty(service, row, kind)

    async def finish(db: Connection) -> None:
        now = await rows.by_id(db, volumes.TABLE, row["id"])
        if now is not None and now["status"] == "creating":
            await volumes.change(db, service, row["id"], status="available")

    return finish


async def _from_volume(service: Service, row: Row, kind: Row, asked: Row) -> None:
    """Through a snapshot that nobody else sees."""
    pin = f"copy-{row['id']}"
    await cut.flush(service, asked["engine_id"])
    with suppress(Conflict):  # an earlier attempt has made it
        await service.volumes.snapshot(asked["engine_id"], pin)
    await make_from(service, row, kind, asked["engine_id"], pin)
    await service.volumes.drop_snapshot(asked["engine_id"], pin)


async def give_up_create(service: Service, db: Connection, work: Row, reason: str) -> None:
    """The volume is in error, and its project is told why."""
    await volumes.change(db, service, work["subject_id"], status="error")
    await messages.tell(
        db, service, work, f"create volume:{reason}", event=work["parameters"].get("event")
    )


async def refuse(service: Service, work: Row) -> Finish:
    """What no backend can hold: given up at once."""
    del service
    raise Refused("NoBackend", str(work["parameters"]["reason"]))


async def remove_from_library(volumes_: Volumes, engine_id: str, keep: frozenset[str]) -> None:
    """Remove a volume with the snapshots that only the service knew; with one in `keep` it stays."""
    try:
        info = await volumes_.describe(engine_id)
    except NotFound:
        return
    for pin in info.snapshots:
        if pin.id not in keep:
            await volumes_.drop_snapshot(engine_id, pin.id)
    if any(pin.id in keep for pin in info.snapshots):
        return
    with suppress(NotFound):
        await volumes_.delete(engine_id)


async def delete(service: Service, work: Row) -> Finish:
    """Remove a volume, its snapshots, and what they stand for."""
    await promises.stop(service, work["subject_id"], *MAKING)
    async with service.database.read() as db:
        row = await volumes.get(db, work["subject_id"])
        pins = await volumes.snapshots_of(db, row["id"])
        attached = await volumes.attachments_of(db, row["id"])
    for one in attached:  # only a forced delete finds any
        await service.exports.close(one["id"])
    for engine_id in {row["engine_id"], *(pin["engine_id"] for pin in pins)}:
        await remove_from_library(service.volumes, engine_id, frozenset())

    async def finish(db: Connection) -> None:
        await rows.delete(db, volumes.TABLE, volumes.TABLE.c.id == row["id"])

    return finish


async def give_up_delete(service: Service, db: Connection, work: Row, reason: str) -> None:
    """It stays, marked."""
    await volumes.change(db, service, work["subject_id"], status="error_deleting")
    await messages.tell(db, service, work, f"delete volume:{reason}")


async def extend(service: Service, work: Row) -> Finish:
    """Grow a volume, through its exports while it is attached."""
    row, _ = await _rows(service, work)
    size = int(work["parameters"]["size"])
    with suppress(Conflict):  # already that large: an earlier attempt
        if work["parameters"]["back_to"] == "in-use":
            await service.exports.resize(row["engine_id"], size * GIB)
        else:
            await service.volumes.resize(row["engine_id"], size * GIB)

    async def finish(db: Connection) -> None:
        back_to = work["parameters"]["back_to"]
        await volumes.change(db, service, row["id"], status=back_to, size=size)

    return finish


async def give_up_extend(service: Service, db: Connection, work: Row, reason: str) -> None:
    """Marked; nothing has been lost."""
    await volumes.change(db, service, work["subject_id"], status="error_extending")
    await messages.tell(db, service, work, f"extend volume:{reason}")


async def revert(service: Service, work: Row) -> Finish:
    """Make a volume what it was at its newest snapshot."""
    row, _ = await _rows(service, work)
    pin = work["parameters"]
    await service.volumes.revert(row["engine_id"], pin["engine_snapshot_id"])

    async def finish(db: Connection) -> None:
        await volumes.change(db, service, row["id"], status="available")
        await snapshots.change(db, service, pin["snapshot_id"], status="available")

    return finish


async def give_up_revert(service: Service, db: Connection, work: Row, reason: str) -> None:
    """The volume is in error, its snapshot is not."""
    await volumes.change(db, service, work["subject_id"], status="error")
    await snapshots.change(db, service, work["parameters"]["snapshot_id"], status="available")
    await messages.tell(db, service, work, f"revert to snapshot:{reason}")


async def reimage(service: Service, work: Row) -> Finish:
    """Begin again with an image: a fresh volume of the library takes the old one's place."""
    row, kind = await _rows(service, work)
    asked = work["parameters"]
    place = await service.images.place(asked["image_id"])
    fresh = {**row, "engine_id": asked["engine_id"]}
    await make_from(service, fresh, kind, place.volume_id, place.snapshot_id)

    async def finish(db: Connection) -> None:
        await volumes.change(
            db,
            service,
            row["id"],
            status=asked["back_to"],
            engine_id=asked["engine_id"],
            bootable=True,
            image_metadata=asked["image_metadata"],
        )

    return finish


async def give_up_reimage(service: Service, db: Connection, work: Row, reason: str) -> None:
    """The volume is in error; what it held is untouched."""
    await volumes.change(db, service, work["subject_id"], status="error")
    await messages.tell(db, service, work, f"reimage volume:{reason}")


async def tidy_library(service: Service, work: Row) -> Finish:
    """Remove a volume of the library that no volume stands for any more, unless snapshots need it."""
    engine_id = work["subject_id"]
    async with service.database.read() as db:
        keep = await snapshots.pins_of(db, engine_id)
    await remove_from_library(service.volumes, engine_id, keep)

    async def finish(db: Connection) -> None:
        del db

    return finish


async def unstick(service: Service, work: Row) -> Finish:
    """A client said that it would attach or detach and never came back: as before."""

    async def finish(db: Connection) -> None:
        row = await rows.by_id(db, volumes.TABLE, work["subject_id"])
        if row is not None and row["status"] == work["parameters"]["status"]:
            await volumes.change(db, service, row["id"], status=work["parameters"]["back_to"])

    return finish


async def leave(service: Service, db: Connection, work: Row, reason: str) -> None:
    """Nothing to undo."""
    del service, db, work, reason


DEEDS = {
    "volume.create": Deed(create, give_up_create),
    "volume.refuse": Deed(refuse, give_up_create),
    "volume.delete": Deed(delete, give_up_delete),
    "volume.extend": Deed(extend, give_up_extend),
    "volume.revert": Deed(revert, give_up_revert),
    "volume.reimage": Deed(reimage, give_up_reimage),
    "volume.tidy": Deed(tidy_library, leave),
    "volume.unstick": Deed(unstick, leave),
}
