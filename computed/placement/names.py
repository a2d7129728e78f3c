"""`/resource_classes` and `/traits`: the words that providers and requests use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from computed.placement.providers import known_class
from computed.placement.standard import CLASSES, CUSTOM, TRAITS
from computed.service import Service
from computed.tables import provider as tables
from core import rows
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import Shape, text
from core.database import Connection


class Names:
    """Resource classes and traits."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single, rule = (
            "/resource_classes",
            "/resource_classes/{name}",
            "placement:resource_classes",
        )
        traits, one, own = "/traits", "/traits/{name}", "placement:traits"
        new = Shape({"name": text(1, 255)}, ["name"], more=False)
        return [
            Route("GET", top, f"{rule}:list", self.classes, since=(1, 2)),
            Route("POST", top, f"{rule}:create", self.add_class, 201, new, (1, 2)),
            Route("GET", single, f"{rule}:show", self.one_class, since=(1, 2)),
            Route("PUT", single, f"{rule}:update", self.ensure_class, 201, since=(1, 7)),
            Route("DELETE", single, f"{rule}:delete", self.drop_class, 204, since=(1, 2)),
            Route("GET", traits, f"{own}:list", self.traits, since=(1, 6)),
            Route("GET", one, f"{own}:show", self.one_trait, 204, since=(1, 6)),
            Route("PUT", one, f"{own}:update", self.ensure_trait, 201, since=(1, 6)),
            Route("DELETE", one, f"{own}:delete", self.drop_trait, 204, since=(1, 6)),
        ]

    async def _all(self, db: Connection, table: sa.Table, standard: Sequence[str]) -> Sequence[str]:
        held = await rows.rows(db, sa.select(table).order_by(table.c.name))
        return [*standard, *(row["name"] for row in held if row["name"] not in standard)]

    def _class(self, name: str) -> dict[str, Any]:
        own = f"/placement/resource_classes/{name}"
        return {"name": name, "links": [{"rel": "self", "href": own}]}

    async def classes(self, call: Call) -> dict[str, Any]:
        """All classes."""
        call.allow()
        async with self._database.read() as db:
            found = await self._all(db, tables.resource_class, CLASSES)
        return {"resource_classes": [self._class(name) for name in found]}

    async def one_class(self, call: Call) -> dict[str, Any]:
        """One."""
        call.allow()
        name = call.variables["name"]
        async with self._database.read() as db:
            if not await known_class(db, name):
                raise Fault(404, f"No such resource class {name[:80]}.")
        return self._class(name)

    async def add_class(self, call: Call) -> Answer:
        """A new one."""
        call.allow()
        name = call.body["name"]
        if not await self._ensure(tables.resource_class, name):
            raise Fault(409, f"Conflicting resource class already exists: {name[:80]}")
        return Answer(None, 201, (("Location", call.url("resource_classes", name)),))

    async def _ensure(self, table: sa.Table, name: str) -> bool:
        """Whether it was new. Raises Fault 400."""
        if not CUSTOM.fullmatch(name):
            raise bad_request(
                f"The name {name[:80]} must begin with CUSTOM_ and hold A-Z, 0-9 and _."
            )
        async with self._database.write() as db:
            if await rows.count(db, table, table.c.name == name):
                return False
            await rows.insert(db, table, {"name": name, "updated_us": self._service.now_us()})
        return True

    async def ensure_class(self, call: Call) -> Answer:
        """A new one, or the one there is."""
        call.allow()
        name = call.variables["name"]
        if name in CLASSES:
            raise bad_request("A standard class cannot be changed.")
        new = await self._ensure(tables.resource_class, name)
        return Answer(
            None, 201 if new else 204, (("Location", call.url("resource_classes", name)),)
        )

    async def drop_class(self, call: Call) -> None:
        """Remove one that nobody has."""
        call.allow()
        name, held = call.variables["name"], tables.inventory
        if name in CLASSES:
            raise bad_request("Cannot delete standard resource class")
        async with self._database.write() as db:
            if await rows.count(db, held, held.c.resource_class == name):
                raise Fault(409, f"Resource class {name[:80]} is in use.")
            table = tables.resource_class
            if not await rows.delete(db, table, table.c.name == name):
                raise Fault(404, f"No such resource class {name[:80]}.")

    async def traits(self, call: Call) -> dict[str, Any]:
        """All traits, or those that a query names."""
        call.allow()
        wanted = call.query.get("name") or ""
        associated = call.query.get("associated")
        async with self._database.read() as db:
            found = await self._all(db, tables.trait, TRAITS)
            table = tables.provider_trait
            used = {row["trait"] for row in await rows.rows(db, sa.select(table))}
        found = [*found, *sorted(used - set(found))]
        if wanted.startswith("in:"):
            found = [name for name in found if name in wanted[3:].split(",")]
        elif wanted.startswith("startswith:"):
            found = [name for name in found if name.startswith(wanted[11:])]
        elif wanted:
            raise bad_request("Badly formatted name parameter.")
        if associated is not None:
            found = [name for name in found if (name in used) == (associated.lower() == "true")]
        return {"traits": found}

    async def one_trait(self, call: Call) -> None:
        """Whether it exists."""
        call.allow()
        name = call.variables["name"]
        async with self._database.read() as db:
            if name not in await self._all(db, tables.trait, TRAITS):
                raise Fault(404, f"No such trait(s): {name[:80]}.")

    async def ensure_trait(self, call: Call) -> Answer:
        """A new one, or the one there is."""
        call.allow()
        name = call.variables["name"]
        new = await self._ensure(tables.trait, name)
        return Answer(None, 201 if new else 204, (("Location", call.url("traits", name)),))

    async def drop_trait(self, call: Call) -> None:
        """Remove one that nobody has."""
        call.allow()
        name, held, table = call.variables["name"], tables.provider_trait, tables.trait
        if name in TRAITS:
            raise bad_request("Cannot delete standard traits")
        async with self._database.write() as db:
            if await rows.count(db, held, held.c.trait == name):
                raise Fault(409, f"The trait {name[:80]} is in use by a resource provider.")
            if not await rows.delete(db, table, table.c.name == name):
                raise Fault(404, f"No such trait(s): {name[:80]}.")
