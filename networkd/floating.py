"""Floating addresses in SQL: made on an external network, pointed at a port behind a router that has its gateway there."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from core import rows
from core.database import Connection
from core.rows import Row
from networkd import networks, ports, routers
from networkd.addresses import Choice
from networkd.fault import NetworkFault, bad, in_use
from networkd.ports import INTERFACE, Wish
from networkd.service import Service
from networkd.tables import port, router

TABLE = router.floatingip
FORWARDINGS = router.forwarding


class Inside(NamedTuple):
    """Where a floating address points."""

    port_id: str | None = None
    address: str | None = None
    router_id: str | None = None


async def outside_port(
    db: Connection, service: Service, network_id: str, wanted: dict[str, str]
) -> tuple[Row, str]:
    """A port on an external network, and its IPv4 address. `wanted` may name `ip_address` and `subnet_id`."""
    outside = await networks.get(db, network_id)
    if not outside["external"]:
        raise bad(f"Network {network_id} is not a valid external network")
    four = [one for one in await ports.subnets_of(db, network_id) if one["ip_version"] == 4]
    if not four:
        raise bad(
            f"Unable to find any IP address on external network {network_id}.",
            "ExternalIpAddressExhausted",
        )
    requests = [wanted] if wanted else [{"subnet_id": one["id"]} for one in four]
    for number, request in enumerate(requests):
        wish = Wish(network_id, ports.FLOATING, "", "", [request], status=ports.NOT_APPLICABLE)
        try:
            made, choices = await ports.make(db, service, wish)
        except NetworkFault as fault:
            if fault.kind != "IpAddressGenerationFailure" or number == len(requests) - 1:
                raise
            continue
        return made, _four(choices)[0].address
    raise bad(f"Unable to find any IP address on external network {network_id}.")


def _four(choices: list[Choice]) -> list[Choice]:
    return [choice for choice in choices if ":" not in choice.address]


async def point(
    db: Connection, network_id: str, inner: Row, address: str | None, *, own: str = ""
) -> Inside:
    """Where a floating address of an external network points when it points at a port. Raises Fault 400, 404, 409."""
    held = _four((await ports.addresses_of(db, [inner["id"]])).get(inner["id"], []))
    if not held:
        raise bad(f"Cannot add floating IP to port {inner['id']} that has no fixed IPv4 addresses")
    if address is not None:
        chosen = next((one for one in held if one.address == address), None)
        if chosen is None:
            raise bad(f"Port {inner['id']} does not have fixed ip {address}")
    elif len(held) > 1:
        raise bad(
            f"Port {inner['id']} has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address"
            " when assigning a floating IP"
        )
    else:
        chosen = held[0]
    taken = await rows.count(
        db,
        TABLE,
        TABLE.c.port_id == inner["id"],
        TABLE.c.fixed_ip_address == chosen.address,
        TABLE.c.floating_network_id == network_id,
        TABLE.c.id != own,
    )
    if taken:
        raise in_use(
            "FloatingIPPortAlreadyAssociated",
            f"Cannot associate floating IP with port {inner['id']} using fixed IP {chosen.address}, as that"
            f" fixed IP already has a floating IP on external network {network_id}.",
        )
    forwarded = await rows.count(
        db,
        FORWARDINGS,
        FORWARDINGS.c.internal_port_id == inner["id"],
        FORWARDINGS.c.internal_ip_address == chosen.address,
    )
    if forwarded:
        raise bad(
            f"Ports are forwarded to {chosen.address} of port {inner['id']}.",
            "PortHasPortForwarding",
        )
    router_id = await router_between(db, network_id, inner["id"], chosen)
    return Inside(inner["id"], chosen.address, router_id)


async def router_between(db: Connection, network_id: str, port_id: str, inner: Choice) -> str:
    """The router with a leg on an address's subnet and its gateway on an external network. Raises Fault 404."""
    table, addresses = port.port, ports.ADDRESSES
    statement = (
        sa.select(router.router.c.id, addresses.c.address)
        .join(table, table.c.device_id == router.router.c.id)
        .join(addresses, addresses.c.port_id == table.c.id)
        .where(
            table.c.device_owner == INTERFACE,
            addresses.c.subnet_id == inner.subnet_id,
            router.router.c.gateway_network_id == network_id,
        )
        .order_by(router.router.c.id)
    )
    found = (await db.execute(statement)).all()
    if not found:
        raise NetworkFault(
            404,
            "ExternalGatewayForFloatingIPNotFound",
            f"External network {network_id} is not reachable from subnet {inner.subnet_id}.  Therefore, cannot"
            f" associate Port {port_id} with a Floating IP.",
        )
    subnet = (await routers.subnet_rows(db, {inner.subnet_id}))[inner.subnet_id]
    first = next((one for one in found if one[1] == subnet["gateway_ip"]), found[0])
    return str(first[0])


async def forwardings_of(db: Connection, *floatingip_ids: str) -> list[Row]:
    """The forwarded ports of some floating addresses."""
    table = FORWARDINGS
    statement = sa.select(table).where(table.c.floatingip_id.in_(floatingip_ids))
    return await rows.rows(db, statement.order_by(table.c.created_us, table.c.id))


async def remove(db: Connection, row: Row) -> None:
    """Remove a floating address with its port."""
    await rows.delete(db, TABLE, TABLE.c.id == row["id"])
    await ports.drop(db, row["floating_port_id"])
