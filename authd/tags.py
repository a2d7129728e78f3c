"""Tags of projects and domains: up to 80 short words each, by which lists can be filtered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from authd.tables import project
from core import rows
from core.api.fault import bad_request, not_found
from core.database import Connection
from core.rows import Row

TABLE = project.project_tag
COUNT_MAX = 80
# Filters of lists: all of the tags, any of them, not all of them, none of them.
FILTERS = ("tags", "tags-any", "not-tags", "not-tags-any")


async def of(db: Connection, project_id: str) -> list[str]:
    """The tags of a project, in order."""
    statement = sa.select(TABLE.c.name).where(TABLE.c.project_id == project_id)
    return sorted(row["name"] for row in await rows.rows(db, statement))


async def joined(db: Connection, found: Sequence[Row]) -> list[Row]:
    """Projects with their `tags`."""
    by_project: dict[str, list[str]] = {}
    statement = sa.select(TABLE)
    if len(found) == 1:
        statement = statement.where(TABLE.c.project_id == found[0]["id"])
    for row in await rows.rows(db, statement):
        by_project.setdefault(row["project_id"], []).append(row["name"])
    return [{**row, "tags": sorted(by_project.get(row["id"], []))} for row in found]


async def replace(db: Connection, project_id: str, names: Collection[str]) -> None:
    """Give a project exactly these tags. Raises Fault 400 when they are too many."""
    if len(set(names)) > COUNT_MAX:
        raise bad_request(f"A project has at most {COUNT_MAX} tags.")
    await rows.delete(db, TABLE, TABLE.c.project_id == project_id)
    for name in sorted(set(names)):
        await rows.insert(db, TABLE, {"project_id": project_id, "name": name})


async def remove(db: Connection, project_id: str, name: str) -> None:
    """Take one tag away. Raises Fault 404."""
    if not await rows.delete(db, TABLE, TABLE.c.project_id == project_id, TABLE.c.name == name):
        raise not_found("project tag", name)


def fits(tags: Collection[str], wanted: Mapping[str, str]) -> bool:
    """Whether tags pass the filters of a query; each filter's tags are joined by commas."""
    held = set(tags)
    for name, value in wanted.items():
        asked = set(value.split(","))
        passes = held & asked if name.endswith("-any") else held >= asked
        if bool(passes) == name.startswith("not-"):
            return False
    return True
