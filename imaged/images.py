"""Images in SQL: who sees which, one look or a list, and changes that hold only from the state they were decided on."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from core import rows
from core.api.fault import Fault, conflict
from core.database import Connection
from core.identity import Identity
from core.rows import Row
from imaged import listing, sight, states
from imaged.listing import Page, Wanted
from imaged.tables import image, member

TABLE = image.image
MEMBERS = member.member


class Seen(NamedTuple):
    """An image that the caller may know of; `member`: it is shared with the caller's project."""

    row: Row
    member: bool


def absent(image_id: str) -> Fault:
    """404, in the API's words."""
    return Fault(404, f"No image found with ID {image_id}")


def new_row(image_id: str, now_us: int, **given: Any) -> Row:
    """A queued image with these attributes and the API's defaults for the others."""
    return {
        "id": image_id,
        "name": None,
        "status": states.QUEUED,
        "visibility": "shared",
        "owner": None,
        "protected": False,
        "os_hidden": False,
        "min_disk": 0,
        "min_ram": 0,
        "disk_format": None,
        "container_format": None,
        "size": None,
        "virtual_size": None,
        "checksum": None,
        "os_hash_algo": None,
        "os_hash_value": None,
        "properties": {},
        "tags": [],
        "created_us": now_us,
        "updated_us": now_us,
        "task_id": None,
        "failed_import": None,
        "hash_due": False,
        "boot_form": states.NOT_ASKED,
        "busy_kind": "",
        "busy_owner": "",
        "busy_until_us": 0,
        **given,
    }


async def get(db: Connection, image_id: str) -> Row | None:
    """An image that has not been deleted."""
    row = await rows.by_id(db, TABLE, image_id)
    return None if row is None or row["status"] == states.DELETED else row


async def find(db: Connection, identity: Identity, image_id: str) -> Seen:
    """An image that the caller may know of. Raises Fault 404."""
    row = await get(db, image_id)
    if row is None:
        raise absent(image_id)
    shared = await membership(db, image_id, identity.project_id) is not None
    if not sight.visible(row, identity, member=shared):
        raise absent(image_id)
    return Seen(row, shared)


async def membership(db: Connection, image_id: str, project_id: str) -> Row | None:
    """What a project says to an image that is shared with it; None when it is not."""
    if not project_id:
        return None
    return await rows.first(
        db,
        sa.select(MEMBERS).where(MEMBERS.c.image_id == image_id, MEMBERS.c.member_id == project_id),
    )


async def listed(db: Connection, identity: Identity, wanted: Wanted) -> tuple[Page, set[str]]:
    """One page of what a caller sees, and the ids of images that are shared with its project."""
    project_id, admin = identity.project_id, sight.is_admin(identity)
    mine = sa.select(MEMBERS.c.image_id, MEMBERS.c.status).where(MEMBERS.c.member_id == project_id)
    shared: dict[str, str] = {}
    if project_id:
        shared = {row["image_id"]: row["status"] for row in await rows.rows(db, mine)}
    statement = sa.select(TABLE).where(TABLE.c.status != states.DELETED)
    if not admin:
        statement = statement.where(
            TABLE.c.visibility.in_(("public", "community"))
            | (TABLE.c.owner == project_id)
            | TABLE.c.id.in_(sa.select(MEMBERS.c.image_id).where(MEMBERS.c.member_id == project_id))
        )
    found = [
        row
        for row in await rows.rows(db, statement)
        if listing.shows(
            row, wanted, project_id=project_id, admin=admin, status=shared.get(row["id"])
        )
    ]
    page = listing.page(found, wanted.order, limit=wanted.limit, marker=wanted.marker)
    return page, set(shared)


async def owned(db: Connection, project_id: str) -> list[Row]:
    """All images of a project."""
    statement = sa.select(TABLE).where(
        TABLE.c.owner == project_id, TABLE.c.status != states.DELETED
    )
    return await rows.rows(db, statement)


async def create(db: Connection, row: Row) -> None:
    """Add an image. Raises Fault 409 when its id is taken."""
    if await rows.by_id(db, TABLE, row["id"]) is not None:
        raise conflict(f"Image ID {row['id']} already exists!")
    await rows.insert(db, TABLE, row)


async def change(db: Connection, row: Row, now_us: int, **changes: Any) -> Row:
    """Change what clients see of an image; returns the row as it is now."""
    changes["updated_us"] = now_us
    await rows.update(db, TABLE, row["id"], changes)
    return {**row, **changes}


async def move(db: Connection, row: Row, to: str, now_us: int, **changes: Any) -> Row:
    """Change an image's state. Raises Fault 409 when it does not follow."""
    states.check_move(row["status"], to)
    return await change(db, row, now_us, status=to, **changes)
