"""What a volume remembers of its image, as actions of the volume."""

from __future__ import annotations

from typing import Any

from blockd import volumes
from blockd.api.shape import metadata, nothing, one
from blockd.service import Service
from blockd.sight import allowed
from core.api.action import Action
from core.api.call import Call
from core.api.fault import Fault
from core.api.shape import text
from core.database import Connection
from core.rows import Row


class ImageMetadata:
    """The actions."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def actions(self) -> list[Action]:
        """What is served."""
        rule = "volume_extension:volume_image_metadata"
        return [
            Action(
                "os-set_image_metadata",
                f"{rule}:set",
                self.set,
                200,
                one("metadata", metadata),
            ),
            Action(
                "os-unset_image_metadata",
                f"{rule}:remove",
                self.unset,
                200,
                one("key", text(1, 255)),
            ),
            Action("os-show_image_metadata", f"{rule}:show", self.show, 200, nothing),
        ]

    async def _row(self, db: Connection, call: Call) -> Row:
        return await allowed(db, call, volumes.TABLE, call.variables["volume_id"], "Volume")

    async def set(self, call: Call) -> dict[str, Any]:
        """Add to it."""
        async with self._service.database.write() as db:
            row = await self._row(db, call)
            given = call.body["os-set_image_metadata"]["metadata"]
            new = {**(row["image_metadata"] or {}), **given}
            metadata(new, "metadata")
            await volumes.change(db, self._service, row["id"], image_metadata=new)
        return {"metadata": new}

    async def unset(self, call: Call) -> None:
        """Remove one item."""
        key = call.body["os-unset_image_metadata"]["key"]
        async with self._service.database.write() as db:
            row = await self._row(db, call)
            old = row["image_metadata"] or {}
            if key not in old:
                raise Fault(404, f"Metadata item {key[:80]} was not found.")
            left = {name: value for name, value in old.items() if name != key}
            await volumes.change(db, self._service, row["id"], image_metadata=left)

    async def show(self, call: Call) -> dict[str, Any]:
        """All of it."""
        async with self._service.database.read() as db:
            row = await self._row(db, call)
        return {"metadata": row["image_metadata"] or {}}
