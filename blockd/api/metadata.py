"""`/volumes/{id}/metadata` and `/snapshots/{id}/metadata`: the same five operations on two kinds of thing."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from blockd import snapshots, volumes
from blockd.api.paths import both
from blockd.api.shape import metadata, one
from blockd.service import Service
from blockd.sight import allowed
from core import rows
from core.api.call import Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.database import Connection
from core.rows import Row

MANY = one("metadata", metadata)
SINGLE = one("meta", metadata)


class Kind(NamedTuple):
    """Whose metadata, and by which rules."""

    plural: str
    what: str
    table: sa.Table
    get: str
    create: str
    update: str
    delete: str


VOLUMES = Kind(
    "volumes",
    "Volume",
    volumes.TABLE,
    "volume:get_volume_metadata",
    "volume:create_volume_metadata",
    "volume:update_volume_metadata",
    "volume:delete_volume_metadata",
)
SNAPSHOTS = Kind(
    "snapshots",
    "Snapshot",
    snapshots.TABLE,
    "volume:get_snapshot_metadata",
    "volume:update_snapshot_metadata",
    "volume:update_snapshot_metadata",
    "volume:delete_snapshot_metadata",
)


class Metadata:
    """Operations on the metadata of one kind."""

    def __init__(self, service: Service, kind: Kind) -> None:
        self._service = service
        self._database = service.database
        self._kind = kind

    def routes(self) -> list[Route]:
        """What is served."""
        kind = self._kind
        top = f"/{kind.plural}/{{owner_id}}/metadata"
        single = f"{top}/{{key}}"
        return both(
            [
                Route("GET", top, kind.get, self.list),
                Route("POST", top, kind.create, self.add, 200, MANY),
                Route("PUT", top, kind.update, self.replace, 200, MANY),
                Route("GET", single, kind.get, self.show),
                Route("PUT", single, kind.update, self.set, 200, SINGLE),
                Route("DELETE", single, kind.delete, self.remove, 200),
            ]
        )

    async def _row(self, db: Connection, call: Call) -> Row:
        owner_id = call.variables["owner_id"]
        return await allowed(db, call, self._kind.table, owner_id, self._kind.what)

    async def _write(self, db: Connection, row: Row, new: dict[str, str]) -> None:
        metadata(new, "metadata")
        changes = {"metadata": new, "updated_us": self._service.now_us()}
        await rows.update(db, self._kind.table, row["id"], changes)

    async def list(self, call: Call) -> dict[str, Any]:
        """All of it."""
        async with self._database.read() as db:
            return {"metadata": (await self._row(db, call))["metadata"]}

    async def add(self, call: Call) -> dict[str, Any]:
        """Add to it."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            new = {**row["metadata"], **call.part("metadata")}
            await self._write(db, row, new)
        return {"metadata": new}

    async def replace(self, call: Call) -> dict[str, Any]:
        """Put something else in its place."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            await self._write(db, row, call.part("metadata"))
        return {"metadata": call.part("metadata")}

    async def show(self, call: Call) -> dict[str, Any]:
        """One item."""
        key = call.variables["key"]
        async with self._database.read() as db:
            row = await self._row(db, call)
        if key not in row["metadata"]:
            raise Fault(404, f"Metadata item {key[:80]} was not found.")
        return {"meta": {key: row["metadata"][key]}}

    async def set(self, call: Call) -> dict[str, Any]:
        """Set one item."""
        given, key = call.part("meta"), call.variables["key"]
        if list(given) != [key]:
            raise bad_request("Request body and URI mismatch")
        async with self._database.write() as db:
            row = await self._row(db, call)
            await self._write(db, row, {**row["metadata"], **given})
        return {"meta": given}

    async def remove(self, call: Call) -> None:
        """Remove one item."""
        key = call.variables["key"]
        async with self._database.write() as db:
            row = await self._row(db, call)
            if key not in row["metadata"]:
                raise Fault(404, f"Metadata item {key[:80]} was not found.")
            left = {name: value for name, value in row["metadata"].items() if name != key}
            await self._write(db, row, left)


def volume_metadata(service: Service) -> Metadata:
    """Of volumes."""
    return Metadata(service, VOLUMES)


def snapshot_metadata(service: Service) -> Metadata:
    """Of snapshots."""
    return Metadata(service, SNAPSHOTS)
