"""`/resource_providers`: providers, their inventories, traits, aggregates, usages and allocations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from computed.api.shape import name as name_shape
from computed.api.shape import uuid
from computed.placement.candidates import fits_amount, fits_group
from computed.placement.fault import DUPLICATE, IN_USE, CodedFault, concurrent
from computed.placement.query import groups_of, json_of, offer_of
from computed.placement.standard import CLASSES, TRAITS
from computed.service import Service
from computed.tables import provider as tables
from core import rows
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import Shape, array, integer, nullable, plain_object, text, wrong
from core.database import Connection
from core.rows import Row

RULE = "placement:resource_providers"
NUMBER_MAX = 2**31 - 1
RATIO_MAX = 3.40282e38


def ratio(value: Any, where: str) -> None:
    """A positive number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= RATIO_MAX:
        raise wrong(where, value, "is not a positive number")


INVENTORY: dict[str, Any] = {
    "total": integer(1, NUMBER_MAX),
    "reserved": integer(0, NUMBER_MAX),
    "min_unit": integer(1, NUMBER_MAX),
    "max_unit": integer(1, NUMBER_MAX),
    "step_size": integer(1, NUMBER_MAX),
    "allocation_ratio": ratio,
}
GENERATION = integer(0)
CREATE = Shape(
    {"name": text(1, 200), "uuid": uuid, "parent_provider_uuid": nullable(uuid)},
    ["name"],
    more=False,
)
UPDATE = Shape({"name": text(1, 200), "parent_provider_uuid": nullable(uuid)}, ["name"], more=False)
INVENTORIES = Shape(
    {"resource_provider_generation": GENERATION, "inventories": plain_object},
    ["resource_provider_generation", "inventories"],
    more=False,
)
ONE_INVENTORY = Shape(
    {**INVENTORY, "resource_provider_generation": GENERATION},
    ["total", "resource_provider_generation"],
    more=False,
)
NEW_INVENTORY = Shape(
    {**INVENTORY, "resource_provider_generation": GENERATION, "resource_class": text(1, 255)},
    ["total", "resource_class"],
    more=False,
)
SET_TRAITS = Shape(
    {"resource_provider_generation": GENERATION, "traits": array(text(1, 255), unique=True)},
    ["resource_provider_generation", "traits"],
    more=False,
)
FIELDS = ("total", "reserved", "min_unit", "max_unit", "step_size", "allocation_ratio")


async def provider_of(db: Connection, name: str) -> Row:
    """A provider. Raises Fault 404."""
    row = await rows.by_id(db, tables.provider, name)
    if row is None:
        raise Fault(404, f"No resource provider with uuid {name[:80]} found")
    return row


async def known_class(db: Connection, name: str) -> bool:
    """Whether a resource class exists."""
    table = tables.resource_class
    return name in CLASSES or await rows.count(db, table, table.c.name == name) > 0


async def known_traits(db: Connection, names: Sequence[str]) -> None:
    """Raises Fault 400 for a trait that does not exist."""
    table = tables.trait
    held = {row["name"] for row in await rows.rows(db, sa.select(table))}
    missing = sorted(set(names) - held - set(TRAITS))
    if missing:
        raise bad_request(f"No such trait(s): {', '.join(missing)[:200]}.")


def inventory_shown(row: Row) -> dict[str, Any]:
    """An inventory."""
    return {name: row[name] for name in FIELDS}


def check_generation(row: Row, given: int | None) -> None:
    """Raises Fault 409 when somebody has changed a provider since."""
    if given is not None and given != row["generation"]:
        raise concurrent(f"Resource provider {row['id']}")


class Providers:
    """Operations on providers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/resource_providers", "/resource_providers/{provider_id}"
        held, one = f"{single}/inventories", f"{single}/inventories/{{class_name}}"
        rule, traits = f"{RULE}:inventories", f"{single}/traits"
        groups = f"{single}/aggregates"
        return [
            Route("GET", top, f"{RULE}:list", self.list),
            Route("POST", top, f"{RULE}:create", self.create, 201, CREATE),
            Route("GET", single, f"{RULE}:show", self.show),
            Route("PUT", single, f"{RULE}:update", self.update, 200, UPDATE),
            Route("DELETE", single, f"{RULE}:delete", self.delete, 204),
            Route("GET", held, f"{rule}:list", self.inventories),
            Route("PUT", held, f"{rule}:update", self.set_inventories, 200, INVENTORIES),
            Route("POST", held, f"{rule}:create", self.add_inventory, 201, NEW_INVENTORY),
            Route("DELETE", held, f"{rule}:delete", self.clear, 204, since=(1, 5)),
            Route("GET", one, f"{rule}:show", self.inventory),
            Route("PUT", one, f"{rule}:update", self.set_inventory, 200, ONE_INVENTORY),
            Route("DELETE", one, f"{rule}:delete", self.remove_inventory, 204),
            Route("GET", f"{single}/usages", f"{RULE}:usages", self.usages),
            Route("GET", f"{single}/allocations", f"{RULE}:allocations:list", self.allocations),
            Route("GET", traits, f"{RULE}:traits:list", self.traits, since=(1, 6)),
            Route("PUT", traits, f"{RULE}:traits:update", self.set_traits, 200, SET_TRAITS, (1, 6)),
            Route("DELETE", traits, f"{RULE}:traits:delete", self.clear_traits, 204, since=(1, 6)),
            Route("GET", groups, f"{RULE}:aggregates:list", self.aggregates, since=(1, 1)),
            Route("PUT", groups, f"{RULE}:aggregates:update", self.set_aggregates, since=(1, 1)),
        ]

    def _shown(self, call: Call, row: Row) -> dict[str, Any]:
        version = call.microversion
        own = f"/placement/resource_providers/{row['id']}"
        names = ["self", "inventories", "usages"]
        names += ["aggregates"] if version >= (1, 1) else []
        names += ["traits"] if version >= (1, 6) else []
        names += ["allocations"] if version >= (1, 11) else []
        body: dict[str, Any] = {
            "uuid": row["id"],
            "name": row["name"],
            "generation": row["generation"],
            "links": [{"rel": n, "href": own if n == "self" else f"{own}/{n}"} for n in names],
        }
        if version >= (1, 14):
            body["parent_provider_uuid"] = row["parent_id"]
            body["root_provider_uuid"] = row["root_id"]
        return body

    async def _bump(self, db: Connection, row: Row, given: int | None = None) -> int:
        """A new generation. Raises Fault 409 when the caller's is an old one."""
        check_generation(row, given)
        new: int = row["generation"] + 1
        changes = {"generation": new, "updated_us": self._service.now_us()}
        await rows.update(db, tables.provider, row["id"], changes)
        return new

    async def list(self, call: Call) -> dict[str, Any]:
        """All, or those that fit."""
        call.allow()
        table = tables.provider
        where: list[sa.ColumnElement[bool]] = []
        for name, column in (("name", "name"), ("uuid", "id")):
            if name in call.query:
                where.append(table.c[column] == call.query.get(name))
        async with self._database.read() as db:
            if "in_tree" in call.query:
                root = await rows.by_id(db, table, call.query.get("in_tree") or "")
                where.append(table.c.root_id == (root["root_id"] if root else ""))
            held = await rows.rows(db, sa.select(table).where(*where).order_by(table.c.created_us))
            held = [row for row in held if await self._fits(db, call, row)]
        return {"resource_providers": [self._shown(call, row) for row in held]}

    async def _fits(self, db: Connection, call: Call, row: Row) -> bool:

        groups = groups_of(call, numbered=False)
        if not groups:
            return True
        offer = await offer_of(db, row)

        group = groups[0]
        return fits_group(offer, group) and all(
            fits_amount(offer, name, amount) for name, amount in group.resources.items()
        )

    async def create(self, call: Call) -> Answer:
        """A new one."""
        call.allow()
        given, now_us, table = call.body, self._service.now_us(), tables.provider
        name_shape(given["name"], "name")
        if "parent_provider_uuid" in given and call.microversion < (1, 14):
            raise bad_request(
                "Additional properties are not allowed ('parent_provider_uuid' was unexpected)"
            )
        parent_id = given.get("parent_provider_uuid")
        name = given.get("uuid") or self._service.new_id()
        async with self._database.write() as db:
            root_id = name
            if parent_id:
                parent = await rows.by_id(db, table, parent_id)
                if parent is None or parent_id == name:
                    raise bad_request("parent provider is not there")
                root_id = parent["root_id"]
            if await rows.count(db, table, (table.c.name == given["name"]) | (table.c.id == name)):
                raise CodedFault(
                    409,
                    f"Conflicting resource provider name: {given['name']} already exists.",
                    DUPLICATE,
                )
            row = {
                "id": name,
                "name": given["name"],
                "generation": 0,
                "parent_id": parent_id,
                "root_id": root_id,
                "created_us": now_us,
                "updated_us": now_us,
            }
            await rows.insert(db, table, row)
        where = (("Location", call.url("resource_providers", name)),)
        if call.microversion >= (1, 20):
            return Answer(self._shown(call, row), 200, where)
        return Answer(None, 201, where)

    async def _row(self, db: Connection, call: Call) -> Row:
        call.allow()
        return await provider_of(db, call.variables["provider_id"])

    async def show(self, call: Call) -> dict[str, Any]:
        """One."""
        async with self._database.read() as db:
            return self._shown(call, await self._row(db, call))

    async def update(self, call: Call) -> dict[str, Any]:
        """Another name."""
        given, table = call.body, tables.provider
        async with self._database.write() as db:
            row = await self._row(db, call)
            parent_id = given.get("parent_provider_uuid", row["parent_id"])
            if parent_id != row["parent_id"]:
                raise Fault(501, "Moving a provider to another parent is not built.")
            same = (table.c.name == given["name"], table.c.id != row["id"])
            if await rows.count(db, table, *same):
                raise CodedFault(
                    409,
                    f"Conflicting resource provider name: {given['name']} already exists.",
                    DUPLICATE,
                )
            await rows.update(db, table, row["id"], {"name": given["name"]})
        return self._shown(call, {**row, "name": given["name"]})

    async def delete(self, call: Call) -> None:
        """Remove one that nobody uses and that has no children."""
        table = tables.provider
        async with self._database.write() as db:
            row = await self._row(db, call)
            used = tables.allocation
            if await rows.count(db, used, used.c.provider_id == row["id"]):
                raise CodedFault(
                    409,
                    f"Unable to delete resource provider {row['id']}: Resource provider has allocations.",
                    "placement.resource_provider.inuse",
                )
            if await rows.count(db, table, table.c.parent_id == row["id"]):
                raise CodedFault(
                    409,
                    f"Unable to delete parent resource provider {row['id']}: It has child resource providers.",
                    "placement.resource_provider.cannot_delete_parent",
                )
            await rows.delete(db, table, table.c.id == row["id"])

    async def _held(self, db: Connection, provider_id: str) -> dict[str, Row]:
        table = tables.inventory
        found = sa.select(table).where(table.c.provider_id == provider_id)
        held = await rows.rows(db, found.order_by(table.c.resource_class))
        return {row["resource_class"]: row for row in held}

    async def inventories(self, call: Call) -> dict[str, Any]:
        """What it has of each class."""
        async with self._database.read() as db:
            row = await self._row(db, call)
            held = await self._held(db, row["id"])
        return {
            "inventories": {name: inventory_shown(one) for name, one in held.items()},
            "resource_provider_generation": row["generation"],
        }

    async def inventory(self, call: Call) -> dict[str, Any]:
        """What it has of one."""
        name = call.variables["class_name"]
        async with self._database.read() as db:
            row = await self._row(db, call)
            held = await self._held(db, row["id"])
        if name not in held:
            raise Fault(404, f"No inventory of class {name[:80]} for {row['id']}")
        return {**inventory_shown(held[name]), "resource_provider_generation": row["generation"]}

    async def _put(self, db: Connection, call: Call, row: Row, wanted: dict[str, Row]) -> None:
        """These inventories and no others. Raises Fault 400, 409 (in use)."""
        held = await self._held(db, row["id"])
        for name, one in held.items():
            if name not in wanted:
                if one["used"]:
                    raise CodedFault(
                        409,
                        f"Inventory for '{name}' on resource provider '{row['id']}' in use.",
                        IN_USE,
                    )
                await rows.delete(db, tables.inventory, tables.inventory.c.id == one["id"])
        for name, given in wanted.items():
            if not await known_class(db, name):
                raise bad_request(f"Unknown resource class {name[:80]}")
            columns = self._columns(call, name, given)
            if name in held:
                await rows.update(db, tables.inventory, held[name]["id"], columns)
            else:
                fresh = {
                    "id": self._service.new_id(),
                    "provider_id": row["id"],
                    "resource_class": name,
                    "used": 0,
                }
                await rows.insert(db, tables.inventory, {**fresh, **columns})

    def _columns(self, call: Call, name: str, given: Row) -> Row:
        Shape(INVENTORY, ["total"], more=False)(given, f"inventories.{name}")
        reserved = given.get("reserved", 0)
        above = (
            reserved > given["total"]
            if call.microversion >= (1, 26)
            else reserved >= given["total"]
        )
        if above:
            raise bad_request(f"Invalid inventory for '{name}': the reserved value is too large.")
        return {
            "total": given["total"],
            "reserved": reserved,
            "min_unit": given.get("min_unit", 1),
            "max_unit": given.get("max_unit", NUMBER_MAX),
            "step_size": given.get("step_size", 1),
            "allocation_ratio": float(given.get("allocation_ratio", 1.0)),
            "updated_us": self._service.now_us(),
        }

    async def set_inventories(self, call: Call) -> dict[str, Any]:
        """Replace all."""
        given = call.body["inventories"]
        async with self._database.write() as db:
            row = await self._row(db, call)
            generation = await self._bump(db, row, call.body["resource_provider_generation"])
            await self._put(db, call, row, given)
            held = await self._held(db, row["id"])
        return {
            "inventories": {name: inventory_shown(one) for name, one in held.items()},
            "resource_provider_generation": generation,
        }

    async def _one(self, call: Call, name: str, *, new: bool) -> dict[str, Any]:
        given = {key: value for key, value in call.body.items() if key in INVENTORY}
        async with self._database.write() as db:
            row = await self._row(db, call)
            held = await self._held(db, row["id"])
            if new == (name in held):
                raise Fault(
                    409 if new else 400,
                    f"Inventory of {name[:80]}: it is {'there already' if new else 'not there'}.",
                )
            generation = await self._bump(db, row, call.body.get("resource_provider_generation"))
            wanted = {key: inventory_shown(one) for key, one in held.items()} | {name: given}
            await self._put(db, call, row, wanted)
            now = (await self._held(db, row["id"]))[name]
        return {**inventory_shown(now), "resource_provider_generation": generation}

    async def add_inventory(self, call: Call) -> dict[str, Any]:
        """One more."""
        return await self._one(call, call.body["resource_class"], new=True)

    async def set_inventory(self, call: Call) -> dict[str, Any]:
        """Change one."""
        return await self._one(call, call.variables["class_name"], new=False)

    async def remove_inventory(self, call: Call) -> None:
        """Remove one."""
        name = call.variables["class_name"]
        async with self._database.write() as db:
            row = await self._row(db, call)
            held = await self._held(db, row["id"])
            if name not in held:
                raise Fault(404, f"No inventory of class {name[:80]} found for delete")
            wanted = {key: inventory_shown(one) for key, one in held.items() if key != name}
            await self._put(db, call, row, wanted)
            await self._bump(db, row)

    async def clear(self, call: Call) -> None:
        """Remove all."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            await self._put(db, call, row, {})
            await self._bump(db, row)

    async def usages(self, call: Call) -> dict[str, Any]:
        """What is used of each class."""
        async with self._database.read() as db:
            row = await self._row(db, call)
            held = await self._held(db, row["id"])
        return {
            "resource_provider_generation": row["generation"],
            "usages": {name: one["used"] for name, one in held.items()},
        }

    async def allocations(self, call: Call) -> dict[str, Any]:
        """Who uses it."""
        table = tables.allocation
        async with self._database.read() as db:
            row = await self._row(db, call)
            held = await rows.rows(db, sa.select(table).where(table.c.provider_id == row["id"]))
            consumers = {
                one["id"]: one["generation"]
                for one in await rows.rows(db, sa.select(tables.consumer))
            }
        found: dict[str, Any] = {}
        for one in held:
            entry = found.setdefault(one["consumer_id"], {"resources": {}})
            entry["resources"][one["resource_class"]] = one["used"]
            if call.microversion >= (1, 28):
                entry["consumer_generation"] = consumers.get(one["consumer_id"])
        return {"allocations": found, "resource_provider_generation": row["generation"]}

    async def _traits(self, db: Connection, provider_id: str) -> Sequence[str]:
        table = tables.provider_trait
        held = await rows.rows(db, sa.select(table).where(table.c.provider_id == provider_id))
        return sorted(row["trait"] for row in held)

    async def traits(self, call: Call) -> dict[str, Any]:
        """What it can."""
        async with self._database.read() as db:
            row = await self._row(db, call)
            held = await self._traits(db, row["id"])
        return {"traits": held, "resource_provider_generation": row["generation"]}

    async def _put_traits(self, db: Connection, row: Row, wanted: Sequence[str]) -> None:
        table = tables.provider_trait
        await rows.delete(db, table, table.c.provider_id == row["id"])
        for name in wanted:
            await rows.insert(db, table, {"provider_id": row["id"], "trait": name})

    async def set_traits(self, call: Call) -> dict[str, Any]:
        """Replace all."""
        wanted = sorted(call.body["traits"])
        async with self._database.write() as db:
            row = await self._row(db, call)
            await known_traits(db, wanted)
            generation = await self._bump(db, row, call.body["resource_provider_generation"])
            await self._put_traits(db, row, wanted)
        return {"traits": wanted, "resource_provider_generation": generation}

    async def clear_traits(self, call: Call) -> None:
        """None."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            await self._bump(db, row)
            await self._put_traits(db, row, [])

    async def _aggregates(self, db: Connection, provider_id: str) -> Sequence[str]:
        table = tables.provider_aggregate
        held = await rows.rows(db, sa.select(table).where(table.c.provider_id == provider_id))
        return sorted(row["aggregate_id"] for row in held)

    async def aggregates(self, call: Call) -> dict[str, Any]:
        """What it belongs to."""
        async with self._database.read() as db:
            row = await self._row(db, call)
            body: dict[str, Any] = {"aggregates": await self._aggregates(db, row["id"])}
        if call.microversion >= (1, 19):
            body["resource_provider_generation"] = row["generation"]
        return body

    async def set_aggregates(self, call: Call) -> dict[str, Any]:
        """Replace all; a plain list before 1.19."""
        given = json_of(call)
        new = call.microversion >= (1, 19)
        if new:
            shape = {
                "aggregates": array(uuid, unique=True),
                "resource_provider_generation": GENERATION,
            }
            Shape(shape, list(shape), more=False)(given, "")
        wanted = given["aggregates"] if new else given
        array(uuid, unique=True)(wanted, "aggregates")
        table = tables.provider_aggregate
        async with self._database.write() as db:
            row = await self._row(db, call)
            generation = row["generation"]
            if new:
                generation = await self._bump(db, row, given["resource_provider_generation"])
            await rows.delete(db, table, table.c.provider_id == row["id"])
            for name in wanted:
                await rows.insert(db, table, {"provider_id": row["id"], "aggregate_id": name})
        body: dict[str, Any] = {"aggregates": sorted(wanted)}
        if new:
            body["resource_provider_generation"] = generation
        return body
