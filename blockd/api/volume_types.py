"""`/types`: volume types, their extra specs, who may use them, and how their volumes are encrypted."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from blockd import volume_types
from blockd.api.paths import both
from blockd.api.shape import FULL_NAME, LONG_TEXT, flag, one, specs, stripped, truth
from blockd.fault import absent
from blockd.listing import Listing, Page, answer, page
from blockd.listing import truth as asked
from blockd.service import Service
from core import rows
from core.api.action import Action, Actions
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request, conflict
from core.api.route import Route
from core.api.shape import Attributes, Shape, nullable, text
from core.database import Connection
from core.rows import Row

TABLE = volume_types.TABLE
ACCESS = volume_types.ACCESS
DESCRIPTION = nullable(text(0, 255))
ATTRIBUTES: Attributes = {
    "name": FULL_NAME,
    "description": DESCRIPTION,
    "is_public": flag,
    "os-volume-type-access:is_public": flag,
    "extra_specs": nullable(specs),
}
CREATE = one("volume_type", Shape(ATTRIBUTES, ["name"], more=False))
UPDATE = one(
    "volume_type",
    Shape({"name": nullable(FULL_NAME), "description": LONG_TEXT, "is_public": flag}, more=False),
)
PROJECT = Shape({"project": text(1, 64, pattern=r"[A-Za-z0-9-]+")}, ["project"], more=False)
LISTING = Listing(
    TABLE,
    {"name": "name"},
    {"id": "id", "name": "name", "created_at": "created_us", "updated_at": "updated_us"},
)


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A type as clients see it; readers see only the specs that are meant for them."""
    body: dict[str, Any] = {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "is_public": row["is_public"],
        "os-volume-type-access:is_public": row["is_public"],
    }
    target = {"project_id": call.identity.project_id}
    if call.may("volume_extension:access_types_extra_specs", of=target):
        body["extra_specs"] = readable(call, row["extra_specs"])
    if call.may("volume_extension:access_types_qos_specs_id", of=target):
        body["qos_specs_id"] = row["qos_id"]
    return body


USER_VISIBLE = ("RESKEY:availability_zones", "multiattach", "replication_enabled")


def readable(call: Call, extra_specs: dict[str, str]) -> dict[str, str]:
    """The extra specs that a caller may see."""
    if call.may("volume_extension:types_extra_specs:read_sensitive"):
        return extra_specs
    return {name: extra_specs[name] for name in USER_VISIBLE if name in extra_specs}


class VolumeTypes:
    """Operations on types."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/types", "/types/{type_id}"
        rule, access = "volume_extension:type", "volume_extension:volume_type_access"
        actions = [
            Action("addProjectAccess", f"{access}:addProjectAccess", self.give, 202, PROJECT),
            Action("removeProjectAccess", f"{access}:removeProjectAccess", self.take, 202, PROJECT),
        ]
        return both(
            [
                Route("GET", top, f"{rule}_get_all", self.list),
                Route("POST", top, f"{rule}_create", self.create, 200, CREATE),
                Route("GET", f"{top}/default", f"{rule}_get", self.default),
                Route("GET", single, f"{rule}_get", self.show),
                Route("PUT", single, f"{rule}_update", self.update, 200, UPDATE),
                Route("DELETE", single, f"{rule}_delete", self.delete, 202),
                Route(
                    "GET",
                    f"{single}/os-volume-type-access",
                    f"{access}:get_all_for_type",
                    self.projects,
                ),
                Actions("POST", f"{single}/action", actions).route,
            ]
        )

    def _allow(self, call: Call) -> None:
        call.allow(of={"project_id": call.identity.project_id})

    async def _get(self, db: Connection, call: Call) -> Row:
        self._allow(call)
        return await volume_types.get(db, call, call.variables["type_id"])

    async def list(self, call: Call) -> dict[str, Any]:
        """The types a caller may use; an administrator may ask for private ones or all."""
        self._allow(call)
        where = self._sight(call)
        async with self._database.read() as db:
            found = await page(db, call, LISTING, *where)
        wanted = spec_filter(call)
        kept = [
            row
            for row in found.rows
            if all(row["extra_specs"].get(key) == value for key, value in wanted.items())
        ]
        return answer(
            call,
            "volume_types",
            Page(kept, found.total, found.more),
            [shown(call, row) for row in kept],
            counts=False,
        )

    def _sight(self, call: Call) -> Sequence[sa.ColumnElement[bool]]:
        public = call.query.get("is_public")
        if call.may("context_is_admin"):
            if public is None:
                return [TABLE.c.is_public == sa.true()]
            if public.strip().lower() == "none":
                return []
            return [TABLE.c.is_public == sa.literal(asked(public, "is_public"))]
        own = sa.select(ACCESS.c.type_id).where(ACCESS.c.project_id == call.identity.project_id)
        return [sa.or_(TABLE.c.is_public == sa.true(), TABLE.c.id.in_(own))]

    async def create(self, call: Call) -> dict[str, Any]:
        """Add a type."""
        self._allow(call)
        given = call.part("volume_type")
        public = given.get("os-volume-type-access:is_public", given.get("is_public", True))
        name = str(stripped(given["name"]))
        row: Row = {
            "id": self._service.new_id(),
            "name": name,
            "description": given.get("description"),
            "is_public": truth(public),
            "qos_id": None,
            "extra_specs": given.get("extra_specs") or {},
            "encryption": None,
            "created_us": self._service.now_us(),
            "updated_us": None,
        }
        async with self._database.write() as db:
            await volume_types.check_free(db, name)
            await rows.insert(db, TABLE, row)
        body = shown(call, row)
        body.pop("qos_specs_id", None)
        return {"volume_type": body}

    async def default(self, call: Call) -> dict[str, Any]:
        """The type of volumes that name none."""
        self._allow(call)
        async with self._database.read() as db:
            row = await volume_types.default_for(db, call.identity.project_id)
        return {"volume_type": shown(call, row)}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a type."""
        async with self._database.read() as db:
            row = await self._get(db, call)
        return {"volume_type": shown(call, row)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change name, description or publicity."""
        given = call.part("volume_type")
        changes: Row = {}
        if given.get("name") is not None:
            changes["name"] = str(stripped(given["name"]))
        if given.get("description") is not None:
            changes["description"] = given["description"]
        if "is_public" in given:
            changes["is_public"] = truth(given["is_public"])
        if not changes:
            raise bad_request("Specify volume type name, description, is_public or a combination.")
        async with self._database.write() as db:
            row = await self._get(db, call)
            if "name" in changes:
                if row["name"] == volume_types.DEFAULT_NAME != changes["name"]:
                    raise bad_request("The default volume type keeps its name.")
                await volume_types.check_free(db, changes["name"], row["id"])
            changes["updated_us"] = self._service.now_us()
            await rows.update(db, TABLE, row["id"], changes)
        body = shown(call, {**row, **changes})
        for name in ("os-volume-type-access:is_public", "qos_specs_id"):
            body.pop(name, None)
        return {"volume_type": body}

    async def delete(self, call: Call) -> Answer:
        """Remove a type that no volume has."""
        async with self._database.write() as db:
            row = await self._get(db, call)
            if await volume_types.in_use(db, row["id"]):
                raise bad_request(f"Volume Type {row['id']} deletion is not allowed: it is in use.")
            if row["name"] == volume_types.DEFAULT_NAME:
                raise bad_request("The default volume type cannot be deleted.")
            default = volume_types.DEFAULT
            if await rows.count(db, default, default.c.type_id == row["id"]):
                raise bad_request("The volume type is the default of a project.")
            await rows.delete(db, TABLE, TABLE.c.id == row["id"])
        return Answer(None, 202)

    async def projects(self, call: Call) -> dict[str, Any]:
        """Who may use a private type."""
        async with self._database.read() as db:
            row = await self._get(db, call)
            if row["is_public"]:
                raise absent("Access list of the public volume type", row["id"])
            found = await rows.rows(db, sa.select(ACCESS).where(ACCESS.c.type_id == row["id"]))
        body = [{"volume_type_id": row["id"], "project_id": one["project_id"]} for one in found]
        return {"volume_type_access": body}

    async def give(self, call: Call) -> None:
        """Let a project use a private type."""
        project_id = call.body["addProjectAccess"]["project"]
        async with self._database.write() as db:
            row = await self._get(db, call)
            if row["is_public"]:
                raise conflict("Type access modification is not applicable to public volume type.")
            if await volume_types.has_access(db, row, project_id):
                raise conflict("The project has access to the volume type already.")
            await rows.insert(db, ACCESS, {"type_id": row["id"], "project_id": project_id})

    async def take(self, call: Call) -> None:
        """Take that away."""
        project_id = call.body["removeProjectAccess"]["project"]
        async with self._database.write() as db:
            row = await self._get(db, call)
            if row["is_public"]:
                raise conflict("Type access modification is not applicable to public volume type.")
            conditions = (ACCESS.c.type_id == row["id"], ACCESS.c.project_id == project_id)
            if not await rows.delete(db, ACCESS, *conditions):
                raise Fault(404, "The project has no access to the volume type.")


def spec_filter(call: Call) -> dict[str, str]:
    """`extra_specs={'key': 'value'}` from 3.52 on. Raises Fault 400."""
    raw = call.query.get("extra_specs")
    if raw is None or call.microversion < (3, 52):
        return {}
    try:
        wanted = ast.literal_eval(raw[:10_000])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        wanted = None
    if not isinstance(wanted, dict):
        raise bad_request("Invalid value for the filter extra_specs: it is not a dictionary.")
    return {str(key): str(value) for key, value in wanted.items()}
