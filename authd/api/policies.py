"""`/v3/policies`, and OS-ENDPOINT-POLICY, which says what they are meant for."""

from __future__ import annotations

from typing import Any

from authd import endpoints, policies, regions, services
from authd.api import endpoints as endpoint_api
from authd.authority import Authority
from authd.policies import Place
from core import rows
from core.api.call import Call
from core.api.fault import not_found
from core.api.listing import collection
from core.api.route import Route
from core.api.shape import Attributes, Shape, text
from core.database import Connection
from core.rows import Row

ATTRIBUTES: Attributes = {"blob": text(most=65_536), "type": text(1, 255)}
CREATE = Shape({"policy": Shape(ATTRIBUTES, ["blob", "type"])}, ["policy"], more=False)
UPDATE = Shape({"policy": Shape(ATTRIBUTES, least=1)}, ["policy"], more=False)
COLUMNS = frozenset(ATTRIBUTES)
UNSETTABLE = frozenset({"id", "links"})
PLACES = {
    "endpoint": "endpoints/{endpoint_id}",
    "service": "services/{service_id}",
    "region_and_service": "services/{service_id}/regions/{region_id}",
}


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A policy as clients see it."""
    return {
        **row["extra"],
        "id": row["id"],
        "type": row["type"],
        "blob": row["blob"],
        "links": {"self": call.url("v3", "policies", row["id"])},
    }


class Policies:
    """Operations on policies."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = "/v3/policies", "/v3/policies/{policy_id}"
        return [
            Route("GET", top, "identity:list_policies", self.list),
            Route("POST", top, "identity:create_policy", self.create, 201, CREATE),
            Route("GET", one, "identity:get_policy", self.show),
            Route("PATCH", one, "identity:update_policy", self.update, 200, UPDATE),
            Route("DELETE", one, "identity:delete_policy", self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List policies."""
        call.allow()
        async with self._database.read() as db:
            found = await rows.matching(db, policies.TABLE, **call.query.exact("type"))
        return collection(call, "policies", found, shown, "type")

    async def create(self, call: Call) -> dict[str, Any]:
        """Add a policy."""
        call.allow()
        known, extra = rows.split_extra(call.part("policy"), COLUMNS)
        row: Row = {
            **known,
            "id": self._authority.new_id(),
            "extra": {name: extra[name] for name in extra if name not in UNSETTABLE},
        }
        async with self._database.write() as db:
            await rows.insert(db, policies.TABLE, row)
        return {"policy": shown(call, row)}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a policy."""
        call.allow()
        async with self._database.read() as db:
            return {"policy": shown(call, await policies.get(db, call.variables["policy_id"]))}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change a policy."""
        call.allow()
        known, extra = rows.split_extra(call.part("policy"), COLUMNS)
        async with self._database.write() as db:
            row = await policies.get(db, call.variables["policy_id"])
            more = {name: extra[name] for name in extra if name not in UNSETTABLE}
            known["extra"] = {**row["extra"], **more}
            await rows.update(db, policies.TABLE, row["id"], known)
        return {"policy": shown(call, {**row, **known})}

    async def delete(self, call: Call) -> None:
        """Remove a policy."""
        call.allow()
        async with self._database.write() as db:
            row = await policies.get(db, call.variables["policy_id"])
            await rows.delete(db, policies.TABLE, policies.TABLE.c.id == row["id"])


class EndpointPolicies:
    """Operations on what policies are meant for."""

    def __init__(self, authority: Authority) -> None:
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top = "/v3/policies/{policy_id}/OS-ENDPOINT-POLICY"
        found = [
            Route("GET", f"{top}/endpoints", "identity:list_endpoints_for_policy", self.endpoints),
            Route(
                "GET",
                "/v3/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy",
                "identity:get_policy_for_endpoint",
                self.policy,
            ),
        ]
        for place, path in PLACES.items():
            rule = f"identity:{{}}_policy_association_for_{place}"
            one = f"{top}/{path}"
            found += [
                Route("PUT", one, rule.format("create"), self.link, 204),
                Route("GET", one, rule.format("check"), self.check, 204),
                Route("HEAD", one, rule.format("check"), self.check, 204),
                Route("DELETE", one, rule.format("delete"), self.unlink, 204),
            ]
        return found

    async def _place(self, db: Connection, call: Call) -> tuple[str, Place]:
        """Policy and place of a path, all of it there. Raises Fault 404."""
        call.allow()
        row = await policies.get(db, call.variables["policy_id"])
        place = {"endpoint_id": "", "service_id": "", "region_id": ""}
        for name, get in (
            ("endpoint_id", endpoints.get),
            ("service_id", services.get),
            ("region_id", regions.get),
        ):
            if name in call.variables:
                place[name] = (await get(db, call.variables[name]))["id"]
        return row["id"], place

    async def link(self, call: Call) -> None:
        """Say what a policy is meant for."""
        async with self._database.write() as db:
            await policies.link(db, *await self._place(db, call))

    async def check(self, call: Call) -> None:
        """Whether a policy is meant for something."""
        async with self._database.read() as db:
            await policies.check(db, *await self._place(db, call))

    async def unlink(self, call: Call) -> None:
        """End it."""
        async with self._database.write() as db:
            await policies.unlink(db, *await self._place(db, call))

    async def endpoints(self, call: Call) -> dict[str, Any]:
        """List the endpoints for which a policy counts."""
        call.allow()
        async with self._database.read() as db:
            row = await policies.get(db, call.variables["policy_id"])
            found = await policies.endpoints_of(db, row["id"])
        return collection(call, "endpoints", found, endpoint_api.shown)

    async def policy(self, call: Call) -> dict[str, Any]:
        """Show the policy that counts for an endpoint."""
        call.allow()
        async with self._database.read() as db:
            endpoint = await endpoints.get(db, call.variables["endpoint_id"])
            policy_id = await policies.of_endpoint(db, endpoint)
            if policy_id is None:
                raise not_found("policy of endpoint", endpoint["id"])
            return {"policy": shown(call, await policies.get(db, policy_id))}
