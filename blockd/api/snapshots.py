"""`/snapshots`: create, list, show, change, delete, and their actions."""

from __future__ import annotations

from typing import Any

from blockd import quotas, snapshots, volumes, work
from blockd.api.paths import both
from blockd.api.shape import DESCRIPTION, NAME, flag, metadata, nothing, one, stripped, truth
from blockd.listing import Listing, Page, answer, owned, page
from blockd.service import Service
from blockd.sight import about, allowed, own_project, row_of
from blockd.times import instant, instant_or_none
from core import rows
from core.api.action import Action, Actions
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import Attributes, Shape, anything, nullable, text
from core.database import Connection
from core.rows import Row

NAMES: Attributes = {
    "name": NAME,
    "display_name": NAME,
    "description": DESCRIPTION,
    "display_description": DESCRIPTION,
}
CREATE = one(
    "snapshot",
    Shape(
        {
            **NAMES,
            "volume_id": nullable(text(0, 255)),
            "force": nullable(flag),
            "metadata": nullable(metadata),
        },
        ["volume_id"],
        more=False,
    ),
)
UPDATE = one("snapshot", Shape(NAMES, least=1, more=False))
FILTERS = {
    "name": "name",
    "display_name": "name",
    "status": "status",
    "volume_id": "volume_id",
    "size": "size",
}
SORTS = {
    "id": "id",
    "name": "name",
    "display_name": "name",
    "status": "status",
    "volume_id": "volume_id",
    "size": "size",
    "created_at": "created_us",
    "updated_at": "updated_us",
}
LISTING = Listing(snapshots.TABLE, FILTERS, SORTS)
RESETTABLE = frozenset(
    {"creating", "available", "deleting", "error", "error_deleting", "backing-up", "restoring"}
    | {"deleted", "unmanaging"}
)
# what a driver that snapshots elsewhere may report
REPORTED = {
    "creating": ("creating", "available", "error"),
    "deleting": ("deleting", "error_deleting"),
}
STATUS = Shape({"status": text(1, 255)}, ["status"])


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A snapshot as clients see it."""
    body: dict[str, Any] = {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "volume_id": row["volume_id"],
        "status": row["status"],
        "size": row["size"],
        "metadata": row["metadata"],
        "created_at": instant(row["created_us"]),
        "updated_at": instant_or_none(row["updated_us"]),
    }
    if call.microversion >= (3, 14):
        body["group_snapshot_id"] = row["group_snapshot_id"]
    if call.microversion >= (3, 41):
        body["user_id"] = row["user_id"]
    if call.microversion >= (3, 65):
        body["consumes_quota"] = row["consumes_quota"]
    return body


def extended(call: Call, row: Row) -> dict[str, Any]:
    """The same with what lists with details and GET add."""
    body = shown(call, row)
    if call.may("volume_extension:extended_snapshot_attributes", of=about(row)):
        body["os-extended-snapshot-attributes:progress"] = row["progress"]
        body["os-extended-snapshot-attributes:project_id"] = row["project_id"]
    return body


async def begin(
    db: Connection, service: Service, call: Call, volume: Row, given: Row, **columns: Any
) -> Row:
    """The row of a new snapshot. Raises Fault 413."""
    names = await quotas.type_names(db)
    wanted = {"snapshots": 1, "gigabytes": volume["size"]}
    type_name = names.get(volume["volume_type_id"], "")
    await quotas.check(db, volume["project_id"], wanted, type_name)
    snapshot_id = service.new_id()
    row: Row = {
        "id": snapshot_id,
        "volume_id": volume["id"],
        "project_id": volume["project_id"],
        "user_id": call.identity.user_id,
        "name": stripped(given.get("name", given.get("display_name"))),
        "description": stripped(given.get("description", given.get("display_description"))),
        "size": volume["size"],
        "status": "creating",
        "progress": "0%",
        "volume_type_id": volume["volume_type_id"],
        "consumes_quota": True,
        "group_snapshot_id": None,
        "engine_id": volume["engine_id"],
        "engine_snapshot_id": snapshot_id,
        "metadata": given.get("metadata") or {},
        "created_us": service.now_us(),
        "updated_us": None,
        **columns,
    }
    await rows.insert(db, snapshots.TABLE, row)
    return row


class Snapshots:
    """Operations on snapshots."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/snapshots", "/snapshots/{snapshot_id}"
        admin = "volume_extension:snapshot_admin_actions"
        update = "snapshot_extension:snapshot_actions:update_snapshot_status"
        unmanage = "snapshot_extension:snapshot_unmanage"
        actions = [
            Action("os-reset_status", f"{admin}:reset_status", self.reset, 202, STATUS),
            Action("os-force_delete", f"{admin}:force_delete", self.force_delete, 202, nothing),
            Action(
                "os-update_snapshot_status",
                update,
                self.report,
                202,
                Shape({"status": text(1, 255), "progress": anything}, ["status"]),
            ),
            Action("os-unmanage", unmanage, self.unmanage, 202, nothing),
        ]
        return both(
            [
                Route("GET", top, "volume:get_all_snapshots", self.list),
                Route("GET", f"{top}/detail", "volume:get_all_snapshots", self.detail),
                Route("POST", top, "volume:create_snapshot", self.create, 202, CREATE),
                Route("GET", single, "volume:get_snapshot", self.show),
                Route("PUT", single, "volume:update_snapshot", self.update, 200, UPDATE),
                Route("DELETE", single, "volume:delete_snapshot", self.delete, 202),
                Actions("POST", f"{single}/action", actions).route,
            ]
        )

    async def _row(self, db: Connection, call: Call) -> Row:
        return await allowed(db, call, snapshots.TABLE, call.variables["snapshot_id"], "Snapshot")

    async def _page(self, db: Connection, call: Call) -> Page:
        call.allow(of={"project_id": call.identity.project_id})
        listing = LISTING
        if call.microversion >= (3, 65):
            more = {"consumes_quota": "consumes_quota"}
            listing = listing._replace(filters={**FILTERS, **more})
        return await page(db, call, listing, *owned(call, snapshots.TABLE))

    async def list(self, call: Call) -> dict[str, Any]:
        """Without what administrators add."""
        async with self._database.read() as db:
            found = await self._page(db, call)
        return answer(call, "snapshots", found, [shown(call, row) for row in found.rows])

    async def detail(self, call: Call) -> dict[str, Any]:
        """With everything."""
        async with self._database.read() as db:
            found = await self._page(db, call)
        return answer(call, "snapshots", found, [extended(call, row) for row in found.rows])

    async def create(self, call: Call) -> dict[str, Any]:
        """Accept a new snapshot."""
        given = call.part("snapshot")
        call.allow(of={"project_id": own_project(call)})
        force = truth(given.get("force", False))
        if call.microversion >= (3, 66):
            if "force" in given and not force:
                raise bad_request(
                    "Invalid value for 'force': from version 3.66 on it may only be true."
                )
            force = True
        async with self._database.write() as db:
            volume = await row_of(db, call, volumes.TABLE, given["volume_id"] or "None", "Volume")
            call.allow(of=about(volume))
            if not force and volume["status"] == "in-use":
                raise bad_request(f"Volume {volume['id']} is in-use: use force to snapshot it.")
            volumes.check_status(volume, "available", "in-use")
            row = await begin(db, self._service, call, volume, given)
            await work.add(db, self._service, call, "snapshot.create", row["id"])
        self._service.wake()
        return {"snapshot": shown(call, row)}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a snapshot."""
        async with self._database.read() as db:
            row = await self._row(db, call)
        return {"snapshot": extended(call, row)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change name or description."""
        given = call.part("snapshot")
        changes: Row = {}
        for name in ("name", "description"):
            for spelled in (f"display_{name}", name):
                if spelled in given:
                    changes[name] = stripped(given[spelled])
        async with self._database.write() as db:
            row = await self._row(db, call)
            await snapshots.change(db, self._service, row["id"], **changes)
            row = await snapshots.get(db, row["id"])
        return {"snapshot": shown(call, row)}

    async def delete(self, call: Call) -> Answer:
        """Accept a removal."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            if row["status"] not in {"available", "error", "error_deleting"}:
                raise bad_request(f"Invalid snapshot: {row['id']} is {row['status']}.")
            if row["group_snapshot_id"] is not None:
                raise bad_request("The snapshot belongs to a group snapshot: delete that.")
            await self._begin_delete(db, call, row)
        self._service.wake()
        return Answer(None, 202)

    async def _begin_delete(self, db: Connection, call: Call, row: Row) -> None:
        await snapshots.change(db, self._service, row["id"], status="deleting")
        await work.add(db, self._service, call, "snapshot.delete", row["id"])

    async def force_delete(self, call: Call) -> None:
        """Whatever its status."""
        async with self._database.write() as db:
            await self._begin_delete(db, call, await self._row(db, call))
        self._service.wake()

    async def reset(self, call: Call) -> None:
        """Set the status by hand."""
        status = call.body["os-reset_status"]["status"].lower()
        if status not in RESETTABLE:
            raise bad_request(f"Must specify a valid status: {status[:80]}")
        async with self._database.write() as db:
            row = await self._row(db, call)
            await snapshots.change(db, self._service, row["id"], status=status)

    async def report(self, call: Call) -> None:
        """What somebody else says who takes part in making it."""
        given = call.body["os-update_snapshot_status"]
        progress = given.get("progress")
        async with self._database.write() as db:
            row = await self._row(db, call)
            if given["status"] not in REPORTED.get(row["status"], ()):
                raise bad_request(
                    f"A snapshot that is {row['status']} does not become {given['status'][:80]}."
                )
            changes: Row = {"status": given["status"]}
            if progress is not None:
                figure = str(progress).removesuffix("%")
                if not figure.isdigit() or int(figure) > 100:
                    raise bad_request("progress must be a percentage")
                changes["progress"] = f"{int(figure)}%"
            await snapshots.change(db, self._service, row["id"], **changes)

    async def unmanage(self, call: Call) -> None:
        """Forget it here and leave it in the library."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            if row["status"] not in {"available", "error"}:
                raise Fault(400, f"Invalid snapshot: {row['id']} is {row['status']}.")
            await rows.delete(db, snapshots.TABLE, snapshots.TABLE.c.id == row["id"])
