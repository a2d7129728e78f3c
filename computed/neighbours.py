"""Networks, volumes, images and hosts' daemons as servers reach them: over HTTP, with tokens of the service.

They may be on this machine or another; nothing of them is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from computed.outside import (
    ImageInfo,
    NetworkInfo,
    PortAsk,
    PortInfo,
    VolumeAsk,
    VolumeInfo,
)
from core.api.client import Client, Reply
from core.errors import Conflict, NotFound, Refused, Unavailable
from core.service_identity import PROJECT_ID, ServiceIdentity

VOLUME_VERSION = {"OpenStack-API-Version": "volume 3.60"}
SHORT_S = 20.0
FACTS = frozenset(
    {"id", "status", "name", "disk_format", "container_format", "size", "virtual_size"}
    | {"min_disk", "min_ram", "checksum", "file", "schema", "self", "owner", "visibility"}
    | {"tags", "created_at", "updated_at", "protected", "os_hash_algo", "os_hash_value"}
    | {"os_hidden", "locations", "direct_url", "stores"}
)


def said(reply: Reply) -> str:
    """The message in a refusal, whatever its form."""
    body = reply.json()
    while isinstance(body, dict):
        if isinstance(body.get("message"), str):
            return str(body["message"])
        inner = [value for value in body.values() if isinstance(value, dict)]
        if not inner:
            break
        body = inner[0]
    return f"status {reply.status}"


def check(reply: Reply, what: str) -> Any:
    """The JSON of a success. Raises the error that the status stands for."""
    if reply.status < 300:
        return reply.json()
    message = f"{what}: {said(reply)}"
    if reply.status == 404:
        raise NotFound("NotFound", message)
    if reply.status == 409:
        raise Conflict("Conflict", message)
    if reply.status >= 500 or reply.status in {401, 408, 429}:
        raise Unavailable("Neighbour", message)
    raise Refused("OverQuota" if reply.status == 413 else "Neighbour", message)


class _Neighbour:
    """One service's API."""

    headers: Mapping[str, str] = {}

    def __init__(self, base: str, identity: ServiceIdentity) -> None:
        self._client = Client(base)
        self._identity = identity

    async def reply(self, method: str, path: str, body: Any = None, *, token: str = "") -> Reply:
        headers = {"X-Auth-Token": token or self._identity.token(), **self.headers}
        return await self._client.call(method, path, body, headers=headers, timeout_s=SHORT_S)

    async def call(self, method: str, path: str, body: Any = None, *, token: str = "") -> Any:
        reply = await self.reply(method, path, body, token=token)
        return check(reply, f"{method} {path.partition('?')[0]}")

    async def ask(self, method: str, path: str, body: Any = None, *, token: str) -> tuple[int, Any]:
        """One request of the caller's: status and JSON."""
        reply = await self.reply(method, path, body, token=token)
        return reply.status, reply.json()


def network_info(body: Mapping[str, Any]) -> NetworkInfo:
    """A network of the Networking API."""
    return NetworkInfo(
        id=str(body["id"]),
        name=str(body.get("name") or ""),
        mtu=int(body.get("mtu") or 0),
        external=bool(body.get("router:external")),
        subnet_ids=tuple(body.get("subnets") or ()),
        port_security=bool(body.get("port_security_enabled", True)),
    )


def port_info(body: Mapping[str, Any], floating: Sequence[str] = ()) -> PortInfo:
    """A port of the Networking API."""
    return PortInfo(
        id=str(body["id"]),
        network_id=str(body["network_id"]),
        mac=str(body.get("mac_address") or ""),
        project_id=str(body.get("project_id") or body.get("tenant_id") or ""),
        device_id=str(body.get("device_id") or ""),
        device_owner=str(body.get("device_owner") or ""),
        status=str(body.get("status") or ""),
        addresses=tuple(
            (str(one.get("subnet_id")), str(one["ip_address"]))
            for one in body.get("fixed_ips") or ()
        ),
        floating=tuple(floating),
        group_ids=tuple(body.get("security_groups") or ()),
    )


class HttpNetworks(_Neighbour):
    """`computed.outside.Networks` over the Networking API v2.0."""

    async def networks(
        self, *, token: str, project_id: str, ids: Sequence[str] = ()
    ) -> list[NetworkInfo]:
        """Those named, or a project's own and the shared ones."""
        if ids:
            query = urlencode([("id", one) for one in ids])
            found = await self.call("GET", f"/v2.0/networks?{query}", token=token)
            return [network_info(one) for one in found["networks"]]
        own = await self.call("GET", f"/v2.0/networks?tenant_id={quote(project_id)}", token=token)
        shared = await self.call("GET", "/v2.0/networks?shared=true", token=token)
        all_of = {one["id"]: one for one in own["networks"] + shared["networks"]}
        usable = [one for one in all_of.values() if one.get("admin_state_up", True)]
        found = [network_info(one) for one in usable]
        return [one for one in found if not one.external and one.subnet_ids]

    async def name(self, network_id: str) -> NetworkInfo:
        """A network."""
        found = await self.call("GET", f"/v2.0/networks/{quote(network_id, safe='')}")
        return network_info(found["network"])

    async def group_ids(self, names: Sequence[str], *, token: str, project_id: str) -> list[str]:
        """Ids of security groups."""
        path = f"/v2.0/security-groups?tenant_id={quote(project_id)}&fields=id&fields=name"
        found = (await self.call("GET", path, token=token))["security_groups"]
        ids = []
        for name in names:
            fits = [one["id"] for one in found if one["id"] == name] or [
                one["id"] for one in found if one["name"] == name
            ]
            if not fits:
                raise NotFound("NoGroup", f"Security group {name[:80]} not found.")
            if len(fits) > 1:
                raise Conflict(
                    "Ambiguous",
                    f"Multiple security groups found matching '{name[:80]}'. Use an ID to be more specific.",
                )
            ids.append(str(fits[0]))
        return ids

    async def group_names(self, ids: Sequence[str]) -> dict[str, str]:
        """Names of security groups."""
        if not ids:
            return {}
        query = urlencode([("id", one) for one in ids])
        found = await self.call("GET", f"/v2.0/security-groups?{query}&fields=id&fields=name")
        return {str(one["id"]): str(one["name"]) for one in found["security_groups"]}

    async def port(self, port_id: str, *, token: str = "") -> PortInfo:
        """A port."""
        path = f"/v2.0/ports/{quote(port_id, safe='')}"
        return port_info((await self.call("GET", path, token=token))["port"])

    async def ports_of(self, server_id: str) -> list[PortInfo]:
        """All ports of a server."""
        reply = await self.reply("GET", f"/v2.0/ports?device_id={quote(server_id)}")
        if reply.status == 404:  # there is no networking service
            return []
        found = check(reply, "ports of a server")["ports"]
        floating: dict[str, list[str]] = {}
        if found:
            query = urlencode([("port_id", one["id"]) for one in found])
            leading = await self.call("GET", f"/v2.0/floatingips?{query}")
            for one in leading["floatingips"]:
                floating.setdefault(one["port_id"], []).append(one["floating_ip_address"])
        return [port_info(one, floating.get(one["id"], ())) for one in found]

    @staticmethod
    def _binding(ask: PortAsk) -> dict[str, Any]:
        return {
            "device_id": ask.server_id,
            "device_owner": ask.owner,
            "binding:host_id": ask.host,
        }

    async def create_port(self, ask: PortAsk) -> PortInfo:
        """Make and bind a port."""
        body: dict[str, Any] = {
            "network_id": ask.network_id,
            "tenant_id": ask.project_id,
            "admin_state_up": True,
            **self._binding(ask),
        }
        if ask.group_ids:
            body["security_groups"] = list(ask.group_ids)
        if ask.address:
            body["fixed_ips"] = [{"ip_address": ask.address}]
        return port_info((await self.call("POST", "/v2.0/ports", {"port": body}))["port"])

    async def bind_port(self, port_id: str, ask: PortAsk) -> PortInfo:
        """Give a port to a server on a host."""
        path = f"/v2.0/ports/{quote(port_id, safe='')}"
        return port_info((await self.call("PUT", path, {"port": self._binding(ask)}))["port"])

    async def free_port(self, port_id: str) -> None:
        """Take a port from its server."""
        freed = {"device_id": "", "device_owner": "", "binding:host_id": ""}
        path = f"/v2.0/ports/{quote(port_id, safe='')}"
        reply = await self.reply("PUT", path, {"port": freed})
        if reply.status != 404:
            check(reply, f"port {port_id}")

    async def set_groups(self, port_id: str, group_ids: Sequence[str]) -> None:
        """Other security groups."""
        body = {"port": {"security_groups": list(group_ids)}}
        await self.call("PUT", f"/v2.0/ports/{quote(port_id, safe='')}", body)

    async def delete_port(self, port_id: str) -> None:
        """Remove a port."""
        reply = await self.reply("DELETE", f"/v2.0/ports/{quote(port_id, safe='')}")
        if reply.status != 404:
            check(reply, f"port {port_id}")


def volume_info(body: Mapping[str, Any]) -> VolumeInfo:
    """A volume of the Block Storage API."""
    return VolumeInfo(
        id=str(body["id"]),
        status=str(body["status"]),
        size_gb=int(body["size"]),
        bootable=str(body.get("bootable")).lower() == "true",
        multiattach=bool(body.get("multiattach")),
        name=str(body.get("name") or ""),
        project_id=str(body.get("os-vol-tenant-attr:tenant_id") or ""),
        volume_type=str(body.get("volume_type") or ""),
        image_properties=body.get("volume_image_metadata") or {},
    )


class HttpVolumes(_Neighbour):
    """`computed.outside.Volumes` over the Block Storage API v3."""

    headers = VOLUME_VERSION

    async def show(self, volume_id: str, *, token: str = "") -> VolumeInfo:
        """A volume."""
        found = await self.call("GET", f"/volumes/{quote(volume_id, safe='')}", token=token)
        return volume_info(found["volume"])

    async def snapshot_size_gb(self, snapshot_id: str, *, token: str) -> int:
        """Size of a snapshot."""
        path = f"/snapshots/{quote(snapshot_id, safe='')}"
        return int((await self.call("GET", path, token=token))["snapshot"]["size"])

    async def create(self, ask: VolumeAsk) -> VolumeInfo:
        """Begin a volume, or find it."""
        held = await self.find(ask.name)
        if held is not None:
            return held
        body: dict[str, Any] = {"name": ask.name, "size": ask.size_gb}
        if ask.image_id:
            body["imageRef"] = ask.image_id
        if ask.snapshot_id:
            body["snapshot_id"] = ask.snapshot_id
        if ask.volume_type:
            body["volume_type"] = ask.volume_type
        token = self._identity.on_behalf(ask.project_id, ask.user_id) if ask.project_id else ""
        reply = await self.reply("POST", "/volumes", {"volume": body}, token=token)
        if reply.status == 413 and not token:
            await self._lift_quota()
            reply = await self.reply("POST", "/volumes", {"volume": body})
        return volume_info(check(reply, "a volume for the server")["volume"])

    async def find(self, name: str) -> VolumeInfo | None:
        """The volume of a name."""
        path = f"/volumes/detail?all_tenants=1&name={quote(name, safe='')}"
        held = (await self.call("GET", path))["volumes"]
        return volume_info(held[0]) if held else None

    async def _lift_quota(self) -> None:
        """Servers' own disks are bounded by the quota of servers, not by one of the service's project."""
        free = {"volumes": -1, "gigabytes": -1, "snapshots": -1, "per_volume_gigabytes": -1}
        await self.call("PUT", f"/os-quota-sets/{PROJECT_ID}", {"quota_set": free})

    async def delete(self, volume_id: str) -> None:
        """Remove a volume."""
        reply = await self.reply("DELETE", f"/volumes/{quote(volume_id, safe='')}?cascade=true")
        if reply.status == 400:
            state = await self.reply("GET", f"/volumes/{quote(volume_id, safe='')}")
            status = ((state.json() or {}).get("volume") or {}).get("status")
            if state.status == 404 or status == "deleting":
                return
            raise Unavailable("InUse", f"volume {volume_id}: {said(reply)}")
        if reply.status != 404:
            check(reply, f"volume {volume_id}")

    async def reserve(self, volume_id: str, server_id: str, *, read_only: bool = False) -> str:
        """An attachment for a server."""
        held = await self.attachments_of(volume_id, server_id)
        if held:
            return held[0]
        body = {
            "volume_uuid": volume_id,
            "instance_uuid": server_id,
            "mode": "ro" if read_only else "rw",
        }
        found = await self.call("POST", "/attachments", {"attachment": body})
        return str(found["attachment"]["id"])

    async def connect(self, attachment_id: str, host: str, device: str) -> dict[str, Any]:
        """Where a host finds the volume."""
        connector = {"host": host, "mountpoint": f"/dev/{device}"}
        body = {"attachment": {"connector": connector}}
        found = await self.call("PUT", f"/attachments/{attachment_id}", body)
        info: dict[str, Any] = found["attachment"]["connection_info"]
        return info

    async def complete(self, attachment_id: str) -> None:
        """The machine has it."""
        await self.call("POST", f"/attachments/{attachment_id}/action", {"os-complete": {}})

    async def detach(self, attachment_id: str) -> None:
        """The attachment is over."""
        reply = await self.reply("DELETE", f"/attachments/{attachment_id}")
        if reply.status != 404:
            check(reply, f"attachment {attachment_id}")

    async def attachments_of(self, volume_id: str, server_id: str) -> list[str]:
        """Ids of a volume's attachments to a server."""
        query = urlencode({"all_tenants": 1, "volume_id": volume_id, "instance_id": server_id})
        found = await self.call("GET", f"/attachments?{query}")
        return [str(one["id"]) for one in found["attachments"]]

    async def snapshot(self, volume_id: str, name: str) -> tuple[str, bool]:
        """A snapshot, made or found by its name."""
        query = urlencode({"all_tenants": 1, "volume_id": volume_id, "name": name})
        held = (await self.call("GET", f"/snapshots?{query}"))["snapshots"]
        if held:
            if held[0]["status"].startswith("error"):
                raise Refused("NoSnapshot", f"the snapshot of volume {volume_id} failed")
            return str(held[0]["id"]), held[0]["status"] == "available"
        body = {"volume_id": volume_id, "name": name, "force": True}
        made = await self.call("POST", "/snapshots", {"snapshot": body})
        return str(made["snapshot"]["id"]), made["snapshot"]["status"] == "available"

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot."""
        reply = await self.reply("DELETE", f"/snapshots/{snapshot_id}")
        if reply.status not in {400, 404}:
            check(reply, f"snapshot {snapshot_id}")


def image_info(body: Mapping[str, Any]) -> ImageInfo:
    """An image of the Image API."""
    return ImageInfo(
        id=str(body["id"]),
        status=str(body.get("status")),
        name=str(body.get("name") or ""),
        size=int(body.get("size") or 0),
        virtual_size=int(body.get("virtual_size") or 0),
        min_disk=int(body.get("min_disk") or 0),
        min_ram=int(body.get("min_ram") or 0),
        disk_format=str(body.get("disk_format") or ""),
        container_format=str(body.get("container_format") or ""),
        owner=str(body.get("owner") or ""),
        properties={
            name: value
            for name, value in body.items()
            if name not in FACTS and isinstance(value, str)
        },
    )


class HttpImages(_Neighbour):
    """`computed.outside.Images` over the Image API v2."""

    async def show(self, image_id: str, *, token: str) -> ImageInfo:
        """An image."""
        path = f"/v2/images/{quote(image_id, safe='')}"
        return image_info(await self.call("GET", path, token=token))

    async def create(self, attributes: Mapping[str, Any], *, token: str) -> ImageInfo:
        """A queued image."""
        return image_info(await self.call("POST", "/v2/images", dict(attributes), token=token))

    async def fill(self, image_id: str, volume_id: str, snapshot_id: str) -> None:
        """Bytes by naming where they are."""
        url = f"ringstack://{volume_id}/{snapshot_id}"
        body = {"url": url, "validation_data": {}}
        reply = await self.reply("POST", f"/v2/images/{image_id}/locations", body)
        if reply.status == 409:  # an earlier attempt may have been heard
            shown = await self.show(image_id, token="")
            if shown.status in {"active", "importing"}:
                return
        check(reply, f"location of image {image_id}")

    async def patch(self, image_id: str, changes: Sequence[Any], *, token: str) -> None:
        """Change properties."""
        headers = {
            "X-Auth-Token": token,
            "Content-Type": "application/openstack-images-v2.1-json-patch",
        }
        path = f"/v2/images/{quote(image_id, safe='')}"
        reply = await self._client.call(
            "PATCH", path, list(changes), headers=headers, timeout_s=SHORT_S
        )
        check(reply, f"image {image_id}")

    async def backups_of(self, server_id: str, kind: str) -> list[str]:
        """Ids of backups, the newest first."""
        wanted = {
            "instance_uuid": server_id,
            "image_type": "backup",
            "backup_type": kind,
            "sort": "created_at:desc",
        }
        found = await self.call("GET", f"/v2/images?{urlencode(wanted)}")
        return [str(one["id"]) for one in found["images"]]

    async def put_empty(self, image_id: str) -> None:
        """No bytes."""
        headers = {
            "X-Auth-Token": self._identity.token(),
            "Content-Type": "application/octet-stream",
        }
        reply = await self._client.call(
            "PUT", f"/v2/images/{image_id}/file", b"", headers=headers, timeout_s=SHORT_S
        )
        if reply.status != 409:
            check(reply, f"image {image_id}")

    async def active(self, image_id: str) -> bool:
        """Whether it is."""
        return (await self.show(image_id, token="")).status == "active"

    async def delete(self, image_id: str) -> None:
        """Remove an image."""
        reply = await self.reply("DELETE", f"/v2/images/{image_id}")
        if reply.status != 404:
            check(reply, f"image {image_id}")


class HttpDaemons:
    """`computed.outside.Daemons`: each host's own, at the address that it reports."""

    def __init__(self, identity: ServiceIdentity) -> None:
        self._identity = identity

    async def _get(self, address: str, path: str) -> Reply:
        if not address:
            raise Unavailable("NoDaemon", "the host has not said where its consoles are")
        headers = {"X-Auth-Token": self._identity.token()}
        return await Client(f"http://{address}").call("GET", path, headers=headers, timeout_s=10)

    async def log(self, address: str, server_id: str) -> bytes:
        """The last of a server's serial console."""
        reply = await self._get(address, f"/log/{server_id}")
        if reply.status != 200:
            check(reply, "console log")
        return reply.body

    async def diagnostics(self, address: str, server_id: str) -> dict[str, Any]:
        """Counters of a machine."""
        found = check(await self._get(address, f"/diagnostics/{server_id}"), "diagnostics")
        return dict(found)
