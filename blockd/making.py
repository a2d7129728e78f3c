"""A new volume: what it is made from, how large it is and of what type; then its row and the work to make it.

Sources are a snapshot, a volume, an image or a backup, at most one of them. The size is at least the source's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from blockd import backups, quotas, snapshots, volume_types, volumes, work
from blockd.api.shape import number, stripped, truth
from blockd.port import ImageInfo
from blockd.service import GIB, ZONE, Service
from blockd.sight import own_project, row_of
from core import rows
from core.api.call import NOTHING, Call
from core.api.fault import Fault, bad_request
from core.database import Connection
from core.errors import Conflict, NotFound
from core.rows import Row
from volume.port import SIZE_MAX

SOURCES = ("snapshot_id", "source_volid", "imageRef", "backup_id")
GIB_MAX = SIZE_MAX // GIB
IMAGE_FACTS = ("container_format", "disk_format", "min_disk", "min_ram", "size", "checksum")


class Source(NamedTuple):
    """What a volume is made from; `size` is its least, in GiB, `type_id` the type it suggests."""

    kind: str = "empty"
    size: int = 0
    type_id: str | None = None
    type_name: str | None = None
    parameters: Mapping[str, Any] = NOTHING
    columns: Mapping[str, Any] = NOTHING


def image_metadata(image: ImageInfo) -> dict[str, str]:
    """What a volume remembers of its image."""
    facts = {
        "image_id": image.id,
        "image_name": image.name,
        **{name: str(getattr(image, name)) for name in IMAGE_FACTS},
    }
    return {**dict(image.properties), **facts}


async def image_of(service: Service, call: Call, reference: str) -> ImageInfo:
    """An active image that the caller may use. Raises Fault 400, 409."""
    name = reference.rsplit("/", 1)[-1] if reference.startswith("http") else reference
    token = call.request.header("x-auth-token") or ""
    try:
        image = await service.images.show(name, token=token)
    except NotFound:
        raise bad_request("Invalid image identifier or unable to access requested image.") from None
    except Conflict as error:
        raise Fault(409, error.message) from None
    if image.status != "active":
        raise bad_request(f"Image {image.id} is not active.")
    return image


def image_gib(image: ImageInfo) -> int:
    """The least size of a volume for an image."""
    return max(image.min_disk, -(-max(image.size, image.virtual_size) // GIB))


async def source_of(
    db: Connection,
    call: Call,
    given: dict[str, Any],
    image: ImageInfo | None,
    *,
    restore: bool = False,
) -> Source:
    """Find what a body names. Raises Fault 400, 404."""
    if given.get("snapshot_id"):
        return await _snapshot(db, call, given["snapshot_id"])
    if given.get("source_volid"):
        return await _volume(db, call, given["source_volid"])
    if given.get("backup_id") and (restore or call.microversion >= (3, 47)):
        return await _backup(db, call, given["backup_id"])
    if image is not None:
        return Source(
            "image",
            image_gib(image),
            type_name=image.properties.get("cinder_img_volume_type"),
            parameters={"image_id": image.id},
            columns={"bootable": True, "image_metadata": image_metadata(image)},
        )
    return Source()


async def _snapshot(db: Connection, call: Call, snapshot_id: str) -> Source:
    row = await row_of(db, call, snapshots.TABLE, snapshot_id, "Snapshot")
    if row["status"] != "available":
        raise bad_request(f"Invalid snapshot: {row['id']} is {row['status']}, not available.")
    parent = await volumes.get(db, row["volume_id"])
    return Source(
        "snapshot",
        row["size"],
        type_id=row["volume_type_id"],
        parameters={
            "engine_id": row["engine_id"],
            "engine_snapshot_id": row["engine_snapshot_id"],
        },
        columns={
            "snapshot_id": row["id"],
            "bootable": parent["bootable"],
            "image_metadata": parent["image_metadata"],
        },
    )


async def _volume(db: Connection, call: Call, volume_id: str) -> Source:
    row = await row_of(db, call, volumes.TABLE, volume_id, "Volume")
    volumes.check_status(row, "available", "in-use")
    return Source(
        "volume",
        row["size"],
        type_id=row["volume_type_id"],
        parameters={"engine_id": row["engine_id"]},
        columns={
            "source_volid": row["id"],
            "bootable": row["bootable"],
            "image_metadata": row["image_metadata"],
        },
    )


async def _backup(db: Connection, call: Call, backup_id: str) -> Source:
    row = await row_of(db, call, backups.TABLE, backup_id, "Backup")
    if row["status"] != "available":
        raise bad_request(f"Invalid backup: {row['id']} is {row['status']}, not available.")
    return Source("backup", row["size"], parameters={"backup_id": row["id"]})


def size_of(given: dict[str, Any], source: Source) -> int:
    """The size asked for, or the source's. Raises Fault 400."""
    asked = given.get("size")
    if asked is None:
        if not source.size:
            raise bad_request("Volume 'size' must be an integer and greater than 0.")
        return source.size
    size = number(asked, "size", 1, GIB_MAX)
    if size < source.size:
        raise bad_request(
            f"Volume size '{size}'GB cannot be smaller than the {source.kind}'s size {source.size}GB."
        )
    return size


async def type_of(db: Connection, call: Call, given: dict[str, Any], source: Source) -> Row:
    """The type asked for, the source's, or the project's default. Raises Fault 404."""
    asked = given.get("volume_type")
    if asked:
        return await volume_types.for_use(db, call, asked)
    if source.type_id is not None:
        found = await volume_types.find(db, source.type_id)
        if found is not None:
            return found
    if source.type_name:
        return await volume_types.for_use(db, call, source.type_name)
    return await volume_types.default_for(db, own_project(call))


async def begin(
    db: Connection,
    service: Service,
    call: Call,
    given: dict[str, Any],
    *,
    image: ImageInfo | None = None,
    group_id: str | None = None,
    restore: bool = False,
) -> Row:
    """Write the row of a new volume and the work to make it. Raises Fault 400, 404, 413."""
    project_id = own_project(call)
    source = await source_of(db, call, given, image, restore=restore)
    size = size_of(given, source)
    kind = await type_of(db, call, given, source)
    zone = given.get("availability_zone") or ZONE
    if zone != ZONE:
        raise bad_request(f"Availability zone '{zone[:80]}' is invalid.")
    await quotas.check_size(db, project_id, size)
    await quotas.check(db, project_id, {"volumes": 1, "gigabytes": size}, kind["name"])
    row = new_row(service, call, given, size=size, kind=kind)
    row.update(source.columns, group_id=group_id)
    await rows.insert(db, volumes.TABLE, row)
    unmet = volume_types.unmet(kind)
    if unmet is not None:
        await work.add(
            db,
            service,
            call,
            "volume.refuse",
            row["id"],
            event="schedule",
            reason=f"No backend fits the volume type: {unmet}.",
        )
    elif source.kind == "backup":
        backup_id = source.parameters["backup_id"]
        await backups.begin_restore(db, service, call, backup_id, row, fresh=True)
    else:
        await work.add(
            db,
            service,
            call,
            "volume.create",
            row["id"],
            deadline_s=7200 if source.kind == "image" else 600,
            source=source.kind,
            **source.parameters,
        )
    return row


def new_row(service: Service, call: Call, given: dict[str, Any], *, size: int, kind: Row) -> Row:
    """A volume's row before it is anything."""
    volume_id = service.new_id()
    encrypted = kind["encryption"] is not None
    return {
        "id": volume_id,
        "project_id": call.identity.project_id,
        "user_id": call.identity.user_id,
        "name": stripped(given.get("name", given.get("display_name"))),
        "description": stripped(given.get("description", given.get("display_description"))),
        "size": size,
        "status": "creating",
        "previous_status": None,
        "migration_status": None,
        "volume_type_id": kind["id"],
        "availability_zone": ZONE,
        "bootable": False,
        "multiattach": volume_types.shareable(kind),
        "read_only": None,
        "encrypted": encrypted,
        "consumes_quota": True,
        "snapshot_id": None,
        "source_volid": None,
        "group_id": None,
        "engine_id": volume_id,
        "encryption_key_id": service.new_id() if encrypted else None,
        "metadata": given.get("metadata") or {},
        "image_metadata": None,
        "created_us": service.now_us(),
        "updated_us": None,
    }


def check_sources(given: dict[str, Any]) -> None:
    """At most one source, and the old way to share volumes is gone. Raises Fault 400."""
    if sum(1 for name in SOURCES if given.get(name)) > 1:
        raise bad_request(
            "May specify only one of snapshot, imageRef, backup or source volume at the same time."
        )
    if truth(given.get("multiattach", False)):
        raise bad_request(
            "multiattach parameter has been removed. Request a multiattach volume type instead."
        )
    if given.get("consistencygroup_id"):
        raise bad_request("Consistency groups are gone: use groups instead.")
