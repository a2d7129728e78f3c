"""`/manageable_volumes` and `/manageable_snapshots`, and their old names `/os-volume-manage` and `/os-snapshot-manage`."""

from __future__ import annotations

from typing import Any

from blockd import management
from blockd.api.paths import both
from blockd.api.shape import DESCRIPTION, NAME, flag, metadata, one, stripped, uuid
from blockd.api.snapshots import shown as snapshot_shown
from blockd.api.volume_view import context_of, full
from blockd.listing import whole
from blockd.service import Service
from blockd.sight import own_project
from core.api.call import Call
from core.api.fault import bad_request
from core.api.route import Route
from core.api.shape import Shape, nullable, plain_object, text

SHORT = nullable(text(0, 255))
VOLUME = one(
    "volume",
    Shape(
        {
            "name": NAME,
            "description": DESCRIPTION,
            "volume_type": SHORT,
            "metadata": nullable(metadata),
            "bootable": flag,
            "availability_zone": SHORT,
            "host": text(1, 255),
            "cluster": SHORT,
            "ref": plain_object,
        },
        ["ref", "host"],
    ),
)
SNAPSHOT = one(
    "snapshot",
    Shape(
        {
            "name": NAME,
            "description": DESCRIPTION,
            "volume_id": uuid,
            "metadata": nullable(metadata),
            "ref": plain_object,
        },
        ["ref", "volume_id"],
    ),
)
SUMMARY = ("reference", "size", "safe_to_manage", "source_reference")
PAGE_MAX = 1000


class Management:
    """Operations of administrators."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        manage, look = "volume_extension:volume_manage", "volume_extension:list_manageable"
        pin = "snapshot_extension:snapshot_manage"
        look_pins = "snapshot_extension:list_manageable"
        found = []
        for path, since in (("/os-volume-manage", (3, 0)), ("/manageable_volumes", (3, 8))):
            found += [
                Route("POST", path, manage, self.take_volume, 202, VOLUME, since=since),
                Route("GET", path, look, self.volumes, since=since),
                Route("GET", f"{path}/detail", look, self.volumes_detail, since=since),
            ]
        for path, since in (("/os-snapshot-manage", (3, 0)), ("/manageable_snapshots", (3, 8))):
            found += [
                Route("POST", path, pin, self.take_snapshot, 202, SNAPSHOT, since=since),
                Route("GET", path, look_pins, self.snapshots, since=since),
                Route("GET", f"{path}/detail", look_pins, self.snapshots_detail, since=since),
            ]
        return both(found)

    async def take_volume(self, call: Call) -> dict[str, Any]:
        """Take a volume of the library back."""
        call.allow(of={"project_id": own_project(call)})
        given = {**call.part("volume")}
        given["name"] = stripped(given.get("name"))
        async with self._database.write() as db:
            row = await management.take_volume(db, self._service, call, given)
            context = await context_of(db, self._service, [row])
        # as in Cinder: it begins as what it is on its way to
        return {"volume": full(call, {**row, "status": "creating"}, context)}

    async def take_snapshot(self, call: Call) -> dict[str, Any]:
        """Take a snapshot of the library back."""
        call.allow(of={"project_id": own_project(call)})
        async with self._database.write() as db:
            row = await management.take_snapshot(db, self._service, call, call.part("snapshot"))
        return {"snapshot": snapshot_shown(call, row)}

    def _page(self, call: Call, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        call.allow()
        host = call.query.get("host")
        if host is None:
            raise bad_request("Invalid host: name one.")
        management.check_host(self._service, host)
        limit, offset = whole(call, "limit", 10**6), whole(call, "offset", 10**6) or 0
        return found[offset : offset + (PAGE_MAX if limit is None else min(limit, PAGE_MAX))]

    async def volumes(self, call: Call) -> dict[str, Any]:
        """What could be taken back."""
        body = await self.volumes_detail(call)
        return {"manageable-volumes": [brief(one_of) for one_of in body["manageable-volumes"]]}

    async def volumes_detail(self, call: Call) -> dict[str, Any]:
        """With everything."""
        async with self._database.read() as db:
            found = await management.manageable_volumes(db)
        return {"manageable-volumes": self._page(call, found)}

    async def snapshots(self, call: Call) -> dict[str, Any]:
        """What could be taken back."""
        body = await self.snapshots_detail(call)
        return {"manageable-snapshots": [brief(one_of) for one_of in body["manageable-snapshots"]]}

    async def snapshots_detail(self, call: Call) -> dict[str, Any]:
        """With everything."""
        call.allow()
        async with self._database.read() as db:
            found = await management.manageable_snapshots(db, self._service)
        return {"manageable-snapshots": self._page(call, found)}


def brief(row: dict[str, Any]) -> dict[str, Any]:
    """Without details."""
    return {name: row[name] for name in SUMMARY if name in row}
