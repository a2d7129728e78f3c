"""`/v3/services`."""

from __future__ import annotations

from typing import Any

from authd import services
from authd.authority import Authority
from core import rows
from core.api.call import Call
from core.api.listing import collection
from core.api.route import Route
from core.api.shape import Attributes, Shape, boolean, nullable, text
from core.rows import Row

ATTRIBUTES: Attributes = {
    "type": text(1, 255),
    "name": text(0, 255),
    "description": nullable(text()),
    "enabled": boolean,
}
CREATE = Shape({"service": Shape(ATTRIBUTES, ["type"])}, ["service"], more=False)
UPDATE = Shape({"service": Shape(ATTRIBUTES, least=1)}, ["service"], more=False)
COLUMNS = frozenset({"type", "enabled"})
UNSETTABLE = frozenset({"id", "links"})


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A service as clients see it."""
    return {
        "name": "",
        **row["extra"],
        "id": row["id"],
        "type": row["type"],
        "enabled": row["enabled"],
        "links": {"self": call.url("v3", "services", row["id"])},
    }


class Services:
    """Operations on services."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = "/v3/services", "/v3/services/{service_id}"
        return [
            Route("GET", top, "identity:list_services", self.list),
            Route("POST", top, "identity:create_service", self.create, 201, CREATE),
            Route("GET", one, "identity:get_service", self.show),
            Route("PATCH", one, "identity:update_service", self.update, 200, UPDATE),
            Route("DELETE", one, "identity:delete_service", self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List services."""
        call.allow()
        wanted = call.query.exact("type")
        name = call.query.get("name")
        async with self._database.read() as db:
            found = await rows.matching(db, services.TABLE, **wanted)
        if name is not None:
            found = [row for row in found if row["extra"].get("name", "") == name]
        return collection(call, "services", found, shown, "type")

    async def create(self, call: Call) -> dict[str, Any]:
        """Add a service."""
        call.allow()
        known, extra = rows.split_extra(call.part("service"), COLUMNS)
        row: Row = {
            "id": self._authority.new_id(),
            "type": known["type"],
            "enabled": known.get("enabled", True),
            "extra": {name: extra[name] for name in extra if name not in UNSETTABLE},
        }
        async with self._database.write() as db:
            await rows.insert(db, services.TABLE, row)
        return {"service": shown(call, row)}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a service."""
        call.allow()
        async with self._database.read() as db:
            row = await services.get(db, call.variables["service_id"])
        return {"service": shown(call, row)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change a service."""
        call.allow()
        known, extra = rows.split_extra(call.part("service"), COLUMNS)
        async with self._database.write() as db:
            row = await services.get(db, call.variables["service_id"])
            more = {name: extra[name] for name in extra if name not in UNSETTABLE}
            known["extra"] = {**row["extra"], **more}
            await rows.update(db, services.TABLE, row["id"], known)
        return {"service": shown(call, {**row, **known})}

    async def delete(self, call: Call) -> None:
        """Remove a service and its endpoints."""
        call.allow()
        async with self._database.write() as db:
            await services.delete(db, await services.get(db, call.variables["service_id"]))
