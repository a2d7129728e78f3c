"""Registered limits (defaults for everybody) and limits (what one project or domain has instead)."""

from __future__ import annotations

import sqlalchemy as sa

from authd import limit_models
from authd.tables import catalog, limit, project
from core import rows
from core.api.fault import bad_request, conflict, forbidden, not_found
from core.database import Connection
from core.rows import Row

REGISTERED = limit.registered_limit
LIMITS = limit.limit
PROJECTS = project.project


async def get_registered(db: Connection, name: str) -> Row:
    """The registered limit. Raises Fault 404."""
    row = await rows.by_id(db, REGISTERED, name)
    if row is None:
        raise not_found("registered limit", name)
    return row


async def _check_registered(db: Connection, row: Row) -> None:
    if await rows.by_id(db, catalog.service, row["service_id"]) is None:
        raise bad_request(f"Expecting to find service_id {row['service_id']} in the services.")
    if row["region_id"] and await rows.by_id(db, catalog.region, row["region_id"]) is None:
        raise bad_request(f"Expecting to find region_id {row['region_id']} in the regions.")
    key = {name: row[name] for name in ("service_id", "region_id", "resource_name")}
    for other in await rows.matching(db, REGISTERED, **key):
        if other["id"] != row["id"]:
            raise conflict("Conflict occurred attempting to store registered_limit - it exists.")


async def register(db: Connection, row: Row) -> None:
    """Add a registered limit. Raises Fault 400 or 409."""
    await _check_registered(db, row)
    await rows.insert(db, REGISTERED, row)


async def update_registered(db: Connection, old: Row, changes: Row) -> None:
    """Change a registered limit that nothing refers to. Raises Fault 400, 403 or 409."""
    await _check_unused(db, old)
    await _check_registered(db, {**old, **changes})
    await rows.update(db, REGISTERED, old["id"], changes)


async def delete_registered(db: Connection, row: Row) -> None:
    """Remove a registered limit. Raises Fault 403 while limits refer to it."""
    await _check_unused(db, row)
    await rows.delete(db, REGISTERED, REGISTERED.c.id == row["id"])


async def _check_unused(db: Connection, row: Row) -> None:
    if await rows.matching(db, LIMITS, registered_limit_id=row["id"]):
        raise forbidden(
            f"Unable to update or delete registered limit {row['id']} because there are project limits"
            " associated with it."
        )


def _whole() -> sa.Select[tuple[object, ...]]:
    """Limits with what they refer to and the domain of their project."""
    return (
        sa.select(
            LIMITS,
            REGISTERED.c.service_id,
            REGISTERED.c.region_id,
            REGISTERED.c.resource_name,
            PROJECTS.c.domain_id.label("project_domain_id"),
        )
        .join(REGISTERED, REGISTERED.c.id == LIMITS.c.registered_limit_id)
        .outerjoin(PROJECTS, PROJECTS.c.id == LIMITS.c.project_id)
    )


async def get(db: Connection, limit_id: str) -> Row:
    """The limit. Raises Fault 404."""
    row = await rows.first(db, _whole().where(LIMITS.c.id == limit_id))
    if row is None:
        raise not_found("limit", limit_id)
    return row


async def listed(db: Connection) -> list[Row]:
    """All limits, in order of their ids."""
    return await rows.rows(db, _whole().order_by(LIMITS.c.id))


async def create(db: Connection, row: Row, model: str) -> None:
    """Add a limit. Raises Fault 400, 403 without its registered limit or against the model, 409."""
    place = {name: row.pop(name) for name in ("service_id", "region_id", "resource_name")}
    found = await rows.matching(db, REGISTERED, **place)
    if not found:
        raise forbidden("Unable to create a limit that has no corresponding registered limit.")
    row["registered_limit_id"] = found[0]["id"]
    owner = await rows.by_id(db, PROJECTS, row["project_id"] or row["domain_id"])
    if owner is None or owner["is_domain"] != bool(row["domain_id"]):
        raise bad_request("Expecting to find the project or domain of a limit.")
    key = {name: row[name] for name in ("registered_limit_id", "project_id", "domain_id")}
    if await rows.matching(db, LIMITS, **key):
        raise conflict("Conflict occurred attempting to store limit - it exists.")
    await rows.insert(db, LIMITS, row)
    await check(db, row["id"], model)


async def update(db: Connection, row: Row, changes: Row, model: str) -> None:
    """Change a limit. Raises Fault 403 against the model."""
    await rows.update(db, LIMITS, row["id"], changes)
    await check(db, row["id"], model)


async def check(db: Connection, limit_id: str, model: str) -> None:
    """Compare a limit with those above or below it. Raises Fault 403, which undoes the change."""
    row = await get(db, limit_id)
    same = [
        one for one in await listed(db) if one["registered_limit_id"] == row["registered_limit_id"]
    ]
    if row["domain_id"]:
        below = [
            one["resource_limit"] for one in same if one["project_domain_id"] == row["domain_id"]
        ]
        limit_models.check_domain(model, row["resource_limit"], below)
        return
    above = [one["resource_limit"] for one in same if one["domain_id"] == row["project_domain_id"]]
    registered = await get_registered(db, row["registered_limit_id"])
    bound = above[0] if above else registered["default_limit"]
    limit_models.check_project(model, row["resource_limit"], bound)


async def delete_of(db: Connection, project_id: str) -> None:
    """Remove the limits of a project or domain that goes."""
    mine = (LIMITS.c.project_id == project_id) | (LIMITS.c.domain_id == project_id)
    await rows.delete(db, LIMITS, mine)
