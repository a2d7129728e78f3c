"""What version 2.1 passed on to other services until 2.35: images, networks, security groups, floating IPs, volumes.

Clients that still speak so are served from those services with their own token; later versions do not have these calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from computed import listing
from computed.api.paths import both, links
from computed.api.shape import metadata, one
from computed.making import token_of
from computed.service import Service
from computed.sight import own_project
from core.api.call import Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import Shape, nullable, plain_object, text
from core.rows import Row

API = "os_compute_api:"
UNTIL = (2, 35)
IMAGE_STATUSES = {
    "active": "ACTIVE",
    "queued": "SAVING",
    "saving": "SAVING",
    "importing": "SAVING",
    "deleted": "DELETED",
    "pending_delete": "DELETED",
}
OPEN_STATUSES = {"ACTIVE": "active", "SAVING": "saving", "DELETED": "deleted"}


def said(body: Any) -> str:
    """The message of a refusal."""
    while isinstance(body, dict):
        if isinstance(body.get("message"), str):
            return str(body["message"])
        inner = [value for value in body.values() if isinstance(value, dict)]
        if not inner:
            break
        body = inner[0]
    return "The request was refused."


class Asking:
    """One caller's requests to the services behind."""

    def __init__(self, service: Service, call: Call) -> None:
        self._networks = service.networks
        self._images = service.images
        self._token = token_of(call)

    async def network(self, method: str, path: str, body: Any = None, *, what: str = "") -> Any:
        """To the Networking API. Raises Fault as it refuses."""
        status, found = await self._networks.ask(method, f"/v2.0{path}", body, token=self._token)
        return _checked(status, found, what)

    async def image(self, method: str, path: str, body: Any = None, *, what: str = "") -> Any:
        """To the Image API."""
        status, found = await self._images.ask(method, f"/v2{path}", body, token=self._token)
        return _checked(status, found, what)


def _checked(status: int, found: Any, what: str) -> Any:
    if status < 300:
        return found
    if status == 404:
        raise Fault(404, f"{what} could not be found." if what else said(found))
    if status == 409:
        raise Fault(409 if "in use" in said(found).lower() else 400, said(found))
    raise Fault(status if status in {400, 401, 403, 413, 503} else 500, said(found))


class ImageProxy:
    """`/images`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """What is served; metadata goes until 2.38."""
        top, single, rule = "/images", "/images/{image_id}", f"{API}images"
        many, key, notes = (
            f"{single}/metadata",
            f"{single}/metadata/{{key}}",
            f"{API}image-metadata",
        )
        return both(
            [
                Route("GET", top, rule, self.list),
                Route("GET", f"{top}/detail", rule, self.detail),
                Route("GET", single, rule, self.show),
                Route("DELETE", single, rule, self.delete, 204),
            ],
            until=UNTIL,
        ) + both(
            [
                Route("GET", many, rule, self.metadata),
                Route("POST", many, notes, self.add, 200, one("metadata", metadata)),
                Route("PUT", many, notes, self.replace, 200, one("metadata", metadata)),
                Route("GET", key, rule, self.item),
                Route("PUT", key, notes, self.set_item, 200, one("meta", metadata)),
                Route("DELETE", key, notes, self.remove_item, 204),
            ],
            until=(2, 38),
        )

    def _ask(self, call: Call) -> Asking:
        call.allow(of={"project_id": own_project(call)})
        return Asking(self._service, call)

    async def _image(self, call: Call) -> Row:
        image_id = call.variables["image_id"]
        path = f"/images/{quote(image_id, safe='')}"
        found = await self._ask(call).image("GET", path, what=f"Image {image_id[:80]}")
        return dict(found)

    async def _images(self, call: Call) -> Sequence[Row]:
        fields: list[tuple[str, str]] = []
        for name, value in call.query.fields:
            if name in {"name", "limit", "marker"}:
                fields.append((name, value))
            elif name == "status":
                fields.append(("status", OPEN_STATUSES.get(value.upper(), value.lower())))
            elif name == "changes-since":
                fields.append(("updated_at", f"gte:{value}"))
            elif name == "type":
                fields.append(("image_type", value))
            elif name == "server":
                fields.append(("instance_uuid", value.rpartition("/")[2]))
            elif name in {"minRam", "minDisk"}:
                fields.append(({"minRam": "min_ram", "minDisk": "min_disk"}[name], value))
        listing.whole(call, "limit")
        found = await self._ask(call).image("GET", f"/images?{urlencode(fields)}")
        return list(found["images"])

    def _shown(self, call: Call, image: Row) -> dict[str, Any]:
        held = {
            name: str(value)
            for name, value in image.items()
            if name not in KNOWN and value is not None
        }
        body: dict[str, Any] = {
            "id": image["id"],
            "name": image.get("name"),
            "status": IMAGE_STATUSES.get(image["status"], "UNKNOWN"),
            "progress": {"active": 100, "saving": 50, "queued": 25}.get(image["status"], 0),
            "minRam": image.get("min_ram", 0),
            "minDisk": image.get("min_disk", 0),
            "metadata": held,
            "created": image.get("created_at"),
            "updated": image.get("updated_at"),
            "OS-EXT-IMG-SIZE:size": image.get("size") or 0,
            "links": [
                *links(call, "images", image["id"]),
                {
                    "rel": "alternate",
                    "type": "application/vnd.openstack.image",
                    "href": call.url("images", image["id"]).replace("/compute/", "/image/v2/"),
                },
            ],
        }
        server_id = image.get("instance_uuid")
        if server_id:
            own = links(call, "servers", server_id)
            body["server"] = {"id": server_id, "links": own}
        return body

    async def list(self, call: Call) -> dict[str, Any]:
        """Names and links."""
        shown = []
        for image in await self._images(call):
            full = self._shown(call, image)
            shown.append({name: full[name] for name in ("id", "name", "links")})
        return {"images": shown} | self._more(call, shown)

    async def detail(self, call: Call) -> dict[str, Any]:
        """With everything."""
        shown = [self._shown(call, image) for image in await self._images(call)]
        return {"images": shown} | self._more(call, shown)

    def _more(self, call: Call, shown: Any) -> dict[str, Any]:
        limit = listing.whole(call, "limit")
        page = listing.Page(shown, bool(limit) and len(shown) == limit)
        return listing.next_link(call, "images", page)

    async def show(self, call: Call) -> dict[str, Any]:
        """One."""
        return {"image": self._shown(call, await self._image(call))}

    async def delete(self, call: Call) -> None:
        """Remove it."""
        image_id = call.variables["image_id"]
        path = f"/images/{quote(image_id, safe='')}"
        await self._ask(call).image("DELETE", path, what=f"Image {image_id[:80]}")

    async def metadata(self, call: Call) -> dict[str, Any]:
        """Its properties."""
        return {"metadata": self._shown(call, await self._image(call))["metadata"]}

    async def _patch(self, call: Call, before: dict[str, str], after: dict[str, str]) -> None:
        changes: list[Row] = []
        for name in sorted(before.keys() | after.keys()):
            where = "/" + name.replace("~", "~0").replace("/", "~1")
            if name not in after:
                changes.append({"op": "remove", "path": where})
            elif name not in before:
                changes.append({"op": "add", "path": where, "value": after[name]})
            elif before[name] != after[name]:
                changes.append({"op": "replace", "path": where, "value": after[name]})
        if changes:
            await self._service.images.patch(
                call.variables["image_id"], changes, token=token_of(call)
            )

    async def add(self, call: Call) -> dict[str, Any]:
        """Add to them."""
        before = self._shown(call, await self._image(call))["metadata"]
        after = {**before, **call.part("metadata")}
        await self._patch(call, before, after)
        return {"metadata": after}

    async def replace(self, call: Call) -> dict[str, Any]:
        """Others in their place."""
        before = self._shown(call, await self._image(call))["metadata"]
        await self._patch(call, before, call.part("metadata"))
        return {"metadata": call.part("metadata")}

    async def item(self, call: Call) -> dict[str, Any]:
        """One of them."""
        key = call.variables["key"]
        held = self._shown(call, await self._image(call))["metadata"]
        if key not in held:
            raise Fault(404, "Metadata item was not found")
        return {"meta": {key: held[key]}}

    async def set_item(self, call: Call) -> dict[str, Any]:
        """Set one."""
        given, key = call.part("meta"), call.variables["key"]
        if list(given) != [key]:
            raise bad_request("Request body and URI mismatch")
        before = self._shown(call, await self._image(call))["metadata"]
        await self._patch(call, before, {**before, **given})
        return {"meta": given}

    async def remove_item(self, call: Call) -> None:
        """Remove one."""
        key = call.variables["key"]
        before = self._shown(call, await self._image(call))["metadata"]
        if key not in before:
            raise Fault(404, "Metadata item was not found")
        after = {name: value for name, value in before.items() if name != key}
        await self._patch(call, before, after)


KNOWN = frozenset(
    {"id", "status", "name", "disk_format", "container_format", "size", "virtual_size"}
    | {"min_disk", "min_ram", "checksum", "file", "schema", "self", "owner", "visibility"}
    | {"tags", "created_at", "updated_at", "protected", "os_hash_algo", "os_hash_value"}
    | {"os_hidden", "locations", "direct_url", "stores"}
)
GROUP = one(
    "security_group", Shape({"name": nullable(text(0, 255)), "description": nullable(text(0, 255))})
)
RULE = Shape({"security_group_rule": plain_object}, ["security_group_rule"])


class NetworkProxy:
    """Networks, floating IPs and security groups."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """What is served."""
        groups, rules = "/os-security-groups", "/os-security-group-rules"
        floating = "/os-floating-ips"
        rule = f"{API}os-security-groups"
        return both(
            [
                Route("GET", "/os-networks", f"{API}os-networks:list", self.networks),
                Route("GET", "/os-networks/{network_id}", f"{API}os-networks:show", self.network),
                Route("GET", "/os-tenant-networks", f"{API}os-tenant-networks:list", self.own),
                Route(
                    "GET",
                    "/os-tenant-networks/{network_id}",
                    f"{API}os-tenant-networks:show",
                    self.own_one,
                ),
                Route("GET", "/os-floating-ip-pools", f"{API}os-floating-ip-pools", self.pools),
                Route("GET", floating, f"{API}os-floating-ips:list", self.floating),
                Route("POST", floating, f"{API}os-floating-ips:create", self.allocate, 200),
                Route("GET", f"{floating}/{{floating_id}}", f"{API}os-floating-ips:show", self.one),
                Route(
                    "DELETE",
                    f"{floating}/{{floating_id}}",
                    f"{API}os-floating-ips:delete",
                    self.free,
                    202,
                ),
                Route("GET", groups, f"{rule}:get", self.groups),
                Route("POST", groups, f"{rule}:create", self.create_group, 200, GROUP),
                Route("GET", f"{groups}/{{group_id}}", f"{rule}:show", self.group),
                Route(
                    "PUT", f"{groups}/{{group_id}}", f"{rule}:update", self.change_group, 200, GROUP
                ),
                Route("DELETE", f"{groups}/{{group_id}}", f"{rule}:delete", self.delete_group, 202),
                Route("POST", rules, f"{rule}:rule:create", self.create_rule, 200, RULE),
                Route(
                    "DELETE", f"{rules}/{{rule_id}}", f"{rule}:rule:delete", self.delete_rule, 202
                ),
            ],
            until=UNTIL,
        ) + both(
            [
                Route(
                    "GET", "/servers/{server_id}/os-security-groups", f"{rule}:list", self.of_server
                )
            ]
        )

    def _ask(self, call: Call) -> Asking:
        call.allow(of={"project_id": own_project(call), "user_id": call.identity.user_id})
        return Asking(self._service, call)

    async def _networks(self, call: Call) -> list[Row]:
        found = await self._ask(call).network("GET", "/networks")
        return list(found["networks"])

    async def networks(self, call: Call) -> dict[str, Any]:
        """Networks."""
        return {
            "networks": [
                {"id": row["id"], "label": row["name"]} for row in await self._networks(call)
            ]
        }

    async def _one_network(self, call: Call) -> Row:
        name = call.variables["network_id"]
        path = f"/networks/{quote(name, safe='')}"
        found = await self._ask(call).network("GET", path, what=f"Network {name[:80]}")
        return dict(found["network"])

    async def network(self, call: Call) -> dict[str, Any]:
        """One."""
        row = await self._one_network(call)
        return {"network": {"id": row["id"], "label": row["name"]}}

    async def own(self, call: Call) -> dict[str, Any]:
        """The same, as another extension shows them."""
        found = await self._networks(call)
        return {
            "networks": [{"id": row["id"], "label": row["name"], "cidr": "None"} for row in found]
        }

    async def own_one(self, call: Call) -> dict[str, Any]:
        """One."""
        row = await self._one_network(call)
        return {"network": {"id": row["id"], "label": row["name"], "cidr": "None"}}

    async def _external(self, ask: Asking) -> list[Row]:
        found = await ask.network("GET", "/networks?router:external=true")
        return list(found["networks"])

    async def pools(self, call: Call) -> dict[str, Any]:
        """Networks that floating IPs come from."""
        found = await self._external(self._ask(call))
        return {"floating_ip_pools": [{"name": row["name"] or row["id"]} for row in found]}

    async def _floating_shown(self, ask: Asking, row: Row) -> dict[str, Any]:
        pools = {one_of["id"]: one_of["name"] for one_of in await self._external(ask)}
        server_id = None
        if row.get("port_id"):
            port = await ask.network("GET", f"/ports/{row['port_id']}")
            server_id = port["port"].get("device_id") or None
        return {
            "id": row["id"],
            "ip": row["floating_ip_address"],
            "pool": pools.get(row["floating_network_id"], row["floating_network_id"]),
            "fixed_ip": row.get("fixed_ip_address"),
            "instance_id": server_id,
        }

    async def floating(self, call: Call) -> dict[str, Any]:
        """Floating IPs of the project."""
        ask = self._ask(call)
        found = await ask.network("GET", f"/floatingips?tenant_id={quote(own_project(call))}")
        return {
            "floating_ips": [await self._floating_shown(ask, row) for row in found["floatingips"]]
        }

    async def one(self, call: Call) -> dict[str, Any]:
        """One."""
        ask, name = self._ask(call), call.variables["floating_id"]
        path = f"/floatingips/{quote(name, safe='')}"
        found = await ask.network("GET", path, what=f"Floating IP {name[:80]}")
        return {"floating_ip": await self._floating_shown(ask, found["floatingip"])}

    async def allocate(self, call: Call) -> dict[str, Any]:
        """A new one."""
        ask = self._ask(call)
        wanted = call.raw and _json(call).get("pool")
        pools = await self._external(ask)
        if wanted:
            pools = [row for row in pools if wanted in {row["name"], row["id"]}]
        if not pools:
            raise Fault(404, "Floating IP pool not found.")
        body = {"floatingip": {"floating_network_id": pools[0]["id"]}}
        found = await ask.network("POST", "/floatingips", body)
        return {"floating_ip": await self._floating_shown(ask, found["floatingip"])}

    async def free(self, call: Call) -> None:
        """Give one back."""
        name = call.variables["floating_id"]
        path = f"/floatingips/{quote(name, safe='')}"
        await self._ask(call).network("DELETE", path, what=f"Floating IP {name[:80]}")

    async def _group(self, row: Row) -> dict[str, Any]:
        ids = {one_of.get("remote_group_id") for one_of in row.get("security_group_rules", ())}
        names = await self._names(ids)
        return {
            "id": row["id"],
            "name": row["name"],
            "description": row.get("description") or "",
            "tenant_id": row.get("tenant_id") or row.get("project_id"),
            "rules": [
                self._rule(one_of, names)
                for one_of in row.get("security_group_rules", ())
                if one_of["direction"] == "ingress"
            ],
        }

    def _rule(self, row: Row, names: Mapping[str, str]) -> dict[str, Any]:
        protocol = row.get("protocol")
        low, high = row.get("port_range_min"), row.get("port_range_max")
        if protocol is None and low is None:
            low = high = None
        elif low is None:
            low, high = (-1, -1) if protocol in {"icmp", "icmpv6"} else (1, 65535)
        prefix = row.get("remote_ip_prefix")
        if prefix is None and not row.get("remote_group_id"):
            prefix = "::/0" if row.get("ethertype") == "IPv6" else "0.0.0.0/0"
        return {
            "id": row["id"],
            "parent_group_id": row["security_group_id"],
            "ip_protocol": protocol,
            "from_port": low,
            "to_port": high,
            "ip_range": {"cidr": prefix} if prefix else {},
            "group": {
                "name": names.get(row["remote_group_id"], row["remote_group_id"]),
                "tenant_id": row.get("tenant_id") or row.get("project_id"),
            }
            if row.get("remote_group_id")
            else {},
        }

    async def _names(self, ids: set[str | None]) -> dict[str, str]:
        """Names of the groups that rules point at."""
        return await self._service.networks.group_names(sorted(one_of for one_of in ids if one_of))

    async def groups(self, call: Call) -> dict[str, Any]:
        """Security groups of the project."""
        ask = self._ask(call)
        query = (
            ""
            if call.query.get("all_tenants") and call.may("context_is_admin")
            else f"?tenant_id={quote(own_project(call))}"
        )
        found = await ask.network("GET", f"/security-groups{query}")
        return {"security_groups": [await self._group(row) for row in found["security_groups"]]}

    def _group_path(self, call: Call) -> tuple[str, str]:
        name = call.variables["group_id"]
        if len(name.replace("-", "")) != 32:
            raise bad_request("Security group id should be uuid")
        return f"/security-groups/{quote(name, safe='')}", f"Security group {name}"

    async def group(self, call: Call) -> dict[str, Any]:
        """One."""
        ask = self._ask(call)
        path, what = self._group_path(call)
        found = await ask.network("GET", path, what=what)
        return {"security_group": await self._group(found["security_group"])}

    def _named(self, call: Call) -> dict[str, Any]:
        given = call.part("security_group")
        for name in ("name", "description"):
            value = given.get(name)
            if name == "name" and (value is None or not value.strip()):
                raise bad_request(f"Security group {name} cannot be empty.")
        return {
            "name": given["name"],
            "description": (given.get("description") or "").strip(),
        }

    async def create_group(self, call: Call) -> dict[str, Any]:
        """A new one."""
        ask = self._ask(call)
        found = await ask.network("POST", "/security-groups", {"security_group": self._named(call)})
        return {"security_group": await self._group(found["security_group"])}

    async def change_group(self, call: Call) -> dict[str, Any]:
        """Another name or description."""
        ask = self._ask(call)
        path, what = self._group_path(call)
        body = {"security_group": self._named(call)}
        found = await ask.network("PUT", path, body, what=what)
        return {"security_group": await self._group(found["security_group"])}

    async def delete_group(self, call: Call) -> None:
        """Remove it."""
        ask = self._ask(call)
        path, what = self._group_path(call)
        try:
            await ask.network("DELETE", path, what=what)
        except Fault as fault:
            raise Fault(400 if fault.status == 409 else fault.status, fault.message) from None

    async def create_rule(self, call: Call) -> dict[str, Any]:
        """A new rule."""
        ask, given = self._ask(call), call.part("security_group_rule")
        group_id = str(given.get("parent_group_id") or "")
        if len(group_id.replace("-", "")) != 32:
            raise bad_request("Security group id should be uuid")
        await ask.network("GET", f"/security-groups/{group_id}", what=f"Security group {group_id}")
        protocol = given.get("ip_protocol")
        low, high = _port(given, "from_port"), _port(given, "to_port")
        cidr = given.get("cidr")
        if protocol is None and not given.get("group_id"):
            raise bad_request("IP protocol is required.")
        if low is not None and high is not None and low > high >= 0:
            raise bad_request("Former value cannot be greater than the later")
        rule: Row = {
            "security_group_id": group_id,
            "direction": "ingress",
            "ethertype": "IPv6" if ":" in str(cidr or "") else "IPv4",
        }
        if protocol is not None:
            rule["protocol"] = str(protocol).lower()
        if low is not None and low >= 0:
            rule["port_range_min"] = low
        if high is not None and high >= 0:
            rule["port_range_max"] = high
        if given.get("group_id"):
            rule["remote_group_id"] = given["group_id"]
        elif cidr:
            rule["remote_ip_prefix"] = cidr
        found = await ask.network("POST", "/security-group-rules", {"security_group_rule": rule})
        made = found["security_group_rule"]
        names = await self._names({made.get("remote_group_id")})
        return {"security_group_rule": self._rule(made, names)}

    async def delete_rule(self, call: Call) -> None:
        """Remove one."""
        name = call.variables["rule_id"]
        if len(name.replace("-", "")) != 32:
            raise bad_request("Rule id should be uuid")
        path = f"/security-group-rules/{quote(name, safe='')}"
        await self._ask(call).network("DELETE", path, what=f"Security group rule {name}")

    async def of_server(self, call: Call) -> dict[str, Any]:
        """Those on a server's ports."""
        ask, server_id = self._ask(call), call.variables["server_id"]
        found = await ask.network("GET", f"/ports?device_id={quote(server_id)}")
        ids = {group for port in found["ports"] for group in port.get("security_groups", ())}
        if not ids:
            return {"security_groups": []}
        query = urlencode([("id", one_of) for one_of in sorted(ids)])
        held = await ask.network("GET", f"/security-groups?{query}")
        return {"security_groups": [await self._group(row) for row in held["security_groups"]]}


def _port(given: Row, name: str) -> int | None:
    value = given.get(name)
    if value is None or value == "":
        return None
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise bad_request(f"Invalid {name}: {str(value)[:80]}") from None
    if not -1 <= number <= 65535:
        raise bad_request(f"Invalid port range {number}")
    return number


def _json(call: Call) -> Row:

    try:
        found = msgspec.json.decode(call.raw)
    except msgspec.MsgspecError:
        raise bad_request("Expecting to find valid JSON in the request body.") from None
    return found if isinstance(found, dict) else {}
