"""`/routers`, their interfaces and extra routes."""

from __future__ import annotations

import ipaddress
from typing import Any, ClassVar

from core import rows
from core.api.call import Call
from core.api.route import Route
from core.database import Connection
from core.rows import Row
from networkd import ports, routers, serving, subnets
from networkd.api.networks import ZONES
from networkd.api.resource import (
    NAMED,
    STANDARD,
    TAGGED,
    Resource,
    check_revision,
    standard_view,
    target_of,
    touch,
)
from networkd.api.subnets import visible_network
from networkd.fault import NetworkFault, absent, bad, in_use, malformed
from networkd.listing import View
from networkd.ports import INTERFACE
from networkd.service import ZONE
from networkd.tables import router
from networkd.values import (
    SHOWN_ONLY,
    UNSET,
    Attribute,
    address,
    array,
    boolean,
    cidr,
    nothing_but,
    optional,
    record,
    uuid,
)

OUTSIDE = record({"subnet_id": uuid, "ip_address": address})
INFO = record(
    {
        "network_id": optional(uuid),
        "enable_snat": boolean,
        "external_fixed_ips": array(OUTSIDE, most=20, unique=False),
    }
)
ROUTE = record({"destination": cidr, "nexthop": address}, "destination", "nexthop")
ROUTES = array(ROUTE, most=100, unique=False)


class Routers(Resource):
    """Operations on routers."""

    singular = "router"
    plural = "routers"
    path = "/v2.0/routers"
    what = "Router"
    table = router.router
    pushed = ("name",)
    quota = "router"
    attributes: ClassVar = {
        **STANDARD,
        **NAMED,
        **TAGGED,
        "admin_state_up": Attribute(boolean, True),
        "external_gateway_info": Attribute(optional(INFO), UNSET),
        "routes": Attribute(ROUTES, [], post=False),
        "availability_zone_hints": Attribute(ZONES, [], put=False),
        "availability_zones": SHOWN_ONLY,
        "distributed": Attribute(optional(nothing_but(False)), False),
        "ha": Attribute(optional(nothing_but(False)), False),
        "flavor_id": Attribute(optional(nothing_but(None)), None, put=False),
        "status": SHOWN_ONLY,
    }

    def routes(self) -> list[Route]:
        """Also interfaces and extra routes."""
        single = f"{self.path}/{{id}}"
        return [
            *super().routes(),
            *(
                Route("PUT", f"{single}/{name}", name, handler, 200, _any_object)
                for name, handler in (
                    ("add_router_interface", self.add_interface),
                    ("remove_router_interface", self.remove_interface),
                    ("add_extraroutes", self.add_routes),
                    ("remove_extraroutes", self.remove_routes),
                )
            ),
        ]

    async def shown(self, db: Connection, found: list[Row]) -> list[View]:
        """With the addresses of their gateways."""
        gateways = [row["gateway_port_id"] for row in found if row["gateway_port_id"]]
        held = await ports.addresses_of(db, gateways)
        views = []
        for row in found:
            info = None
            if row["gateway_port_id"] is not None:
                info = {
                    "network_id": row["gateway_network_id"],
                    "enable_snat": row["enable_snat"],
                    "external_fixed_ips": [
                        {"subnet_id": one.subnet_id, "ip_address": one.address}
                        for one in held.get(row["gateway_port_id"], [])
                    ],
                }
            views.append(
                {
                    **standard_view(row),
                    "name": row["name"],
                    "admin_state_up": row["admin_state_up"],
                    "status": "ACTIVE",
                    "external_gateway_info": info,
                    "routes": row["routes"],
                    "availability_zone_hints": row["availability_zone_hints"],
                    "availability_zones": [ZONE] if row["host"] else [],
                    "distributed": False,
                    "ha": False,
                    "flavor_id": None,
                    "tags": row["tags"],
                }
            )
        return views

    async def create(self, db: Connection, call: Call, given: Row) -> str:
        """With a gateway when one is asked for."""
        row = {
            **self.new_row(given),
            "enable_snat": True,
            "gateway_port_id": None,
            "gateway_network_id": None,
            "host": "",
            "up": False,
            "routes": [],
        }
        await rows.insert(db, self.table, row)
        info = given.get("external_gateway_info")
        await self._check_outside(db, call, info)
        await routers.set_gateway(db, self.service, row, info)
        return str(row["id"])

    async def _check_outside(self, db: Connection, call: Call, info: Row | None) -> None:
        """The network must be one that the caller sees."""
        if info and info.get("network_id"):
            await visible_network(db, call, info["network_id"])

    async def update(self, db: Connection, call: Call, row: Row, given: Row) -> None:
        """Gateway and routes are checked against each other."""
        columns = {name: given[name] for name in given if name in self.table.c and name != "routes"}
        await rows.update(db, self.table, row["id"], columns)
        if "external_gateway_info" in given:
            await self._check_outside(db, call, given["external_gateway_info"])
            await routers.set_gateway(db, self.service, row, given["external_gateway_info"])
        if "routes" in given:
            await self._put_routes(db, row, given["routes"])

    async def _put_routes(self, db: Connection, row: Row, wanted: list[dict[str, str]]) -> None:
        unique = list({(one["destination"], one["nexthop"]): one for one in wanted}.values())
        await routers.check_routes(db, row, unique)
        await rows.update(db, self.table, row["id"], {"routes": unique})

    async def delete(self, db: Connection, call: Call, row: Row) -> None:
        """Unless it has inner legs."""
        del call
        if await routers.legs(db, row["id"], INTERFACE):
            raise in_use("RouterInUse", f"Router {row['id']} still has ports")
        await routers.clear_gateway(db, row)
        await rows.delete(db, self.table, self.table.c.id == row["id"])

    # interfaces

    async def _for_action(self, db: Connection, call: Call) -> Row:
        row, view = await self.seen(db, call, call.variables["id"])
        self.permit(call, call.route.rule, target_of(view))
        check_revision(call, row)
        return row

    def _named(self, call: Call) -> tuple[str | None, str | None]:
        unknown = sorted(set(call.body) - {"subnet_id", "port_id"})
        if unknown:
            raise malformed(f"Unrecognized attribute(s) '{unknown[0][:80]}'")
        found = [
            uuid(call.body[name], name) if call.body.get(name) is not None else None
            for name in ("subnet_id", "port_id")
        ]
        if found == [None, None]:
            raise bad("Either subnet_id or port_id must be specified")
        return found[0], found[1]

    async def _subnet(self, db: Connection, call: Call, name: str) -> Row:
        row = await subnets.get(db, name)
        try:
            await visible_network(db, call, row["network_id"])
        except NetworkFault:
            raise absent("Subnet", name) from None
        return row

    async def add_interface(self, call: Call) -> dict[str, Any]:
        """By a subnet, whose gateway's address it gets, or by a port."""
        subnet_id, port_id = self._named(call)
        if subnet_id and port_id:
            raise bad("Cannot specify both subnet-id and port-id")
        async with self.service.write() as db:
            row = await self._for_action(db, call)
            if subnet_id:
                subnet = await self._subnet(db, call, subnet_id)
                made = await routers.add_subnet(db, self.service, row, subnet)
                subnet_ids = [subnet_id]
            else:
                made = await ports.get(db, port_id or "")
                if made["project_id"] != row["project_id"] and not call.may("context_is_admin"):
                    raise absent("Port", made["id"])
                subnet_ids = await routers.add_port(db, self.service, row, made)
                await serving.refresh_dhcp(db, self.service, made["network_id"])
            await touch(db, self.service, self.table, row["id"])
        return _told(row, made, subnet_ids)

    async def remove_interface(self, call: Call) -> dict[str, Any]:
        """By a subnet, a port, or both."""
        subnet_id, port_id = self._named(call)
        async with self.service.write() as db:
            row = await self._for_action(db, call)
            for leg in await routers.legs(db, row["id"], INTERFACE):
                held = [choice.subnet_id for choice in leg.addresses]
                if port_id and leg.port["id"] != port_id:
                    continue
                if subnet_id and subnet_id not in held:
                    if port_id:
                        raise bad(
                            f"Subnet on port {port_id} does not match the requested subnet {subnet_id}.",
                            "SubnetMismatchForPort",
                        )
                    continue
                gone = [subnet_id] if subnet_id else held
                if port_id:
                    await routers.check_removable(db, row, leg, set(held))
                    await ports.drop(db, leg.port["id"])
                else:
                    await routers.remove_subnet(db, row, leg, gone[0])
                await touch(db, self.service, self.table, row["id"])
                return _told(row, leg.port, gone)
            if port_id:
                raise NetworkFault(
                    404,
                    "RouterInterfaceNotFound",
                    f"Router {row['id']} does not have an interface with id {port_id}",
                )
            await self._subnet(db, call, subnet_id or "")
            raise NetworkFault(
                404,
                "RouterInterfaceNotFoundForSubnet",
                f"Router {row['id']} has no interface on subnet {subnet_id}",
            )

    # extra routes, one by one

    async def add_routes(self, call: Call) -> dict[str, Any]:
        """Those that are there already stay."""
        return await self._change_routes(call, add=True)

    async def remove_routes(self, call: Call) -> dict[str, Any]:
        """Those that are not there do not matter."""
        return await self._change_routes(call, add=False)

    async def _change_routes(self, call: Call, *, add: bool) -> dict[str, Any]:
        item = self._inside(call)
        if not isinstance(item, dict) or set(item) != {"routes"}:
            raise malformed("The body must be a router with its routes.")
        wanted = ROUTES(item["routes"], "routes")
        async with self.service.write() as db:
            row = await self._for_action(db, call)
            after = [one for one in row["routes"] if not _same(one, wanted)]
            if add:
                await self._put_routes(db, row, after + wanted)
            else:
                await rows.update(db, self.table, row["id"], {"routes": after})
            await touch(db, self.service, self.table, row["id"])
            return {"router": await self.answer(db, call, row["id"])}


def _same(route: dict[str, str], others: list[dict[str, str]]) -> bool:
    return any(
        ipaddress.ip_network(route["destination"]) == ipaddress.ip_network(one["destination"])
        and route["nexthop"] == one["nexthop"]
        for one in others
    )


def _told(row: Row, leg: Row, subnet_ids: list[str]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "project_id": row["project_id"],
        "tenant_id": row["project_id"],
        "port_id": leg["id"],
        "network_id": leg["network_id"],
        "subnet_id": subnet_ids[0],
        "subnet_ids": subnet_ids,
        "tags": row["tags"],
    }


def _any_object(value: Any, where: str) -> None:
    del value, where
