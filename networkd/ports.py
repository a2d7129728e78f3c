"""Ports in SQL: their addresses, how services of ours make and remove them, and what follows from a removal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from core import rows
from core.database import Connection
from core.rows import Row
from networkd.addresses import Asking, Choice, allocate, number, space_of
from networkd.fault import NetworkFault, absent, in_use
from networkd.service import Service
from networkd.tables import network, port, router

TABLE = port.port
ADDRESSES = port.address
GROUPS = port.port_group
MAC_BASE = "fa:16:3e"
MAC_TRIES = 20
IN_MAX = 5000

ACTIVE, DOWN, NOT_APPLICABLE = "ACTIVE", "DOWN", "N/A"
DHCP = "network:dhcp"
INTERFACE = "network:router_interface"
GATEWAY = "network:router_gateway"
FLOATING = "network:floatingip"
OF_ROUTERS = (INTERFACE, GATEWAY, FLOATING)


class Wish(NamedTuple):
    """A port that a service of ours makes."""

    network_id: str
    owner: str
    device_id: str
    project_id: str = ""
    fixed_ips: Sequence[Mapping[str, str]] | None = None
    host: str = ""
    name: str = ""
    status: str = DOWN


async def get(db: Connection, port_id: str) -> Row:
    """A port, whoever asks. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, port_id)
    if row is None:
        raise absent("Port", port_id)
    return row


def pieces(names: Iterable[str]) -> Iterable[list[str]]:
    """Names in parts that one statement may hold."""
    every = list(names)
    return (every[at : at + IN_MAX] for at in range(0, len(every), IN_MAX))


async def addresses_of(db: Connection, port_ids: Iterable[str]) -> dict[str, list[Choice]]:
    """The addresses of some ports, in their order."""
    found: dict[str, list[Choice]] = {}
    for part in pieces(port_ids):
        statement = (
            sa.select(ADDRESSES)
            .where(ADDRESSES.c.port_id.in_(part))
            .order_by(ADDRESSES.c.port_id, ADDRESSES.c.position)
        )
        for row in await rows.rows(db, statement):
            choice = Choice(row["subnet_id"], row["address"])
            found.setdefault(row["port_id"], []).append(choice)
    return found


async def groups_of(db: Connection, port_ids: Iterable[str]) -> dict[str, list[str]]:
    """Ids of the security groups of some ports."""
    found: dict[str, list[str]] = {}
    for part in pieces(port_ids):
        statement = sa.select(GROUPS).where(GROUPS.c.port_id.in_(part))
        for row in await rows.rows(db, statement.order_by(GROUPS.c.group_id)):
            found.setdefault(row["port_id"], []).append(row["group_id"])
    return found


async def subnets_of(db: Connection, network_id: str) -> list[Row]:
    """The subnets of a network, oldest first."""
    table = network.subnet
    statement = sa.select(table).where(table.c.network_id == network_id)
    return await rows.rows(db, statement.order_by(table.c.created_us, table.c.id))


async def taken_in(db: Connection, subnet_ids: Iterable[str]) -> dict[str, set[int]]:
    """Addresses that ports have, by subnet."""
    names = list(subnet_ids)
    found: dict[str, set[int]] = {name: set() for name in names}
    columns = sa.select(ADDRESSES.c.subnet_id, ADDRESSES.c.address)
    for subnet_id, address in await db.execute(columns.where(ADDRESSES.c.subnet_id.in_(names))):
        found[subnet_id].add(number(address))
    return found


async def choose(
    db: Connection, asking: Asking, requested: Sequence[Mapping[str, str]] | None
) -> list[Choice]:
    """Addresses for a port, by what is taken now. Raises Fault 400, 409."""
    subnets = await subnets_of(db, asking.network_id)
    taken = await taken_in(db, [subnet["id"] for subnet in subnets])
    return allocate([space_of(subnet) for subnet in subnets], taken, requested, asking)


async def put_addresses(db: Connection, port_id: str, choices: Sequence[Choice]) -> None:
    """Give a port these addresses and no others."""
    await rows.delete(db, ADDRESSES, ADDRESSES.c.port_id == port_id)
    for position, choice in enumerate(choices):
        row = {
            "subnet_id": choice.subnet_id,
            "address": choice.address,
            "port_id": port_id,
            "position": position,
        }
        await rows.insert(db, ADDRESSES, row)


async def put_groups(db: Connection, port_id: str, group_ids: Sequence[str]) -> None:
    """Give a port these security groups and no others."""
    await rows.delete(db, GROUPS, GROUPS.c.port_id == port_id)
    for group_id in group_ids:
        await rows.insert(db, GROUPS, {"port_id": port_id, "group_id": group_id})


async def mac_for(db: Connection, service: Service, network_id: str, wanted: str = "") -> str:
    """A MAC that is free on a network: the one wanted, or any. Raises Fault 409."""
    for _ in range(MAC_TRIES):
        mac = wanted or f"{MAC_BASE}:{service.env.random_bytes(3).hex(':')}"
        if not await rows.count(
            db, TABLE, TABLE.c.network_id == network_id, TABLE.c.mac_address == mac
        ):
            return mac
        if wanted:
            raise in_use(
                "MacAddressInUse",
                f"Unable to complete operation for network {network_id}. The mac address {mac} is in use.",
            )
    raise NetworkFault(
        503,
        "MacAddressGenerationFailure",
        f"Unable to generate unique mac on network {network_id}.",
    )


def blank(service: Service, wish: Wish) -> Row:
    """The row of a new port of ours, without security."""
    now_us = service.now_us()
    return {
        "id": service.new_id(),
        "project_id": wish.project_id,
        "name": wish.name,
        "description": "",
        "tags": [],
        "created_us": now_us,
        "updated_us": now_us,
        "revision_number": 1,
        "network_id": wish.network_id,
        "mac_address": "",
        "admin_state_up": True,
        "status": wish.status,
        "device_id": wish.device_id,
        "device_owner": wish.owner,
        "host": wish.host,
        "vnic_type": "normal",
        "profile": {},
        "port_security_enabled": False,
        "allowed_address_pairs": [],
        "extra_dhcp_opts": [],
        "dns_name": "",
    }


async def make(db: Connection, service: Service, wish: Wish) -> tuple[Row, list[Choice]]:
    """A port of ours with its addresses. Raises Fault 409 when there are none left."""
    row = blank(service, wish)
    row["mac_address"] = await mac_for(db, service, wish.network_id)
    asking = Asking(wish.network_id, row["mac_address"], wish.owner)
    choices = await choose(db, asking, wish.fixed_ips)
    await rows.insert(db, TABLE, row)
    await put_addresses(db, row["id"], choices)
    return row, choices


async def drop(db: Connection, port_id: str) -> None:
    """Remove a port; floating addresses and forwarded ports that pointed at it do so no more."""
    await rows.update_where(
        db,
        router.floatingip,
        {"port_id": None, "fixed_ip_address": None, "router_id": None},
        router.floatingip.c.port_id == port_id,
    )
    table = router.forwarding
    if await rows.delete(db, table, table.c.internal_port_id == port_id):
        await _let_go(db)
    await rows.delete(db, TABLE, TABLE.c.id == port_id)


async def forget_addresses(db: Connection, port_id: str, kept: set[str]) -> None:
    """Floating addresses and forwarded ports that pointed at other addresses of a port do so no more."""
    await rows.update_where(
        db,
        router.floatingip,
        {"port_id": None, "fixed_ip_address": None, "router_id": None},
        router.floatingip.c.port_id == port_id,
        router.floatingip.c.fixed_ip_address.not_in(kept),
    )
    table = router.forwarding
    gone = (table.c.internal_port_id == port_id, table.c.internal_ip_address.not_in(kept))
    if await rows.delete(db, table, *gone):
        await _let_go(db)


async def _let_go(db: Connection) -> None:
    """Floating addresses that point nowhere and forward nothing any more need no router."""
    table = router.floatingip
    await rows.update_where(
        db,
        table,
        {"router_id": None},
        table.c.port_id.is_(None),
        table.c.router_id.is_not(None),
        table.c.id.not_in(sa.select(router.forwarding.c.floatingip_id)),
    )
