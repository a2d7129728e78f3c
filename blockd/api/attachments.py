"""`/attachments` (3.27): reserve a volume, say from where it will be used, get the way to it, complete, delete."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from blockd import attachments, volumes, work
from blockd.api.paths import both
from blockd.api.shape import CONNECTOR, nothing, one, uuid
from blockd.listing import Listing, Page, answer, owned, page
from blockd.service import Service
from blockd.sight import about, allowed, own_project, row_of
from blockd.times import instant_or_none
from core.api.action import Action, Actions
from core.api.call import Call
from core.api.fault import Fault, bad_request, conflict
from core.api.route import Route
from core.api.shape import Shape, choice, nullable
from core.database import Connection
from core.rows import Row

TABLE = attachments.TABLE
SINCE = (3, 27)
CREATE = one(
    "attachment",
    Shape(
        {
            "volume_uuid": uuid,
            "instance_uuid": nullable(uuid),
            "connector": nullable(CONNECTOR),
            "mode": choice("rw", "ro"),
        },
        ["volume_uuid"],
        more=False,
    ),
)
UPDATE = one(
    "attachment", Shape({"connector": replace(CONNECTOR, least=1)}, ["connector"], more=False)
)
FILTERS = {
    "volume_id": "volume_id",
    "status": "status",
    "instance_id": "instance_id",
    "attach_status": "status",
}
LISTING = Listing(TABLE, FILTERS, {"id": "id", "created_at": "created_us", "status": "status"})


def brief(row: Row) -> dict[str, Any]:
    """An attachment in a list."""
    return {
        "id": row["id"],
        "status": row["status"],
        "instance": row["instance_id"],
        "volume_id": row["volume_id"],
    }


def shown(row: Row) -> dict[str, Any]:
    """An attachment with the way to its volume, as Nova reads it."""
    connection = row["connection"] or {}
    flat = {
        "driver_volume_type": connection.get("driver_volume_type"),
        **(connection.get("data") or {}),
    }
    return {
        **brief(row),
        "attached_at": instant_or_none(row["attached_us"]) or "",
        "detached_at": "",
        "attach_mode": row["mode"],
        "connection_info": flat if connection else {},
    }


class Attachments:
    """Operations on attachments."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/attachments", "/attachments/{attachment_id}"
        rule, look = "volume:attachment", "volume:get"
        done = Action("os-complete", f"{rule}_complete", self.complete, 204, nothing, since=(3, 44))
        return both(
            [
                Route("GET", top, look, self.list, since=SINCE),
                Route("GET", f"{top}/detail", look, self.detail, since=SINCE),
                Route("POST", top, f"{rule}_create", self.create, 200, CREATE, since=SINCE),
                Route("GET", single, look, self.show, since=SINCE),
                Route("PUT", single, f"{rule}_update", self.update, 200, UPDATE, since=SINCE),
                Route("DELETE", single, f"{rule}_delete", self.delete, since=SINCE),
                Actions("POST", f"{single}/action", [done]).route,
            ]
        )

    async def _row(self, db: Connection, call: Call) -> Row:
        name = call.variables["attachment_id"]
        return await allowed(db, call, TABLE, name, "Volume attachment")

    async def _page(self, db: Connection, call: Call) -> Page:
        call.allow(of={"project_id": call.identity.project_id})
        return await page(db, call, LISTING, *owned(call, TABLE))

    async def list(self, call: Call) -> dict[str, Any]:
        """Brief."""
        async with self._database.read() as db:
            found = await self._page(db, call)
        return answer(call, "attachments", found, map(brief, found.rows), counts=False)

    async def detail(self, call: Call) -> dict[str, Any]:
        """With everything."""
        async with self._database.read() as db:
            found = await self._page(db, call)
        return answer(call, "attachments", found, map(shown, found.rows), counts=False)

    async def show(self, call: Call) -> dict[str, Any]:
        """Show an attachment."""
        async with self._database.read() as db:
            row = await self._row(db, call)
        return {"attachment": shown(row)}

    async def create(self, call: Call) -> dict[str, Any]:
        """Reserve a volume; with a connector, open the way to it at once."""
        given = call.part("attachment")
        call.allow(of={"project_id": own_project(call)})
        if "mode" in given and call.microversion < (3, 54):
            raise bad_request("Additional properties are not allowed ('mode' was unexpected)")
        async with self._database.write() as db:
            volume = await row_of(db, call, volumes.TABLE, given["volume_uuid"], "Volume")
            call.allow(of=about(volume))
            if volume["multiattach"] and volume["bootable"]:
                call.allow("volume:multiattach_bootable_volume", of=about(volume))
            row = await attachments.reserve(
                db,
                self._service,
                volume,
                mode=given.get("mode", "rw"),
                instance_id=given.get("instance_uuid"),
            )
            if volume["status"] == "available":
                await self._expire(db, call, row)
        if given.get("connector"):
            row = await self._connect(volume, row, given["connector"], made=True)
        return {"attachment": shown(row)}

    async def _expire(self, db: Connection, call: Call, row: Row) -> None:
        """A reservation that nobody completes is given up."""
        await work.add(
            db,
            self._service,
            call,
            "attachment.expire",
            row["id"],
            delay_s=24 * attachments.ATTACH_S,
        )

    async def _connect(self, volume: Row, row: Row, connector: Row, *, made: bool) -> Row:
        try:
            connection = await attachments.connect(self._service, volume, row)
        except Exception:
            if made:  # nobody has heard of it
                async with self._database.write() as db:
                    await attachments.remove(db, self._service, row)
            raise
        async with self._database.write() as db:
            await attachments.connected(db, self._service, row, connector, connection)
            return await attachments.get(db, row["id"])

    async def update(self, call: Call) -> dict[str, Any]:
        """Say from where it will be used, and get the way to it."""
        connector = call.part("attachment")["connector"]
        async with self._database.read() as db:
            row = await self._row(db, call)
            volume = await volumes.get(db, row["volume_id"])
            others = await volumes.attachments_of(db, volume["id"])
        if row["status"] == "attached":
            raise bad_request("The attachment is complete: it cannot be updated.")
        host = connector.get("host")
        if not volume["multiattach"] and any(
            one_of["id"] != row["id"] and one_of["host"] not in {None, host} for one_of in others
        ):
            raise bad_request("The volume is being attached to another host.")
        return {"attachment": shown(await self._connect(volume, row, connector, made=False))}

    async def complete(self, call: Call) -> None:
        """It is in use."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            if row["status"] not in {"attaching", "attached"}:
                raise conflict(
                    f"Attachment {row['id']} is {row['status']}; it is completed after it was updated."
                )
            await attachments.complete(db, self._service, row)
            await work.end_for(db, row["id"], "attachment.expire")

    async def delete(self, call: Call) -> dict[str, Any]:
        """Close the way; the volume is free once no other attachment is left."""
        async with self._database.read() as db:
            row = await self._row(db, call)
        await self._check_caller(call, row)
        await attachments.check_let_go(self._service, call, row)
        await self._service.exports.close(row["id"])
        async with self._database.write() as db:
            await attachments.remove(db, self._service, row)
            await work.end_for(db, row["id"], "attachment.expire")
            left = await volumes.attachments_of(db, row["volume_id"])
        return {"attachments": [brief(one_of) for one_of in left]}

    async def _check_caller(self, call: Call, row: Row) -> None:
        """CVE-2023-2088: what an instance uses is detached by the compute service, not behind its back."""
        if row["instance_id"] is None or row["status"] != "attached":
            return
        if not call.may("service_role") and not call.may("context_is_admin"):
            raise Fault(
                409,
                f"Detach volume from instance {row['instance_id']} using the Compute API",
            )
