"""Quotas: what a project (and a user in it) may have; decided in the transaction that takes it."""

from __future__ import annotations

import sqlalchemy as sa

from computed import servers
from computed.tables import flavor as flavors
from computed.tables import host as tables
from core import rows
from core.api.fault import Fault
from core.database import Connection

DEFAULTS = {
    "instances": 10,
    "cores": 20,
    "ram": 50 * 1024,
    "metadata_items": 128,
    "injected_files": 5,
    "injected_file_content_bytes": 10 * 1024,
    "injected_file_path_bytes": 255,
    "key_pairs": 100,
    "server_groups": 10,
    "server_group_members": 10,
}
OLD = dict.fromkeys(
    ("fixed_ips", "floating_ips", "security_groups", "security_group_rules", "networks"), -1
)
COUNTED = ("instances", "cores", "ram")
DEFAULT_CLASS = "default"
TABLE, CLASSES = tables.quota, tables.quota_class


async def defaults(db: Connection, name: str = DEFAULT_CLASS) -> dict[str, int]:
    """Limits of a project that has none of its own."""
    found = await rows.rows(db, sa.select(CLASSES).where(CLASSES.c.name == name))
    set_ones = {row["resource"]: row["hard_limit"] for row in found}
    return {key: set_ones.get(key, value) for key, value in (DEFAULTS | OLD).items()}


async def limits_of(db: Connection, project_id: str, user_id: str = "") -> dict[str, int]:
    """A project's limits, or those of a user in it."""
    found = await defaults(db)
    same = (TABLE.c.project_id == project_id, TABLE.c.user_id.in_(["", user_id]))
    held = await rows.rows(db, sa.select(TABLE).where(*same).order_by(TABLE.c.user_id))
    for row in held:
        found[row["resource"]] = row["hard_limit"]
    return found


async def used_by(db: Connection, project_id: str, user_id: str = "") -> dict[str, int]:
    """What a project's servers (or a user's in it) take."""
    table = servers.TABLE
    where = [table.c.project_id == project_id, table.c.deleted_us == 0]
    if user_id:
        where.append(table.c.user_id == user_id)
    found = await rows.rows(db, sa.select(table.c.flavor).where(*where))
    groups = tables.server_group
    return {
        "instances": len(found),
        "cores": sum(row["flavor"]["vcpus"] for row in found),
        "ram": sum(row["flavor"]["ram_mb"] for row in found),
        "server_groups": await rows.count(db, groups, groups.c.project_id == project_id),
    }


async def keypairs_of(db: Connection, user_id: str) -> int:
    """How many key pairs a user has."""
    return await rows.count(db, flavors.keypair, flavors.keypair.c.user_id == user_id)


async def check(db: Connection, project_id: str, user_id: str, wanted: dict[str, int]) -> None:
    """Raises Fault 403 when a project or a user would have more than it may."""
    for who in ("", user_id):
        limits = await limits_of(db, project_id, who)
        used = await used_by(db, project_id, who)
        over = [
            name
            for name, amount in wanted.items()
            if 0 <= limits[name] < used[name] + amount and amount > 0
        ]
        if over:
            asked = ", ".join(str(wanted[name]) for name in over)
            held = ", ".join(str(used[name]) for name in over)
            most = ", ".join(str(limits[name]) for name in over)
            raise Fault(
                403,
                f"Quota exceeded for {', '.join(over)}: Requested {asked}, but already used {held}"
                f" of {most} {', '.join(over)}",
            )


async def check_items(db: Connection, project_id: str, name: str, count: int) -> None:
    """Raises Fault 403 when one server would have more of something than it may."""
    limit = (await limits_of(db, project_id))[name]
    if 0 <= limit < count:
        raise Fault(403, f"Maximum number of {name.replace('_', ' ')} exceeded")
