"""`/group_types` (3.11) and their specs."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from blockd import groups
from blockd.api.paths import both
from blockd.api.shape import FULL_NAME, flag, one, specs, stripped, truth
from blockd.fault import absent
from blockd.listing import Listing, answer, page
from blockd.listing import truth as asked
from blockd.service import Service
from core import rows
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import Shape, nullable, text
from core.database import Connection
from core.rows import Row

TABLE = groups.TYPES
SINCE = (3, 11)
DESCRIPTION = nullable(text(0, 255))
CREATE = one(
    "group_type",
    Shape(
        {
            "name": FULL_NAME,
            "description": DESCRIPTION,
            "is_public": flag,
            "group_specs": nullable(specs),
        },
        ["name"],
        more=False,
    ),
)
UPDATE = one(
    "group_type",
    Shape({"name": nullable(FULL_NAME), "description": DESCRIPTION, "is_public": flag}, more=False),
)
SPECS = one("group_specs", specs)
LISTING = Listing(TABLE, {"name": "name"}, {"id": "id", "name": "name", "created_at": "created_us"})
RULE, SPEC_RULE = "group:group_types", "group:group_types_specs"
READ = "group:get_all"  # whoever may see groups may see their types


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A group type as clients see it."""
    body = {name: row[name] for name in ("id", "name", "description", "is_public")}
    if call.may("group:access_group_types_specs"):
        body["group_specs"] = row["group_specs"]
    return body


class GroupTypes:
    """Operations on group types."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/group_types", "/group_types/{group_type_id}"
        inner = f"{single}/group_specs"
        item = f"{inner}/{{key}}"
        item_body = Shape({}, least=1)
        return both(
            [
                Route("GET", top, READ, self.list, since=SINCE),
                Route("POST", top, f"{RULE}:create", self.create, 202, CREATE, since=SINCE),
                Route("GET", f"{top}/default", READ, self.default, since=SINCE),
                Route("GET", single, READ, self.show, since=SINCE),
                Route("PUT", single, f"{RULE}:update", self.update, 200, UPDATE, since=SINCE),
                Route("DELETE", single, f"{RULE}:delete", self.delete, 202, since=SINCE),
                Route("GET", inner, f"{SPEC_RULE}:get_all", self.specs, since=SINCE),
                Route("POST", inner, f"{SPEC_RULE}:create", self.add, 202, SPECS, since=SINCE),
                Route("GET", item, f"{SPEC_RULE}:get", self.item, since=SINCE),
                Route("PUT", item, f"{SPEC_RULE}:update", self.set, 200, item_body, since=SINCE),
                Route("DELETE", item, f"{SPEC_RULE}:delete", self.unset, 202, since=SINCE),
            ]
        )

    async def _get(self, db: Connection, call: Call) -> Row:
        call.allow(of={"project_id": call.identity.project_id})
        name = call.variables["group_type_id"]
        row = await rows.by_id(db, TABLE, name)
        if row is None or not (row["is_public"] or call.may("context_is_admin")):
            raise absent("Group type", name[:80])
        return row

    async def list(self, call: Call) -> dict[str, Any]:
        """The public ones; an administrator may ask for others."""
        call.allow(of={"project_id": call.identity.project_id})
        public = call.query.get("is_public")
        where: tuple[sa.ColumnElement[bool], ...] = (TABLE.c.is_public.is_(True),)
        if call.may("context_is_admin") and public is not None:
            wanted = public.strip().lower()
            where = () if wanted == "none" else (TABLE.c.is_public.is_(asked(wanted, "is_public")),)
        async with self._database.read() as db:
            found = await page(db, call, LISTING, *where)
        bodies = [shown(call, row) for row in found.rows]
        return answer(call, "group_types", found, bodies, counts=False)

    async def create(self, call: Call) -> dict[str, Any]:
        """Add one."""
        call.allow()
        given = call.part("group_type")
        row: Row = {
            "id": self._service.new_id(),
            "name": str(stripped(given["name"])),
            "description": given.get("description"),
            "is_public": truth(given.get("is_public", True)),
            "group_specs": given.get("group_specs") or {},
            "created_us": self._service.now_us(),
            "updated_us": None,
        }
        async with self._database.write() as db:
            await groups.check_free(db, row["name"])
            await rows.insert(db, TABLE, row)
        return {"group_type": shown(call, row)}

    async def default(self, call: Call) -> dict[str, Any]:
        """The one whose snapshots are one cut."""
        call.allow(of={"project_id": call.identity.project_id})
        async with self._database.read() as db:
            row = await groups.type_named(db, groups.DEFAULT_TYPE)
        if row is None:
            raise Fault(404, "Default group type can not be found.")
        return {"group_type": shown(call, row)}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show one."""
        async with self._database.read() as db:
            row = await self._get(db, call)
        return {"group_type": shown(call, row)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change name, description or publicity."""
        given = call.part("group_type")
        changes: Row = {}
        if given.get("name") is not None:
            changes["name"] = str(stripped(given["name"]))
        if given.get("description") is not None:
            changes["description"] = given["description"]
        if "is_public" in given:
            changes["is_public"] = truth(given["is_public"])
        if not changes:
            raise bad_request("Specify group type name, description or is_public.")
        async with self._database.write() as db:
            row = await self._get(db, call)
            if "name" in changes:
                await groups.check_free(db, changes["name"], row["id"])
            await self._write(db, row, changes)
        return {"group_type": shown(call, {**row, **changes})}

    async def _write(self, db: Connection, row: Row, changes: Row) -> None:
        changes = {**changes, "updated_us": self._service.now_us()}
        await rows.update(db, TABLE, row["id"], changes)

    async def delete(self, call: Call) -> Answer:
        """Remove one that no group has."""
        async with self._database.write() as db:
            row = await self._get(db, call)
            if await groups.type_in_use(db, row["id"]):
                raise bad_request("Target group type is still in use.")
            await rows.delete(db, TABLE, TABLE.c.id == row["id"])
        return Answer(None, 202)

    async def specs(self, call: Call) -> dict[str, Any]:
        """All specs."""
        async with self._database.read() as db:
            row = await self._get(db, call)
        return {"group_specs": row["group_specs"]}

    async def add(self, call: Call) -> dict[str, Any]:
        """Add some."""
        given = call.part("group_specs")
        async with self._database.write() as db:
            row = await self._get(db, call)
            await self._write(db, row, {"group_specs": {**row["group_specs"], **given}})
        return {"group_specs": given}

    async def item(self, call: Call) -> dict[str, Any]:
        """One spec."""
        key = call.variables["key"]
        async with self._database.read() as db:
            row = await self._get(db, call)
        if key not in row["group_specs"]:
            raise Fault(404, f"Group Type {row['id']} has no spec {key[:80]}.")
        return {key: row["group_specs"][key]}

    async def set(self, call: Call) -> dict[str, Any]:
        """Set one."""
        key = call.variables["key"]
        specs(call.body, "group_specs")
        if [*call.body] != [key]:
            raise bad_request("Request body and URI mismatch")
        async with self._database.write() as db:
            row = await self._get(db, call)
            await self._write(db, row, {"group_specs": {**row["group_specs"], **call.body}})
        return call.body

    async def unset(self, call: Call) -> Answer:
        """Remove one."""
        key = call.variables["key"]
        async with self._database.write() as db:
            row = await self._get(db, call)
            if key not in row["group_specs"]:
                raise Fault(404, f"Group Type {row['id']} has no spec {key[:80]}.")
            left = {name: value for name, value in row["group_specs"].items() if name != key}
            await self._write(db, row, {"group_specs": left})
        return Answer(None, 202)
