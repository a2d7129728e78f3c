"""Where networks are served: the DHCP ports of hosts, and the hosts on which routers live.

A host that has guests of a network serves DHCP, names and metadata there, through a port of its own; the port is made in the
transaction that puts the first guest there and goes with the last. A router lives on the host of an agent that is
alive, and is moved when that one has fallen silent.
"""

from __future__ import annotations

import sqlalchemy as sa

from core import rows
from core.database import Connection
from core.rows import Row
from networkd import ports
from networkd.addresses import Asking
from networkd.ports import DHCP, Wish
from networkd.service import ALIVE_US, Service
from networkd.tables import host, network, port, router

PORTS = port.port
HOSTS = host.host
AGENTS = host.agent
GIVEN = host.dhcp
ROUTERS = router.router

L2_AGENT = "Linux bridge agent"
L3_AGENT = "L3 agent"
DHCP_AGENT = "DHCP agent"
METADATA_AGENT = "Metadata agent"
KINDS = (L2_AGENT, L3_AGENT, DHCP_AGENT, METADATA_AGENT)


def alive(service: Service, row: Row) -> bool:
    """Whether a host has reported lately."""
    age_us = service.now_us() - int(row["seen_us"])
    return age_us <= ALIVE_US


async def hosts_with_guests(db: Connection, network_id: str) -> set[str]:
    """Hosts to which guests' ports of a network are bound."""
    statement = (
        sa.select(PORTS.c.host)
        .distinct()
        .where(
            PORTS.c.network_id == network_id,
            PORTS.c.host != "",
            PORTS.c.device_owner.not_like("network:%"),
        )
    )
    return {str(name) for name in (await db.execute(statement)).scalars()}


async def given_hosts(db: Connection, network_id: str) -> set[str]:
    """Hosts that an operator told to serve a network."""
    statement = sa.select(GIVEN.c.host).where(GIVEN.c.network_id == network_id)
    return {str(name) for name in (await db.execute(statement)).scalars()}


async def refresh_dhcp(db: Connection, service: Service, network_id: str) -> None:
    """Make and remove the DHCP ports of a network, and give them addresses in all subnets that have DHCP."""
    wanted = [
        {"subnet_id": subnet["id"]}
        for subnet in await ports.subnets_of(db, network_id)
        if subnet["enable_dhcp"]
    ]
    hosts: set[str] = set()
    if wanted:
        hosts = await hosts_with_guests(db, network_id) | await given_hosts(db, network_id)
    present = await rows.matching(db, PORTS, network_id=network_id, device_owner=DHCP)
    held = await ports.addresses_of(db, [row["id"] for row in present])
    for row in present:
        if row["host"] not in hosts:
            await ports.drop(db, row["id"])
            continue
        own = tuple(held.get(row["id"], ()))
        asking = Asking(network_id, row["mac_address"], DHCP, own)
        choices = await ports.choose(db, asking, wanted)
        if set(choices) != set(own):
            await ports.put_addresses(db, row["id"], choices)
    owners = {row["host"] for row in present}
    for name in sorted(hosts - owners):
        project_id = await _owner(db, network_id)
        device_id = f"dhcp-{name}-{network_id}"
        wish = Wish(network_id, DHCP, device_id, project_id, wanted, name)
        await ports.make(db, service, wish)


async def _owner(db: Connection, network_id: str) -> str:
    table = network.network
    statement = sa.select(table.c.project_id).where(table.c.id == network_id)
    return str((await db.execute(statement)).scalar_one())


async def routing_hosts(db: Connection, service: Service) -> list[str]:
    """Hosts that may take routers: alive, and not closed by an operator; the one with the fewest routers first."""
    closed = {
        row["host"] for row in await rows.matching(db, AGENTS, kind=L3_AGENT, admin_state_up=False)
    }
    found = [
        str(row["host"])
        for row in await rows.rows(db, sa.select(HOSTS))
        if alive(service, row) and row["host"] not in closed
    ]
    counts: dict[str, int] = {}
    statement = sa.select(ROUTERS.c.host, sa.func.count()).group_by(ROUTERS.c.host)
    for name, count in (await db.execute(statement)).all():
        counts[str(name)] = int(count)
    return sorted(found, key=lambda name: (counts.get(name, 0), name))


async def place_router(db: Connection, row: Row, name: str) -> None:
    """Let a router live on a host, with all its ports."""
    await rows.update(db, ROUTERS, row["id"], {"host": name, "up": False})
    await rows.update_where(
        db,
        PORTS,
        {"host": name, "status": ports.DOWN},
        PORTS.c.device_id == row["id"],
        PORTS.c.device_owner.in_((ports.INTERFACE, ports.GATEWAY)),
    )


async def schedule_router(db: Connection, service: Service, router_id: str) -> None:
    """Find a host for a router that has none; it stays without one while no agent is alive."""
    row = await rows.by_id(db, ROUTERS, router_id)
    assert row is not None
    if row["host"]:
        return
    hosts = await routing_hosts(db, service)
    if hosts:
        await place_router(db, row, hosts[0])


async def lost_routers(db: Connection, service: Service) -> list[Row]:
    """Routers in use whose host is none, or has been silent although it could have spoken."""
    every = await rows.rows(db, sa.select(HOSTS))
    deaf = service.now_us() - service.started_us <= ALIVE_US
    living = {row["host"] for row in every if deaf or alive(service, row)}
    return [
        row
        for row in await rows.rows(db, sa.select(ROUTERS).order_by(ROUTERS.c.id))
        if row["host"] not in living and await is_used(db, row)
    ]


async def is_used(db: Connection, row: Row) -> bool:
    """Whether a router has a leg."""
    if row["gateway_port_id"] is not None:
        return True
    return await rows.count(db, PORTS, PORTS.c.device_id == row["id"]) > 0
