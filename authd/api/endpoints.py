"""`/v3/endpoints`."""

from __future__ import annotations

from typing import Any

from authd import endpoints, regions
from authd.authority import Authority
from core import rows
from core.api.call import Call
from core.api.listing import collection
from core.api.route import Route
from core.api.shape import URL, Attributes, Shape, boolean, choice, nullable, text
from core.database import Connection
from core.rows import Row

ATTRIBUTES: Attributes = {
    "service_id": text(1, 64),
    "interface": choice("admin", "internal", "public"),
    "url": URL,
    "region": nullable(text(0, 255)),
    "region_id": nullable(text(0, 255)),
    "enabled": boolean,
    "name": nullable(text(0, 255)),
    "description": nullable(text()),
}
CREATE = Shape(
    {"endpoint": Shape(ATTRIBUTES, ["service_id", "interface", "url"])}, ["endpoint"], more=False
)
UPDATE = Shape({"endpoint": Shape(ATTRIBUTES, least=1)}, ["endpoint"], more=False)
COLUMNS = frozenset({"service_id", "interface", "url", "region_id", "enabled"})
UNSETTABLE = frozenset({"id", "links", "region"})


def shown(call: Call, row: Row) -> dict[str, Any]:
    """An endpoint as clients see it; `region` is what `region_id` was called before."""
    return {
        **row["extra"],
        "id": row["id"],
        "service_id": row["service_id"],
        "interface": row["interface"],
        "url": row["url"],
        "region": row["region_id"],
        "region_id": row["region_id"],
        "enabled": row["enabled"],
        "links": {"self": call.url("v3", "endpoints", row["id"])},
    }


class Endpoints:
    """Operations on endpoints."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = "/v3/endpoints", "/v3/endpoints/{endpoint_id}"
        return [
            Route("GET", top, "identity:list_endpoints", self.list),
            Route("POST", top, "identity:create_endpoint", self.create, 201, CREATE),
            Route("GET", one, "identity:get_endpoint", self.show),
            Route("PATCH", one, "identity:update_endpoint", self.update, 200, UPDATE),
            Route("DELETE", one, "identity:delete_endpoint", self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List endpoints."""
        call.allow()
        wanted = call.query.exact("interface", "service_id", "region_id")
        async with self._database.read() as db:
            found = await rows.matching(db, endpoints.TABLE, **wanted)
        return collection(call, "endpoints", found, shown, "url")

    async def create(self, call: Call) -> dict[str, Any]:
        """Add an endpoint."""
        call.allow()
        given = call.part("endpoint")
        known, extra = rows.split_extra(given, COLUMNS)
        row: Row = {
            "region_id": None,
            "enabled": True,
            **known,
            "id": self._authority.new_id(),
            "extra": {name: extra[name] for name in extra if name not in UNSETTABLE},
        }
        endpoints.check_url(row["url"])
        async with self._database.write() as db:
            await self._old_region(db, given, row)
            await endpoints.check_place(db, row)
            await rows.insert(db, endpoints.TABLE, row)
        return {"endpoint": shown(call, row)}

    async def _old_region(self, db: Connection, given: Row, row: Row) -> None:
        """`region`, as version 2 of the API had it, makes the region when it is not there."""
        name = given.get("region")
        if not name or given.get("region_id"):
            return
        row["region_id"] = name
        if await rows.by_id(db, regions.TABLE, name) is None:
            new = {"id": name, "description": "", "parent_region_id": None, "extra": {}}
            await regions.create(db, new)

    async def show(self, call: Call) -> dict[str, Any]:
        """Show an endpoint."""
        call.allow()
        async with self._database.read() as db:
            row = await endpoints.get(db, call.variables["endpoint_id"])
        return {"endpoint": shown(call, row)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change an endpoint."""
        call.allow()
        given = call.part("endpoint")
        known, extra = rows.split_extra(given, COLUMNS)
        if "url" in known:
            endpoints.check_url(known["url"])
        async with self._database.write() as db:
            row = await endpoints.get(db, call.variables["endpoint_id"])
            await self._old_region(db, given, known)
            await endpoints.check_place(db, known)
            more = {name: extra[name] for name in extra if name not in UNSETTABLE}
            known["extra"] = {**row["extra"], **more}
            await rows.update(db, endpoints.TABLE, row["id"], known)
        return {"endpoint": shown(call, {**row, **known})}

    async def delete(self, call: Call) -> None:
        """Remove an endpoint."""
        call.allow()
        async with self._database.write() as db:
            await endpoints.delete(db, await endpoints.get(db, call.variables["endpoint_id"]))
