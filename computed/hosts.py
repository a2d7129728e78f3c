"""Hosts: known once they report, alive while they do; and how the scheduler sees them."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from computed import schedule
from computed.port import Capacity
from computed.schedule import HostView, Stock
from computed.service import DOWN_AFTER_US, ZONE, Service
from computed.tables import host as tables
from computed.tables import provider as providers
from core import rows
from core.database import Connection
from core.errors import NotFound
from core.rows import Row

TABLE = tables.host
AGGREGATES = tables.aggregate
ZONE_KEY = "availability_zone"
CPU_RATIO = 4.0
RAM_RATIO = 1.0
RESERVED_MB = 512


def alive(service: Service, row: Row) -> bool:
    """Whether a host has reported lately, and nobody has said that it is down."""
    return not row["forced_down"] and service.now_us() - row["seen_us"] < DOWN_AFTER_US


async def named(db: Connection, name: str) -> Row | None:
    """A host by name."""
    return await rows.first(db, sa.select(TABLE).where(TABLE.c.name == name))


async def get(db: Connection, name: str) -> Row:
    """The same. Raises NotFound."""
    row = await named(db, name)
    if row is None:
        raise NotFound("NoHost", f"Compute host {name[:80]} could not be found.")
    return row


async def everyone(db: Connection) -> list[Row]:
    """All hosts, in the order in which they came."""
    return await rows.rows(db, sa.select(TABLE).order_by(TABLE.c.number))


async def next_number(db: Connection, table: sa.Table) -> int:
    """One more than the highest number ever given in a table that forgets nothing below it."""
    found = (await db.execute(sa.select(sa.func.max(table.c.number)))).scalar()
    return int(found or 0) + 1


def inventory_of(capacity: Capacity) -> dict[str, Stock]:
    """What a host's capacity is in terms of Placement."""
    reserved = min(RESERVED_MB, capacity.memory_mb // 8)
    return {
        schedule.VCPU: Stock(capacity.vcpus, 0, 0, CPU_RATIO, capacity.vcpus),
        schedule.MEMORY_MB: Stock(capacity.memory_mb, 0, reserved, RAM_RATIO, capacity.memory_mb),
        schedule.DISK_GB: Stock(capacity.disk_gb, 0, 0, 1.0, max(1, capacity.disk_gb)),
    }


async def hear(
    db: Connection, service: Service, name: str, capacity: Capacity, console: str
) -> Row:
    """What a host says of itself; a new name becomes a host, with a resource provider of the same id."""
    now_us = service.now_us()
    row = await named(db, name)
    told = msgspec.to_builtins(capacity)
    told["traits"] = list(told["traits"])
    changes = {"seen_us": now_us, "console": console, "capacity": told}
    if row is None:
        row = {
            "id": service.new_id(),
            "name": name,
            "number": await next_number(db, TABLE),
            "service_id": service.new_id(),
            "disabled": False,
            "disabled_reason": None,
            "forced_down": False,
            "created_us": now_us,
            "updated_us": now_us,
            **changes,
        }
        await rows.insert(db, TABLE, row)
        await _provide(db, service, row, capacity)
        return row
    await rows.update(db, TABLE, row["id"], changes)
    if row["capacity"] != told:
        await _provide(db, service, row, capacity)
    return {**row, **changes}


async def _provide(db: Connection, service: Service, row: Row, capacity: Capacity) -> None:
    """The provider and the inventories of a host; ratios and reservations that an operator set stay."""
    now_us = service.now_us()
    table = providers.provider
    known = await rows.by_id(db, table, row["id"])
    if known is None:
        made = {
            "id": row["id"],
            "name": row["name"],
            "generation": 1,
            "parent_id": None,
            "root_id": row["id"],
            "created_us": now_us,
            "updated_us": now_us,
        }
        await rows.insert(db, table, made)
    else:
        changes = {"generation": known["generation"] + 1, "updated_us": now_us}
        await rows.update(db, table, row["id"], changes)
    held = {
        one["resource_class"]: one
        for one in await rows.matching(db, providers.inventory, provider_id=row["id"])
    }
    for name, stock in inventory_of(capacity).items():
        if stock.total <= 0:
            continue
        sizes = {"total": stock.total, "max_unit": stock.max_unit, "updated_us": now_us}
        if name in held:
            await rows.update(db, providers.inventory, held[name]["id"], sizes)
            continue
        new = {
            "id": service.new_id(),
            "provider_id": row["id"],
            "resource_class": name,
            "reserved": stock.reserved,
            "min_unit": 1,
            "step_size": 1,
            "allocation_ratio": stock.ratio,
            "used": 0,
            **sizes,
        }
        await rows.insert(db, providers.inventory, new)
    traits = providers.provider_trait
    have = {
        one["trait"]
        for one in await rows.rows(db, sa.select(traits).where(traits.c.provider_id == row["id"]))
    }
    for trait in sorted(set(capacity.traits) - have):
        await rows.insert(db, traits, {"provider_id": row["id"], "trait": trait})


async def aggregates(db: Connection) -> list[Row]:
    """All aggregates."""
    return await rows.rows(db, sa.select(AGGREGATES).order_by(AGGREGATES.c.number))


def zone_of(found: list[Row], name: str) -> str:
    """The availability zone that a host's aggregates give it."""
    for one in found:
        if name in one["hosts"] and one["metadata"].get(ZONE_KEY):
            return str(one["metadata"][ZONE_KEY])
    return ZONE


async def zones(db: Connection) -> dict[str, list[Row]]:
    """Hosts by availability zone."""
    found: dict[str, list[Row]] = {}
    held = await aggregates(db)
    for row in await everyone(db):
        found.setdefault(zone_of(held, row["name"]), []).append(row)
    return found


async def views(db: Connection, service: Service) -> list[HostView]:
    """All hosts, as the scheduler sees them: four reads, whatever their number."""
    held = await aggregates(db)
    by_host: dict[str, list[dict[str, str]]] = {}
    zone: dict[str, str] = {}
    for one in held:
        for name in one["hosts"]:
            by_host.setdefault(name, []).append(one["metadata"])
            if one["metadata"].get(ZONE_KEY):
                zone.setdefault(name, one["metadata"][ZONE_KEY])
    stocks: dict[str, dict[str, Stock]] = {}
    columns = providers.inventory.c
    statement = sa.select(
        columns.provider_id,
        columns.resource_class,
        columns.total,
        columns.used,
        columns.reserved,
        columns.allocation_ratio,
        columns.max_unit,
    )
    for provider_id, name, *sizes in (await db.execute(statement)).all():
        stocks.setdefault(provider_id, {})[name] = Stock(*sizes)
    traits: dict[str, set[str]] = {}
    for row in (await db.execute(sa.select(providers.provider_trait))).mappings():
        traits.setdefault(row["provider_id"], set()).add(row["trait"])
    found: list[HostView] = []
    for one in await everyone(db):
        name, capacity = one["name"], one["capacity"]
        found.append(
            HostView(
                one["id"],
                name,
                zone.get(name, ZONE),
                alive(service, one),
                not one["disabled"],
                stocks.get(one["id"], {}),
                frozenset(traits.get(one["id"], ())),
                tuple(by_host.get(name, ())),
                str(capacity.get("hypervisor_type", "")),
                str(one["disabled_reason"] or ""),
            )
        )
    return found


async def usage(db: Connection, host_id: str) -> dict[str, Any]:
    """Inventories of one host by class: (total, used)."""
    table = providers.inventory
    found = await rows.rows(db, sa.select(table).where(table.c.provider_id == host_id))
    return {row["resource_class"]: row for row in found}


async def forget(db: Connection, row: Row) -> None:
    """What a host offered is offered no more, and no aggregate has it."""
    table = providers.provider
    await rows.delete(db, table, table.c.id == row["id"])
    for one in await aggregates(db):
        if row["name"] in one["hosts"]:
            left = [name for name in one["hosts"] if name != row["name"]]
            await rows.update(db, AGGREGATES, one["id"], {"hosts": left})
