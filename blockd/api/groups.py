"""`/groups` (3.13): volumes that belong together; made empty, or as copies of others at one cut."""

from __future__ import annotations

from typing import Any

from blockd import groups, making, quotas, volumes, work
from blockd.api.paths import both
from blockd.api.shape import DESCRIPTION, NAME, flag, one, stripped, truth, uuid
from blockd.listing import Listing, Page, answer, owned, page
from blockd.listing import truth as asked
from blockd.service import ZONE, Service
from blockd.sight import about, allowed, own_project, row_of
from blockd.times import instant
from core import rows
from core.api.action import Action, Actions
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import Shape, anything, array, nullable, text
from core.database import Connection
from core.rows import Row

TABLE = groups.TABLE
SINCE = (3, 13)
CREATE = one(
    "group",
    Shape(
        {
            "name": NAME,
            "description": DESCRIPTION,
            "group_type": text(1, 255),
            "volume_types": array(text(1, 255), least=1, most=100, unique=True),
            "availability_zone": nullable(text(0, 255)),
        },
        ["group_type", "volume_types"],
        more=False,
    ),
)
UPDATE = one(
    "group",
    Shape(
        {
            "name": NAME,
            "description": DESCRIPTION,
            "add_volumes": nullable(text(0, 10_000)),
            "remove_volumes": nullable(text(0, 10_000)),
        },
        least=1,
        more=False,
    ),
)
FROM = Shape(
    {
        "name": NAME,
        "description": DESCRIPTION,
        "group_snapshot_id": nullable(uuid),
        "source_group_id": nullable(uuid),
    },
    more=False,
)
DELETE = Shape({"delete-volumes": flag}, more=False)
STATUS = Shape({"status": text(1, 255)}, ["status"], more=False)
STATUSES = frozenset(
    {"creating", "available", "deleting", "error", "error_deleting", "updating", "in-use"}
)
LISTING = Listing(
    TABLE,
    {"name": "name", "status": "status", "group_type": "group_type_id"},
    {
        "id": "id",
        "name": "name",
        "status": "status",
        "group_type_id": "group_type_id",
        "created_at": "created_us",
    },
)


def brief(row: Row) -> dict[str, Any]:
    """A group in a list."""
    return {"id": row["id"], "name": row["name"]}


def shown(call: Call, row: Row, members: list[Row] | None) -> dict[str, Any]:
    """A group with its details."""
    body: dict[str, Any] = {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "status": row["status"],
        "availability_zone": row["availability_zone"],
        "created_at": instant(row["created_us"]),
        "group_type": row["group_type_id"],
        "volume_types": row["volume_types"],
    }
    if call.microversion >= (3, 14):
        body["group_snapshot_id"] = row["group_snapshot_id"]
        body["source_group_id"] = row["source_group_id"]
    if call.microversion >= (3, 25) and members is not None:
        body["volumes"] = [one_of["id"] for one_of in members]
    if call.microversion >= (3, 38):
        body["replication_status"] = "disabled"
    if call.microversion >= (3, 58) and call.may("group:group_project_attribute"):
        body["project_id"] = row["project_id"]
    return body


class Groups:
    """Operations on groups."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/groups", "/groups/{group_id}"
        replicate = [
            Action(name, f"group:{name}", self.replicate, 202, anything, since=(3, 38))
            for name in (
                "enable_replication",
                "disable_replication",
                "failover_replication",
                "list_replication_targets",
            )
        ]
        status = "group:reset_status"
        return both(
            [
                Route("GET", top, "group:get_all", self.list, since=SINCE),
                Route("GET", f"{top}/detail", "group:get_all", self.detail, since=SINCE),
                Route("POST", top, "group:create", self.create, 202, CREATE, since=SINCE),
                Actions(
                    "POST",
                    f"{top}/action",
                    [Action("create-from-src", "group:create", self.copy, 202, FROM, (3, 14))],
                ).route,
                Route("GET", single, "group:get", self.show, since=SINCE),
                Route("PUT", single, "group:update", self.update, 202, UPDATE, since=SINCE),
                Actions(
                    "POST",
                    f"{single}/action",
                    [
                        Action("delete", "group:delete", self.delete, 202, DELETE, SINCE),
                        Action("reset_status", status, self.reset, 202, STATUS, (3, 20)),
                        *replicate,
                    ],
                ).route,
            ]
        )

    async def _row(self, db: Connection, call: Call) -> Row:
        return await allowed(db, call, TABLE, call.variables["group_id"], "Group")

    async def _page(self, db: Connection, call: Call) -> Page:
        call.allow(of={"project_id": call.identity.project_id})
        return await page(db, call, LISTING, *owned(call, TABLE))

    async def list(self, call: Call) -> dict[str, Any]:
        """Names."""
        async with self._database.read() as db:
            found = await self._page(db, call)
        return answer(call, "groups", found, map(brief, found.rows), counts=False)

    async def detail(self, call: Call) -> dict[str, Any]:
        """With everything."""
        with_volumes = asked(call.query.get("list_volume") or "false", "list_volume")
        async with self._database.read() as db:
            found = await self._page(db, call)
            bodies = [
                shown(call, row, await groups.volumes_of(db, row["id"]) if with_volumes else None)
                for row in found.rows
            ]
        return answer(call, "groups", found, bodies, counts=False)

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a group."""
        with_volumes = asked(call.query.get("list_volume") or "false", "list_volume")
        async with self._database.read() as db:
            row = await self._row(db, call)
            members = await groups.volumes_of(db, row["id"]) if with_volumes else None
        return {"group": shown(call, row, members)}

    def _new_row(self, call: Call, given: Row, **columns: Any) -> Row:
        return {
            "id": self._service.new_id(),
            "project_id": own_project(call),
            "user_id": call.identity.user_id,
            "name": stripped(given.get("name")),
            "description": stripped(given.get("description")),
            "availability_zone": ZONE,
            "group_snapshot_id": None,
            "source_group_id": None,
            "created_us": self._service.now_us(),
            "updated_us": None,
            **columns,
        }

    async def create(self, call: Call) -> dict[str, Any]:
        """An empty group: it is there at once."""
        given = call.part("group")
        call.allow(of={"project_id": own_project(call)})
        zone = given.get("availability_zone") or ZONE
        if zone != ZONE:
            raise bad_request(f"Availability zone '{zone[:80]}' is invalid.")
        async with self._database.write() as db:
            kind = await groups.type_of(db, call, given["group_type"])
            type_ids = []
            for reference in given["volume_types"]:
                found = await making.type_of(db, call, {"volume_type": reference}, making.Source())
                type_ids.append(found["id"])
            await quotas.check(db, own_project(call), {"groups": 1})
            row = self._new_row(
                call,
                given,
                status="available",
                group_type_id=kind["id"],
                volume_types=type_ids,
            )
            await rows.insert(db, TABLE, row)
        return {"group": brief(row)}

    async def copy(self, call: Call) -> dict[str, Any]:
        """A group whose volumes begin as those of a group snapshot, or of another group."""
        given = call.body["create-from-src"]
        pin_id, source_id = given.get("group_snapshot_id"), given.get("source_group_id")
        call.allow(of={"project_id": own_project(call)})
        if bool(pin_id) == bool(source_id):
            raise bad_request("Exactly one of group_snapshot_id and source_group_id must be given.")
        async with self._database.write() as db:
            if pin_id:
                pin = await row_of(db, call, groups.SNAPSHOTS, pin_id, "Group snapshot")
                source = await groups_get(db, pin["group_id"])
                parts = [
                    {"snapshot_id": one_of["id"], "volume_type": one_of["volume_type_id"]}
                    for one_of in await groups.snapshots_of(db, pin_id)
                ]
            else:
                source = await row_of(db, call, TABLE, source_id, "Group")
                parts = [
                    {"source_volid": one_of["id"], "volume_type": one_of["volume_type_id"]}
                    for one_of in await groups.volumes_of(db, source["id"])
                ]
            if not parts:
                raise bad_request("The source has no volumes.")
            await quotas.check(db, own_project(call), {"groups": 1})
            row = self._new_row(
                call,
                given,
                status="creating",
                group_type_id=source["group_type_id"],
                volume_types=source["volume_types"],
                group_snapshot_id=pin_id,
                source_group_id=source_id,
            )
            await rows.insert(db, TABLE, row)
            for part in parts:
                await making.begin(db, self._service, call, part, group_id=row["id"])
            await work.add(db, self._service, call, "group.await", row["id"])
        self._service.wake()
        return {"group": brief(row)}

    async def update(self, call: Call) -> None:
        """Change name, description, and which volumes belong to it."""
        given = call.part("group")
        changes: Row = {
            name: stripped(given[name]) for name in ("name", "description") if name in given
        }
        joining, leaving = named(given.get("add_volumes")), named(given.get("remove_volumes"))
        if set(joining) & set(leaving):
            raise bad_request("A volume is both added and removed.")
        async with self._database.write() as db:
            row = await self._row(db, call)
            if row["status"] != "available":
                raise bad_request(f"Invalid group: {row['id']} is {row['status']}.")
            for name in joining:
                await self._join(db, call, row, name)
            for name in leaving:
                volume = await row_of(db, call, volumes.TABLE, name, "Volume")
                if volume["group_id"] != row["id"]:
                    raise bad_request(f"Volume {name} is not in group {row['id']}.")
                volumes.check_status(volume, "available", "in-use", "error", "error_deleting")
                await volumes.change(db, self._service, name, group_id=None)
            await groups.change(db, self._service, row["id"], **changes)

    async def _join(self, db: Connection, call: Call, row: Row, name: str) -> None:
        volume = await row_of(db, call, volumes.TABLE, name, "Volume")
        if volume["group_id"] == row["id"]:
            return
        if volume["group_id"] is not None:
            raise bad_request(f"Volume {name} is in another group.")
        if volume["project_id"] != row["project_id"]:
            raise bad_request(f"Volume {name} belongs to another project.")
        volumes.check_status(volume, "available", "in-use")
        if volume["volume_type_id"] not in row["volume_types"]:
            raise bad_request(f"Group {row['id']} does not take volumes of the type of {name}.")
        await volumes.change(db, self._service, name, group_id=row["id"])

    async def delete(self, call: Call) -> Answer:
        """Remove it; its volumes as well if that is said."""
        with_volumes = truth(call.body["delete"].get("delete-volumes", False))
        async with self._database.write() as db:
            row = await self._row(db, call)
            members = await groups.volumes_of(db, row["id"])
            if members and not with_volumes:
                raise bad_request("Group is not empty: delete-volumes must be set.")
            if row["status"] not in {"available", "error", "error_deleting"}:
                raise bad_request(f"Invalid group: {row['id']} is {row['status']}.")
            if await groups.has_snapshots(db, row["id"]):
                raise bad_request("Cannot delete a group that has group snapshots.")
            for one_of in members:
                await volumes.check_deletable(db, {**one_of, "group_id": None}, cascade=False)
                await volumes.change(db, self._service, one_of["id"], status="deleting")
            await groups.change(db, self._service, row["id"], status="deleting")
            await work.add(db, self._service, call, "group.delete", row["id"], deadline_s=3600)
        self._service.wake()
        return Answer(None, 202)

    async def reset(self, call: Call) -> None:
        """Set the status by hand."""
        status = call.body["reset_status"]["status"].lower()
        if status not in STATUSES:
            raise bad_request(f"Must specify a valid status: {status[:80]}")
        async with self._database.write() as db:
            row = await self._row(db, call)
            await groups.change(db, self._service, row["id"], status=status)

    async def replicate(self, call: Call) -> None:
        """The object store replicates; there is no second site."""
        async with self._database.read() as db:
            row = await self._row(db, call)
        call.allow(of=about(row))
        raise Fault(501, "Volumes are replicated by the object store; groups are not.")


async def groups_get(db: Connection, group_id: str) -> Row:
    """A group, whoever asks."""
    row = await rows.by_id(db, TABLE, group_id)
    if row is None:
        raise Fault(404, f"Group {group_id} could not be found.")
    return row


def named(raw: str | None) -> tuple[str, ...]:
    """Ids of a list with commas."""
    return tuple(part.strip() for part in (raw or "").split(",") if part.strip())
