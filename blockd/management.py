"""Volumes and snapshots of the library that the service gives up, and takes back.

Only what was given up here can be taken back, so that nobody takes an image's volume or another service's.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from blockd import quotas, snapshots, volume_types, volumes
from blockd.making import new_row
from blockd.service import GIB, Service
from blockd.sight import own_project
from blockd.tables import unmanaged
from core import rows
from core.api.call import Call
from core.api.fault import Fault, bad_request
from core.database import Connection
from core.errors import NotFound
from core.rows import Row

TABLE = unmanaged.unmanaged
INTERNAL = ("copy-", "upload-", "backup-")
NAME_KEYS = ("source-name", "source-id")


def reference_of(given: dict[str, Any]) -> str:
    """The name in a reference. Raises Fault 400."""
    for key in NAME_KEYS:
        if isinstance(given.get(key), str) and given[key]:
            return str(given[key])
    raise bad_request("The reference must have a source-name or a source-id.")


def check_host(service: Service, host: object) -> None:
    """Raise Fault 400 unless a host is the one there is."""
    if host not in {service.pool, service.host, service.node}:
        raise bad_request(f"Host {str(host)[:80]} is not there.")


async def forget_volume(db: Connection, row: Row) -> None:
    """Give a volume up. Raises Fault 400."""
    volumes.check_status(row, "available", "error")
    if await volumes.snapshots_of(db, row["id"]):
        raise bad_request("Volume cannot be unmanaged while it has snapshots.")
    if await volumes.attachments_of(db, row["id"]):
        raise bad_request("Volume cannot be unmanaged while it is attached.")
    await rows.delete(db, TABLE, TABLE.c.engine_id == row["engine_id"])
    await rows.insert(
        db,
        TABLE,
        {
            "engine_id": row["engine_id"],
            "size": row["size"],
            "bootable": row["bootable"],
            "encrypted": row["encrypted"],
            "encryption_key_id": row["encryption_key_id"],
            "created_us": row["created_us"],
        },
    )
    await rows.delete(db, volumes.TABLE, volumes.TABLE.c.id == row["id"])


async def take_volume(db: Connection, service: Service, call: Call, given: Row) -> Row:
    """Take one back, as a new volume. Raises Fault 400, 404, 413."""
    check_host(service, given["host"])
    engine_id = reference_of(given["ref"])
    held = await rows.first(db, sa.select(TABLE).where(TABLE.c.engine_id == engine_id))
    if held is None:
        raise bad_request(f"There is no volume {engine_id[:80]} that could be managed.")
    asked = given.get("volume_type")
    kind = (
        await volume_types.for_use(db, call, asked)
        if asked
        else await volume_types.default_for(db, own_project(call))
    )
    project_id, size = own_project(call), held["size"]
    await quotas.check(db, project_id, {"volumes": 1, "gigabytes": size}, kind["name"])
    row = new_row(service, call, given, size=size, kind=kind)
    row.update(
        status="available",
        engine_id=engine_id,
        bootable=held["bootable"] or bool(given.get("bootable")),
        encrypted=held["encrypted"],
        encryption_key_id=held["encryption_key_id"],
    )
    await rows.insert(db, volumes.TABLE, row)
    await rows.delete(db, TABLE, TABLE.c.engine_id == engine_id)
    return row


async def manageable_volumes(db: Connection) -> list[dict[str, Any]]:
    """What can be taken back, and what is managed already, by name."""
    free = await rows.rows(db, sa.select(TABLE).order_by(TABLE.c.engine_id))
    managed = await rows.rows(db, sa.select(volumes.TABLE).order_by(volumes.TABLE.c.engine_id))
    found = [
        {
            "reference": {"source-name": row["engine_id"]},
            "size": row["size"],
            "safe_to_manage": "id" not in row,
            "reason_not_safe": "already managed" if "id" in row else None,
            "cinder_id": row.get("id"),
            "extra_info": None,
        }
        for row in (*free, *managed)
    ]
    return sorted(found, key=lambda one: str(one["reference"]["source-name"]))


async def take_snapshot(db: Connection, service: Service, call: Call, given: Row) -> Row:
    """Take back a position of a volume, as a new snapshot. Raises Fault 400, 404, 413."""
    call.absence_is_open = True
    volume = await volumes.get(db, given["volume_id"])
    name = reference_of(given["ref"])
    pin = next((one for one in await free_pins(db, service, volume) if one.id == name), None)
    if pin is None:
        raise Fault(404, f"There is no snapshot {name[:80]} that could be managed.")
    size = pin.size // GIB
    names = await quotas.type_names(db)
    wanted = {"snapshots": 1, "gigabytes": size}
    type_name = names.get(volume["volume_type_id"], "")
    await quotas.check(db, volume["project_id"], wanted, type_name)
    row = {
        "id": service.new_id(),
        "volume_id": volume["id"],
        "project_id": volume["project_id"],
        "user_id": call.identity.user_id,
        "name": given.get("name"),
        "description": given.get("description"),
        "size": size,
        "status": "available",
        "progress": "100%",
        "volume_type_id": volume["volume_type_id"],
        "consumes_quota": True,
        "group_snapshot_id": None,
        "engine_id": volume["engine_id"],
        "engine_snapshot_id": name,
        "metadata": given.get("metadata") or {},
        "created_us": service.now_us(),
        "updated_us": None,
    }
    await rows.insert(db, snapshots.TABLE, row)
    return row


async def free_pins(db: Connection, service: Service, volume: Row) -> list[Any]:
    """Positions of a volume in the library that no snapshot stands for, but for the service's own."""
    try:
        info = await service.volumes.describe(volume["engine_id"])
    except NotFound:
        return []
    kept = await snapshots.pins_of(db, volume["engine_id"])
    return [one for one in info.snapshots if one.id not in kept and not one.id.startswith(INTERNAL)]


async def manageable_snapshots(db: Connection, service: Service) -> list[dict[str, Any]]:
    """The same for snapshots of all volumes."""
    free = [
        {
            "reference": {"source-name": pin.id},
            "size": pin.size // GIB,
            "safe_to_manage": True,
            "reason_not_safe": None,
            "cinder_id": None,
            "extra_info": None,
            "source_reference": {"source-name": volume["engine_id"]},
        }
        for volume in await rows.rows(db, sa.select(volumes.TABLE).order_by(volumes.TABLE.c.id))
        for pin in await free_pins(db, service, volume)
    ]
    managed = [
        {
            "reference": {"source-name": row["engine_snapshot_id"]},
            "size": row["size"],
            "safe_to_manage": False,
            "reason_not_safe": "already managed",
            "cinder_id": row["id"],
            "extra_info": None,
            "source_reference": {"source-name": row["engine_id"]},
        }
        for row in await rows.rows(db, sa.select(snapshots.TABLE).order_by(snapshots.TABLE.c.id))
    ]
    return free + managed
