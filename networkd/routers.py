"""Routers in SQL: legs on subnets, the gateway, extra routes, and what stands in the way of taking one away."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from core import rows
from core.database import Connection
from core.rows import Row
from networkd import networks, ports, serving
from networkd.addresses import Asking, Choice, overlap
from networkd.fault import NetworkFault, absent, bad, in_use
from networkd.ports import GATEWAY, INTERFACE, Wish
from networkd.service import Service
from networkd.tables import network, port, router

TABLE = router.router
FLOATING = router.floatingip
SUBNETS = network.subnet
ROUTES_MAX = 30


class Leg(NamedTuple):
    """A port of a router, its addresses, and their subnets."""

    port: Row
    addresses: list[Choice]
    subnets: list[Row]


async def get(db: Connection, router_id: str) -> Row:
    """A router, whoever asks. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, router_id)
    if row is None:
        raise absent("Router", router_id)
    return row


async def subnet_rows(db: Connection, names: set[str]) -> dict[str, Row]:
    """Subnets by id."""
    statement = sa.select(SUBNETS).where(SUBNETS.c.id.in_(names))
    return {row["id"]: row for row in await rows.rows(db, statement)}


async def legs(db: Connection, router_id: str, *owners: str) -> list[Leg]:
    """The ports of a router, of some owners (inner ones and the gateway by default)."""
    table = port.port
    statement = (
        sa.select(table)
        .where(
            table.c.device_id == router_id, table.c.device_owner.in_(owners or (INTERFACE, GATEWAY))
        )
        .order_by(table.c.created_us, table.c.id)
    )
    found = await rows.rows(db, statement)
    held = await ports.addresses_of(db, [row["id"] for row in found])
    names = {choice.subnet_id for choices in held.values() for choice in choices}
    subnets = await subnet_rows(db, names)
    return [
        Leg(
            row,
            held.get(row["id"], []),
            [subnets[one.subnet_id] for one in held.get(row["id"], [])],
        )
        for row in found
    ]


async def check_overlap(
    db: Connection, router_id: str, wanted: Sequence[Row], *, but: str = ""
) -> None:
    """Raise Fault 400 when new subnets of a router share addresses with what it has (but those of one port)."""
    for leg in await legs(db, router_id):
        for held in leg.subnets:
            for subnet in wanted:
                if held["id"] == subnet["id"] and leg.port["id"] != but:
                    raise bad(f"Router already has a port on subnet {subnet['id']}")
                nets = [ipaddress.ip_network(held["cidr"])]
                if leg.port["id"] != but and overlap(ipaddress.ip_network(subnet["cidr"]), nets):
                    raise bad(
                        f"Cidr {subnet['cidr']} of subnet {subnet['id']} overlaps with cidr {held['cidr']}"
                        f" of subnet {held['id']}."
                    )


# the gateway


async def set_gateway(
    db: Connection, service: Service, row: Row, info: Mapping[str, Any] | None
) -> None:
    """Give a router a gateway, another one, or none. Raises Fault 400, 404, 409."""
    if not info:
        await clear_gateway(db, row)
        return
    name = info.get("network_id")
    if name is None:
        raise bad("external_gateway_info needs a network_id.")
    outside = await networks.get(db, name)
    if not outside["external"]:
        raise bad(f"Network {name} is not an external network")
    snat = info.get("enable_snat", True)
    wanted = info.get("external_fixed_ips")
    if row["gateway_network_id"] == name:
        if wanted:
            await _move_gateway(db, row, wanted)
        await rows.update(db, TABLE, row["id"], {"enable_snat": snat})
        return
    await clear_gateway(db, row)
    subnets = await ports.subnets_of(db, name)
    if not subnets:
        raise bad(f"No subnets are on the external network {name}, so it can be no gateway.")
    wish = Wish(name, GATEWAY, row["id"], "", wanted or None, row["host"])
    made, choices = await ports.make(db, service, wish)
    await check_overlap(db, row["id"], await _subnets_of(db, choices), but=made["id"])
    columns = {"gateway_port_id": made["id"], "gateway_network_id": name, "enable_snat": snat}
    await rows.update(db, TABLE, row["id"], columns)
    await serving.schedule_router(db, service, row["id"])


async def _subnets_of(db: Connection, choices: Sequence[Choice]) -> list[Row]:
    found = await subnet_rows(db, {choice.subnet_id for choice in choices})
    return list(found.values())


async def _move_gateway(db: Connection, row: Row, wanted: Sequence[Mapping[str, str]]) -> None:
    held = await ports.get(db, row["gateway_port_id"])
    own = (await ports.addresses_of(db, [held["id"]])).get(held["id"], [])
    asking = Asking(held["network_id"], held["mac_address"], GATEWAY, tuple(own))
    await ports.put_addresses(db, held["id"], await ports.choose(db, asking, wanted))


async def clear_gateway(db: Connection, row: Row) -> None:
    """Take a router's gateway away. Raises Fault 409 while floating addresses need it."""
    if row["gateway_port_id"] is None:
        return
    outside = row["gateway_network_id"]
    needed = await rows.count(
        db,
        FLOATING,
        FLOATING.c.router_id == row["id"],
        FLOATING.c.floating_network_id == outside,
    )
    if needed:
        raise in_use(
            "RouterExternalGatewayInUseByFloatingIp",
            f"Gateway cannot be updated for router {row['id']}, since a gateway to external network {outside}"
            " is required by one or more floating IPs.",
        )
    columns: Row = {"gateway_port_id": None, "gateway_network_id": None, "enable_snat": True}
    await rows.update(db, TABLE, row["id"], columns)
    await ports.drop(db, row["gateway_port_id"])


# inner legs


async def add_subnet(db: Connection, service: Service, row: Row, subnet: Row) -> Row:
    """A leg on a subnet, with its gateway's address; returns the port."""
    gateway = subnet["gateway_ip"]
    if gateway is None:
        raise bad(f"Subnet for router interface must have a gateway IP: {subnet['id']} has none.")
    await check_overlap(db, row["id"], [subnet])
    wanted = [{"subnet_id": subnet["id"], "ip_address": gateway}]
    for leg in await legs(db, row["id"], INTERFACE):
        same = leg.port["network_id"] == subnet["network_id"] and subnet["ip_version"] == 6
        if same and all(held["ip_version"] == 6 for held in leg.subnets):
            kept = [
                {"subnet_id": one.subnet_id, "ip_address": one.address} for one in leg.addresses
            ]
            asking = Asking(
                subnet["network_id"], leg.port["mac_address"], INTERFACE, tuple(leg.addresses)
            )
            choices = await ports.choose(db, asking, kept + wanted)
            await ports.put_addresses(db, leg.port["id"], choices)
            return leg.port
    wish = Wish(subnet["network_id"], INTERFACE, row["id"], row["project_id"], wanted, row["host"])
    made, _ = await ports.make(db, service, wish)
    await serving.schedule_router(db, service, row["id"])
    return made


async def add_port(db: Connection, service: Service, row: Row, given: Row) -> list[str]:
    """Make a port a leg; returns the ids of its subnets. Raises Fault 400, 409."""
    if given["device_id"] or given["device_owner"]:
        raise in_use(
            "PortInUse",
            f"Unable to complete operation on port {given['id']} for network {given['network_id']}."
            f" Port already has an attached device {given['device_id']}.",
        )
    choices = (await ports.addresses_of(db, [given["id"]])).get(given["id"], [])
    subnets = await subnet_rows(db, {choice.subnet_id for choice in choices})
    if not choices:
        raise bad(f"Port {given['id']} has no fixed IPs: a router port needs one.")
    if sum(1 for one in choices if subnets[one.subnet_id]["ip_version"] == 4) > 1:
        raise bad("Cannot have multiple IPv4 subnets on router port")
    await check_overlap(db, row["id"], list(subnets.values()))
    columns = {
        "device_id": row["id"],
        "device_owner": INTERFACE,
        "host": row["host"],
        "port_security_enabled": False,
        "allowed_address_pairs": [],
        "status": ports.DOWN,
    }
    await rows.update(db, ports.TABLE, given["id"], columns)
    await ports.put_groups(db, given["id"], [])
    await serving.schedule_router(db, service, row["id"])
    return [choice.subnet_id for choice in choices]


async def remove_subnet(db: Connection, row: Row, leg: Leg, subnet_id: str) -> None:
    """Take a subnet from a leg, and the leg with its last one. Raises Fault 409 for what needs it."""
    await check_removable(db, row, leg, {subnet_id})
    rest = [choice for choice in leg.addresses if choice.subnet_id != subnet_id]
    if rest:
        await ports.put_addresses(db, leg.port["id"], rest)
    else:
        await ports.drop(db, leg.port["id"])


async def check_removable(db: Connection, row: Row, leg: Leg, subnet_ids: set[str]) -> None:
    """Raise Fault 409 when floating addresses or extra routes need some subnets of a leg."""
    nets = [ipaddress.ip_network(one["cidr"]) for one in leg.subnets if one["id"] in subnet_ids]
    for route in row["routes"]:
        if any(ipaddress.ip_address(route["nexthop"]) in net for net in nets):
            raise in_use(
                "RouterInterfaceInUseByRoute",
                f"Router interface for subnet {min(subnet_ids)} on router {row['id']} cannot be deleted, as it"
                " is required by one or more routes.",
            )
    inner = await rows.rows(db, sa.select(FLOATING).where(FLOATING.c.router_id == row["id"]))
    fixed = [one["fixed_ip_address"] for one in inner if one["fixed_ip_address"]]
    fixed += await _forwarded(db, row["id"])
    if any(ipaddress.ip_address(text) in net for text in fixed for net in nets):
        raise in_use(
            "RouterInterfaceInUseByFloatingIP",
            f"Router interface for subnet {min(subnet_ids)} on router {row['id']} cannot be deleted, as it is"
            " required by one or more floating IPs.",
        )


async def _forwarded(db: Connection, router_id: str) -> list[str]:
    table = router.forwarding
    statement = (
        sa.select(table.c.internal_ip_address)
        .join(FLOATING, FLOATING.c.id == table.c.floatingip_id)
        .where(FLOATING.c.router_id == router_id)
    )
    return [str(text) for text in (await db.execute(statement)).scalars()]


# extra routes


async def check_routes(db: Connection, row: Row, routes: Sequence[Mapping[str, str]]) -> None:
    """Raise Fault 400 for next hops that a router cannot reach, or is itself."""
    if len(routes) > ROUTES_MAX:
        raise bad(
            f"Unable to complete operation for {row['id']}. The number of routes exceeds the maximum {ROUTES_MAX}.",
            "RoutesExhausted",
        )
    every = await legs(db, row["id"])
    own = {choice.address for leg in every for choice in leg.addresses}
    nets = [ipaddress.ip_network(subnet["cidr"]) for leg in every for subnet in leg.subnets]
    for route in routes:
        hop = ipaddress.ip_address(route["nexthop"])
        if ipaddress.ip_network(route["destination"]).version != hop.version:
            raise _invalid_route(route, "the destination and the nexthop are of different versions")
        if not any(hop in net for net in nets):
            raise _invalid_route(route, "the nexthop is not connected with router")
        if str(hop) in own:
            raise _invalid_route(route, "the nexthop is used by router")


def _invalid_route(route: Mapping[str, str], why: str) -> NetworkFault:
    return bad(f"Invalid format for routes: {dict(route)}, {why}", "InvalidRoutes")
