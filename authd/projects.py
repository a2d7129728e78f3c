"""Projects: trees of them below each domain, five deep at most, without cycles because a parent never changes."""

from __future__ import annotations

import sqlalchemy as sa

from authd import credentials, domains, limits, revocations, trusts
from authd.authority import TREE_DEPTH_MAX
from authd.tables import assignment, project, user
from core import rows
from core.api.fault import bad_request, conflict, forbidden, not_found
from core.database import Connection
from core.revocation import PROJECT
from core.rows import Row

TABLE = project.project


async def get(db: Connection, project_id: str) -> Row:
    """The project, or the domain acting as one. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, project_id)
    if row is None:
        raise not_found("project", project_id)
    return row


async def named(db: Connection, domain_id: str, name: str) -> Row | None:
    """The project of this name in a domain."""
    found = await rows.matching(db, TABLE, domain_id=domain_id, name=name, is_domain=False)
    return found[0] if found else None


async def parents(db: Connection, row: Row) -> list[Row]:
    """Its parents, nearest first; the last one is its domain."""
    found: list[Row] = []
    while row["parent_id"]:
        parent = await rows.by_id(db, TABLE, row["parent_id"])
        if parent is None:
            break
        row = parent
        found.append(row)
    return found


async def subtree(db: Connection, row: Row) -> list[Row]:
    """All projects below it, nearest first."""
    found: list[Row] = []
    level = [row["id"]]
    while level:
        statement = sa.select(TABLE).where(TABLE.c.parent_id.in_(level)).order_by(TABLE.c.id)
        below = await rows.rows(db, statement)
        found += below
        level = [one["id"] for one in below]
    return found


async def create(db: Connection, row: Row) -> None:
    """Add a project below its parent. Raises Fault 400, 403, 404 or 409."""
    parent = await get(db, row["parent_id"])
    domain = await domains.get(db, row["domain_id"])
    if (parent["id"] if parent["is_domain"] else parent["domain_id"]) != domain["id"]:
        raise bad_request("The parent of a project must be in the same domain.")
    line = [parent, *await parents(db, parent)]
    if not all(one["enabled"] for one in line):
        raise forbidden(
            f"Cannot create project in a branch containing a disabled project: {parent['id']}."
        )
    if len(line) > TREE_DEPTH_MAX:
        raise forbidden(f"Max hierarchy depth reached for the branch of {parent['id']}.")
    await _check_name(db, row["domain_id"], row["name"], row["id"])
    await rows.insert(db, TABLE, {**row, "is_domain": False})


async def _check_name(db: Connection, domain_id: str, name: str, own_id: str) -> None:
    other = await named(db, domain_id, name)
    if other is not None and other["id"] != own_id:
        raise conflict(
            "Conflict occurred attempting to store project - it is not permitted to have two projects"
            f" with the same name in the same domain: {name}."
        )


async def update(db: Connection, old: Row, changes: Row, now_us: int) -> None:
    """Change a project. Raises Fault 403 when enabling or disabling would contradict its tree, or 409."""
    if "name" in changes:
        await _check_name(db, old["domain_id"], changes["name"], old["id"])
    enabled = changes.get("enabled", old["enabled"])
    if enabled and not old["enabled"]:
        if not all(one["enabled"] for one in await parents(db, old)):
            raise forbidden(f"Cannot enable project {old['id']} since it has disabled parents.")
    elif old["enabled"] and not enabled:
        if any(one["enabled"] for one in await subtree(db, old)):
            raise forbidden(
                f"Cannot disable project {old['id']} since its subtree contains enabled projects."
            )
        await revocations.add(db, PROJECT, old["id"], now_us)
    await rows.update(db, TABLE, old["id"], changes)


async def delete(db: Connection, row: Row, now_us: int) -> None:
    """Remove a leaf and every grant on it. Raises Fault 403 when it has children."""
    if await subtree(db, row):
        raise forbidden(
            f"Cannot delete the project {row['id']} since it is not a leaf in the hierarchy."
        )
    grants = assignment.assignment
    await rows.delete(db, grants, grants.c.target == "project", grants.c.target_id == row["id"])
    await credentials.delete_of_project(db, row["id"])
    await limits.delete_of(db, row["id"])
    await trusts.delete_of_project(db, row["id"], now_us)
    users = user.user
    await db.execute(
        sa.update(users)
        .where(users.c.default_project_id == row["id"])
        .values(default_project_id=None)
    )
    await rows.delete(db, TABLE, TABLE.c.id == row["id"])
    await revocations.add(db, PROJECT, row["id"], now_us)
