"""The Image API and the object store as block storage reaches them: over HTTP, with tokens of the service.

They may be on this machine or another; nothing of them is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from blockd.api.shape import UUID
from blockd.port import ImageInfo, Place
from core.api.client import Client, Reply
from core.errors import Conflict, NotFound, Refused, Unavailable
from core.service_identity import PROJECT_ID, ServiceIdentity

LOCATION = "ringstack://"
ACCOUNT = f"/v1/AUTH_{PROJECT_ID}"
NAMES_MAX = 1000
PLACE_TIMEOUT_S = 3600.0  # an image that has to be converted first
FACTS = frozenset(
    {"id", "status", "name", "disk_format", "container_format", "size", "virtual_size"}
    | {"min_disk", "min_ram", "checksum", "file", "schema", "self", "owner", "visibility"}
    | {"tags", "created_at", "updated_at", "protected", "os_hash_algo", "os_hash_value"}
    | {"os_hidden", "locations", "direct_url", "stores"}
)


def check(reply: Reply, what: str) -> Reply:
    """An answer that is a success. Raises the error that its status stands for."""
    if reply.status < 300:
        return reply
    message = f"{what}: status {reply.status}"
    if reply.status == 404:
        raise NotFound("NotFound", message)
    if reply.status == 409:
        raise Conflict("Conflict", message)
    if reply.status >= 500 or reply.status in {408, 429}:
        raise Unavailable("Neighbour", message)
    raise Refused("Neighbour", message)


def image_info(body: Mapping[str, Any]) -> ImageInfo:
    """An image of the Image API."""
    return ImageInfo(
        id=str(body["id"]),
        status=str(body.get("status")),
        name=str(body.get("name") or ""),
        disk_format=str(body.get("disk_format") or ""),
        container_format=str(body.get("container_format") or ""),
        size=int(body.get("size") or 0),
        virtual_size=int(body.get("virtual_size") or 0),
        min_disk=int(body.get("min_disk") or 0),
        min_ram=int(body.get("min_ram") or 0),
        checksum=str(body.get("checksum") or ""),
        properties={
            name: value
            for name, value in body.items()
            if name not in FACTS and isinstance(value, str)
        },
    )


def place_of(url: str) -> Place | None:
    """The position that a location names, or None for a location of another kind."""
    volume_id, _, snapshot_id = url.removeprefix(LOCATION).partition("/")
    if not url.startswith(LOCATION) or not volume_id or not snapshot_id:
        return None
    return Place(volume_id, snapshot_id)


class HttpImages:
    """`blockd.port.Images` over the Image API v2."""

    def __init__(self, base: str, identity: ServiceIdentity) -> None:
        self._client = Client(base)
        self._identity = identity

    def _own(self) -> dict[str, str]:
        return {"X-Auth-Token": self._identity.token()}

    async def show(self, image: str, *, token: str) -> ImageInfo:
        """An image by id or unique name, as the caller sees it."""
        headers = {"X-Auth-Token": token}
        if UUID.fullmatch(image):
            reply = await self._client.call("GET", f"/v2/images/{image}", headers=headers)
            if reply.status == 200:
                return image_info(reply.json())
        path = f"/v2/images?name={quote(image, safe='')}&limit=2"
        found = check(await self._client.call("GET", path, headers=headers), "images").json()
        if len(found["images"]) > 1:
            raise Conflict(
                "Ambiguous", f"Multiple matches found for '{image[:80]}', use an ID instead."
            )
        if not found["images"]:
            raise NotFound("NoSuchImage", f"image {image[:80]} is not there")
        return image_info(found["images"][0])

    async def place(self, image_id: str) -> Place:
        """The position that the image's boot form begins at; asking makes it."""
        path = f"/v2/images/{image_id}/locations"
        reply = await self._client.call("GET", path, headers=self._own(), timeout_s=PLACE_TIMEOUT_S)
        body = check(reply, f"locations of image {image_id}").json()
        found = body if isinstance(body, list) else body.get("locations", [])
        places = [place for one in found if (place := place_of(str(one.get("url"))))]
        if not places:
            raise Refused("NoPlace", f"image {image_id} has no location on the object store")
        return places[-1]

    async def create(self, attributes: Mapping[str, Any], *, token: str) -> ImageInfo:
        """A queued image of the caller's."""
        headers = {"X-Auth-Token": token}
        reply = await self._client.call("POST", "/v2/images", dict(attributes), headers=headers)
        return image_info(check(reply, "a new image").json())

    async def fill(self, image_id: str, place: Place, size: int) -> None:
        """Give a queued image its bytes by naming where they are."""
        url = f"{LOCATION}{place.volume_id}/{place.snapshot_id}"
        body = {"url": url, "validation_data": {}}
        path = f"/v2/images/{image_id}/locations"
        reply = await self._client.call("POST", path, body, headers=self._own())
        if reply.status == 409:  # an earlier attempt may have been heard
            shown = await self._client.call("GET", f"/v2/images/{image_id}", headers=self._own())
            if (shown.json() or {}).get("status") in {"active", "importing"}:
                return
        check(reply, f"location of image {image_id} ({size} bytes)")

    async def delete(self, image_id: str) -> None:
        """Remove an image."""
        path = f"/v2/images/{image_id}"
        reply = await self._client.call("DELETE", path, headers=self._own())
        if reply.status != 404:
            check(reply, f"image {image_id}")


class SwiftChunks:
    """`blockd.port.Chunks` in an account of the service on the object store."""

    def __init__(self, base: str, identity: ServiceIdentity) -> None:
        self._client = Client(base)
        self._identity = identity

    def _path(self, container: str, name: str = "") -> str:
        path = f"{ACCOUNT}/{quote(container, safe='')}"
        return f"{path}/{quote(name, safe='/')}" if name else path

    async def _call(self, method: str, path: str, body: bytes | None = None) -> Reply:
        headers = {"X-Auth-Token": self._identity.token()}
        return await self._client.call(method, path, body, headers=headers)

    async def put(self, container: str, name: str, data: bytes) -> None:
        """Store an object; its container is made when it is missing."""
        reply = await self._call("PUT", self._path(container, name), data)
        if reply.status == 404:
            check(await self._call("PUT", self._path(container)), "container of backups")
            reply = await self._call("PUT", self._path(container, name), data)
        check(reply, f"object {name}")

    async def get(self, container: str, name: str) -> bytes:
        """Contents of an object."""
        return check(await self._call("GET", self._path(container, name)), f"object {name}").body

    async def names(self, container: str, prefix: str) -> list[str]:
        """The first names that begin so; none when there is no such container."""
        query = f"?format=json&limit={NAMES_MAX}&prefix={quote(prefix, safe='')}"
        reply = await self._call("GET", self._path(container) + query)
        if reply.status == 404:
            return []
        return [str(row["name"]) for row in check(reply, f"container {container}").json()]

    async def delete(self, container: str, name: str) -> None:
        """Remove an object."""
        reply = await self._call("DELETE", self._path(container, name))
        if reply.status != 404:
            check(reply, f"object {name}")


class HttpServers:
    """`blockd.port.Servers` over the Compute API."""

    def __init__(self, base: str, identity: ServiceIdentity) -> None:
        self._client = Client(base)
        self._identity = identity

    async def uses(self, server_id: str, volume_id: str) -> bool:
        """A server's attachment of the volume is there."""
        server, volume = quote(server_id, safe=""), quote(volume_id, safe="")
        path = f"/v2.1/servers/{server}/os-volume_attachments/{volume}"
        headers = {"X-Auth-Token": self._identity.token()}
        reply = await self._client.call("GET", path, headers=headers)
        if reply.status in {400, 404}:
            return False
        check(reply, f"volumes of server {server_id}")
        return True
