"""`/qos-specs`: named limits, and the types whose volumes they hold for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from blockd import volume_types
from blockd.api.paths import both, links
from blockd.api.shape import FULL_NAME, one, specs
from blockd.fault import absent
from blockd.listing import Listing, answer, page
from blockd.listing import truth as asked
from blockd.service import Service
from core import rows
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request, conflict
from core.api.route import Route
from core.api.shape import Shape, array, text
from core.database import Connection
from core.rows import Row

TABLE = volume_types.QOS
TYPES = volume_types.TABLE
RULE = "volume_extension:qos_specs_manage"
CONSUMERS = ("front-end", "back-end", "both")
CREATE = one("qos_specs", Shape({"name": FULL_NAME}, ["name"]))
UPDATE = one("qos_specs", Shape({}, least=1))
DELETE_KEYS = one("keys", array(text(1, 255)))
LISTING = Listing(
    TABLE,
    {"name": "name", "id": "id", "consumer": "consumer"},
    {"id": "id", "name": "name", "created_at": "created_us"},
)


def shown(row: Row) -> dict[str, Any]:
    """QoS specs as clients see them."""
    return {name: row[name] for name in ("id", "name", "consumer", "specs")}


def split(given: Row) -> tuple[str | None, dict[str, str]]:
    """Consumer and specs of a body that holds them side by side. Raises Fault 400."""
    left = {name: value for name, value in given.items() if name not in {"name", "consumer"}}
    specs(left, "qos_specs")
    consumer = given.get("consumer")
    if consumer is not None and consumer not in CONSUMERS:
        raise bad_request("Valid consumer of QoS specs are: front-end, back-end, both")
    return consumer, left


class QosSpecs:
    """Operations on QoS specs."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/qos-specs", "/qos-specs/{qos_id}"
        return both(
            [
                Route("GET", top, f"{RULE}:get_all", self.list),
                Route("POST", top, f"{RULE}:create", self.create, 200, CREATE),
                Route("GET", single, f"{RULE}:get", self.show),
                Route("PUT", single, f"{RULE}:update", self.update, 200, UPDATE),
                Route("DELETE", single, f"{RULE}:delete", self.delete, 202),
                Route(
                    "PUT", f"{single}/delete_keys", f"{RULE}:update", self.unset, 202, DELETE_KEYS
                ),
                Route("GET", f"{single}/associations", f"{RULE}:get_all", self.associations),
                Route("GET", f"{single}/associate", f"{RULE}:update", self.associate, 202),
                Route("GET", f"{single}/disassociate", f"{RULE}:update", self.disassociate, 202),
                Route(
                    "GET",
                    f"{single}/disassociate_all",
                    f"{RULE}:update",
                    self.disassociate_all,
                    202,
                ),
            ]
        )

    async def _get(self, db: Connection, call: Call) -> Row:
        call.allow()
        name = call.variables["qos_id"]
        row = await rows.by_id(db, TABLE, name)
        if row is None:
            raise absent("QoS specs", name[:80])
        return row

    async def list(self, call: Call) -> dict[str, Any]:
        """All."""
        call.allow()
        async with self._database.read() as db:
            found = await page(db, call, LISTING)
        return answer(call, "qos_specs", found, map(shown, found.rows), counts=False)

    async def create(self, call: Call) -> dict[str, Any]:
        """Add some."""
        call.allow()
        given = call.part("qos_specs")
        consumer, kept = split(given)
        row: Row = {
            "id": self._service.new_id(),
            "name": given["name"].strip(),
            "consumer": consumer or "back-end",
            "specs": kept,
            "created_us": self._service.now_us(),
        }
        async with self._database.write() as db:
            if await rows.count(db, TABLE, TABLE.c.name == row["name"]):
                raise conflict(f"QoS Specs {row['name']} already exists.")
            await rows.insert(db, TABLE, row)
        return {"qos_specs": shown(row), "links": links(call, "qos-specs", row["id"])}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show some."""
        async with self._database.read() as db:
            row = await self._get(db, call)
        return {"qos_specs": shown(row), "links": links(call, "qos-specs", row["id"])}

    async def update(self, call: Call) -> dict[str, Any]:
        """Add or change limits."""
        given = call.part("qos_specs")
        consumer, kept = split(given)
        async with self._database.write() as db:
            row = await self._get(db, call)
            changes = {
                "specs": {**row["specs"], **kept},
                "consumer": consumer or row["consumer"],
            }
            await rows.update(db, TABLE, row["id"], changes)
        return {"qos_specs": given}

    async def unset(self, call: Call) -> Answer:
        """Remove limits."""
        async with self._database.write() as db:
            row = await self._get(db, call)
            for key in call.body["keys"]:
                if key not in row["specs"]:
                    raise bad_request(f"QoS spec {row['id']} has no spec with key {key[:80]}.")
            left = {
                key: value for key, value in row["specs"].items() if key not in call.body["keys"]
            }
            await rows.update(db, TABLE, row["id"], {"specs": left})
        return Answer(None, 202)

    async def _types(self, db: Connection, qos_id: str) -> Sequence[Row]:
        return await rows.rows(
            db, sa.select(TYPES).where(TYPES.c.qos_id == qos_id).order_by(TYPES.c.id)
        )

    async def delete(self, call: Call) -> Answer:
        """Remove them; by force also from the types that have them."""
        force = asked(call.query.get("force") or "false", "force")
        async with self._database.write() as db:
            row = await self._get(db, call)
            if not force and await self._types(db, row["id"]):
                raise bad_request(f"QoS Specs {row['id']} is still associated with entities.")
            await self._free(db, row["id"])
            await rows.delete(db, TABLE, TABLE.c.id == row["id"])
        return Answer(None, 202)

    async def _free(self, db: Connection, qos_id: str) -> None:
        await rows.update_where(db, TYPES, {"qos_id": None}, TYPES.c.qos_id == qos_id)

    async def associations(self, call: Call) -> dict[str, Any]:
        """The types that have them."""
        async with self._database.read() as db:
            row = await self._get(db, call)
            found = await self._types(db, row["id"])
        return {
            "qos_associations": [
                {"association_type": "volume_type", "id": one["id"], "name": one["name"]}
                for one in found
            ]
        }

    async def _type(self, db: Connection, call: Call) -> Row:
        name = call.query.get("vol_type_id")
        if name is None:
            raise bad_request("Volume Type id must not be None.")
        row = await rows.by_id(db, TYPES, name)
        if row is None:
            raise absent("Volume type", name[:80])
        return row

    async def associate(self, call: Call) -> Answer:
        """Give them to a type."""
        async with self._database.write() as db:
            row = await self._get(db, call)
            kind = await self._type(db, call)
            if kind["qos_id"] not in {None, row["id"]}:
                raise bad_request(f"Type {kind['id']} is already associated with other QoS specs.")
            await rows.update(db, TYPES, kind["id"], {"qos_id": row["id"]})
        return Answer(None, 202)

    async def disassociate(self, call: Call) -> Answer:
        """Take them from a type."""
        async with self._database.write() as db:
            row = await self._get(db, call)
            kind = await self._type(db, call)
            if kind["qos_id"] != row["id"]:
                raise Fault(400, f"Type {kind['id']} is not associated with QoS specs {row['id']}.")
            await rows.update(db, TYPES, kind["id"], {"qos_id": None})
        return Answer(None, 202)

    async def disassociate_all(self, call: Call) -> Answer:
        """Take them from all types."""
        async with self._database.write() as db:
            row = await self._get(db, call)
            await self._free(db, row["id"])
        return Answer(None, 202)
