"""`/os-aggregates` and `/os-server-groups`: hosts that share something, and servers that belong together or apart."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from computed import hosts, listing, quotas, servers
from computed.api.backends import found_or_404
from computed.api.paths import both
from computed.api.shape import aggregate_metadata, edged_name, one, whole
from computed.fault import not_built
from computed.service import Service
from computed.sight import allow_own, is_admin, own_project
from computed.tables import host as tables
from computed.times import precise
from core import rows
from core.api.action import Action, Actions
from core.api.call import Call
from core.api.fault import Fault, bad_request, conflict
from core.api.route import Route
from core.api.shape import Shape, array, choice, nullable, plain_object, text
from core.database import Connection
from core.rows import Row

API = "os_compute_api:"
AGGREGATES, GROUPS = tables.aggregate, tables.server_group
ZONE = nullable(text(1, 255, pattern=r"[^:]*\S[^:]*"))
CREATE = one(
    "aggregate", Shape({"name": edged_name, "availability_zone": ZONE}, ["name"], more=False)
)
UPDATE = one(
    "aggregate", Shape({"name": edged_name, "availability_zone": ZONE}, more=False, least=1)
)
HOST = Shape({"host": text(1, 255)}, ["host"], more=False)
METADATA = Shape({"metadata": aggregate_metadata}, ["metadata"], more=False)
POLICIES = ("anti-affinity", "affinity", "soft-anti-affinity", "soft-affinity")


class Aggregates:
    """Groups of hosts."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single, rule = "/os-aggregates", "/os-aggregates/{aggregate_id}", f"{API}os-aggregates"
        actions = [
            Action("add_host", f"{rule}:add_host", self.add_host, 200, HOST),
            Action("remove_host", f"{rule}:remove_host", self.remove_host, 200, HOST),
            Action("set_metadata", f"{rule}:set_metadata", self.set_metadata, 200, METADATA),
        ]
        return both(
            [
                Route("GET", top, f"{rule}:index", self.list),
                Route("POST", top, f"{rule}:create", self.create, 200, CREATE),
                Route("GET", single, f"{rule}:show", self.show),
                Route("PUT", single, f"{rule}:update", self.update, 200, UPDATE),
                Route("DELETE", single, f"{rule}:delete", self.delete),
                Actions("POST", f"{single}/action", actions).route,
                Route(
                    "POST",
                    f"{single}/images",
                    f"{API}compute:aggregates:images",
                    self.images,
                    202,
                    plain_object,
                    since=(2, 81),
                ),
            ]
        )

    def _shown(self, call: Call, row: Row) -> dict[str, Any]:
        body = {
            "id": row["number"],
            "name": row["name"],
            "availability_zone": row["metadata"].get(hosts.ZONE_KEY),
            "hosts": row["hosts"],
            "metadata": row["metadata"],
            "created_at": precise(row["created_us"]),
            "updated_at": precise(row["updated_us"]),
            "deleted_at": None,
            "deleted": False,
        }
        if call.microversion >= (2, 41):
            body["uuid"] = row["id"]
        return body

    async def _row(self, db: Connection, call: Call) -> Row:
        wanted = call.variables["aggregate_id"]
        for row in await hosts.aggregates(db):
            if str(row["number"]) == wanted:
                return row
        raise Fault(404, f"Aggregate {wanted[:80]} could not be found.")

    async def list(self, call: Call) -> dict[str, Any]:
        """All."""
        call.allow()
        async with self._database.read() as db:
            held = await hosts.aggregates(db)
        return {"aggregates": [self._shown(call, row) for row in held]}

    async def show(self, call: Call) -> dict[str, Any]:
        """One."""
        call.allow()
        async with self._database.read() as db:
            return {"aggregate": self._shown(call, await self._row(db, call))}

    async def create(self, call: Call) -> dict[str, Any]:
        """A new one."""
        call.allow()
        given = call.part("aggregate")
        zone = given.get("availability_zone")
        row = {
            "id": self._service.new_id(),
            "name": given["name"],
            "metadata": {hosts.ZONE_KEY: zone} if zone else {},
            "hosts": [],
            "created_us": self._service.now_us(),
            "updated_us": None,
        }
        async with self._database.write() as db:
            if await rows.count(db, AGGREGATES, AGGREGATES.c.name == row["name"]):
                raise conflict(f"Aggregate {row['name']} already exists.")
            row["number"] = await hosts.next_number(db, AGGREGATES)
            await rows.insert(db, AGGREGATES, row)
        body = self._shown(call, row)
        for name in ("hosts", "metadata"):
            body.pop(name)
        return {"aggregate": body}

    async def _write(self, db: Connection, call: Call, row: Row, columns: Row) -> dict[str, Any]:
        columns["updated_us"] = self._service.now_us()
        await rows.update(db, AGGREGATES, row["id"], columns)
        return {"aggregate": self._shown(call, {**row, **columns})}

    async def update(self, call: Call) -> dict[str, Any]:
        """Another name or zone."""
        call.allow()
        given = call.part("aggregate")
        async with self._database.write() as db:
            row = await self._row(db, call)
            columns: Row = {}
            if "name" in given:
                columns["name"] = given["name"]
                same = (AGGREGATES.c.name == given["name"], AGGREGATES.c.id != row["id"])
                if await rows.count(db, AGGREGATES, *same):
                    raise conflict(f"Aggregate {given['name']} already exists.")
            if given.get("availability_zone"):
                zone = {hosts.ZONE_KEY: given["availability_zone"]}
                columns["metadata"] = {**row["metadata"], **zone}
            return await self._write(db, call, row, columns)

    async def delete(self, call: Call) -> None:
        """Remove one that has no host."""
        call.allow()
        async with self._database.write() as db:
            row = await self._row(db, call)
            if row["hosts"]:
                raise bad_request("Cannot remove host from aggregate: Host aggregate is not empty.")
            await rows.delete(db, AGGREGATES, AGGREGATES.c.id == row["id"])

    async def add_host(self, call: Call) -> dict[str, Any]:
        """A host in it; a host is in one zone only."""
        call.allow()
        name = call.body["add_host"]["host"]
        async with self._database.write() as db:
            row = await self._row(db, call)
            await found_or_404(db, name)
            if name in row["hosts"]:
                raise conflict(f"Aggregate {row['number']} already has host {name}.")
            zone = row["metadata"].get(hosts.ZONE_KEY)
            for other in await hosts.aggregates(db):
                its = other["metadata"].get(hosts.ZONE_KEY)
                if name in other["hosts"] and zone and its and its != zone:
                    raise conflict(
                        f"Cannot add host to aggregate {row['number']}. Reason: One or more hosts already in availability zone(s) ['{its}']."
                    )
            return await self._write(db, call, row, {"hosts": [*row["hosts"], name]})

    async def remove_host(self, call: Call) -> dict[str, Any]:
        """A host out of it."""
        call.allow()
        name = call.body["remove_host"]["host"]
        async with self._database.write() as db:
            row = await self._row(db, call)
            if name not in row["hosts"]:
                raise Fault(
                    404, f"Cannot remove host {name[:80]} in aggregate {row['number']}: not found"
                )
            left = [host for host in row["hosts"] if host != name]
            return await self._write(db, call, row, {"hosts": left})

    async def set_metadata(self, call: Call) -> dict[str, Any]:
        """Add to its metadata; null removes a key."""
        call.allow()
        given = call.body["set_metadata"]["metadata"]
        async with self._database.write() as db:
            row = await self._row(db, call)
            merged = {**row["metadata"], **given}
            merged = {key: value for key, value in merged.items() if value is not None}
            return await self._write(db, call, row, {"metadata": merged})

    async def images(self, call: Call) -> None:
        """Hosts keep no images, so there is nothing to fetch ahead."""
        call.allow()
        async with self._database.read() as db:
            await self._row(db, call)
        raise not_built("Caching images on hosts: disks are read from the ring;")


OLD_GROUP = Shape(
    {"name": edged_name, "policies": array(choice(*POLICIES), least=1, most=1)},
    ["name", "policies"],
    more=False,
)
NEW_GROUP = Shape(
    {
        "name": edged_name,
        "policy": choice(*POLICIES),
        "rules": Shape({"max_server_per_host": whole(1)}, more=False),
    },
    ["name", "policy"],
    more=False,
)
GROUP = Shape({"server_group": plain_object}, ["server_group"], more=False)


class ServerGroups:
    """Groups of servers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single, rule = (
            "/os-server-groups",
            "/os-server-groups/{group_id}",
            f"{API}os-server-groups",
        )
        return both(
            [
                Route("GET", top, f"{rule}:index", self.list),
                Route("POST", top, f"{rule}:create", self.create, 200, GROUP),
                Route("GET", single, f"{rule}:show", self.show),
                Route("DELETE", single, f"{rule}:delete", self.delete, 204),
            ]
        )

    async def _shown(self, db: Connection, call: Call, row: Row) -> dict[str, Any]:
        version, table = call.microversion, servers.TABLE
        same = (table.c.group_id == row["id"], table.c.deleted_us == 0)
        held = await rows.rows(db, sa.select(table.c.id).where(*same).order_by(table.c.number))
        body: dict[str, Any] = {
            "id": row["id"],
            "name": row["name"],
            "members": [one_of["id"] for one_of in held],
        }
        if version >= (2, 64):
            body |= {"policy": row["policy"], "rules": row["rules"]}
        else:
            body |= {"policies": [row["policy"]], "metadata": {}}
        if version >= (2, 13):
            body |= {"project_id": row["project_id"], "user_id": row["user_id"]}
        return body

    async def _row(self, db: Connection, call: Call) -> Row:
        call.absence_is_open = True
        row = await rows.by_id(db, GROUPS, call.variables["group_id"])
        if row is None or (row["project_id"] != call.identity.project_id and not is_admin(call)):
            raise Fault(
                404, f"Instance group {call.variables['group_id'][:80]} could not be found."
            )
        call.allow(of={"project_id": row["project_id"], "user_id": row["user_id"]})
        return row

    async def list(self, call: Call) -> dict[str, Any]:
        """Those of the project, or all for administrators who ask."""
        allow_own(call)
        where = [GROUPS.c.project_id == call.identity.project_id]
        if "all_projects" in call.query and call.may(f"{API}os-server-groups:index:all_projects"):
            where = []
        statement = sa.select(GROUPS).where(*where).order_by(GROUPS.c.created_us)
        start = listing.whole(call, "offset") or 0
        async with self._database.read() as db:
            held = (await rows.rows(db, statement))[start : start + listing.limit_of(call)]
            return {"server_groups": [await self._shown(db, call, row) for row in held]}

    async def show(self, call: Call) -> dict[str, Any]:
        """One."""
        async with self._database.read() as db:
            return {"server_group": await self._shown(db, call, await self._row(db, call))}

    async def create(self, call: Call) -> dict[str, Any]:
        """A new one."""
        allow_own(call)
        given, version = call.part("server_group"), call.microversion
        (NEW_GROUP if version >= (2, 64) else OLD_GROUP)(given, "server_group")
        policy = given.get("policy") or given["policies"][0]
        if policy.startswith("soft") and version < (2, 15):
            raise bad_request("Invalid input for field 'policies': it begins with version 2.15")
        if given.get("rules") and policy != "anti-affinity":
            raise bad_request("Only anti-affinity policy supports rules.")
        rules = {name: int(value) for name, value in (given.get("rules") or {}).items()}
        row = {
            "id": self._service.new_id(),
            "project_id": own_project(call),
            "user_id": call.identity.user_id,
            "name": given["name"],
            "policy": policy,
            "rules": rules,
            "created_us": self._service.now_us(),
        }
        async with self._database.write() as db:
            limits = await quotas.limits_of(db, row["project_id"])
            used = await rows.count(db, GROUPS, GROUPS.c.project_id == row["project_id"])
            if 0 <= limits["server_groups"] <= used:
                raise Fault(403, "Quota exceeded, too many server groups.")
            await rows.insert(db, GROUPS, row)
            return {"server_group": await self._shown(db, call, row)}

    async def delete(self, call: Call) -> None:
        """Remove it; its servers stay where they are."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            await rows.delete(db, GROUPS, GROUPS.c.id == row["id"])
