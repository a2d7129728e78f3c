"""`/v3/registered_limits`, `/v3/limits` and `/v3/limits/model`."""

from __future__ import annotations

from typing import Any

from authd import limit_models, limits
from authd.authority import Authority
from core import rows
from core.api.call import Call
from core.api.fault import bad_request
from core.api.listing import collection
from core.api.route import Route
from core.api.shape import ID, Attributes, Shape, array, integer, nullable, text
from core.identity import Identity
from core.rows import Row

LIMIT = integer(-1, 2**31 - 1)
PLACE: Attributes = {
    "service_id": text(1, 64),
    "region_id": nullable(text(0, 255)),
    "resource_name": text(1, 255),
    "description": nullable(text()),
}
REGISTERED: Attributes = {**PLACE, "default_limit": LIMIT}
NEEDED = ["service_id", "resource_name"]
REGISTER = Shape(
    {
        "registered_limits": array(
            Shape(REGISTERED, [*NEEDED, "default_limit"], more=False), least=1, most=1000
        )
    },
    ["registered_limits"],
    more=False,
)
UPDATE_REGISTERED = Shape(
    {"registered_limit": Shape(REGISTERED, more=False, least=1)}, ["registered_limit"], more=False
)
OWNED: Attributes = {
    **PLACE,
    "resource_limit": LIMIT,
    "project_id": nullable(ID),
    "domain_id": nullable(ID),
}
CREATE = Shape(
    {"limits": array(Shape(OWNED, [*NEEDED, "resource_limit"], more=False), least=1, most=1000)},
    ["limits"],
    more=False,
)
UPDATE = Shape(
    {
        "limit": Shape(
            {"resource_limit": LIMIT, "description": nullable(text())}, more=False, least=1
        )
    },
    ["limit"],
    more=False,
)


def registered_shown(call: Call, row: Row) -> dict[str, Any]:
    """A registered limit as clients see it."""
    return {
        **row,
        "region_id": row["region_id"] or None,
        "links": {"self": call.url("v3", "registered_limits", row["id"])},
    }


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A limit as clients see it."""
    hidden = {"registered_limit_id", "project_domain_id"}
    return {
        **{name: value for name, value in row.items() if name not in hidden},
        "region_id": row["region_id"] or None,
        "project_id": row["project_id"] or None,
        "domain_id": row["domain_id"] or None,
        "links": {"self": call.url("v3", "limits", row["id"])},
    }


class RegisteredLimits:
    """Operations on registered limits."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = "/v3/registered_limits", "/v3/registered_limits/{registered_limit_id}"
        rule = "identity:{}_registered_limit"
        return [
            Route("GET", top, rule.format("list") + "s", self.list),
            Route("POST", top, rule.format("create") + "s", self.create, 201, REGISTER),
            Route("GET", one, rule.format("get"), self.show),
            Route("PATCH", one, rule.format("update"), self.update, 200, UPDATE_REGISTERED),
            Route("DELETE", one, rule.format("delete"), self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List registered limits."""
        call.allow()
        wanted = call.query.exact("service_id", "region_id", "resource_name")
        async with self._database.read() as db:
            found = await rows.matching(db, limits.REGISTERED, **wanted)
        return collection(call, "registered_limits", found, registered_shown, "resource_name")

    async def create(self, call: Call) -> dict[str, Any]:
        """Register limits, all or none."""
        call.allow()
        made = []
        async with self._database.write() as db:
            for given in call.body["registered_limits"]:
                row: Row = {
                    "description": None,
                    **given,
                    "id": self._authority.new_id(),
                    "region_id": given.get("region_id") or "",
                }
                await limits.register(db, row)
                made.append(registered_shown(call, row))
        return {"registered_limits": made}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a registered limit."""
        call.allow()
        async with self._database.read() as db:
            row = await limits.get_registered(db, call.variables["registered_limit_id"])
        return {"registered_limit": registered_shown(call, row)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change a registered limit."""
        call.allow()
        changes = dict(call.part("registered_limit"))
        if "region_id" in changes:
            changes["region_id"] = changes["region_id"] or ""
        async with self._database.write() as db:
            row = await limits.get_registered(db, call.variables["registered_limit_id"])
            await limits.update_registered(db, row, changes)
        return {"registered_limit": registered_shown(call, {**row, **changes})}

    async def delete(self, call: Call) -> None:
        """Remove a registered limit."""
        call.allow()
        async with self._database.write() as db:
            row = await limits.get_registered(db, call.variables["registered_limit_id"])
            await limits.delete_registered(db, row)


class Limits:
    """Operations on limits."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database
        self._model = authority.settings.limit_model

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = "/v3/limits", "/v3/limits/{limit_id}"
        return [
            Route("GET", top, "identity:list_limits", self.list),
            Route("POST", top, "identity:create_limits", self.create, 201, CREATE),
            Route("GET", "/v3/limits/model", "identity:get_limit_model", self.model),
            Route("GET", one, "identity:get_limit", self.show),
            Route("PATCH", one, "identity:update_limit", self.update, 200, UPDATE),
            Route("DELETE", one, "identity:delete_limit", self.delete, 204),
        ]

    async def model(self, call: Call) -> dict[str, Any]:
        """Show how limits depend on each other."""
        call.allow()
        return {
            "model": {
                "name": self._model,
                "description": limit_models.DESCRIPTIONS[self._model],
            }
        }

    async def list(self, call: Call) -> dict[str, Any]:
        """List limits: all for administrators and services, else those of the caller's scope."""
        call.allow()
        names = ("service_id", "region_id", "resource_name", "project_id", "domain_id")
        wanted = call.query.exact(*names)
        async with self._database.read() as db:
            found = [
                row
                for row in await limits.listed(db)
                if concerns(call.identity, row)
                and all(row[name] == value for name, value in wanted.items())
            ]
        return collection(call, "limits", found, shown, "resource_name")

    async def create(self, call: Call) -> dict[str, Any]:
        """Add limits, all or none."""
        call.allow()
        made = []
        async with self._database.write() as db:
            for given in call.body["limits"]:
                if bool(given.get("project_id")) == bool(given.get("domain_id")):
                    raise bad_request("A limit is either of a project or of a domain.")
                row: Row = {
                    "description": None,
                    **given,
                    "id": self._authority.new_id(),
                    "region_id": given.get("region_id") or "",
                    "project_id": given.get("project_id") or "",
                    "domain_id": given.get("domain_id") or "",
                }
                await limits.create(db, row, self._model)
                made.append(shown(call, await limits.get(db, row["id"])))
        return {"limits": made}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a limit."""
        async with self._database.read() as db:
            row = await limits.get(db, call.variables["limit_id"])
        target: dict[str, Any] = {"project_id": row["project_id"] or None}
        if row["domain_id"]:
            target["domain"] = {"id": row["domain_id"]}
        else:
            target["project"] = {"domain_id": row["project_domain_id"]}
        call.allow(limit=target)
        return {"limit": shown(call, row)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change a limit."""
        call.allow()
        changes = call.part("limit")
        async with self._database.write() as db:
            row = await limits.get(db, call.variables["limit_id"])
            await limits.update(db, row, changes, self._model)
        return {"limit": shown(call, {**row, **changes})}

    async def delete(self, call: Call) -> None:
        """Remove a limit."""
        call.allow()
        async with self._database.write() as db:
            row = await limits.get(db, call.variables["limit_id"])
            await rows.delete(db, limits.LIMITS, limits.LIMITS.c.id == row["id"])


def concerns(identity: Identity, row: Row) -> bool:
    """Whether a limit is for a caller to see in a list."""
    if identity.system or {"admin", "service"} & set(identity.roles):
        return True
    if identity.domain_id:
        return identity.domain_id in {row["domain_id"], row["project_domain_id"]}
    return bool(identity.project_id) and row["project_id"] == identity.project_id
