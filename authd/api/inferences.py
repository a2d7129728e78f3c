"""`/v3/roles/{prior_role_id}/implies` and `/v3/role_inferences`: which role implies which."""

from __future__ import annotations

from typing import Any

from authd import roles
from authd.authority import Authority
from core import rows
from core.api.call import Call
from core.api.fault import not_found
from core.api.route import Route
from core.database import Connection
from core.rows import Row


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A role within an inference."""
    links = {"self": call.url("v3", "roles", row["id"])}
    return {"id": row["id"], "name": row["name"], "links": links}


class Inferences:
    """Operations on role inferences."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top = "/v3/roles/{prior_role_id}/implies"
        one = top + "/{implied_role_id}"
        return [
            Route("GET", top, "identity:list_implied_roles", self.list),
            Route("PUT", one, "identity:create_implied_role", self.create, 201),
            Route("GET", one, "identity:get_implied_role", self.show),
            Route("HEAD", one, "identity:check_implied_role", self.check, 204),
            Route("DELETE", one, "identity:delete_implied_role", self.delete, 204),
            Route(
                "GET", "/v3/role_inferences", "identity:list_role_inference_rules", self.list_all
            ),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List what a role implies directly."""
        call.allow()
        async with self._database.read() as db:
            prior = await roles.get(db, call.variables["prior_role_id"])
            implied = await roles.implied_by(db, prior["id"])
        inference = {
            "prior_role": shown(call, prior),
            "implies": [shown(call, row) for row in implied],
        }
        return {
            "role_inference": inference,
            "links": {"self": call.url("v3", "roles", prior["id"], "implies")},
        }

    async def _pair(self, db: Connection, call: Call) -> tuple[Row, Row]:
        call.allow()
        prior = await roles.get(db, call.variables["prior_role_id"])
        return prior, await roles.get(db, call.variables["implied_role_id"])

    def _inference(self, call: Call, prior: Row, implied: Row) -> dict[str, Any]:
        own = call.url("v3", "roles", prior["id"], "implies", implied["id"])
        return {
            "role_inference": {"prior_role": shown(call, prior), "implies": shown(call, implied)},
            "links": {"self": own},
        }

    async def create(self, call: Call) -> dict[str, Any]:
        """Make one role imply another."""
        async with self._database.write() as db:
            prior, implied = await self._pair(db, call)
            await roles.imply(db, prior, implied)
        return self._inference(call, prior, implied)

    async def show(self, call: Call) -> dict[str, Any]:
        """Show one inference."""
        async with self._database.read() as db:
            prior, implied = await self._pair(db, call)
            if implied["id"] not in {row["id"] for row in await roles.implied_by(db, prior["id"])}:
                raise not_found("role inference", f"{prior['id']} implies {implied['id']}")
        return self._inference(call, prior, implied)

    async def check(self, call: Call) -> None:
        """Whether one role implies another."""
        await self.show(call)

    async def delete(self, call: Call) -> None:
        """End an inference."""
        async with self._database.write() as db:
            prior, implied = await self._pair(db, call)
            await roles.stop_implying(db, prior, implied, self._authority.now_us())

    async def list_all(self, call: Call) -> dict[str, Any]:
        """List every inference there is, by prior role."""
        call.allow()
        async with self._database.read() as db:
            known = {row["id"]: row for row in await rows.matching(db, roles.TABLE)}
            pairs = await rows.rows(db, roles.IMPLIED.select())
        implied: dict[str, list[dict[str, Any]]] = {}
        for pair in sorted(pairs, key=lambda p: (p["prior_role_id"], p["implied_role_id"])):
            row = known[pair["implied_role_id"]]
            implied.setdefault(pair["prior_role_id"], []).append(shown(call, row))
        return {
            "role_inferences": [
                {"prior_role": shown(call, known[prior_id]), "implies": found}
                for prior_id, found in implied.items()
            ],
            "links": {"self": call.url("v3", "role_inferences")},
        }
