"""`/v3/roles`."""

from __future__ import annotations

from typing import Any

from authd import domains, roles
from authd.api import immutable
from authd.authority import Authority
from core import rows
from core.api.call import Call
from core.api.fault import bad_request
from core.api.listing import collection
from core.api.route import Route
from core.api.shape import DESCRIPTION, ID, NAME, Attributes, Shape, nullable
from core.rows import Row

ATTRIBUTES: Attributes = {
    "name": NAME,
    "description": nullable(DESCRIPTION),
    "domain_id": nullable(ID),
    "options": immutable.OPTIONS,
}
CREATE = Shape({"role": Shape(ATTRIBUTES, ["name"])}, ["role"], more=False)
UPDATE = Shape({"role": Shape(ATTRIBUTES, least=1)}, ["role"], more=False)
COLUMNS = frozenset({"name", "description", "options"})
UNSETTABLE = frozenset({"id", "links", "domain_id"})


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A role as clients see it."""
    return {
        **row["extra"],
        "id": row["id"],
        "name": row["name"],
        "domain_id": row["domain_id"] or None,
        "description": row["description"],
        "options": row["options"],
        "links": {"self": call.url("v3", "roles", row["id"])},
    }


def allow(call: Call, row: Row) -> None:
    """Pass the route's rule, or its counterpart for roles of one domain."""
    rule = call.route.rule
    if row["domain_id"]:
        rule = rule.replace("_role", "_domain_role")
    call.allow(rule, role={**row, "domain_id": row["domain_id"] or None})


class Roles:
    """Operations on roles."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        one = "/v3/roles/{role_id}"
        return [
            Route("GET", "/v3/roles", "identity:list_roles", self.list),
            Route("POST", "/v3/roles", "identity:create_role", self.create, 201, CREATE),
            Route("GET", one, "identity:get_role", self.show),
            Route("PATCH", one, "identity:update_role", self.update, 200, UPDATE),
            Route("DELETE", one, "identity:delete_role", self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List the roles of the whole cloud, or with `domain_id` those of a domain."""
        domain_id = call.query.get("domain_id") or ""
        allow(call, {"domain_id": domain_id})
        wanted = call.query.exact("name")
        async with self._database.read() as db:
            found = await rows.matching(db, roles.TABLE, domain_id=domain_id, **wanted)
        return collection(call, "roles", found, shown, "name")

    async def create(self, call: Call) -> dict[str, Any]:
        """Add a role."""
        given = call.part("role")
        known, extra = rows.split_extra(given, COLUMNS)
        row: Row = {
            "id": self._authority.new_id(),
            "domain_id": given.get("domain_id") or "",
            "name": known["name"],
            "description": known.get("description"),
            "options": immutable.merged({}, known.get("options", {})),
            "extra": {name: extra[name] for name in extra if name not in UNSETTABLE},
        }
        allow(call, row)
        async with self._database.write() as db:
            if row["domain_id"]:
                await domains.get(db, row["domain_id"])
            await roles.create(db, row)
        return {"role": shown(call, row)}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a role."""
        call.absence_is_open = True
        async with self._database.read() as db:
            row = await roles.get(db, call.variables["role_id"])
        allow(call, row)
        return {"role": shown(call, row)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change a role."""
        call.absence_is_open = (
            True  # a rule cannot be chosen before the role is known: global or domain's
        )
        given = call.part("role")
        known, extra = rows.split_extra(given, COLUMNS)
        async with self._database.write() as db:
            row = await roles.get(db, call.variables["role_id"])
            allow(call, row)
            immutable.check_update("role", row, given)
            if "domain_id" in given and (given["domain_id"] or "") != row["domain_id"]:
                raise bad_request("Cannot change Domain ID.")
            if "options" in known:
                known["options"] = immutable.merged(row["options"], known["options"])
            more = {name: extra[name] for name in extra if name not in UNSETTABLE}
            known["extra"] = {**row["extra"], **more}
            await roles.update(db, row, known, self._authority.now_us())
        return {"role": shown(call, {**row, **known})}

    async def delete(self, call: Call) -> None:
        """Remove a role."""
        call.absence_is_open = True
        async with self._database.write() as db:
            row = await roles.get(db, call.variables["role_id"])
            allow(call, row)
            immutable.check_delete("role", row)
            await roles.delete(db, row, self._authority.now_us())
