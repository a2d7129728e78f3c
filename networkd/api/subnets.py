"""`/subnets`: addresses of networks."""

from __future__ import annotations

import ipaddress
from typing import Any, ClassVar

import sqlalchemy as sa

from core import rows
from core.api.call import Call
from core.database import Connection
from core.rows import Row
from networkd import networks, ports, serving, subnets
from networkd.addresses import check_pools, default_gateway, default_pools
from networkd.api.resource import (
    NAMED,
    STANDARD,
    TAGGED,
    Conditions,
    Resource,
    standard_view,
    touch,
)
from networkd.fault import absent, bad, invalid
from networkd.listing import View
from networkd.tables import network
from networkd.values import (
    REQUIRED,
    SHOWN_ONLY,
    Attribute,
    address,
    array,
    boolean,
    choice,
    cidr,
    integer,
    nothing_but,
    optional,
    plain,
    record,
    uuid,
)

VERSION = integer(4, 6)
MODES = choice("slaac", "dhcpv6-stateful", "dhcpv6-stateless")
POOL = record({"start": address, "end": address}, "start", "end")
ROUTE = record({"destination": cidr, "nexthop": address}, "destination", "nexthop")


class Subnets(Resource):
    """Operations on subnets."""

    singular = "subnet"
    plural = "subnets"
    path = "/v2.0/subnets"
    what = "Subnet"
    table = network.subnet
    pushed = ("name", "network_id", "cidr", "subnetpool_id")
    quota = "subnet"
    attributes: ClassVar = {
        **STANDARD,
        **NAMED,
        **TAGGED,
        "network_id": Attribute(uuid, REQUIRED, put=False),
        "ip_version": Attribute(VERSION, REQUIRED, put=False),
        "cidr": Attribute(optional(cidr), None, put=False),
        "gateway_ip": Attribute(optional(address)),
        "allocation_pools": Attribute(array(POOL)),
        "enable_dhcp": Attribute(boolean, True),
        "dns_nameservers": Attribute(array(address), []),
        "host_routes": Attribute(array(ROUTE), []),
        "ipv6_ra_mode": Attribute(optional(MODES), None, put=False),
        "ipv6_address_mode": Attribute(optional(MODES), None, put=False),
        "subnetpool_id": Attribute(optional(plain(64)), None, put=False),
        "prefixlen": Attribute(optional(integer(0, 128)), None, put=False),
        "use_default_subnetpool": Attribute(boolean, False, put=False),
        "service_types": Attribute(array(plain(64)), []),
        "segment_id": Attribute(optional(nothing_but(None)), None),
        "router:external": SHOWN_ONLY,
        "shared": SHOWN_ONLY,
    }

    def known(self) -> set[str]:
        """Networks are shared, not subnets; yet lists may be filtered by it."""
        return super().known() - {"prefixlen", "use_default_subnetpool"}

    def sight(self, call: Call) -> Conditions:
        """One's own, and all of networks that are one's own, shared or external."""
        table = network.network
        own = table.c.project_id == call.identity.project_id
        seen = sa.select(table.c.id).where(sa.or_(own, table.c.shared, table.c.external))
        return [*super().sight(call), self.table.c.network_id.in_(seen)]

    async def shown(self, db: Connection, found: list[Row]) -> list[View]:
        """With what policy wants to know of their networks."""
        table = network.network
        statement = sa.select(table.c.id, table.c.project_id, table.c.shared, table.c.external)
        if len(found) == 1:
            statement = statement.where(table.c.id == found[0]["network_id"])
        homes = {row["id"]: row for row in await rows.rows(db, statement)}
        return [self._view(row, homes[row["network_id"]]) for row in found]

    def _view(self, row: Row, home: Row) -> View:
        plain_ones = (
            "name",
            "network_id",
            "ip_version",
            "cidr",
            "gateway_ip",
            "enable_dhcp",
            "allocation_pools",
            "dns_nameservers",
            "host_routes",
            "ipv6_ra_mode",
            "ipv6_address_mode",
            "subnetpool_id",
            "service_types",
            "tags",
        )
        return {
            **standard_view(row),
            **{name: row[name] for name in plain_ones},
            "segment_id": None,
            "router:external": home["external"],
            "_shared": home["shared"],
            "_target": {"network:project_id": home["project_id"]},
        }

    async def surroundings(self, db: Connection, call: Call, given: Row) -> dict[str, Any]:
        """The network, which the caller must be able to see."""
        home = await visible_network(db, call, given["network_id"])
        return {"network:project_id": home["project_id"], "shared": home["shared"]}

    async def create(self, db: Connection, call: Call, given: Row) -> str:
        """From the cidr given, or cut from a pool."""
        if given["ip_version"] == 5:
            raise invalid("ip_version is 4 or 6")
        pool = await subnets.pool_of(db, given, given["ip_version"])
        if pool is not None and not (
            pool["shared"]
            or pool["project_id"] == call.identity.project_id
            or call.may("context_is_admin")
        ):
            raise absent("Subnet pool", pool["id"])
        if pool is None and given["cidr"] is None:
            raise bad("A cidr must be specified in the absence of a subnet pool")
        text = given["cidr"] if pool is None else await subnets.cut_from(db, pool, given)
        net = ipaddress.ip_network(text)
        subnets.check_net(net, given["ip_version"])
        home = await networks.get(db, given["network_id"])
        subnets.check_mtu(home["mtu"], given["ip_version"])
        subnets.check_modes(given, net)
        subnets.check_names(net, given)
        await subnets.check_alone(db, given["network_id"], net)
        gateway = given["gateway_ip"] if "gateway_ip" in given else default_gateway(net)
        subnets.check_gateway(net, gateway)
        pools = given.get("allocation_pools")
        row = {
            **self.new_row(given),
            "cidr": str(net),
            "gateway_ip": gateway,
            "subnetpool_id": None if pool is None else pool["id"],
            "allocation_pools": check_pools(net, pools, gateway)
            if pools
            else default_pools(net, gateway),
        }
        await rows.insert(db, self.table, row)
        await subnets.add_own_addresses(db, row)
        await self._follow(db, row["network_id"])
        return str(row["id"])

    async def _follow(self, db: Connection, network_id: str) -> None:
        await serving.refresh_dhcp(db, self.service, network_id)
        await touch(db, self.service, network.network, network_id)

    async def update(self, db: Connection, call: Call, row: Row, given: Row) -> None:
        """A gateway that a router has stays; pools and gateway must go together."""
        del call
        net = ipaddress.ip_network(row["cidr"])
        columns = {name: value for name, value in given.items() if name in self.table.c}
        subnets.check_names(net, given)
        after = {**row, **columns}
        if "enable_dhcp" in given:
            subnets.check_modes(after, net)
        if "gateway_ip" in given and given["gateway_ip"] != row["gateway_ip"]:
            subnets.check_gateway(net, given["gateway_ip"])
            await subnets.check_gateway_free(db, row)
        if "gateway_ip" in given or "allocation_pools" in given:
            pools = after["allocation_pools"]
            columns["allocation_pools"] = check_pools(net, pools, after["gateway_ip"])
        await rows.update(db, self.table, row["id"], columns)
        await self._follow(db, row["network_id"])

    async def delete(self, db: Connection, call: Call, row: Row) -> None:
        """Unless ports have addresses of it."""
        del call
        await subnets.check_unused(db, row)
        await rows.delete(db, ports.ADDRESSES, ports.ADDRESSES.c.subnet_id == row["id"])
        await rows.delete(db, self.table, self.table.c.id == row["id"])
        await self._follow(db, row["network_id"])


async def visible_network(db: Connection, call: Call, network_id: str) -> Row:
    """A network that the caller may see. Raises Fault 404."""
    row = await networks.get(db, network_id)
    target = {**row, "router:external": row["external"]}
    if not call.may("get_network", of=target):
        raise absent("Network", network_id)
    return row
