"""Hosts in SQL: what one should have, what it has reported, and what follows from that."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from core import rows
from core.database import Connection
from core.rows import Row
from networkd import groups, ports, serving
from networkd.port import HostReport, HostState
from networkd.service import Service
from networkd.state import Rows, compose
from networkd.tables import host, network, port, router, security_group

HOSTS = host.host
PORTS = port.port
REPORT_US = 4_000_000  # a report without news is written down this often


async def _by_id(db: Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> dict[str, Row]:
    statement = sa.select(table).where(*where).order_by(table.c.id)
    return {row["id"]: row for row in await rows.rows(db, statement)}


async def state_of(db: Connection, name: str) -> HostState:
    """All that a host should have."""
    routers = await _by_id(db, router.router, router.router.c.host == name)
    here = sa.or_(PORTS.c.host == name, PORTS.c.device_id.in_(list(routers)))
    network_ids = {
        str(one)
        for one in (
            await db.execute(sa.select(PORTS.c.network_id).distinct().where(here))
        ).scalars()
    }
    networks = await _by_id(db, network.network, network.network.c.id.in_(network_ids))
    subnets = await _by_id(db, network.subnet, network.subnet.c.network_id.in_(network_ids))
    every = await _by_id(db, PORTS, PORTS.c.network_id.in_(network_ids))
    members = await ports.groups_of(db, every)
    own = {
        group
        for one in every.values()
        if one["host"] == name
        for group in members.get(one["id"], ())
    }
    rules = await groups.rules_of(db, sorted(own))
    remote = {rule["remote_group_id"] for found in rules.values() for rule in found} - {None}
    named = {rule["remote_address_group_id"] for found in rules.values() for rule in found} - {None}
    table = security_group.address_group
    address_groups = await _by_id(db, table, table.c.id.in_(named))
    floating = await rows.rows(
        db, sa.select(router.floatingip).where(router.floatingip.c.router_id.in_(list(routers)))
    )
    lists = await _members(db, remote)
    lists.update({one: () for one, row in address_groups.items() if one not in lists and row})
    return compose(
        name,
        Rows(
            networks=networks,
            subnets=subnets,
            ports=every,
            addresses=await ports.addresses_of(db, every),
            port_groups=members,
            routers=routers,
            floating=floating,
            forwardings=await _forwardings(db, floating),
            groups=await _by_id(db, groups.TABLE, groups.TABLE.c.id.in_(own)),
            rules=rules,
            address_groups=address_groups,
            members=lists,
            tunnels={
                row["host"]: row["tunnel_address"] for row in await rows.rows(db, sa.select(HOSTS))
            },
        ),
    )


async def _forwardings(db: Connection, floating: list[Row]) -> list[Row]:
    outside = {row["id"]: row for row in floating}
    table = router.forwarding
    statement = sa.select(table).where(table.c.floatingip_id.in_(list(outside)))
    return [
        {
            **row,
            "outside": outside[row["floatingip_id"]]["floating_ip_address"],
            "router_id": outside[row["floatingip_id"]]["router_id"],
        }
        for row in await rows.rows(db, statement)
    ]


async def _members(db: Connection, group_ids: set[str]) -> dict[str, tuple[str, ...]]:
    """Addresses and allowed pairs of all ports that have some groups."""
    found: dict[str, set[str]] = {name: set() for name in group_ids}
    links, addresses = ports.GROUPS, ports.ADDRESSES
    statement = (
        sa.select(links.c.group_id, addresses.c.address)
        .join(addresses, addresses.c.port_id == links.c.port_id)
        .where(links.c.group_id.in_(group_ids))
    )
    for name, text in (await db.execute(statement)).all():
        found[name].add(text)
    pairs = (
        sa.select(links.c.group_id, PORTS.c.allowed_address_pairs)
        .join(PORTS, PORTS.c.id == links.c.port_id)
        .where(links.c.group_id.in_(group_ids))
    )
    for name, held in (await db.execute(pairs)).all():
        found[name].update(pair["ip_address"] for pair in held)
    return {name: tuple(sorted(texts)) for name, texts in found.items()}


async def is_known(db: Connection, name: str) -> bool:
    """Whether a host's agent has ever reported."""
    return await rows.count(db, HOSTS, HOSTS.c.host == name) > 0


def _columns(report: HostReport, now_us: int) -> Row:
    return {
        "version": report.version,
        "tunnel_address": report.tunnel_address,
        "ports": sorted(report.ports),
        "routers": sorted(report.routers),
        "physical": report.physical,
        "faults": report.faults,
        "seen_us": now_us,
    }


async def is_news(db: Connection, service: Service, name: str, report: HostReport) -> bool:
    """Whether a report must be written down: it tells something new, the last one is old, or a router needs a host."""
    held = await rows.first(db, sa.select(HOSTS).where(HOSTS.c.host == name))
    now_us = service.now_us()
    if held is None or now_us - held["seen_us"] >= REPORT_US:
        return True
    told = _columns(report, held["seen_us"])
    return any(held[column] != value for column, value in told.items())


async def record(db: Connection, service: Service, name: str, report: HostReport) -> bool:
    """Take a report in: ports and routers are up or down by it. True when other hosts may be concerned."""
    now_us = service.now_us()
    held = await rows.first(db, sa.select(HOSTS).where(HOSTS.c.host == name))
    columns = _columns(report, now_us)
    if held is None:
        await rows.insert(db, HOSTS, {"host": name, **columns, "started_us": now_us})
        await _add_agents(db, service, name)
    else:
        if not serving.alive(service, held):
            columns["started_us"] = now_us
        await rows.update_where(db, HOSTS, columns, HOSTS.c.host == name)
    changed = held is None or held["tunnel_address"] != report.tunnel_address
    moved = await _move_lost(db, service)
    if report.version:  # without one the agent only says that it is there
        await _set_statuses(db, service, name, report)
    return changed or moved


async def _add_agents(db: Connection, service: Service, name: str) -> None:
    for kind in serving.KINDS:
        row = {
            "id": service.new_id(),
            "host": name,
            "kind": kind,
            "description": "",
            "admin_state_up": True,
            "created_us": service.now_us(),
        }
        await rows.insert(db, host.agent, row)


async def _move_lost(db: Connection, service: Service) -> bool:
    """Routers without a living host get one, as long as there is one."""
    moved = False
    for row in await serving.lost_routers(db, service):
        hosts = await serving.routing_hosts(db, service)
        if hosts:
            await serving.place_router(db, row, hosts[0])
            moved = True
    return moved


async def _set_statuses(db: Connection, service: Service, name: str, report: HostReport) -> None:
    table = router.router
    own = await rows.rows(db, sa.select(table).where(table.c.host == name))
    for row in own:
        up = row["id"] in report.routers
        if row["up"] != up:
            await rows.update(db, table, row["id"], {"up": up})
    lasting = {row["id"] for row in own if row["id"] in report.routers}
    for row in await rows.rows(db, sa.select(PORTS).where(PORTS.c.host == name)):
        known = service.told.may_know(name, report.version, row["id"])
        wired = known and _wired(row, report, lasting)
        status = ports.ACTIVE if wired else ports.DOWN
        if row["status"] != status:
            await rows.update(db, PORTS, row["id"], {"status": status})


def _wired(row: Row, report: HostReport, routers: set[str]) -> bool:
    if row["id"] in report.ports:
        return True
    if row["device_owner"] in {ports.INTERFACE, ports.GATEWAY}:
        return row["device_id"] in routers
    if row["device_owner"] == ports.DHCP:
        return not {row["id"], row["network_id"]} & set(report.faults)
    return False


async def agents(db: Connection, service: Service) -> list[dict[str, Any]]:
    """All agents with the row of their host under `_host`."""
    hosts = {row["host"]: row for row in await rows.rows(db, sa.select(HOSTS))}
    statement = sa.select(host.agent).order_by(host.agent.c.id)
    return [
        {**row, "_host": hosts[row["host"]], "_alive": serving.alive(service, hosts[row["host"]])}
        for row in await rows.rows(db, statement)
        if row["host"] in hosts
    ]
