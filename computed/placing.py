"""A server's way to a host: what it needs, the scheduler's verdict, its claim; all in the caller's transaction."""

from __future__ import annotations

import sqlalchemy as sa

from computed import claims, hosts, schedule, servers
from computed.schedule import Ask, Verdict
from computed.service import Service
from computed.tables import host as host_tables
from computed.tables import server as tables
from core import rows
from core.database import Connection
from core.rows import Row

HINTS = ("same_host", "different_host")


async def ask_of(
    db: Connection, server: Row, *, host: str = "", excluded: frozenset[str] = frozenset()
) -> Ask:
    """What a server needs of a host."""
    flavor, properties = server["flavor"], server["image"].get("properties", {})
    needs = schedule.needs_of(flavor["extra_specs"], properties)
    found = needs._replace(
        resources=schedule.resources_of(flavor, local_disk=bool(server["image_id"])),
        zone=server["pinned_zone"] or "",
        host=host,
        excluded=excluded,
    )
    for hint in HINTS:
        named = server["hints"].get(hint) or []
        ids = [named] if isinstance(named, str) else list(named)
        if ids:
            where = servers.TABLE.c.id.in_(ids)
            held = await rows.rows(db, sa.select(servers.TABLE.c.host).where(where))
            names = frozenset(str(row["host"]) for row in held if row["host"])
            if hint == "same_host":
                found = found._replace(same_host=names)
            else:
                found = found._replace(different_host=names)
    if server["group_id"]:
        found = await _with_group(db, server, found)
    return found


async def _with_group(db: Connection, server: Row, ask: Ask) -> Ask:
    group = await rows.by_id(db, host_tables.server_group, server["group_id"])
    if group is None:
        return ask
    table = servers.TABLE
    same = (table.c.group_id == group["id"], table.c.deleted_us == 0, table.c.id != server["id"])
    held: dict[str, int] = {}
    for row in await rows.rows(db, sa.select(table.c.host).where(*same)):
        if row["host"]:
            held[row["host"]] = held.get(row["host"], 0) + 1
    most = int(group["rules"].get("max_server_per_host", 1))
    return ask._replace(policy=group["policy"], group_hosts=held, group_most=most)


async def place(db: Connection, service: Service, server: Row, ask: Ask) -> Verdict:
    """Choose a host and claim what the server needs of it. The verdict is kept for whoever asks why."""
    verdict = schedule.choose(await hosts.views(db, service), ask)
    await remember(db, service, server["id"], verdict)
    if verdict.host is not None:
        owner = {"project_id": server["project_id"], "user_id": server["user_id"]}
        wanted = {verdict.host.id: dict(ask.resources)}
        await claims.put(db, service, server["id"], wanted, owner={**owner, "kind": "INSTANCE"})
    return verdict


REASONS_KEPT = 200


async def remember(db: Connection, service: Service, server_id: str, verdict: Verdict) -> None:
    """Keep why a server went where it went, or nowhere."""
    table = tables.verdict
    await rows.delete(db, table, table.c.id == server_id)
    refused = [one for one in verdict.reasons if one[1] != "weight"]
    weighed = [one for one in verdict.reasons if one[1] == "weight"]
    row = {
        "id": server_id,
        "reasons": [list(one) for one in (weighed + refused)[:REASONS_KEPT]],
        "host": verdict.host.name if verdict.host else None,
        "created_us": service.now_us(),
    }
    await rows.insert(db, table, row)


async def why(db: Connection, server_id: str) -> Row | None:
    """The last verdict about a server: `reasons` are (host, filter or `weight`, what it said)."""
    return await rows.by_id(db, tables.verdict, server_id)
