"""`/servers`: create, list, show, change, delete, addresses."""

from __future__ import annotations

import operator as op
from functools import partial
from typing import Any

import sqlalchemy as sa

from computed import creating, listing, making, servers
from computed.api import server_shape
from computed.api.paths import both, links
from computed.api.server_view import addresses, brief, context_of, full, view
from computed.api.shape import truth
from computed.fault import absent
from computed.listing import Page
from computed.servers import TABLE, Doing
from computed.service import Service
from computed.sight import about, allow_own, allowed, row_of
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import Shape, plain_object
from core.database import Connection
from core.rows import Row

API = "os_compute_api:"
DELETE_S = 600


class Servers:
    """Operations on servers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/servers", "/servers/{server_id}"
        update = Shape({"server": plain_object}, ["server"], more=False)
        return both(
            [
                Route("GET", top, f"{API}servers:index", self.list),
                Route("GET", f"{top}/detail", f"{API}servers:detail", self.detail),
                Route("POST", top, f"{API}servers:create", self.create, 202, server_shape.CREATE),
                Route("GET", single, f"{API}servers:show", self.show),
                Route("PUT", single, f"{API}servers:update", self.update, 200, update),
                Route("DELETE", single, f"{API}servers:delete", self.delete, 204),
                Route("GET", f"{single}/ips", f"{API}ips:index", self.ips),
                Route("GET", f"{single}/ips/{{network}}", f"{API}ips:show", self.network_ips),
            ]
        )

    def _scope(self, call: Call, rule: str) -> list[sa.ColumnElement[bool]]:
        """Whose servers are listed."""
        allow_own(call)
        asked = call.query.get("all_tenants")
        if asked is not None and listing.truth(asked or "1", "all_tenants"):
            call.allow(rule + ":get_all_tenants")
            wanted = call.query.get("project_id") or call.query.get("tenant_id")
            return [TABLE.c.project_id == wanted] if wanted else []
        return [TABLE.c.project_id == call.identity.project_id]

    async def _page(self, db: Connection, call: Call, rule: str) -> Page:
        if call.microversion >= (2, 75):
            _check_fields(call)
        return await listing.page_of_servers(db, call, *self._scope(call, rule))

    async def list(self, call: Call) -> dict[str, Any]:
        """Names and links."""
        async with self._database.read() as db:
            found = await self._page(db, call, f"{API}servers:index")
        body: dict[str, Any] = {"servers": [brief(call, row) for row in found.rows]}
        return body | listing.next_link(call, "servers", found)

    async def detail(self, call: Call) -> dict[str, Any]:
        """With everything."""
        async with self._database.read() as db:
            found = await self._page(db, call, f"{API}servers:detail")
            context = await context_of(db, self._service, call, found.rows)
        shown = [full(call, row, context, single=False) for row in found.rows]
        return {"servers": shown} | listing.next_link(call, "servers", found)

    async def create(self, call: Call) -> Answer:
        """Accept new servers."""
        given: Row = dict(call.part("server"))
        hints = call.body.get("os:scheduler_hints") or call.body.get("OS-SCH-HNT:scheduler_hints")
        hints = hints or given.pop("os:scheduler_hints", None) or {}
        hints = hints or given.pop("OS-SCH-HNT:scheduler_hints", None) or {}
        allow_own(call)
        server_shape.fit(
            given, server_shape.CREATED, call.microversion, required=("name", "flavorRef")
        )
        server_shape.hints(hints, "os:scheduler_hints")
        target = about({"project_id": call.identity.project_id, "user_id": call.identity.user_id})
        if given.get("networks"):
            call.allow(f"{API}servers:create:attach_network", of=target)
        if given.get("block_device_mapping_v2") or given.get("block_device_mapping"):
            call.allow(f"{API}servers:create:attach_volume", of=target)
        wanted = await creating.look_up(self._service, call, given, hints)
        async with self._database.write() as db:
            made = await creating.create(db, self._service, call, wanted)
        self._service.wake()
        if truth(given.get("return_reservation_id", False)):
            return Answer({"reservation_id": made[0]["reservation_id"]})
        row = made[0]
        shown: dict[str, Any] = {
            "id": row["id"],
            "links": links(call, "servers", row["id"]),
            "OS-DCF:diskConfig": row["disk_config"],
            "security_groups": [{"name": name} for name in row["security_groups"]],
            "adminPass": given.get("adminPass") or making.password(self._service),
        }
        return Answer({"server": shown}, headers=(("Location", shown["links"][0]["href"]),))

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a server."""
        async with self._database.read() as db:
            row = await allowed(db, call)
            return {"server": await view(db, self._service, call, row)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change its name, description, addresses that are told, or host name."""
        given = call.part("server")
        server_shape.fit(given, server_shape.UPDATED, call.microversion)
        names = {
            "name": "name",
            "description": "description",
            "accessIPv4": "access_ipv4",
            "accessIPv6": "access_ipv6",
            "OS-DCF:diskConfig": "disk_config",
            "hostname": "hostname",
        }
        async with self._database.write() as db:
            row = await allowed(db, call)
            columns = {names[key]: value or None for key, value in given.items()}
            for name in ("access_ipv4", "access_ipv6"):
                if name in columns:
                    columns[name] = making.canonical(columns[name])
            await servers.change(db, self._service, row["id"], **columns)
            row = await servers.get(db, row["id"])
            shown = await view(db, self._service, call, row)
        if call.microversion < (2, 75):
            for name in ("OS-EXT-AZ:availability_zone", "key_name", "config_drive", *EXTENDED):
                shown.pop(name, None)
            shown = {k: v for k, v in shown.items() if not k.startswith("OS-EXT-SRV-ATTR:")}
            shown.pop("security_groups", None)
            shown.pop("host_status", None)
            shown["addresses"] = {net: plain(held) for net, held in shown["addresses"].items()}
        return {"server": shown}

    async def delete(self, call: Call) -> None:
        """Accept a removal."""
        async with self._database.write() as db:
            row = await allowed(db, call)
            servers.check_unlocked(call, row)
            await begin_delete(db, self._service, call, row)
        self._service.wake()
        self._service.reported.wake()

    async def ips(self, call: Call) -> dict[str, Any]:
        """Addresses by network."""
        async with self._database.read() as db:
            row = await allowed(db, call)
            found = addresses(await servers.nics_of(db, row["id"]))
        return {"addresses": {name: plain(held) for name, held in found.items()}}

    async def network_ips(self, call: Call) -> dict[str, Any]:
        """Addresses in one network."""
        async with self._database.read() as db:
            row = await row_of(db, call)
            call.allow(of=about(row))
            found = addresses(await servers.nics_of(db, row["id"]))
        name = call.variables["network"]
        if name not in found:
            raise absent("Network", name)
        return {name: plain(found[name])}


EXTENDED = (
    "OS-EXT-STS:power_state",
    "OS-EXT-STS:task_state",
    "OS-EXT-STS:vm_state",
    "OS-SRV-USG:launched_at",
    "OS-SRV-USG:terminated_at",
    "os-extended-volumes:volumes_attached",
)
KNOWN_FIELDS = (
    frozenset(listing.EXACT) | frozenset(listing.PATTERNS) | listing.EVERYONES | listing.SINCE_83
)
KNOWN_FIELDS |= {
    "limit",
    "marker",
    "sort_key",
    "sort_dir",
    "all_tenants",
    "deleted",
    "ip6",
    "locked",
}
KNOWN_FIELDS |= {"tags", "tags-any", "not-tags", "not-tags-any", "changes-before", "soft_deleted"}
KNOWN_FIELDS |= {"access_ip_v4", "access_ip_v6", "auto_disk_config", "image_ref", "node"}
KNOWN_FIELDS |= {"kernel_id", "ramdisk_id", "locked_by", "root_device_name", "display_description"}


def _check_fields(call: Call) -> None:
    """From 2.75 on, what is no filter is refused."""
    for name, _ in call.query.fields:
        if name not in KNOWN_FIELDS:
            raise bad_request(
                f"Additional properties are not allowed ('{name[:80]}' was unexpected)"
            )


def plain(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Addresses without what extensions add."""
    shown = partial(map, op.itemgetter("version", "addr"))
    return [{"version": version, "addr": addr} for version, addr in shown(found)]


async def begin_delete(db: Connection, service: Service, call: Call, row: Row) -> None:
    """Mark a server and write the work that removes it; again does nothing."""
    if row["task_state"] == "deleting":
        return
    if row["vm_state"] == "deleted":
        raise Fault(404, f"Instance {row['id']} could not be found.")
    doing = Doing("delete", "server.delete", "deleting", DELETE_S)
    await servers.begin(db, service, call, row, doing, {"progress": 0})
