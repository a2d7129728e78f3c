"""`/v3/regions`."""

from __future__ import annotations

from typing import Any

from authd import regions
from authd.authority import Authority
from core import rows
from core.api.call import Call
from core.api.fault import bad_request
from core.api.listing import collection
from core.api.route import Route
from core.api.shape import Attributes, Shape, nullable, text
from core.rows import Row

ATTRIBUTES: Attributes = {
    "id": text(0, 255),
    "description": nullable(text()),
    "parent_region_id": nullable(text(0, 255)),
}
CREATE = Shape({"region": Shape(ATTRIBUTES)}, ["region"], more=False)
UPDATE = Shape({"region": Shape(ATTRIBUTES, least=1)}, ["region"], more=False)
COLUMNS = frozenset({"description", "parent_region_id"})
UNSETTABLE = frozenset({"id", "links"})


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A region as clients see it."""
    return {
        **row["extra"],
        "id": row["id"],
        "description": row["description"],
        "parent_region_id": row["parent_region_id"],
        "links": {"self": call.url("v3", "regions", row["id"])},
    }


class Regions:
    """Operations on regions."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = "/v3/regions", "/v3/regions/{region_id}"
        return [
            Route("GET", top, "identity:list_regions", self.list),
            Route("POST", top, "identity:create_region", self.create, 201, CREATE),
            Route("GET", one, "identity:get_region", self.show),
            Route("PUT", one, "identity:create_region", self.create, 201, CREATE),
            Route("PATCH", one, "identity:update_region", self.update, 200, UPDATE),
            Route("DELETE", one, "identity:delete_region", self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List regions."""
        call.allow()
        async with self._database.read() as db:
            found = await rows.matching(db, regions.TABLE, **call.query.exact("parent_region_id"))
        return collection(call, "regions", found, shown)

    async def create(self, call: Call) -> dict[str, Any]:
        """Add a region, with an id of the client's choice or ours."""
        call.allow()
        given = call.part("region")
        known, extra = rows.split_extra(given, COLUMNS)
        in_path = call.variables.get("region_id")
        if in_path is not None and given.get("id", in_path) != in_path:
            raise bad_request("The ids in the path and in the body differ.")
        row: Row = {
            "id": in_path or given.get("id") or self._authority.new_id(),
            "description": known.get("description") or "",
            "parent_region_id": known.get("parent_region_id") or None,
            "extra": {name: extra[name] for name in extra if name not in UNSETTABLE},
        }
        if len(row["id"]) > 255:
            raise bad_request("The id of a region has at most 255 characters.")
        async with self._database.write() as db:
            await regions.create(db, row)
        return {"region": shown(call, row)}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a region."""
        call.allow()
        async with self._database.read() as db:
            row = await regions.get(db, call.variables["region_id"])
        return {"region": shown(call, row)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change a region."""
        call.allow()
        given = call.part("region")
        known, extra = rows.split_extra(given, COLUMNS)
        async with self._database.write() as db:
            row = await regions.get(db, call.variables["region_id"])
            if given.get("id", row["id"]) != row["id"]:
                raise bad_request("Cannot change region ID.")
            if "description" in known:
                known["description"] = known["description"] or ""
            if "parent_region_id" in known:
                known["parent_region_id"] = known["parent_region_id"] or None
            more = {name: extra[name] for name in extra if name not in UNSETTABLE}
            known["extra"] = {**row["extra"], **more}
            await regions.update(db, row, known)
        return {"region": shown(call, {**row, **known})}

    async def delete(self, call: Call) -> None:
        """Remove a region."""
        call.allow()
        async with self._database.write() as db:
            await regions.delete(db, await regions.get(db, call.variables["region_id"]))
