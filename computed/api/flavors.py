"""`/flavors`: create, list, show, change, delete, extra specs, and who may use private ones."""

from __future__ import annotations

import math
import re
from typing import Any

import sqlalchemy as sa

from computed import flavors, listing
from computed.api.paths import both, links
from computed.api.shape import INT_MAX, edged_name, flag, one, truth, whole
from computed.service import Service
from computed.sight import is_admin
from core import rows
from core.api.action import Action, Actions
from core.api.call import Call
from core.api.fault import Fault, bad_request, conflict
from core.api.route import Route
from core.api.shape import Shape, nullable, plain_object, text, wrong
from core.database import Connection
from core.rows import Row

API = "os_compute_api:"
TABLE, ACCESS = flavors.TABLE, flavors.ACCESS
ID = re.compile(r"[\w.][\w. -]{0,254}", re.ASCII)
SPEC_KEY = re.compile(r"[a-zA-Z0-9_:. -]{1,255}")
FACTOR_MAX = 3.40282e38


def factor(value: Any, where: str) -> None:
    """A positive number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise wrong(where, value, "is not a number") from None
    if isinstance(value, bool) or not math.isfinite(number) or not 0 < number <= FACTOR_MAX:
        raise wrong(where, value, "is not a positive number")


def flavor_id(value: Any, where: str) -> None:
    """An id: text, or a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return
    if not isinstance(value, str) or not ID.fullmatch(value) or value.strip() != value:
        raise wrong(where, value, "is not a flavor id")


def specs(value: Any, where: str) -> None:
    """Extra specs: keys of letters, digits and a few marks; text or numbers."""
    plain_object(value, where)
    for key, item in value.items():
        if not SPEC_KEY.fullmatch(key):
            raise bad_request(
                f"Key Names can only contain alphanumeric characters, periods, dashes, underscores, colons and spaces. '{key[:80]}'"
            )
        if (
            isinstance(item, bool)
            or not isinstance(item, (str, int, float))
            or len(str(item)) > 255
        ):
            raise wrong(f"{where}.{key}", item, "is not text of at most 255 characters")


NEW = Shape(
    {
        "name": edged_name,
        "id": nullable(flavor_id),
        "ram": whole(1, INT_MAX),
        "vcpus": whole(1, INT_MAX),
        "disk": whole(0, INT_MAX),
        "OS-FLV-EXT-DATA:ephemeral": whole(0, INT_MAX),
        "swap": whole(0, INT_MAX),
        "rxtx_factor": factor,
        "os-flavor-access:is_public": flag,
        "description": nullable(text(0, 65535)),
    },
    ["name", "ram", "vcpus", "disk"],
    more=False,
)
CREATE = one("flavor", NEW)
UPDATE = one(
    "flavor", Shape({"description": nullable(text(0, 65535))}, ["description"], more=False)
)
SPECS = one("extra_specs", specs)
PROJECT = Shape({"tenant": text(1, 255)}, ["tenant"], more=False)
SORTS = {
    "flavorid": "id",
    "id": "id",
    "name": "name",
    "memory_mb": "ram_mb",
    "vcpus": "vcpus",
    "root_gb": "disk_gb",
    "ephemeral_gb": "ephemeral_gb",
    "swap": "swap_mb",
    "rxtx_factor": "rxtx_factor",
    "is_public": "public",
    "disabled": "disabled",
    "created_at": "created_us",
    "updated_at": "created_us",
    "description": "description",
    "vcpu_weight": "vcpus",
}


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A flavor in full."""
    body: dict[str, Any] = {
        "id": row["id"],
        "name": row["name"],
        "ram": row["ram_mb"],
        "disk": row["disk_gb"],
        "swap": row["swap_mb"] or ("" if call.microversion < (2, 75) else 0),
        "OS-FLV-EXT-DATA:ephemeral": row["ephemeral_gb"],
        "OS-FLV-DISABLED:disabled": row["disabled"],
        "vcpus": row["vcpus"],
        "os-flavor-access:is_public": row["public"],
        "rxtx_factor": row["rxtx_factor"],
        "links": links(call, "flavors", row["id"]),
    }
    if call.microversion >= (2, 55):
        body["description"] = row["description"]
    if call.microversion >= (2, 61) and call.may(
        f"{API}os-flavor-extra-specs:index", of={"project_id": call.identity.project_id}
    ):
        body["extra_specs"] = row["extra_specs"]
    return body


class Flavors:
    """Operations on flavors."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/flavors", "/flavors/{flavor_id}"
        manage, extra = f"{API}os-flavor-manage", f"{API}os-flavor-extra-specs"
        many, key = f"{single}/os-extra_specs", f"{single}/os-extra_specs/{{key}}"
        access = f"{API}os-flavor-access"
        actions = [
            Action("addTenantAccess", f"{access}:add_tenant_access", self.add_access, 200, PROJECT),
            Action(
                "removeTenantAccess",
                f"{access}:remove_tenant_access",
                self.remove_access,
                200,
                PROJECT,
            ),
        ]
        return both(
            [
                Route("GET", top, f"{API}flavors", self.list),
                Route("GET", f"{top}/detail", f"{API}flavors", self.detail),
                Route("POST", top, f"{manage}:create", self.create, 200, CREATE),
                Route("GET", single, f"{API}flavors", self.show),
                Route("PUT", single, f"{manage}:update", self.update, 200, UPDATE, since=(2, 55)),
                Route("DELETE", single, f"{manage}:delete", self.delete, 202),
                Route("GET", many, f"{extra}:index", self.specs),
                Route("POST", many, f"{extra}:create", self.add_specs, 200, SPECS),
                Route("GET", key, f"{extra}:show", self.spec),
                Route("PUT", key, f"{extra}:update", self.set_spec, 200, plain_object),
                Route("DELETE", key, f"{extra}:delete", self.remove_spec),
                Route("GET", f"{single}/os-flavor-access", access, self.access),
                Actions("POST", f"{single}/action", actions).route,
            ]
        )

    async def _visible(self, db: Connection, call: Call) -> Row:
        row = await flavors.get(db, call.variables["flavor_id"])
        if not is_admin(call) and not await flavors.may_use(db, row, call.identity.project_id):
            raise Fault(404, f"Flavor {row['id']} could not be found.")
        return row

    def _conditions(self, call: Call) -> list[sa.ColumnElement[bool]]:
        found: list[sa.ColumnElement[bool]] = []
        for name, column in (("minRam", "ram_mb"), ("minDisk", "disk_gb")):
            raw = call.query.get(name)
            if raw is not None:
                if not re.fullmatch(r"-?[0-9]{1,12}", raw):
                    raise bad_request(f"Invalid {name} filter [{raw[:80]}]")
                found.append(TABLE.c[column] >= int(raw))
        asked = call.query.get("is_public")
        if not is_admin(call):
            found.append(flavors.visible_to(call.identity.project_id))
        elif asked is None:
            found.append(TABLE.c.public)
        elif asked.lower() != "none":
            found.append(TABLE.c.public == listing.truth(asked, "is_public"))
        return found

    async def _page(self, call: Call) -> listing.Page:
        call.allow(of={"project_id": call.identity.project_id})
        key = call.query.get("sort_key") or "flavorid"
        direction = call.query.get("sort_dir") or "asc"
        if key not in SORTS or direction not in {"asc", "desc"}:
            raise bad_request(f"Invalid sort: {key[:80]} {direction[:80]}")
        column = TABLE.c[SORTS[key]]
        order = [column.asc() if direction == "asc" else column.desc(), TABLE.c.id.asc()]
        statement = sa.select(TABLE).where(*self._conditions(call)).order_by(*order)
        async with self._database.read() as db:
            return listing.cut(call, await rows.rows(db, statement))

    async def list(self, call: Call) -> dict[str, Any]:
        """Names and links."""
        found = await self._page(call)
        brief = []
        for row in found.rows:
            item = {
                "id": row["id"],
                "name": row["name"],
                "links": links(call, "flavors", row["id"]),
            }
            if call.microversion >= (2, 55):
                item["description"] = row["description"]
            brief.append(item)
        return {"flavors": brief} | listing.next_link(call, "flavors", found)

    async def detail(self, call: Call) -> dict[str, Any]:
        """With everything."""
        found = await self._page(call)
        body: dict[str, Any] = {"flavors": [shown(call, row) for row in found.rows]}
        return body | listing.next_link(call, "flavors", found)

    async def create(self, call: Call) -> dict[str, Any]:
        """A new flavor."""
        call.allow()
        given = call.part("flavor")
        if "description" in given and call.microversion < (2, 55):
            raise bad_request(
                "Additional properties are not allowed ('description' was unexpected)"
            )
        name = given.get("id")
        row = flavors.new_row(
            self._service,
            self._service.new_id() if name in {None, "auto"} else str(name),
            given["name"],
            ram_mb=int(given["ram"]),
            vcpus=int(given["vcpus"]),
            disk_gb=int(given["disk"]),
            ephemeral_gb=int(given.get("OS-FLV-EXT-DATA:ephemeral") or 0),
            swap_mb=int(given.get("swap") or 0),
            rxtx_factor=float(given.get("rxtx_factor") or 1.0),
            public=truth(given.get("os-flavor-access:is_public", True)),
            description=given.get("description"),
        )
        async with self._database.write() as db:
            if await rows.by_id(db, TABLE, row["id"]) is not None:
                raise conflict(f"Flavor with ID {row['id']} already exists.")
            if await rows.count(db, TABLE, TABLE.c.name == row["name"]):
                raise conflict(f"Flavor with name {row['name']} already exists.")
            await rows.insert(db, TABLE, row)
        return {"flavor": shown(call, row)}

    async def _grant(self, db: Connection, flavor: str, project_id: str) -> None:
        await rows.insert(db, ACCESS, {"flavor_id": flavor, "project_id": project_id})

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a flavor."""
        call.allow(of={"project_id": call.identity.project_id})
        async with self._database.read() as db:
            return {"flavor": shown(call, await self._visible(db, call))}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change its description."""
        call.allow()
        async with self._database.write() as db:
            row = await flavors.get(db, call.variables["flavor_id"])
            changes = {"description": call.part("flavor")["description"]}
            await rows.update(db, TABLE, row["id"], changes)
        return {"flavor": shown(call, {**row, **changes})}

    async def delete(self, call: Call) -> None:
        """Remove it; servers keep what they were made with."""
        call.allow()
        async with self._database.write() as db:
            row = await flavors.get(db, call.variables["flavor_id"])
            await rows.delete(db, TABLE, TABLE.c.id == row["id"])

    async def specs(self, call: Call) -> dict[str, Any]:
        """All extra specs."""
        call.allow(of={"project_id": call.identity.project_id})
        async with self._database.read() as db:
            return {"extra_specs": (await self._visible(db, call))["extra_specs"]}

    async def add_specs(self, call: Call) -> dict[str, Any]:
        """Add to them."""
        call.allow()
        given = {key: str(value) for key, value in call.part("extra_specs").items()}
        await self._write_specs(call, given)
        return {"extra_specs": given}

    async def _write_specs(self, call: Call, given: dict[str, str]) -> None:
        async with self._database.write() as db:
            row = await flavors.get(db, call.variables["flavor_id"])
            changes = {"extra_specs": {**row["extra_specs"], **given}}
            await rows.update(db, TABLE, row["id"], changes)

    async def spec(self, call: Call) -> dict[str, Any]:
        """One of them."""
        call.allow(of={"project_id": call.identity.project_id})
        key = call.variables["key"]
        async with self._database.read() as db:
            held = (await self._visible(db, call))["extra_specs"]
        if key not in held:
            raise Fault(404, f"Flavor has no extra specs with key {key[:80]}.")
        return {key: held[key]}

    async def set_spec(self, call: Call) -> dict[str, Any]:
        """Set one."""
        call.allow()
        key = call.variables["key"]
        specs(call.body, "extra_specs")
        if list(call.body) != [key]:
            raise bad_request("Request body and URI mismatch")
        given = {key: str(call.body[key])}
        await self._write_specs(call, given)
        return given

    async def remove_spec(self, call: Call) -> None:
        """Remove one."""
        call.allow()
        key = call.variables["key"]
        async with self._database.write() as db:
            row = await flavors.get(db, call.variables["flavor_id"])
            if key not in row["extra_specs"]:
                raise Fault(404, f"Flavor {row['id']} has no extra specs with key {key[:80]}.")
            left = {name: value for name, value in row["extra_specs"].items() if name != key}
            await rows.update(db, TABLE, row["id"], {"extra_specs": left})

    async def _listed(self, db: Connection, row: Row) -> dict[str, Any]:
        held = await rows.rows(
            db,
            sa.select(ACCESS).where(ACCESS.c.flavor_id == row["id"]).order_by(ACCESS.c.project_id),
        )
        return {
            "flavor_access": [
                {"flavor_id": row["id"], "tenant_id": one_of["project_id"]} for one_of in held
            ]
        }

    async def access(self, call: Call) -> dict[str, Any]:
        """Projects that may use a private one."""
        call.allow()
        async with self._database.read() as db:
            row = await flavors.get(db, call.variables["flavor_id"])
            if row["public"]:
                raise Fault(404, "Access list not available for public flavors.")
            return await self._listed(db, row)

    async def add_access(self, call: Call) -> dict[str, Any]:
        """Let a project use it."""
        call.allow()
        project_id = call.body["addTenantAccess"]["tenant"]
        async with self._database.write() as db:
            row = await flavors.get(db, call.variables["flavor_id"])
            if row["public"] and call.microversion >= (2, 7):
                raise conflict("Can not add access to a public flavor.")
            same = (ACCESS.c.flavor_id == row["id"], ACCESS.c.project_id == project_id)
            if await rows.count(db, ACCESS, *same):
                raise conflict(
                    f"Flavor access already exists for flavor {row['id']} and project {project_id[:80]} combination."
                )
            await self._grant(db, row["id"], project_id)
            return await self._listed(db, row)

    async def remove_access(self, call: Call) -> dict[str, Any]:
        """Let it no more."""
        call.allow()
        project_id = call.body["removeTenantAccess"]["tenant"]
        async with self._database.write() as db:
            row = await flavors.get(db, call.variables["flavor_id"])
            same = (ACCESS.c.flavor_id == row["id"], ACCESS.c.project_id == project_id)
            if not await rows.delete(db, ACCESS, *same):
                raise Fault(
                    404, f"Flavor access not found for {row['id']} / {project_id[:80]} combination."
                )
            return await self._listed(db, row)
