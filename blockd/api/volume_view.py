"""Volumes as clients see them; what is shown depends on the microversion and on who asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from blockd import quotas, volumes
from blockd.api.paths import links
from blockd.service import Service
from blockd.sight import about
from blockd.times import instant, instant_or_none
from core.api.call import Call
from core.database import Connection
from core.rows import Row


class Context(NamedTuple):
    """What the views of some volumes need beside their rows."""

    service: Service
    type_names: dict[str, str]
    attachments: dict[str, list[Row]]


async def context_of(db: Connection, service: Service, found: Sequence[Row]) -> Context:
    """Read it."""
    by_volume: dict[str, list[Row]] = defaultdict(list)
    for row in await volumes.attachments_of(db, *(row["id"] for row in found)):
        by_volume[row["volume_id"]].append(row)
    return Context(service, await quotas.type_names(db), by_volume)


def brief(call: Call, row: Row) -> dict[str, Any]:
    """A volume in a list without details."""
    return {"id": row["id"], "name": row["name"], "links": links(call, "volumes", row["id"])}


def metadata_shown(row: Row, attached: Sequence[Row]) -> dict[str, str]:
    """A volume's metadata, with what the service adds to it."""
    shown = dict(row["metadata"])
    if row["read_only"] is not None:
        shown["readonly"] = str(row["read_only"])
    if attached:
        shown.setdefault("readonly", "False")
        shown["attached_mode"] = attached[-1]["mode"]
    return shown


def attachment_shown(call: Call, row: Row) -> dict[str, Any]:
    """An attachment inside a volume."""
    return {
        "id": row["volume_id"],
        "attachment_id": row["id"],
        "volume_id": row["volume_id"],
        "server_id": row["instance_id"],
        "host_name": row["host"] if call.may("context_is_admin") else None,
        "device": row["mountpoint"],
        "attached_at": instant_or_none(row["attached_us"]),
    }


def full(call: Call, row: Row, context: Context) -> dict[str, Any]:
    """A volume with its details, as answers to POST and PUT hold it."""
    admin = call.may("context_is_admin")
    attached = [
        one for one in context.attachments.get(row["id"], ()) if one["status"] == "attached"
    ]
    shown: dict[str, Any] = {
        "id": row["id"],
        "status": row["status"],
        "size": row["size"],
        "availability_zone": row["availability_zone"],
        "created_at": instant(row["created_us"]),
        "updated_at": instant_or_none(row["updated_us"]),
        "name": row["name"],
        "description": row["description"],
        "volume_type": context.type_names.get(row["volume_type_id"]),
        "snapshot_id": row["snapshot_id"],
        "source_volid": row["source_volid"],
        "metadata": metadata_shown(row, attached),
        "links": links(call, "volumes", row["id"]),
        "user_id": row["user_id"],
        "bootable": str(row["bootable"]).lower(),
        "encrypted": row["encrypted"],
        "replication_status": None,
        "consistencygroup_id": None,
        "multiattach": row["multiattach"],
        "attachments": [attachment_shown(call, one) for one in attached],
        "migration_status": row["migration_status"] if admin else None,
    }
    shown.update(_by_version(call, row, admin=admin))
    return shown


def _by_version(call: Call, row: Row, *, admin: bool) -> dict[str, Any]:
    version = call.microversion
    shown: dict[str, Any] = {}
    if version >= (3, 13):
        shown["group_id"] = row["group_id"]
    if version >= (3, 21) and admin:
        shown["provider_id"] = None
    if version >= (3, 48):
        shown["service_uuid"] = None
        shown["shared_targets"] = False
    if version >= (3, 61) and admin:
        shown["cluster_name"] = None
    if version >= (3, 63):
        shown["volume_type_id"] = row["volume_type_id"]
    if version >= (3, 64) and row["encrypted"]:
        shown["encryption_key_id"] = row["encryption_key_id"]
    if version >= (3, 65):
        shown["consumes_quota"] = row["consumes_quota"]
    return shown


def extended(call: Call, row: Row, context: Context) -> dict[str, Any]:
    """A volume with its details, as answers to GET hold it."""
    shown = full(call, row, context)
    if row["image_metadata"]:
        shown["volume_image_metadata"] = row["image_metadata"]
    target = about(row)
    if call.may("volume_extension:volume_host_attribute", of=target):
        shown["os-vol-host-attr:host"] = context.service.pool
    if call.may("volume_extension:volume_tenant_attribute", of=target):
        shown["os-vol-tenant-attr:tenant_id"] = row["project_id"]
    if call.may("volume_extension:volume_mig_status_attribute", of=target):
        shown["os-vol-mig-status-attr:migstat"] = row["migration_status"]
        shown["os-vol-mig-status-attr:name_id"] = None
    return shown
