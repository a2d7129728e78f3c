"""`/os-server-external-events`: what networks and volumes tell of servers."""

from __future__ import annotations

from typing import Any

from computed import servers
from computed.api.paths import both
from computed.api.shape import uuid
from computed.servers import Doing
from computed.service import Service
from core import rows
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import Shape, array, choice, text
from core.database import Connection
from core.rows import Row

NAMES = {
    "network-changed": (2, 1),
    "network-vif-plugged": (2, 1),
    "network-vif-unplugged": (2, 1),
    "network-vif-deleted": (2, 1),
    "volume-extended": (2, 51),
    "power-update": (2, 76),
    "accelerator-request-bound": (2, 82),
    "volume-reimaged": (2, 93),
}
EVENT = Shape(
    {
        "name": choice(*NAMES),
        "server_uuid": uuid,
        "status": choice("failed", "completed", "in-progress"),
        "tag": text(0, 255),
    },
    ["name", "server_uuid"],
    more=False,
)
BODY = Shape({"events": array(EVENT, least=1, most=1000)}, ["events"], more=False)


class Events:
    """What others tell."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        rule = "os_compute_api:os-server-external-events:create"
        return both([Route("POST", "/os-server-external-events", rule, self.create, 200, BODY)])

    async def create(self, call: Call) -> Answer:
        """Hear of them. 207 when some were about servers that are not there."""
        call.allow()
        shown, good = [], 0
        async with self._database.write() as db:
            for event in call.body["events"]:
                if NAMES[event["name"]] > call.microversion:
                    raise bad_request(f"Invalid input for field 'name': {event['name']}")
                row = await rows.by_id(db, servers.TABLE, event["server_uuid"])
                code = await self._hear(db, call, row, event)
                good += code == 200
                status = "completed" if code == 200 else "failed"
                shown.append({"status": status, **event, "code": code})
        self._service.wake()
        if not good:
            raise Fault(404, "No instances found for any event")
        return Answer({"events": shown}, 200 if good == len(shown) else 207)

    async def _hear(
        self, db: Connection, call: Call, row: Row | None, event: dict[str, Any]
    ) -> int:
        if row is None or row["deleted_us"]:
            return 404
        if not row["host"]:
            return 422
        if event["name"].startswith("network-"):
            await servers.promise(db, self._service, call, "nic.refresh", row["id"], action_id="")
        elif event["name"] == "volume-extended":
            await self._grown(db, call, row, event.get("tag", ""))
        return 200

    async def _grown(self, db: Connection, call: Call, row: Row, volume_id: str) -> None:
        """The guest is to hear that one of its disks has grown."""
        for disk in await servers.disks_of(db, row["id"]):
            if disk["volume_id"] == volume_id and disk["attachment_id"]:
                size = (await self._service.volumes.show(volume_id)).size_gb
                await rows.update(db, servers.DISKS, disk["id"], {"size_gb": size})
                wish = servers.wish(row, row["power"], "resize_disk", disk["attachment_id"])
                doing = Doing("extend_volume", "disk.grow", row["task_state"])
                number = wish["order_number"]
                await servers.begin(db, self._service, call, row, doing, wish, number=number)
