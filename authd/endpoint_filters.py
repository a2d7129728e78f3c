"""Which endpoints a project sees: those associated with it, and those of its endpoint groups; all without either."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables import catalog, endpoint_filter, project
from core import rows
from core.api.fault import conflict, not_found
from core.database import Connection
from core.rows import Row

GROUPS = endpoint_filter.endpoint_group
ENDPOINT_LINKS = endpoint_filter.project_endpoint
GROUP_LINKS = endpoint_filter.project_endpoint_group


async def get_group(db: Connection, group_id: str) -> Row:
    """The endpoint group. Raises Fault 404."""
    row = await rows.by_id(db, GROUPS, group_id)
    if row is None:
        raise not_found("endpoint group", group_id)
    return row


async def in_group(db: Connection, group: Row) -> list[Row]:
    """The endpoints that have all the attributes that a group asks for."""
    return await rows.matching(db, catalog.endpoint, **group["filters"])


def _link(table: sa.Table, values: dict[str, str]) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in values.items()]


async def linked(db: Connection, table: sa.Table, **values: str) -> bool:
    """A project and an endpoint (or endpoint group) are associated."""
    statement = sa.select(table).where(*_link(table, values))
    return await rows.first(db, statement) is not None


async def link(db: Connection, table: sa.Table, **values: str) -> None:
    """Associate them. Raises Fault 409 when they are."""
    if await linked(db, table, **values):
        raise conflict("Conflict occurred attempting to store a project association - it exists.")
    await rows.insert(db, table, values)


async def unlink(db: Connection, table: sa.Table, **values: str) -> None:
    """End an association. Raises Fault 404."""
    if not await rows.delete(db, table, *_link(table, values)):
        raise not_found("project association", "/".join(values.values()))


async def groups_of(db: Connection, project_id: str) -> list[Row]:
    """The endpoint groups of a project, in order of their ids."""
    statement = (
        sa.select(GROUPS)
        .join(GROUP_LINKS, GROUP_LINKS.c.endpoint_group_id == GROUPS.c.id)
        .where(GROUP_LINKS.c.project_id == project_id)
        .order_by(GROUPS.c.id)
    )
    return await rows.rows(db, statement)


async def endpoints_of(db: Connection, project_id: str) -> list[Row]:
    """The endpoints of a project, of both sources, in order of their ids."""
    table = catalog.endpoint
    statement = (
        sa.select(table)
        .join(ENDPOINT_LINKS, ENDPOINT_LINKS.c.endpoint_id == table.c.id)
        .where(ENDPOINT_LINKS.c.project_id == project_id)
    )
    found = {row["id"]: row for row in await rows.rows(db, statement)}
    for group in await groups_of(db, project_id):
        found |= {row["id"]: row for row in await in_group(db, group)}
    return [found[name] for name in sorted(found)]


async def projects_of(db: Connection, table: sa.Table, **values: str) -> list[Row]:
    """The projects that an endpoint or endpoint group is associated with."""
    projects = project.project
    statement = (
        sa.select(projects)
        .join(table, table.c.project_id == projects.c.id)
        .where(*_link(table, values))
        .order_by(projects.c.id)
    )
    return await rows.rows(db, statement)


async def visible(db: Connection, project_id: str) -> list[Row]:
    """The endpoints of a project's catalog: all of them unless it has associations of its own."""
    found = await endpoints_of(db, project_id) if project_id else []
    return found or await rows.matching(db, catalog.endpoint)
