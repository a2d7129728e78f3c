"""Attachments in SQL, and how they and a volume's status go together.

A volume is `reserved` or `attaching` while an attachment is on its way, `in-use` while there is one that is attached.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from blockd import volume_types, volumes, work
from blockd.fault import absent
from blockd.port import ExportInfo, Limits
from blockd.service import Service
from blockd.tables import attachment
from core import rows
from core.api.call import Call
from core.api.fault import Fault, bad_request
from core.database import Connection
from core.rows import Row

TABLE = attachment.attachment
ATTACH_S = 3600  # how long a client may take between saying that it will attach and doing so
DETACH_S = 3600


async def check_let_go(service: Service, call: Call, row: Row | None) -> None:
    """CVE-2023-2088: what a server uses is detached by Compute, not behind its back. Raises Fault 409, Unavailable."""
    if row is None or row["instance_id"] is None or call.may("service_role"):
        return
    if await service.servers.uses(row["instance_id"], row["volume_id"]):
        raise Fault(409, f"Detach volume from instance {row['instance_id']} using the Compute API")


async def get(db: Connection, attachment_id: str) -> Row:
    """An attachment, whoever asks. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, attachment_id)
    if row is None:
        raise absent("Volume attachment", attachment_id[:80])
    return row


def new_row(service: Service, volume: Row, **columns: Any) -> Row:
    """An attachment of a volume; `columns` say what is known already."""
    return {
        "id": service.new_id(),
        "volume_id": volume["id"],
        "project_id": volume["project_id"],
        "instance_id": None,
        "host": None,
        "mountpoint": None,
        "mode": "rw",
        "status": "reserved",
        "connector": None,
        "connection": None,
        "created_us": service.now_us(),
        "attached_us": None,
        **columns,
    }


async def reserve(
    db: Connection, service: Service, volume: Row, *, mode: str, instance_id: str | None
) -> Row:
    """A new attachment of a volume that has room for one. Raises Fault 400."""
    others = await volumes.attachments_of(db, volume["id"])
    shared = volume["multiattach"] and volume["status"] in {"in-use", "reserved", "attaching"}
    if volume["status"] not in {"available", "downloading"} and not shared:
        raise bad_request(
            f"Volume {volume['id']} status must be available or downloading to reserve, but the current"
            f" status is {volume['status']}."
        )
    if mode == "rw" and volume["read_only"]:
        raise bad_request(f"Volume {volume['id']} is read-only.")
    row = new_row(service, volume, mode=mode, instance_id=instance_id)
    await rows.insert(db, TABLE, row)
    if not others:
        await volumes.change(
            db, service, volume["id"], status="reserved", previous_status=volume["status"]
        )
    return row


async def limits_of(db: Connection, volume: Row) -> Limits:
    """What the QoS specs of a volume's type allow it."""
    kind = await rows.by_id(db, volume_types.TABLE, volume["volume_type_id"])
    return Limits() if kind is None else await volume_types.limits_of(db, kind, volume["size"])


async def connect(service: Service, volume: Row, row: Row) -> dict[str, Any]:
    """Open the export of an attachment; what a host needs to reach it."""
    read_only = row["mode"] == "ro" or bool(volume["read_only"])
    async with service.database.read() as db:
        limits = await limits_of(db, volume)
    info = await service.exports.open(
        volume["engine_id"], row["id"], read_only=read_only, limits=limits
    )
    return connection_of(volume, row, info, limits)


def connection_of(volume: Row, row: Row, info: ExportInfo, limits: Limits) -> dict[str, Any]:
    """Connection info in the form that compute services know. Pure."""
    qos = {
        f"{name}_sec": value
        for name in ("read_iops", "write_iops", "total_iops")
        if (value := getattr(limits, name))
    }
    return {
        "driver_volume_type": "nbd",
        "data": {
            "volume_id": volume["id"],
            "attachment_id": row["id"],
            "export": info.export,
            "host": info.host,
            "port": info.port,
            "tls": info.tls,
            "unix_socket": info.unix_socket,
            "read_only": row["mode"] == "ro" or bool(volume["read_only"]),
            "access_mode": row["mode"],
            "qos_specs": qos or None,
            "encrypted": volume["encrypted"],
            "discard": True,
        },
    }


async def connected(
    db: Connection,
    service: Service,
    row: Row,
    connector: dict[str, Any],
    connection: dict[str, Any],
) -> None:
    """Remember that a host was told how to reach it."""
    changes = {
        "connector": connector,
        "connection": connection,
        "status": "attaching",
        "host": str(connector.get("host") or "")[:255] or None,
        "mountpoint": str(connector.get("mountpoint") or "")[:255] or row["mountpoint"],
    }
    await rows.update(db, TABLE, row["id"], changes)
    volume = await volumes.get(db, row["volume_id"])
    if volume["status"] in {"reserved", "available"}:
        await volumes.change(db, service, volume["id"], status="attaching")


async def complete(db: Connection, service: Service, row: Row, **columns: Any) -> None:
    """It is attached."""
    now_us = service.now_us()
    await rows.update(
        db, TABLE, row["id"], {"status": "attached", "attached_us": now_us, **columns}
    )
    await volumes.change(db, service, row["volume_id"], status="in-use")
    await work.end_for(db, row["volume_id"], "volume.unstick")


async def remove(db: Connection, service: Service, row: Row) -> None:
    """It is gone; the volume is free once no other is left."""
    await rows.delete(db, TABLE, TABLE.c.id == row["id"])
    await settle_status(db, service, row["volume_id"])


async def settle_status(db: Connection, service: Service, volume_id: str) -> None:
    """The status that a volume's attachments give it."""
    volume = await volumes.get(db, volume_id)
    left = await volumes.attachments_of(db, volume_id)
    if any(one["status"] == "attached" for one in left):
        status = "in-use"
    elif left:
        status = "attaching" if any(one["status"] == "attaching" for one in left) else "reserved"
    else:
        status = "available"
    if volume["status"] in {"in-use", "attaching", "reserved", "detaching", "available"}:
        await volumes.change(db, service, volume_id, status=status)
    if not left:
        await work.end_for(db, volume_id, "volume.unstick")


async def of_volume(db: Connection, volume_id: str) -> list[Row]:
    """Attachments of one volume, for its actions."""
    statement = sa.select(TABLE).where(TABLE.c.volume_id == volume_id)
    return await rows.rows(db, statement.order_by(TABLE.c.created_us))


def named(found: list[Row], attachment_id: str | None) -> Row | None:
    """The one that an action names; without a name there may be only one. Raises Fault 400, 404."""
    if attachment_id:
        for row in found:
            if row["id"] == attachment_id:
                return row
        raise Fault(404, f"Volume attachment {attachment_id[:80]} could not be found.")
    if len(found) > 1:
        raise bad_request("The volume has several attachments: name one.")
    return found[0] if found else None
