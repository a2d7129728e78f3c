"""Quotas: limits of a project, what it uses, and the check that is made inside the transaction that uses more.

Usage is counted from the rows, so it cannot drift; writers run one after the other, so two requests cannot both take
the last of a quota. -1 is no limit.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from core import rows
from core.database import Connection
from networkd.fault import over_quota
from networkd.tables import network, port, quota, router, security_group

LIMITS = quota.quota
DEFAULTS: Mapping[str, int] = {
    "network": 100,
    "subnet": 100,
    "subnetpool": -1,
    "port": 500,
    "router": 10,
    "floatingip": 50,
    "security_group": 10,
    "security_group_rule": 100,
}
TABLES: Mapping[str, sa.Table] = {
    "network": network.network,
    "subnet": network.subnet,
    "subnetpool": network.subnetpool,
    "port": port.port,
    "router": router.router,
    "floatingip": router.floatingip,
    "security_group": security_group.security_group,
    "security_group_rule": security_group.security_group_rule,
}


async def limits_of(db: Connection, project_id: str) -> dict[str, int]:
    """Limits of a project."""
    found = await rows.rows(db, sa.select(LIMITS).where(LIMITS.c.project_id == project_id))
    return {**DEFAULTS, **{row["resource"]: row["hard_limit"] for row in found}}


async def used_by(db: Connection, project_id: str) -> dict[str, int]:
    """What a project uses of every resource."""
    return {
        name: await rows.count(db, table, table.c.project_id == project_id)
        for name, table in TABLES.items()
    }


async def check(db: Connection, project_id: str, resource: str, more: int = 1) -> None:
    """Let a project use so many more, or raise Fault 409 (OverQuota)."""
    if not project_id:
        return
    limit = (await limits_of(db, project_id))[resource]
    table = TABLES[resource]
    if limit >= 0 and await rows.count(db, table, table.c.project_id == project_id) + more > limit:
        raise over_quota(resource)
