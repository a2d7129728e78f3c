"""`/availability_zones`, `/service-providers` and `/network-ip-availabilities`: read, never changed."""

from __future__ import annotations

import ipaddress
from typing import Any

import sqlalchemy as sa

from core import rows
from core.api.call import Call
from core.api.route import Route
from core.database import Connection
from core.rows import Row
from networkd import networks, ports
from networkd.addresses import number
from networkd.api.resource import listed
from networkd.listing import View, asked, page
from networkd.service import ZONE, Service
from networkd.tables import network

FILTERS = ("network_id", "network_name", "tenant_id", "project_id", "ip_version")


class Overview:
    """What is known without being a thing of its own."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """What is served."""
        addresses = "/v2.0/network-ip-availabilities"
        return [
            Route("GET", "/v2.0/availability_zones", "get_availability_zone", self.zones),
            Route("GET", "/v2.0/service-providers", "get_service_provider", self.providers),
            Route("GET", addresses, "get_network_ip_availability", self.availabilities),
            Route(
                "GET",
                f"{addresses}/{{network_id}}",
                "get_network_ip_availability",
                self.availability,
            ),
        ]

    async def zones(self, call: Call) -> dict[str, Any]:
        """The one there is, for networks and for routers."""
        call.allow()
        wanted = asked(call.query.fields, ("name", "resource", "state"))
        views = [
            {"name": ZONE, "resource": resource, "state": "available"}
            for resource in ("network", "router")
        ]
        return listed(call, "availability_zones", page(views, wanted))

    async def providers(self, call: Call) -> dict[str, Any]:
        """Who makes routers."""
        call.allow()
        wanted = asked(call.query.fields, ("service_type", "name", "default"))
        views = [{"service_type": "L3_ROUTER_NAT", "name": "single_node", "default": True}]
        return listed(call, "service_providers", page([dict(view) for view in views], wanted))

    async def availabilities(self, call: Call) -> dict[str, Any]:
        """Of every network; to who may see none of them the list is empty."""
        call.allowed = True
        fields = [pair for pair in call.query.fields if pair[0] != "ip_version"]
        versions = {value for name, value in call.query.fields if name == "ip_version"}
        wanted = asked(fields, FILTERS)
        async with self._service.database.read() as db:
            allowed = call.may("get_network_ip_availability")
            found = await rows.matching(db, networks.TABLE) if allowed else []
            views = [await self._view(db, row, versions) for row in found]
        return listed(call, "network_ip_availabilities", page(views, wanted))

    async def availability(self, call: Call) -> dict[str, Any]:
        """Of one network."""
        call.allow()
        async with self._service.database.read() as db:
            row = await networks.get(db, call.variables["network_id"])
            return {"network_ip_availability": await self._view(db, row, set())}

    async def _view(self, db: Connection, row: Row, versions: set[str]) -> View:
        subnets = [
            subnet
            for subnet in await ports.subnets_of(db, row["id"])
            if not versions or str(subnet["ip_version"]) in versions
        ]
        addresses = ports.ADDRESSES
        statement = (
            sa.select(addresses.c.subnet_id, sa.func.count())
            .join(network.subnet, network.subnet.c.id == addresses.c.subnet_id)
            .where(network.subnet.c.network_id == row["id"])
            .group_by(addresses.c.subnet_id)
        )
        used = {str(name): int(count) for name, count in (await db.execute(statement)).all()}
        details = [
            {
                "subnet_id": subnet["id"],
                "subnet_name": subnet["name"],
                "ip_version": subnet["ip_version"],
                "cidr": subnet["cidr"],
                "total_ips": total(subnet),
                "used_ips": used.get(subnet["id"], 0),
            }
            for subnet in subnets
        ]
        return {
            "network_id": row["id"],
            "network_name": row["name"],
            "project_id": row["project_id"],
            "tenant_id": row["project_id"],
            "total_ips": sum(one["total_ips"] for one in details),
            "used_ips": sum(one["used_ips"] for one in details),
            "subnet_ip_availability": details,
        }


def total(subnet: Row) -> int:
    """How many addresses ports may have in a subnet: those of its pools, or all that hosts can have."""
    pools = subnet["allocation_pools"]
    if pools:
        return sum(number(pool["end"]) - number(pool["start"]) + 1 for pool in pools)
    return int(ipaddress.ip_network(subnet["cidr"]).num_addresses)
