"""Quotas: limits of a project, what it uses, and the check that is made inside the transaction that uses more.

Usage is counted from the rows, so it cannot drift; writers run one after the other, so two requests cannot both take
the last of a quota. -1 is no limit.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from blockd.fault import over_quota
from blockd.tables import backup, group, quota, snapshot, volume, volume_type
from core import rows
from core.database import Connection

LIMITS = quota.quota
CLASSES = quota.quota_class
DEFAULT_CLASS = "default"
DEFAULTS: Mapping[str, int] = {
    "volumes": 10,
    "per_volume_gigabytes": -1,
    "snapshots": 10,
    "gigabytes": 1000,
    "backups": 10,
    "backup_gigabytes": 1000,
    "groups": 10,
}
BY_TYPE = ("volumes", "gigabytes", "snapshots")


async def type_names(db: Connection) -> dict[str, str]:
    """Names of all types by id."""
    table = volume_type.volume_type
    found = await db.execute(sa.select(table.c.id, table.c.name))
    return {str(name): str(text) for name, text in found}


async def defaults(db: Connection, class_name: str = DEFAULT_CLASS) -> dict[str, int]:
    """Limits of a class, for every resource there is."""
    limits = dict(DEFAULTS)
    for name in (await type_names(db)).values():
        limits.update({f"{resource}_{name}": -1 for resource in BY_TYPE})
    found = await rows.rows(db, sa.select(CLASSES).where(CLASSES.c.class_name == class_name))
    limits.update({row["resource"]: row["hard_limit"] for row in found})
    return limits


async def limits_of(db: Connection, project_id: str) -> dict[str, int]:
    """Limits of a project: its own where it has them, else those of the default class."""
    limits = await defaults(db)
    found = await rows.rows(db, sa.select(LIMITS).where(LIMITS.c.project_id == project_id))
    limits.update({row["resource"]: row["hard_limit"] for row in found})
    return limits


async def used_by(db: Connection, project_id: str) -> dict[str, int]:
    """What a project uses of every resource. Gigabytes are those of volumes and snapshots together."""
    used = dict.fromkeys(await defaults(db), 0)
    names = await type_names(db)
    for table, resource in ((volume.volume, "volumes"), (snapshot.snapshot, "snapshots")):
        statement = (
            sa.select(table.c.volume_type_id, sa.func.count(), sa.func.sum(table.c.size))
            .where(table.c.project_id == project_id, table.c.consumes_quota)
            .group_by(table.c.volume_type_id)
        )
        for type_id, count, size in (await db.execute(statement)).all():
            suffixes = ["", f"_{names[type_id]}"] if type_id in names else [""]
            for suffix in suffixes:
                used[resource + suffix] = used.get(resource + suffix, 0) + int(count)
                gigabytes = "gigabytes" + suffix
                used[gigabytes] = used.get(gigabytes, 0) + int(size or 0)
    table = backup.backup
    both = sa.select(sa.func.count(), sa.func.sum(table.c.size))
    count, size = (await db.execute(both.where(table.c.project_id == project_id))).one()
    used["backups"], used["backup_gigabytes"] = int(count), int(size or 0)
    used["groups"] = await rows.count(db, group.group, group.group.c.project_id == project_id)
    return used


async def check(
    db: Connection, project_id: str, wanted: Mapping[str, int], type_name: str = ""
) -> None:
    """Let a project use so much more, or raise Fault 413. `type_name`: the type's own quotas hold too."""
    limits, used = await limits_of(db, project_id), await used_by(db, project_id)
    for resource, more in wanted.items():
        for name in (resource, f"{resource}_{type_name}" if type_name else ""):
            limit = limits.get(name, -1)
            if more > 0 and limit >= 0 and used.get(name, 0) + more > limit:
                raise over_quota(name, wanted=more, used=used.get(name, 0), limit=limit)


async def check_size(db: Connection, project_id: str, size: int) -> None:
    """Raise Fault 413 when one volume would be larger than a project's may be."""
    limit = (await limits_of(db, project_id))["per_volume_gigabytes"]
    if 0 <= limit < size:
        raise over_quota("per_volume_gigabytes", wanted=size, used=0, limit=limit)
