"""`/volumes`: create, list, show, change, delete, and the summary."""

from __future__ import annotations

import operator as op
from typing import Any

import sqlalchemy as sa

from blockd import groups, making, snapshots, volumes, work
from blockd.api.paths import both
from blockd.api.shape import DESCRIPTION, NAME, flag, metadata, one, stripped, truth, uuid
from blockd.api.volume_view import brief, context_of, extended, full
from blockd.listing import Listing, Page, answer, conditions, owned, page
from blockd.listing import truth as asked
from blockd.service import Service
from blockd.sight import about, allowed, own_project
from blockd.times import parsed
from core import rows
from core.api.call import Answer, Call
from core.api.fault import bad_request
from core.api.route import Route
from core.api.shape import Attributes, Shape, anything, nullable, text
from core.database import Connection
from core.rows import Row

ATTRIBUTES: Attributes = {
    "name": NAME,
    "description": DESCRIPTION,
    "display_name": NAME,
    "display_description": DESCRIPTION,
    "metadata": nullable(metadata),
    "size": anything,
    "volume_type": nullable(text(0, 255)),
    "availability_zone": nullable(text(0, 255)),
    "snapshot_id": nullable(text(0, 255)),
    "source_volid": nullable(text(0, 255)),
    "consistencygroup_id": nullable(text(0, 255)),
    "imageRef": nullable(text(0, 255)),
    "image_id": nullable(text(0, 255)),
    "multiattach": nullable(flag),
    "group_id": nullable(text(0, 255)),
    "backup_id": nullable(text(0, 255)),
}
HINTS = nullable(Shape({}))
CREATE = Shape(
    {"volume": Shape(ATTRIBUTES), "OS-SCH-HNT:scheduler_hints": HINTS}, ["volume"], more=False
)
CHANGEABLE = ("name", "description", "display_name", "display_description", "metadata")
UPDATE = one("volume", Shape({name: ATTRIBUTES[name] for name in CHANGEABLE}, more=False))
STRICT_SINCE = (3, 53)
FILTERS = {
    "name": "name",
    "display_name": "name",
    "status": "status",
    "bootable": "bootable",
    "migration_status": "migration_status",
    "availability_zone": "availability_zone",
    "size": "size",
    "multiattach": "multiattach",
}
SORTS = {
    "id": "id",
    "name": "name",
    "display_name": "name",
    "status": "status",
    "size": "size",
    "availability_zone": "availability_zone",
    "bootable": "bootable",
    "created_at": "created_us",
    "updated_at": "updated_us",
}
LISTING = Listing(volumes.TABLE, FILTERS, SORTS)
OPERATORS = {"gt": op.gt, "gte": op.ge, "lt": op.lt, "lte": op.le, "eq": op.eq, "neq": op.ne}
COMPARED = {"created_at": "created_us", "updated_at": "updated_us"}


def listing_for(call: Call) -> Listing:
    """The filters that this version has and this caller may use."""
    more = {}
    if call.microversion >= (3, 10):
        more["group_id"] = "group_id"
    if call.microversion >= (3, 65):
        more["consumes_quota"] = "consumes_quota"
    if call.may("context_is_admin"):
        more.update({"id": "id", "user_id": "user_id", "snapshot_id": "snapshot_id"})
    return LISTING._replace(filters={**FILTERS, **more})


def time_conditions(call: Call) -> list[sa.ColumnElement[bool]]:
    """`created_at=gt:TIME,lt:TIME` from 3.60 on. Raises Fault 400."""
    found: list[sa.ColumnElement[bool]] = []
    for field, name in COMPARED.items():
        raw = call.query.get(field)
        if raw is None or call.microversion < (3, 60):
            continue
        column = volumes.TABLE.c[name]
        for part in raw.split(","):
            operator, _, moment = part.partition(":")
            us = parsed(moment)
            if us is None or operator not in OPERATORS:
                raise bad_request(f"Invalid value for {field}: '{part[:80]}'")
            found.append(OPERATORS[operator](column, us))
    return found


class Volumes:
    """Operations on volumes."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/volumes", "/volumes/{volume_id}"
        return both(
            [
                Route("GET", top, "volume:get_all", self.list),
                Route("GET", f"{top}/detail", "volume:get_all", self.detail),
                Route("GET", f"{top}/summary", "volume:get_all", self.summary, since=(3, 12)),
                Route("POST", top, "volume:create", self.create, 202, CREATE),
                Route("GET", single, "volume:get", self.show),
                Route("PUT", single, "volume:update", self.update, 200, UPDATE),
                Route("DELETE", single, "volume:delete", self.delete, 202),
            ]
        )

    async def _page(self, db: Connection, call: Call) -> Page:
        call.allow(of={"project_id": call.identity.project_id})
        where = owned(call, volumes.TABLE, *time_conditions(call))
        return await page(db, call, listing_for(call), *where)

    async def list(self, call: Call) -> dict[str, Any]:
        """Names and links."""
        async with self._database.read() as db:
            found = await self._page(db, call)
        return answer(call, "volumes", found, [brief(call, row) for row in found.rows])

    async def detail(self, call: Call) -> dict[str, Any]:
        """With everything."""
        async with self._database.read() as db:
            found = await self._page(db, call)
            context = await context_of(db, self._service, found.rows)
        return answer(call, "volumes", found, [extended(call, row, context) for row in found.rows])

    async def summary(self, call: Call) -> dict[str, Any]:
        """How many there are and how large they are together."""
        call.allow(of={"project_id": call.identity.project_id})
        table = volumes.TABLE
        where = owned(call, table, *conditions(call, listing_for(call)))
        async with self._database.read() as db:
            found = await rows.rows(db, sa.select(table.c.size, table.c.metadata).where(*where))
        body: dict[str, Any] = {
            "total_size": sum(row["size"] for row in found),
            "total_count": len(found),
        }
        if call.microversion >= (3, 36):
            values: dict[str, list[str]] = {}
            for row in found:
                for key, value in row["metadata"].items():
                    if value not in values.setdefault(key, []):
                        values[key].append(value)
            body["metadata"] = values
        return {"volume-summary": body}

    async def create(self, call: Call) -> dict[str, Any]:
        """Accept a new volume."""
        given = dict(call.part("volume"))
        call.allow(of={"project_id": own_project(call), "user_id": call.identity.user_id})
        unknown = [name for name in given if name not in ATTRIBUTES]
        if unknown and call.microversion >= STRICT_SINCE:
            raise bad_request(
                f"Additional properties are not allowed ('{unknown[0][:80]}' was unexpected)"
            )
        given["imageRef"] = given.get("imageRef") or given.get("image_id")
        making.check_sources(given)
        for name in ("snapshot_id", "source_volid", "backup_id"):
            if given.get(name):
                uuid(given[name], name)
        image = None
        if given["imageRef"]:
            call.allow("volume:create_from_image", of={"project_id": own_project(call)})
            image = await making.image_of(self._service, call, given["imageRef"])
        async with self._database.write() as db:
            group_id = await self._group(db, call, given)
            row = await making.begin(db, self._service, call, given, image=image, group_id=group_id)
            context = await context_of(db, self._service, [row])
        self._service.wake()
        return {"volume": full(call, row, context)}

    async def _group(self, db: Connection, call: Call, given: Row) -> str | None:
        """The group that a new volume joins."""
        if not given.get("group_id") or call.microversion < (3, 13):
            return None
        row = await allowed(db, call, groups.TABLE, given["group_id"], "Group")
        wanted = given.get("volume_type")
        if not wanted:
            raise bad_request("volume_type must be provided when creating a volume in a group.")
        await groups.check_type(db, row, wanted)
        return str(row["id"])

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a volume."""
        async with self._database.read() as db:
            row = await allowed(db, call, volumes.TABLE, call.variables["volume_id"], "Volume")
            context = await context_of(db, self._service, [row])
        return {"volume": extended(call, row, context)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change name, description or metadata."""
        given = call.part("volume")
        if not given and call.microversion >= STRICT_SINCE:
            raise bad_request("At least one attribute must be given.")
        changes: Row = {}
        for name in ("name", "description"):
            for spelled in (f"display_{name}", name):
                if spelled in given:
                    changes[name] = stripped(given[spelled])
        if given.get("metadata") is not None:
            changes["metadata"] = given["metadata"]
        async with self._database.write() as db:
            row = await allowed(db, call, volumes.TABLE, call.variables["volume_id"], "Volume")
            await volumes.change(db, self._service, row["id"], **changes)
            row = await volumes.get(db, row["id"])
            context = await context_of(db, self._service, [row])
        return {"volume": full(call, row, context)}

    async def delete(self, call: Call) -> Answer:
        """Accept a removal."""
        cascade = asked(call.query.get("cascade") or "false", "cascade")
        force = call.microversion >= (3, 23) and truth(call.query.get("force") or "false")
        async with self._database.write() as db:
            row = await allowed(db, call, volumes.TABLE, call.variables["volume_id"], "Volume")
            if force:
                call.allow("volume:force_delete", of=about(row))
            await begin_delete(db, self._service, call, row, cascade=cascade or force, force=force)
        self._service.wake()
        return Answer(None, 202)


async def begin_delete(
    db: Connection, service: Service, call: Call, row: Row, *, cascade: bool, force: bool
) -> None:
    """Mark a volume (and its snapshots) and write the work that removes it. Raises Fault 400."""
    if not force:
        await volumes.check_deletable(db, row, cascade=cascade)
    await volumes.change(db, service, row["id"], status="deleting", previous_status=row["status"])
    if cascade:
        for one_of in await volumes.snapshots_of(db, row["id"]):
            await snapshots.change(db, service, one_of["id"], status="deleting")
    await work.end_for(db, row["id"], "volume.unstick")
    await work.add(db, service, call, "volume.delete", row["id"], deadline_s=3600)
