"""`/messages` (3.3), `/resource_filters` (3.33), `/default-types` (3.62) and `/volumes/{id}/encryption`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from blockd import messages, volume_types, volumes
from blockd.api import attachments as attachments_api
from blockd.api import snapshots as snapshots_api
from blockd.api import volumes as volumes_api
from blockd.api.paths import both, links
from blockd.api.shape import one
from blockd.fault import absent
from blockd.listing import Listing, answer, owned, page
from blockd.service import Service
from blockd.sight import allowed, named_project
from blockd.times import instant
from core import rows
from core.api.call import Answer, Call
from core.api.fault import Fault
from core.api.route import OWN, Route
from core.api.shape import Shape, text
from core.rows import Row

MESSAGES = Listing(
    messages.TABLE,
    {
        "resource_uuid": "resource_id",
        "resource_type": "resource_type",
        "event_id": "event_id",
        "request_id": "request_id",
        "message_level": "level",
    },
    {
        "id": "id",
        "created_at": "created_us",
        "guaranteed_until": "expires_us",
        "event_id": "event_id",
        "resource_type": "resource_type",
        "resource_uuid": "resource_id",
        "message_level": "level",
        "request_id": "request_id",
    },
)
DEFAULT = one("default_type", Shape({"volume_type": text(1, 255)}, ["volume_type"], more=False))
RULE = "volume_extension:default"


class Messages:
    """What tenants are told."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/messages", "/messages/{message_id}"
        return both(
            [
                Route("GET", top, "message:get_all", self.list, since=(3, 3)),
                Route("GET", single, "message:get", self.show, since=(3, 3)),
                Route("DELETE", single, "message:delete", self.delete, 204, since=(3, 3)),
            ]
        )

    def _shown(self, call: Call, row: Row) -> dict[str, Any]:
        return {
            "id": row["id"],
            "event_id": row["event_id"],
            "user_message": row["text"],
            "message_level": row["level"],
            "resource_type": row["resource_type"],
            "resource_uuid": row["resource_id"],
            "request_id": row["request_id"],
            "created_at": instant(row["created_us"]),
            "guaranteed_until": instant(row["expires_us"]),
            "links": links(call, "messages", row["id"]),
        }

    async def list(self, call: Call) -> dict[str, Any]:
        """All of a project."""
        call.allow(of={"project_id": call.identity.project_id})
        async with self._database.read() as db:
            found = await page(db, call, MESSAGES, *owned(call, messages.TABLE))
        shown = [self._shown(call, row) for row in found.rows]
        return answer(call, "messages", found, shown, counts=False)

    async def show(self, call: Call) -> dict[str, Any]:
        """One."""
        async with self._database.read() as db:
            name = call.variables["message_id"]
            row = await allowed(db, call, messages.TABLE, name, "Message")
        return {"message": self._shown(call, row)}

    async def delete(self, call: Call) -> None:
        """Forget one."""
        async with self._database.write() as db:
            name = call.variables["message_id"]
            row = await allowed(db, call, messages.TABLE, name, "Message")
            await rows.delete(db, messages.TABLE, messages.TABLE.c.id == row["id"])


class ResourceFilters:
    """Which filters lists know."""

    def __init__(self, service: Service) -> None:
        del service

    def routes(self) -> list[Route]:
        """What is served."""
        return both([Route("GET", "/resource_filters", OWN, self.list, since=(3, 33))])

    async def list(self, call: Call) -> dict[str, Any]:
        """All, or those of one kind."""
        wanted = call.query.get("resource")
        known: dict[str, list[str]] = {
            "volume": sorted({*volumes_api.FILTERS, "metadata", "group_id", "created_at"}),
            "snapshot": sorted({*snapshots_api.FILTERS, "metadata"}),
            "attachment": sorted(attachments_api.FILTERS),
            "backup": ["name", "status", "volume_id"],
            "group": ["name", "status"],
            "group_snapshot": ["group_id", "name", "status"],
            "message": sorted(MESSAGES.filters),
            "pool": ["name"],
            "volume_type": ["extra_specs", "is_public"],
        }
        return {
            "resource_filters": [
                {"resource": kind, "filters": filters}
                for kind, filters in known.items()
                if wanted in {None, kind}
            ]
        }


class DefaultTypes:
    """The type of a project's volumes that name none."""

    def __init__(self, service: Service) -> None:
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        single = "/default-types/{target_id}"
        since = (3, 62)
        return both(
            [
                Route("GET", "/default-types", f"{RULE}_get_all", self.list, since=since),
                Route("GET", single, f"{RULE}_get", self.show, since=since),
                Route("PUT", single, f"{RULE}_set_or_update", self.set, 200, DEFAULT, since=since),
                Route("DELETE", single, f"{RULE}_unset", self.unset, 204, since=since),
            ]
        )

    async def list(self, call: Call) -> dict[str, Any]:
        """All projects that have one."""
        call.allow()
        table = volume_types.DEFAULT
        async with self._database.read() as db:
            found = await rows.rows(db, sa.select(table).order_by(table.c.project_id))
        return {
            "default_types": [
                {"project_id": row["project_id"], "volume_type_id": row["type_id"]} for row in found
            ]
        }

    async def show(self, call: Call) -> dict[str, Any]:
        """That of one project."""
        call.allow()
        target_id, table = call.variables["target_id"], volume_types.DEFAULT
        async with self._database.read() as db:
            row = await rows.first(db, sa.select(table).where(table.c.project_id == target_id))
        if row is None:
            raise Fault(404, f"Default type for project {target_id[:80]} not found.")
        return {"default_type": {"project_id": target_id, "volume_type_id": row["type_id"]}}

    async def set(self, call: Call) -> dict[str, Any]:
        """Choose it."""
        call.allow()
        target_id, table = named_project(call), volume_types.DEFAULT
        async with self._database.write() as db:
            kind = await volume_types.for_use(db, call, call.part("default_type")["volume_type"])
            await rows.delete(db, table, table.c.project_id == target_id)
            await rows.insert(db, table, {"project_id": target_id, "type_id": kind["id"]})
        return {"default_type": {"project_id": target_id, "volume_type_id": kind["id"]}}

    async def unset(self, call: Call) -> None:
        """As everybody's."""
        call.allow()
        table = volume_types.DEFAULT
        async with self._database.write() as db:
            await rows.delete(db, table, table.c.project_id == call.variables["target_id"])


class VolumeEncryption:
    """How a volume is encrypted."""

    def __init__(self, service: Service) -> None:
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, rule = "/volumes/{volume_id}/encryption", "volume_extension:volume_encryption_metadata"
        return both(
            [
                Route("GET", top, rule, self.show),
                Route("GET", f"{top}/{{name}}", rule, self.item),
            ]
        )

    async def show(self, call: Call) -> dict[str, Any]:
        """Nothing but `encryption_key_id` (null) for one that is not."""
        async with self._database.read() as db:
            name = call.variables["volume_id"]
            row = await allowed(db, call, volumes.TABLE, name, "Volume")
            kind = await rows.by_id(db, volume_types.TABLE, row["volume_type_id"])
        if not row["encrypted"]:
            return {"encryption_key_id": None}
        specs = (kind or {}).get("encryption") or {}
        return {
            "encryption_key_id": row["encryption_key_id"],
            "provider": specs.get("provider"),
            "cipher": specs.get("cipher"),
            "key_size": specs.get("key_size"),
            "control_location": specs.get("control_location"),
        }

    async def item(self, call: Call) -> Answer:
        """One value, as text."""
        found, name = await self.show(call), call.variables["name"]
        if name not in found:
            raise absent("Encryption item", name[:80])
        text_type = (("Content-Type", "text/plain; charset=UTF-8"),)
        return Answer(str(found[name] or "").encode(), 200, text_type)
