"""`/quotas`: limits of projects."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from core import rows
from core.api.call import Call
from core.api.route import Route
from core.database import Connection
from networkd import quotas
from networkd.api.resource import PROJECT
from networkd.fault import NetworkFault, bad, malformed
from networkd.service import Service
from networkd.values import boolean, integer

LIMIT = integer(-1)


class Quotas:
    """Limits of projects, and what they use."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """What is served."""
        many, single = "/v2.0/quotas", "/v2.0/quotas/{id}"
        return [
            Route("GET", many, "get_quota", self.list),
            Route("GET", single, "get_quota", self.show),
            Route("GET", f"{single}/default", "get_quota", self.default),
            Route("GET", f"{single}/details", "get_quota", self.details),
            Route("GET", f"{single}/details.json", "get_quota", self.details),
            Route("PUT", single, "update_quota", self.update, 200, _any),
            Route("DELETE", single, "delete_quota", self.reset, 204),
        ]

    def _project(self, call: Call) -> str:
        name = call.variables["id"]
        if name in {"tenant", "project"}:
            name = call.identity.project_id
        if not PROJECT.fullmatch(name):
            raise bad("That is not the id of a project.")
        call.allow(of={"project_id": name, "tenant_id": name})
        return name

    async def list(self, call: Call) -> dict[str, Any]:
        """Of projects that have limits of their own."""
        call.allow(of={"project_id": call.identity.project_id})
        async with self._service.database.read() as db:
            statement = sa.select(quotas.LIMITS.c.project_id).distinct()
            if not call.may("context_is_admin"):
                statement = statement.where(quotas.LIMITS.c.project_id == call.identity.project_id)
            names = sorted(str(name) for name in (await db.execute(statement)).scalars())
            found = [
                {"project_id": name, "tenant_id": name, **await quotas.limits_of(db, name)}
                for name in names
            ]
        return {"quotas": found}

    async def show(self, call: Call) -> dict[str, Any]:
        """Of one; `tenant` is the caller's own."""
        if call.variables["id"] in {"tenant", "project"}:
            call.allowed = True
            own = call.identity.project_id
            return {"tenant": {"tenant_id": own, "project_id": own}}
        name = self._project(call)
        async with self._service.database.read() as db:
            return {"quota": await quotas.limits_of(db, name)}

    async def default(self, call: Call) -> dict[str, Any]:
        """What holds for projects without limits of their own."""
        self._project(call)
        return {"quota": dict(quotas.DEFAULTS)}

    async def details(self, call: Call) -> dict[str, Any]:
        """With usage. Nothing is ever reserved: what a request takes it has taken when it is answered."""
        name = self._project(call)
        async with self._service.database.read() as db:
            limits, used = await quotas.limits_of(db, name), await quotas.used_by(db, name)
        return {
            "quota": {
                resource: {"limit": limit, "used": used[resource], "reserved": 0}
                for resource, limit in limits.items()
            }
        }

    async def update(self, call: Call) -> dict[str, Any]:
        """Change some; with `check_limit` none below what is used."""
        name = self._project(call)
        given = call.body.get("quota")
        if not isinstance(given, dict) or set(call.body) != {"quota"}:
            raise malformed("Unable to find 'quota' in request body")
        given = dict(given)
        check = boolean(given.pop("check_limit", False), "check_limit")
        boolean(given.pop("force", False), "force")
        for field in ("project_id", "tenant_id"):
            given.pop(field, None)
        unknown = sorted(set(given) - set(quotas.DEFAULTS))
        if unknown:
            raise malformed(f"Unrecognized attribute(s) '{unknown[0][:80]}'")
        wanted = {resource: LIMIT(value, resource) for resource, value in given.items()}
        async with self._service.write() as db:
            if check:
                await self._check(db, name, wanted)
            for resource, limit in wanted.items():
                key = (quotas.LIMITS.c.project_id == name, quotas.LIMITS.c.resource == resource)
                await rows.delete(db, quotas.LIMITS, *key)
                row = {"project_id": name, "resource": resource, "hard_limit": limit}
                await rows.insert(db, quotas.LIMITS, row)
            return {"quota": await quotas.limits_of(db, name)}

    async def _check(self, db: Connection, name: str, wanted: dict[str, int]) -> None:
        used = await quotas.used_by(db, name)
        for resource, limit in wanted.items():
            if 0 <= limit < used[resource]:
                raise bad(
                    f"Quota limit {limit} for {resource} must be greater than or equal to already used"
                    f" {used[resource]}.",
                    "InvalidQuotaValue",
                )

    async def reset(self, call: Call) -> None:
        """Back to the defaults."""
        name = self._project(call)
        async with self._service.write() as db:
            if not await rows.delete(db, quotas.LIMITS, quotas.LIMITS.c.project_id == name):
                raise NetworkFault(
                    404, "ProjectQuotaNotFound", f"Quota for project {name} could not be found."
                )


def _any(value: Any, where: str) -> None:
    del value, where
