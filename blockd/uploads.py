"""Images made of volumes, without copying: the image begins as a clone of the volume.

So it is a raw one; an image that is named qcow2 but holds a raw disk would lie, and converting is not built (501).
"""

from __future__ import annotations

from typing import Any

from blockd import volume_types, volumes, work
from blockd.api.shape import truth
from blockd.fault import wrong_status
from blockd.service import Service
from blockd.sight import about
from blockd.times import instant_or_none
from core import rows
from core.api.call import Call
from core.api.fault import Fault, bad_request
from core.errors import Refused
from core.rows import Row

DISK_FORMATS = ("raw", "vmdk", "vdi", "qcow2", "vhd", "vhdx", "ploop", "iso", "ami", "ari", "aki")
CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
HIDDEN = frozenset(
    {"image_id", "image_name", "size", "checksum", "disk_format", "container_format"}
    | {"min_disk", "min_ram"}
)


def attributes_of(call: Call, row: Row, given: dict[str, Any]) -> dict[str, Any]:
    """The new image's attributes."""
    kept = {
        name: value for name, value in (row["image_metadata"] or {}).items() if name not in HIDDEN
    }
    attributes: dict[str, Any] = {
        **kept,
        "name": given["image_name"],
        "disk_format": given.get("disk_format") or "raw",
        "container_format": given.get("container_format") or "bare",
        "min_disk": row["size"],
    }
    if call.microversion >= (3, 1):
        attributes["visibility"] = given.get("visibility") or "private"
        attributes["protected"] = truth(given.get("protected", False))
    return attributes


async def begin(service: Service, call: Call, row: Row, given: dict[str, Any]) -> dict[str, Any]:
    """Queue an image and write the work that fills it. Raises Fault 400, 403."""
    if call.microversion < (3, 1) and {"visibility", "protected"} & set(given):
        raise bad_request("Additional properties are not allowed (they begin with version 3.1)")
    formats = (given.get("disk_format") or "raw", given.get("container_format") or "bare")
    if formats != ("raw", "bare"):
        raise Fault(
            501, "A volume makes a raw image in a bare container; others are not made here."
        )
    allowed = ("available", "in-use") if truth(given.get("force", False)) else ("available",)
    if row["status"] not in allowed:
        raise wrong_status("volume", row["id"], row["status"], " or ".join(allowed))
    if given.get("visibility") == "public":
        call.allow("volume_extension:volume_actions:upload_public", of=about(row))
    token = call.request.header("x-auth-token") or ""
    attributes = attributes_of(call, row, given)
    try:
        image = await service.images.create(attributes, token=token)
    except Fault:
        raise
    except Refused as error:
        raise bad_request(error.message) from None
    async with service.database.write() as db:
        now = await volumes.get(db, row["id"])
        if now["status"] not in allowed:
            raise wrong_status("volume", row["id"], now["status"], " or ".join(allowed))
        await volumes.change(
            db, service, row["id"], status="uploading", previous_status=row["status"]
        )
        await work.add(
            db,
            service,
            call,
            "volume.upload",
            row["id"],
            deadline_s=7200,
            image_id=image.id,
            disk_format=attributes["disk_format"],
            back_to=row["status"],
        )
    service.wake()
    return {"os-volume_upload_image": await _shown(service, row, image.id, attributes)}


async def _shown(
    service: Service, row: Row, image_id: str, attributes: dict[str, Any]
) -> dict[str, Any]:
    async with service.database.read() as db:
        kind = await rows.by_id(db, volume_types.TABLE, row["volume_type_id"])
    return {
        "id": row["id"],
        "updated_at": instant_or_none(row["updated_us"]),
        "status": "uploading",
        "display_description": row["description"],
        "size": row["size"],
        "volume_type": None if kind is None else {"id": kind["id"], "name": kind["name"]},
        "image_id": image_id,
        "container_format": attributes["container_format"],
        "disk_format": attributes["disk_format"],
        "image_name": attributes["name"],
        "protected": attributes.get("protected", False),
        "visibility": attributes.get("visibility", "private"),
    }
