"""Domains: the roots of the project trees, and the owners of users, groups and domain roles."""

from __future__ import annotations

import sqlalchemy as sa

from authd import revocations
from authd import trusts as lent
from authd.tables import assignment, credential, group, limit, project, role, trust, user
from core import rows
from core.api.fault import conflict, forbidden, not_found
from core.database import Connection
from core.revocation import DOMAIN
from core.rows import Row

DEFAULT = "default"
TABLE = project.project


async def get(db: Connection, domain_id: str) -> Row:
    """The domain. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, domain_id)
    if row is None or not row["is_domain"]:
        raise not_found("domain", domain_id)
    return row


async def named(db: Connection, name: str) -> Row | None:
    """The domain of this name."""
    found = await rows.matching(db, TABLE, is_domain=True, name=name)
    return found[0] if found else None


async def create(db: Connection, row: Row) -> None:
    """Add a domain. Raises Fault 409 when its name or id is taken."""
    taken = await named(db, row["name"]) or await rows.by_id(db, TABLE, row["id"])
    if taken is not None:
        raise conflict(
            "Conflict occurred attempting to store domain - it is not permitted to have two domains"
            f" with the same name or id: {row['name']}."
        )
    await rows.insert(db, TABLE, {**row, "is_domain": True, "domain_id": "", "parent_id": ""})


async def update(db: Connection, old: Row, changes: Row, now_us: int) -> None:
    """Change a domain; disabling it revokes its users' tokens and those scoped to it."""
    name = str(changes.get("name", old["name"]))
    other = await named(db, name)
    if other is not None and other["id"] != old["id"]:
        raise conflict(f"Conflict occurred attempting to store domain - Duplicate entry: {name}.")
    await rows.update(db, TABLE, old["id"], changes)
    if changes.get("enabled") is False and old["enabled"]:
        await lent.revoke_of_domain(db, old["id"], now_us)
        await revocations.add(db, DOMAIN, old["id"], now_us)


async def delete(db: Connection, row: Row, now_us: int) -> None:
    """Remove a disabled domain with all it owns. Raises Fault 403 while it is enabled."""
    if row["enabled"]:
        raise forbidden("Cannot delete a domain that is enabled, please disable it first.")
    domain_id = row["id"]
    await lent.revoke_of_domain(db, domain_id, now_us)
    grants = assignment.assignment
    projects = sa.select(TABLE.c.id).where(
        (TABLE.c.domain_id == domain_id) | (TABLE.c.id == domain_id)
    )
    users = sa.select(user.user.c.id).where(user.user.c.domain_id == domain_id)
    groups = sa.select(group.group.c.id).where(group.group.c.domain_id == domain_id)
    credentials, trusts = credential.credential, trust.trust
    await rows.delete(
        db,
        grants,
        grants.c.target_id.in_(projects)
        | grants.c.actor_id.in_(users)
        | grants.c.actor_id.in_(groups),
    )
    await rows.delete(db, credentials, credentials.c.project_id.in_(projects))
    await rows.delete(db, trusts, trusts.c.project_id.in_(projects))
    limits = limit.limit
    await rows.delete(
        db, limits, limits.c.project_id.in_(projects) | (limits.c.domain_id == domain_id)
    )
    await rows.delete(db, group.group, group.group.c.domain_id == domain_id)
    await rows.delete(db, user.user, user.user.c.domain_id == domain_id)
    await rows.delete(db, role.role, role.role.c.domain_id == domain_id)
    await rows.delete(db, TABLE, TABLE.c.domain_id == domain_id)
    await rows.delete(db, TABLE, TABLE.c.id == domain_id)
    await revocations.add(db, DOMAIN, domain_id, now_us)
