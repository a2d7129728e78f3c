"""`/os-volumes` and `/os-snapshots`, which version 2.1 passed on to block storage until 2.35."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from computed import listing
from computed.api.paths import both
from computed.api.proxies import said
from computed.api.shape import one, whole
from computed.making import token_of
from computed.service import Service
from computed.sight import own_project
from core.api.call import Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import Shape, anything, nullable, plain_object, text

API = "os_compute_api:os-volumes"
UNTIL = (2, 35)
VOLUME = one(
    "volume",
    Shape(
        {
            "size": whole(1),
            "display_name": nullable(text(0, 255)),
            "display_description": nullable(text()),
            "volume_type": nullable(text()),
            "metadata": nullable(plain_object),
            "availability_zone": nullable(text()),
            "snapshot_id": nullable(text()),
        },
        ["size"],
        more=False,
    ),
)
SNAPSHOT = one(
    "snapshot",
    Shape(
        {
            "volume_id": text(1, 255),
            "display_name": nullable(text(0, 255)),
            "display_description": nullable(text()),
            "force": anything,
        },
        ["volume_id"],
        more=False,
    ),
)


def volume_shown(volume: Mapping[str, Any]) -> dict[str, Any]:
    """A volume in the words of version 2.1. Pure."""
    attached = [
        {
            "id": held["volume_id"],
            "volumeId": held["volume_id"],
            "serverId": held["server_id"],
            "device": held["device"],
        }
        for held in volume.get("attachments") or ()
    ]
    return {
        "id": volume["id"],
        "status": volume["status"],
        "size": volume["size"],
        "availabilityZone": volume.get("availability_zone"),
        "createdAt": volume.get("created_at"),
        "attachments": attached or [{}],
        "displayName": volume.get("name"),
        "displayDescription": volume.get("description"),
        "volumeType": volume.get("volume_type"),
        "snapshotId": volume.get("snapshot_id"),
        "metadata": volume.get("metadata") or {},
    }


def snapshot_shown(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """A snapshot in the words of version 2.1. Pure."""
    return {
        "id": snapshot["id"],
        "volumeId": snapshot["volume_id"],
        "status": snapshot["status"],
        "size": snapshot["size"],
        "createdAt": snapshot.get("created_at"),
        "displayName": snapshot.get("name"),
        "displayDescription": snapshot.get("description"),
    }


class VolumeProxy:
    """Volumes and snapshots."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """What is served."""
        top, pins = "/os-volumes", "/os-snapshots"
        snapshots = f"{API}:snapshots"
        return both(
            [
                Route("GET", top, f"{API}:list", self.volumes),
                Route("GET", f"{top}/detail", f"{API}:detail", self.volumes),
                Route("POST", top, f"{API}:create", self.create, 200, VOLUME),
                Route("GET", f"{top}/{{name}}", f"{API}:show", self.volume),
                Route("DELETE", f"{top}/{{name}}", f"{API}:delete", self.delete, 202),
                Route("GET", pins, f"{snapshots}:list", self.snapshots),
                Route("GET", f"{pins}/detail", f"{snapshots}:detail", self.snapshots),
                Route("POST", pins, f"{snapshots}:create", self.create_snapshot, 200, SNAPSHOT),
                Route("GET", f"{pins}/{{name}}", f"{snapshots}:show", self.snapshot),
                Route("DELETE", f"{pins}/{{name}}", f"{snapshots}:delete", self.drop, 202),
            ],
            until=UNTIL,
        )

    async def _ask(self, call: Call, method: str, path: str, body: Any = None) -> Any:
        call.allow(of={"project_id": own_project(call)})
        status, found = await self._service.volumes.ask(method, path, body, token=token_of(call))
        if status < 300:
            return found
        if status == 413:
            raise Fault(403, said(found))
        raise Fault(status if status in {400, 401, 403, 404, 409} else 500, said(found))

    def _page(self, call: Call, found: Sequence[Any]) -> list[Any]:
        start = listing.whole(call, "offset") or 0
        return list(found[start : start + listing.limit_of(call)])

    async def volumes(self, call: Call) -> dict[str, Any]:
        """All."""
        limit, offset = listing.limit_of(call), listing.whole(call, "offset") or 0
        query = urlencode({"limit": limit, "offset": offset})
        found = await self._ask(call, "GET", f"/volumes/detail?{query}")
        return {"volumes": [volume_shown(volume) for volume in found["volumes"]]}

    async def volume(self, call: Call) -> dict[str, Any]:
        """One."""
        path = f"/volumes/{quote(call.variables['name'], safe='')}"
        return {"volume": volume_shown((await self._ask(call, "GET", path))["volume"])}

    async def create(self, call: Call) -> dict[str, Any]:
        """A new one."""
        given = call.part("volume")
        body = {
            "size": int(given["size"]),
            "name": given.get("display_name"),
            "description": given.get("display_description"),
            "metadata": given.get("metadata") or {},
        }
        for name in ("volume_type", "availability_zone", "snapshot_id"):
            if given.get(name):
                body[name] = given[name]
        found = await self._ask(call, "POST", "/volumes", {"volume": body})
        return {"volume": volume_shown(found["volume"])}

    async def delete(self, call: Call) -> None:
        """Remove it."""
        await self._ask(call, "DELETE", f"/volumes/{quote(call.variables['name'], safe='')}")

    async def snapshots(self, call: Call) -> dict[str, Any]:
        """All."""
        found = await self._ask(call, "GET", "/snapshots/detail")
        return {
            "snapshots": [snapshot_shown(one_of) for one_of in self._page(call, found["snapshots"])]
        }

    async def snapshot(self, call: Call) -> dict[str, Any]:
        """One."""
        path = f"/snapshots/{quote(call.variables['name'], safe='')}"
        return {"snapshot": snapshot_shown((await self._ask(call, "GET", path))["snapshot"])}

    async def create_snapshot(self, call: Call) -> dict[str, Any]:
        """A new one."""
        given = call.part("snapshot")
        force = given.get("force", False)
        if not isinstance(force, (bool, str)):
            raise bad_request("Invalid input for field 'force'")
        body = {
            "volume_id": given["volume_id"],
            "name": given.get("display_name"),
            "description": given.get("display_description"),
            "force": force,
        }
        found = await self._ask(call, "POST", "/snapshots", {"snapshot": body})
        return {"snapshot": snapshot_shown(found["snapshot"])}

    async def drop(self, call: Call) -> None:
        """Remove it."""
        await self._ask(call, "DELETE", f"/snapshots/{quote(call.variables['name'], safe='')}")
