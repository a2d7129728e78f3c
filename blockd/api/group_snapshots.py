"""`/group_snapshots` (3.14): snapshots of all volumes of a group at one moment."""

from __future__ import annotations

from typing import Any

from blockd import groups, snapshots, volumes, work
from blockd.api.paths import both
from blockd.api.shape import DESCRIPTION, NAME, one, stripped, uuid
from blockd.api.snapshots import begin
from blockd.listing import Listing, Page, answer, owned, page
from blockd.service import Service
from blockd.sight import about, allowed, own_project, row_of
from blockd.times import instant
from core import rows
from core.api.action import Action, Actions
from core.api.call import Answer, Call
from core.api.fault import bad_request
from core.api.route import Route
from core.api.shape import Shape, text
from core.database import Connection
from core.rows import Row

TABLE = groups.SNAPSHOTS
SINCE = (3, 14)
NAMES = {"name": NAME, "description": DESCRIPTION}
CREATE = one("group_snapshot", Shape({**NAMES, "group_id": uuid}, ["group_id"], more=False))
UPDATE = one("group_snapshot", Shape(NAMES, least=1, more=False))
STATUS = Shape({"status": text(1, 255)}, ["status"], more=False)
STATUSES = frozenset({"creating", "available", "deleting", "error", "error_deleting", "updating"})
LISTING = Listing(
    TABLE,
    {"name": "name", "status": "status", "group_id": "group_id"},
    {
        "id": "id",
        "name": "name",
        "status": "status",
        "group_id": "group_id",
        "created_at": "created_us",
    },
)


def brief(row: Row) -> dict[str, Any]:
    """A group snapshot in a list."""
    return {"id": row["id"], "name": row["name"]}


def shown(call: Call, row: Row) -> dict[str, Any]:
    """With its details."""
    body = {
        "id": row["id"],
        "group_id": row["group_id"],
        "group_type_id": row["group_type_id"],
        "name": row["name"],
        "description": row["description"],
        "status": row["status"],
        "created_at": instant(row["created_us"]),
    }
    if call.microversion >= (3, 58) and call.may("group:group_project_attribute"):
        body["project_id"] = row["project_id"]
    return body


class GroupSnapshots:
    """Operations on group snapshots."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/group_snapshots", "/group_snapshots/{group_snapshot_id}"
        get_all = "group:get_all_group_snapshots"
        create, delete = "group:create_group_snapshot", "group:delete_group_snapshot"
        update = "group:update_group_snapshot"
        reset = Action(
            "reset_status", "group:reset_group_snapshot_status", self.reset, 202, STATUS, (3, 19)
        )
        return both(
            [
                Route("GET", top, get_all, self.list, since=SINCE),
                Route("GET", f"{top}/detail", get_all, self.detail, since=SINCE),
                Route("POST", top, create, self.create, 202, CREATE, since=SINCE),
                Route("GET", single, "group:get_group_snapshot", self.show, since=SINCE),
                Route("PUT", single, update, self.update, 200, UPDATE, since=SINCE),
                Route("DELETE", single, delete, self.delete, 202, since=SINCE),
                Actions("POST", f"{single}/action", [reset]).route,
            ]
        )

    async def _row(self, db: Connection, call: Call) -> Row:
        name = call.variables["group_snapshot_id"]
        return await allowed(db, call, TABLE, name, "Group snapshot")

    async def _page(self, db: Connection, call: Call) -> Page:
        call.allow(of={"project_id": call.identity.project_id})
        return await page(db, call, LISTING, *owned(call, TABLE))

    async def list(self, call: Call) -> dict[str, Any]:
        """Names."""
        async with self._database.read() as db:
            found = await self._page(db, call)
        return answer(call, "group_snapshots", found, map(brief, found.rows), counts=False)

    async def detail(self, call: Call) -> dict[str, Any]:
        """With everything."""
        async with self._database.read() as db:
            found = await self._page(db, call)
        bodies = [shown(call, row) for row in found.rows]
        return answer(call, "group_snapshots", found, bodies, counts=False)

    async def show(self, call: Call) -> dict[str, Any]:
        """Show one."""
        async with self._database.read() as db:
            row = await self._row(db, call)
        return {"group_snapshot": shown(call, row)}

    async def create(self, call: Call) -> dict[str, Any]:
        """Accept a new one: a snapshot of every volume, at one cut."""
        given = call.part("group_snapshot")
        call.allow(of={"project_id": own_project(call)})
        async with self._database.write() as db:
            group = await row_of(db, call, groups.TABLE, given["group_id"], "Group")
            call.allow(of=about(group))
            members = await groups.volumes_of(db, group["id"])
            if not members:
                raise bad_request(f"Group {group['id']} has no volumes.")
            if group["status"] != "available":
                raise bad_request(f"Invalid group: {group['id']} is {group['status']}.")
            row: Row = {
                "id": self._service.new_id(),
                "group_id": group["id"],
                "project_id": group["project_id"],
                "user_id": call.identity.user_id,
                "name": stripped(given.get("name")),
                "description": stripped(given.get("description")),
                "status": "creating",
                "group_type_id": group["group_type_id"],
                "created_us": self._service.now_us(),
                "updated_us": None,
            }
            await rows.insert(db, TABLE, row)
            for volume in members:
                volumes.check_status(volume, "available", "in-use")
                given_for = {"name": row["name"], "description": row["description"]}
                await begin(db, self._service, call, volume, given_for, group_snapshot_id=row["id"])
            await work.add(db, self._service, call, "group_snapshot.create", row["id"])
        self._service.wake()
        return {"group_snapshot": {**brief(row), "group_type_id": row["group_type_id"]}}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change name or description."""
        given = call.part("group_snapshot")
        changes: Row = {name: stripped(value) for name, value in given.items()}
        changes["updated_us"] = self._service.now_us()
        async with self._database.write() as db:
            row = await self._row(db, call)
            await rows.update(db, TABLE, row["id"], changes)
        return {"group_snapshot": shown(call, {**row, **changes})}

    async def delete(self, call: Call) -> Answer:
        """Accept a removal, with all its snapshots."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            if row["status"] not in {"available", "error", "error_deleting"}:
                raise bad_request(f"Invalid group snapshot: {row['id']} is {row['status']}.")
            for pin in await groups.snapshots_of(db, row["id"]):
                await snapshots.change(db, self._service, pin["id"], status="deleting")
            await rows.update(db, TABLE, row["id"], {"status": "deleting"})
            await work.add(db, self._service, call, "group_snapshot.delete", row["id"])
        self._service.wake()
        return Answer(None, 202)

    async def reset(self, call: Call) -> None:
        """Set the status by hand."""
        status = call.body["reset_status"]["status"].lower()
        if status not in STATUSES:
            raise bad_request(f"Must specify a valid status: {status[:80]}")
        async with self._database.write() as db:
            row = await self._row(db, call)
            await rows.update(db, TABLE, row["id"], {"status": status})
